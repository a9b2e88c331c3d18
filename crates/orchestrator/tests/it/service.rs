//! The orchestrator under test, with its surroundings: a bus, three fake sections, a fake of recommendations,
//! an issuer of tokens.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bus::Bus;
use bytes::Bytes;
use chassis::http::{EdgeConfig, edge};
use chassis::{AUDIENCE, Claims, Runnable, Service, Surroundings, Worker};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use kernel::{Clock, ManualClock, Role, Section, Sections, SystemClock, UserId};
use orchestrator::{
    App, CacheConfig, Config, FeedsConfig, ListsConfig, LiveConfig, ReadingsConfig, RecommendationsConfig,
    SectionsConfig,
};
use serde_json::{Value, json};
use testkit::{Client, Events, Folder};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

use crate::fake_recommendations::FakeRecommendations;
use crate::fake_section::FakeSection;

const ISSUER: &str = "https://news.example";

/// A running orchestrator and its surroundings.
pub struct TestService {
    pub sections: [Arc<FakeSection>; 3],
    pub recommendations: FakeRecommendations,
    pub app: Arc<App>,
    pub bus: Arc<dyn Bus>,
    pub worker: Arc<dyn Worker>,
    pub doc: utoipa::openapi::OpenApi,
    router: Router,
    servers: Vec<Option<Box<dyn Runnable>>>,
    pub clock: Arc<ManualClock>,
    _stop: tokio_util::sync::DropGuard,
    _folder: Folder,
}

pub fn config() -> Config {
    Config {
        public_base: "/news/v1".to_owned(),
        identity: chassis::IdentityConfig { issuer: ISSUER.to_owned(), keys: "inproc://users".to_owned() },
        bus: chassis::config::Address { url: "".into() },
        sections: SectionsConfig { section_deadline_ms: 300, retries: 2, retry_pause_ms: 1 },
        readings: ReadingsConfig { queue: 8, patience_ms: 10_000 },
        recommendations: RecommendationsConfig {
            url: "inproc://recommendations".to_owned(),
            token: String::new().into(),
            budget_ms: 300,
        },
        feeds: FeedsConfig { title: "The Gazette".to_owned() },
        live: LiveConfig { streams: 100, streams_per_address: 20 },
        lists: ListsConfig { content_bytes: 32 * 1024 * 1024 },
        // Most tests change an article without an event, so they run without the cache. The tests of the
        // cache enable it.
        cache: CacheConfig {
            bytes: 0,
            fresh_ms: 5_000,
            renewing_ms: 30_000,
            stale_ms: 86_400_000,
            settling_ms: 500,
        },
    }
}

impl TestService {
    pub async fn new() -> Self {
        Self::with(config(), |bus| bus).await
    }

    /// Builds a service with this configuration. `lens` may replace the bus that the orchestrator uses.
    pub async fn with(config: Config, lens: impl FnOnce(Arc<dyn Bus>) -> Arc<dyn Bus>) -> Self {
        Self::behind(EdgeConfig::default(), config, lens).await
    }

    /// Builds a service behind an edge with this configuration.
    pub async fn behind(
        limits: EdgeConfig,
        config: Config,
        lens: impl FnOnce(Arc<dyn Bus>) -> Arc<dyn Bus>,
    ) -> Self {
        let folder = Folder::new();
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let surroundings = Surroundings::one_process().with_clock(clock.clone());
        surroundings.register_http("users", key_set());
        let recommendations = FakeRecommendations::default();
        surroundings.register_grpc("recommendations", recommendations.routes());
        let url = format!("local:{}", folder.join("bus.db").display());
        let bus = bus::open(&url, &surroundings).await.expect("a bus").bus;
        let sections = Section::ALL.map(FakeSection::new);
        let mut servers = Vec::new();
        for (section, fake) in Section::ALL.into_iter().zip(&sections) {
            let address = format!("news.{section}.calls");
            servers.push(Some(bus.serve(section.service(), &address, fake.clone()).await.expect("serves")));
        }
        let (service, app) =
            orchestrator::build_on(lens(bus.clone()), config, &surroundings).await.expect("builds");
        let Service { http, doc, mut workers, consumers, .. } = service;
        let stop = CancellationToken::new();
        for consumer in consumers {
            chassis::spawn("consumer", consumer.run(stop.clone()));
        }
        let router = edge("orchestrator", http, limits);
        let worker = workers.pop().expect("one worker");
        Self {
            sections,
            recommendations,
            app,
            bus,
            worker,
            doc,
            router,
            servers,
            clock,
            _stop: stop.drop_guard(),
            _folder: folder,
        }
    }

    pub fn section(&self, section: Section) -> &FakeSection {
        &self.sections[section as usize]
    }

    /// Stops the process of a section.
    pub fn stop(&mut self, section: Section) {
        self.servers[section as usize] = None;
    }

    pub fn get(&self, path: &str) -> RequestBuilder<'_> {
        self.request("GET", path)
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder<'_> {
        RequestBuilder {
            service: self,
            request: Request::builder().method(method).uri(path),
            body: Body::empty(),
        }
    }

    /// Follows a stream of events.
    pub async fn follow(&self, path: &str) -> Events {
        Client::in_process(self.router.clone()).get(path).follow().await
    }

    /// Follows a stream of events after the last one that the client got.
    pub async fn follow_after(&self, path: &str, last: &str) -> Events {
        Client::in_process(self.router.clone()).get(path).header("last-event-id", last).follow().await
    }

    /// Publishes all waiting readings.
    pub async fn publish_readings(&self) {
        while self.worker.step().await.expect("the bus accepts it") == chassis::Step::Worked {}
    }
}

/// A request under construction.
pub struct RequestBuilder<'a> {
    service: &'a TestService,
    request: http::request::Builder,
    body: Body,
}

impl RequestBuilder<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Adds an access token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sets the client's address. Without an address no limit applies.
    pub fn from(mut self, client: IpAddr) -> Self {
        self.request = self.request.extension(ConnectInfo(SocketAddr::new(client, 40_000)));
        self
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = Body::from(body.to_string());
        self.header("content-type", "application/json")
    }

    /// Sets any body, with the content type of JSON.
    pub fn text(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self.header("content-type", "application/json")
    }

    /// Sends the request and returns the response with an unread body.
    pub async fn send_unread(self) -> http::Response<Body> {
        let request = self.request.body(self.body).expect("a request");
        self.service.router.clone().oneshot(request).await.expect("an answer")
    }

    pub async fn send(self) -> Answer {
        let (parts, body) = self.send_unread().await.into_parts();
        // A stream of events has no end.
        let bytes = match parts.headers.get("content-type") {
            Some(kind) if kind == "text/event-stream" => Bytes::new(),
            _ => body.collect().await.expect("a body").to_bytes(),
        };
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, json }
    }
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub json: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Returns status and code of a problem.
    pub fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.json["status"], self.status.as_u16());
        (self.status.as_u16(), self.json["code"].as_str().expect("a code"))
    }

    /// Returns pointer and code of each fault of a problem.
    pub fn errors(&self) -> Vec<(&str, &str)> {
        let errors = self.json["errors"].as_array().expect("errors");
        let text = |error: &'_ Value, name: &str| error[name].as_str().expect("text").len();
        assert!(errors.iter().all(|error| text(error, "detail") > 0));
        errors
            .iter()
            .map(|e| (e["pointer"].as_str().expect("text"), e["code"].as_str().expect("text")))
            .collect()
    }
}

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn key_set() -> Router {
    let x = BASE64_URL_SAFE_NO_PAD.encode(signing_key().verifying_key().as_bytes());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "test", "x": x}]});
    Router::new().route("/.well-known/jwks.json", axum::routing::get(move || async move { set.to_string() }))
}

/// Returns the account of the tokens of a role.
pub fn user_of(role: Role) -> UserId {
    UserId::new(Uuid::from_u128(0xACC0 + role as u128))
}

/// Returns a token of an account of this role.
pub fn token(role: Role) -> String {
    token_with(role, false)
}

/// Returns a token of an account that consented to a history.
pub fn consenting_token(role: Role) -> String {
    token_with(role, true)
}

/// Returns a token of an account that has this role in one section only.
pub fn token_in(role: Role, section: Section) -> String {
    signed_token(role, Sections::Only([section].into()), false)
}

fn token_with(role: Role, history: bool) -> String {
    signed_token(role, Sections::All, history)
}

fn signed_token(role: Role, sections: Sections, history: bool) -> String {
    let now = SystemClock.now().millis() / 1000;
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: user_of(role),
        name: "Ada Byron".to_owned(),
        role,
        sections,
        history,
        sid: Uuid::from_u128(1),
        iat: now,
        exp: now + 900,
    };
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    header.kid = Some("test".to_owned());
    let pkcs8 = signing_key().to_pkcs8_der().expect("a key in PKCS #8");
    let key = jsonwebtoken::EncodingKey::from_ed_der(pkcs8.as_bytes());
    chassis::install_ed25519();
    jsonwebtoken::encode(&header, &claims, &key).expect("a token")
}
