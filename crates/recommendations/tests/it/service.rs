//! The service under test, with its surroundings.

use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, Method, Request, StatusCode};
use axum::Router;
use axum::body::Body;
use bus::{Bus, Envelope, LocalBus};
use bytes::Bytes;
use chassis::config::Address;
use chassis::http::{EdgeConfig, edge};
use chassis::{GrpcCaller, GrpcConfig, IdentityConfig, Surroundings, Worker};
use http_body_util::BodyExt;
use kernel::{ArticleId, Clock, Ids, ManualClock, MessageId, Role, Timestamp, Trace, UserId};
use prost::Message;
use proto::events::v1::ArticleRead;
use proto::users::v1::{ConsentChanged, UserErased};
use recommendations::{Config, StoreConfig, UsersConfig};
use serde_json::Value;
use testkit::{Folder, PATIENCE, wait_until};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

use crate::fake_users::{FakeUsers, ISSUER, token};

/// The moment at which every test begins: 2026-11-21T08:00:00Z.
pub const START: i64 = 1_795_248_000_000;

pub struct TestService {
    pub clock: Arc<ManualClock>,
    pub users: FakeUsers,
    pub bus: Arc<LocalBus>,
    pub doc: utoipa::openapi::OpenApi,
    pub workers: Vec<Arc<dyn Worker>>,
    pub grpc: tonic::service::Routes,
    pub surroundings: Surroundings,
    ids: Arc<dyn Ids>,
    router: Router,
    /// The consumers, which end with this value.
    _consumers: JoinSet<()>,
    _folder: Folder,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl TestService {
    /// Builds a service and runs its consumers.
    pub async fn new() -> Self {
        let folder = Folder::new();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(START)));
        let surroundings = Surroundings::one_process().with_clock(clock.clone());
        let users = FakeUsers::register_in(&surroundings);
        let bus_url = format!("local:{}", folder.join("bus.db").display());
        let config = Config {
            store: StoreConfig { url: folder.sqlite("recommendations.db").into(), budget_ms: 400 },
            bus: Address { url: bus_url.as_str().into() },
            users: UsersConfig {
                url: "inproc://users".to_owned(),
                token: String::new().into(),
                budget_ms: 250,
            },
            identity: IdentityConfig { issuer: ISSUER.to_owned(), keys: "inproc://users".to_owned() },
            grpc: callers(),
        };
        let service =
            recommendations::build(config, surroundings.clone()).await.expect("the service is built");
        let mut consumers = JoinSet::new();
        for consumer in service.consumers {
            consumers.spawn(consumer.run(CancellationToken::new()));
        }
        Self {
            clock,
            users,
            bus: bus::open_local(&bus_url, &surroundings).await.expect("the bus is open"),
            doc: service.doc,
            workers: service.workers,
            grpc: service.grpc.expect("it has gRPC"),
            ids: surroundings.ids.clone(),
            router: edge("recommendations", service.http, EdgeConfig::default()),
            surroundings,
            _consumers: consumers,
            _folder: folder,
        }
    }

    pub async fn request(&self, method: Method, path: &str, token: Option<&str>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> =
            bearer.iter().map(|value| ("authorization", value.as_str())).collect();
        self.request_with(method, path, &headers).await
    }

    pub async fn request_with(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    pub fn token(&self, user: UserId, role: Role) -> String {
        token(user, role, self.clock.now().millis() / 1000)
    }

    /// Sends a GET as an admin.
    pub async fn get_as_admin(&self, path: &str) -> Answer {
        self.request(Method::GET, path, Some(&self.token(user(999), Role::Admin))).await
    }

    /// Returns the labels that a reader gets about themselves: id and count.
    pub async fn labels(&self, reader: UserId) -> Vec<(String, u64)> {
        let token = self.token(reader, Role::Reader);
        let answer = self.request(Method::GET, &format!("/user/{reader}"), Some(&token)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let list = answer.body.as_array().expect("a bare array").clone();
        let labels = list.iter().map(|label| {
            (label["id"].as_str().expect("a label").to_owned(), label["reads"].as_u64().expect("a count"))
        });
        labels.collect()
    }

    pub async fn publish(&self, messages: Vec<Envelope>) {
        self.bus.publish(messages).await.expect("the bus accepts messages");
    }

    /// Publishes messages and waits until all were handled.
    pub async fn deliver(&self, messages: Vec<Envelope>) {
        self.publish(messages).await;
        self.wait_until_idle().await;
    }

    /// Waits until no message is waiting.
    pub async fn wait_until_idle(&self) {
        wait_until("empty queues", PATIENCE, || async { (self.queue_depths().await.0 == 0).then_some(()) })
            .await;
    }

    /// Returns the number of messages that wait and of dead letters.
    pub async fn queue_depths(&self) -> (u64, u64) {
        let depths = self.bus.depths().await.expect("the bus answers");
        (depths.iter().map(|depth| depth.waiting).sum(), depths.iter().map(|depth| depth.dead).sum())
    }

    /// Advances the clock.
    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
        self.bus.wake_consumers();
    }

    fn envelope(
        &self,
        kind: &str,
        key: &str,
        subject: String,
        version: u32,
        at: i64,
        body: Vec<u8>,
    ) -> Envelope {
        Envelope {
            id: MessageId::new(self.ids.next()),
            kind: kind.to_owned(),
            key: key.to_owned(),
            source: "test".to_owned(),
            subject,
            version,
            time: minute(at),
            trace: Trace::start(),
            body: Bytes::from(body),
        }
    }

    /// Returns the event that the reader read the article, at a minute after the start.
    pub fn reading_event(&self, reader: UserId, article: u128, minutes: i64, labels: &[&str]) -> Envelope {
        let article = ArticleId::new(Uuid::from_u128(article));
        let event = ArticleRead {
            reader_id: reader.to_string(),
            article_id: article.to_string(),
            section: "politics".to_owned(),
            article_version: 1,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            at_ms: minute(minutes).millis(),
        };
        self.reading_with(event.encode_to_vec())
    }

    /// Returns a message of the kind of readings with this body.
    pub fn reading_with(&self, body: Vec<u8>) -> Envelope {
        let key = "reading.politics.read";
        self.envelope("portal.events.v1.ArticleRead", key, String::new(), 1, 0, body)
    }

    /// Returns the event that the reader changed their consent, at a minute after the start.
    pub fn consent_event(&self, reader: UserId, permits: bool, version: u32, minutes: i64) -> Envelope {
        let event = ConsentChanged {
            user_id: reader.to_string(),
            personalisation: permits,
            history: permits,
            version,
            at: minute(minutes).millis(),
        };
        let kind = "portal.users.v1.ConsentChanged";
        let body = event.encode_to_vec();
        self.envelope(kind, "users.consent_changed", reader.to_string(), version, minutes, body)
    }

    /// Returns the event that the account was erased, at a minute after the start.
    pub fn erasure_event(&self, reader: UserId, minutes: i64) -> Envelope {
        let event = UserErased { user_id: reader.to_string(), at: minute(minutes).millis() };
        let kind = "portal.users.v1.UserErased";
        self.envelope(kind, "users.erased", reader.to_string(), 1, minutes, event.encode_to_vec())
    }
}

pub fn minute(minutes: i64) -> Timestamp {
    Timestamp::from_millis(START + minutes * 60_000)
}

pub fn user(number: u128) -> UserId {
    UserId::new(Uuid::from_u128(number))
}

pub const MINUTE: Duration = Duration::from_secs(60);
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The token of the orchestrator over the network.
pub const TOKEN: &str = "a-token-of-the-orchestrator-of-32-characters";

fn callers() -> GrpcConfig {
    let methods = vec!["portal.recommendations.v1.Recommendations/GetTaste".to_owned()];
    let caller = GrpcCaller { token: TOKEN.to_owned().into(), methods };
    GrpcConfig { callers: [("orchestrator".to_owned(), caller)].into() }
}
