//! What every gRPC server answers about itself: whether it is well (`grpc.health.v1`, the gRPC Health Checking Protocol) and what it
//! serves (server reflection), both in the form that every tool of gRPC knows.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, unfold};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::POLL;

/// What a service's gRPC is, for those who ask it.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// The full names of its services, as `portal.users.v1.Users`.
    pub names: &'static [&'static str],
    /// The encoded descriptors of their messages.
    pub descriptor: &'static [u8],
}

/// Whether the process is well, at the moment of asking.
pub(crate) type IsWell = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// The same routes, and beside them health and reflection. They stand before every guard: what they say is no secret to whoever
/// can reach the port, and who watches over a process has no account of its services.
///
/// # Errors
/// Where a descriptor is none, which is a defect.
pub(crate) fn beside(
    routes: Router,
    described: &[Described],
    is_well: IsWell,
    stop: CancellationToken,
) -> Result<Router, tonic_reflection::server::Error> {
    let names: Vec<_> = described.iter().flat_map(|described| described.names).copied().collect();
    let health = HealthServer::new(SelfHealth { names: names.clone(), is_well, stop, seen: Arc::default() });
    let mut reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(<HealthServer<SelfHealth> as NamedService>::NAME);
    for described in described {
        reflection = reflection.register_encoded_file_descriptor_set(described.descriptor);
    }
    let reflection = names.into_iter().fold(reflection, |all, name| all.with_service_name(name));
    Ok(Routes::from(routes).add_service(health).add_service(reflection.build_v1()?).into_axum_router())
}

/// Health as `/readyz` says it, under the name of each service and under the empty one, which means the process.
#[derive(Clone)]
struct SelfHealth {
    names: Vec<&'static str>,
    is_well: IsWell,
    /// The process takes no more requests.
    stop: CancellationToken,
    /// What those who watch saw last: however many they are, the stores are asked once.
    seen: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl SelfHealth {
    fn knows(&self, name: &str) -> bool {
        name.is_empty() || self.names.contains(&name)
    }

    async fn look(&self) -> ServingStatus {
        let mut seen = self.seen.lock().await;
        let well = match *seen {
            Some((at, well)) if at.elapsed() < POLL / 2 => well,
            _ => {
                let well = (self.is_well)().await;
                *seen = Some((Instant::now(), well));
                well
            }
        };
        status(well && !self.stop.is_cancelled())
    }

    /// The next thing to be told to somebody who was told `last`; nothing once the process ends.
    async fn next(&self, known: bool, last: Option<ServingStatus>) -> Option<ServingStatus> {
        loop {
            let ending = self.stop.is_cancelled();
            let now = if known { self.look().await } else { ServingStatus::ServiceUnknown };
            if last != Some(now) {
                return Some(now);
            }
            if ending {
                return None;
            }
            tokio::select! {
                () = crate::pause(POLL) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}

#[tonic::async_trait]
impl Health for SelfHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            return Err(Status::not_found("there is no service of this name here"));
        }
        Ok(Response::new(told(status((self.is_well)().await))))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (health, known) = (self.clone(), self.knows(&request.get_ref().service));
        let changes = unfold(None, move |last| {
            let health = health.clone();
            async move { health.next(known, last).await.map(|now| (Ok(told(now)), Some(now))) }
        });
        Ok(Response::new(changes.boxed()))
    }
}

fn status(well: bool) -> ServingStatus {
    if well { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn told(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use kernel::{Kind, Refusal};
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tonic::Code;
    use tonic::transport::Channel;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    use super::*;
    use crate::config::Process;
    use crate::{Dependency, Host, Service};

    /// Any service would do; this one's descriptor is at hand.
    const DESCRIBED: Described = Described {
        names: &["grpc.reflection.v1.ServerReflection"],
        descriptor: tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    };

    /// A process with one store, which is away while `away` says so.
    struct Running {
        http: SocketAddr,
        grpc: String,
        away: Arc<AtomicBool>,
        stop: CancellationToken,
        host: JoinHandle<anyhow::Result<()>>,
    }

    async fn running() -> Running {
        let away = Arc::new(AtomicBool::new(false));
        let store = away.clone();
        let probe = move || {
            let away = store.load(Ordering::SeqCst);
            async move {
                if away { Err(Refusal::new(Kind::Unavailable, "store_unavailable", "away")) } else { Ok(()) }
            }
        };
        let service = Service {
            name: "test",
            http: Router::new(),
            doc: utoipa::openapi::OpenApi::default(),
            grpc: Some(Routes::default()),
            grpc_described: Some(DESCRIBED),
            consumers: Vec::new(),
            workers: Vec::new(),
            health: vec![Dependency::new("store", probe)],
            closers: Vec::new(),
            metrics: Vec::new(),
        };
        let process = Process { grace_ms: 5_000, ..Process::default() };
        let host = Host {
            name: "test",
            services: vec![service],
            process,
            fingerprint: "none".to_owned(),
            internal: crate::Internal::Nowhere,
        };
        let http = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let grpc = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, url) = (
            http.local_addr().expect("an address"),
            format!("http://{}", grpc.local_addr().expect("an address")),
        );
        let (stop, (up, is_up)) = (CancellationToken::new(), oneshot::channel());
        let run = host.run(http, Router::new(), Some(grpc), stop.clone(), move |_| {
            up.send(()).expect("the test waits")
        });
        let host = crate::spawn("test.host", run);
        is_up.await.expect("it comes up");
        Running { http: address, grpc: url, away, stop, host }
    }

    impl Running {
        async fn channel(&self) -> Channel {
            let endpoint = Channel::from_shared(self.grpc.clone()).expect("an address");
            endpoint.connect().await.expect("a connection")
        }

        async fn readyz(&self) -> bool {
            crate::prepare();
            let client = crate::own_client(std::time::Duration::from_secs(30)).expect("a client");
            let answer = client.get(format!("http://{}/readyz", self.http)).send().await.expect("an answer");
            answer.status().is_success()
        }
    }

    fn ask(service: &str) -> HealthCheckRequest {
        HealthCheckRequest { service: service.to_owned() }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn check_says_what_readyz_says_of_the_process_and_of_each_service() {
        let running = running().await;
        let mut health = HealthClient::new(running.channel().await);
        for away in [false, true, false] {
            running.away.store(away, Ordering::SeqCst);
            // What the store said is kept for a second.
            let begun = Instant::now();
            for name in ["", DESCRIBED.names[0]] {
                let expected = if away { ServingStatus::NotServing } else { ServingStatus::Serving };
                while health.check(ask(name)).await.expect("an answer").into_inner().status() != expected {
                    assert!(begun.elapsed() < 10 * POLL, "{name} does not notice that the store changed");
                }
            }
            assert_eq!(running.readyz().await, !away);
        }
        let unknown = health.check(ask("portal.nobody.v1.Nobody")).await.expect_err("nobody");
        assert_eq!(unknown.code(), Code::NotFound);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn watch_tells_every_change_and_the_end_of_the_process() {
        let running = running().await;
        let mut health = HealthClient::new(running.channel().await);
        let mut changes = health.watch(ask("")).await.expect("a stream").into_inner();
        let mut unknown = health.watch(ask("nobody")).await.expect("a stream").into_inner();
        let said = unknown.message().await.expect("a message").expect("a status").status();
        assert_eq!(said, ServingStatus::ServiceUnknown);
        for (away, expected) in [
            (false, ServingStatus::Serving),
            (true, ServingStatus::NotServing),
            (false, ServingStatus::Serving),
        ] {
            running.away.store(away, Ordering::SeqCst);
            assert_eq!(changes.message().await.expect("a message").expect("a status").status(), expected);
        }
        running.stop.cancel();
        let last = changes.message().await.expect("a message").expect("a status").status();
        assert_eq!(last, ServingStatus::NotServing);
        assert_eq!(
            (changes.message().await.expect("the end"), unknown.message().await.expect("the end")),
            (None, None)
        );
        running.host.await.expect("no panic").expect("an orderly end");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn reflection_names_the_services_and_shows_their_messages() {
        let running = running().await;
        let mut client = ServerReflectionClient::new(running.channel().await);
        let mut asked = async |question: MessageRequest| {
            let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
            let stream = futures::stream::iter([request]);
            let mut answers = client.server_reflection_info(stream).await.expect("a stream").into_inner();
            answers
                .message()
                .await
                .expect("a message")
                .expect("an answer")
                .message_response
                .expect("a response")
        };
        let MessageResponse::ListServicesResponse(list) =
            asked(MessageRequest::ListServices(String::new())).await
        else {
            panic!("no list");
        };
        let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        assert_eq!(names, ["grpc.health.v1.Health", DESCRIBED.names[0]]);
        let symbol = "grpc.health.v1.HealthCheckRequest".to_owned();
        let shown = asked(MessageRequest::FileContainingSymbol(symbol)).await;
        assert!(matches!(shown, MessageResponse::FileDescriptorResponse(_)), "{shown:?}");
    }
}
