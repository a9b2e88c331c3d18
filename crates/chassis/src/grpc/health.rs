//! Health (`grpc.health.v1`, the gRPC Health Checking Protocol) and server reflection, which every gRPC
//! server has, in the form that all tools of gRPC know.

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

use crate::work::{POLL, pause};

/// The names and messages of the gRPC services of a service, for health and reflection.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// The full names of the services, as `portal.users.v1.Users`.
    pub names: &'static [&'static str],
    /// The encoded descriptors of their messages.
    pub descriptor: &'static [u8],
}

/// Returns whether the process is well at the moment.
pub(crate) type IsWell = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// Adds health and reflection to routes. No guard is in front of them: what they reveal is not a secret for a
/// client that can reach the port, and a monitor has no account.
///
/// # Errors
/// If a descriptor is not valid, which is a defect.
pub(crate) fn add_health_and_reflection(
    routes: Router,
    described: &[Described],
    is_well: IsWell,
    stop: CancellationToken,
) -> Result<Router, tonic_reflection::server::Error> {
    let names: Vec<_> = described.iter().flat_map(|described| described.names).copied().collect();
    let health = HealthServer::new(SelfHealth { names: names.clone(), is_well, stop, last: Arc::default() });
    let mut reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(<HealthServer<SelfHealth> as NamedService>::NAME);
    for described in described {
        reflection = reflection.register_encoded_file_descriptor_set(described.descriptor);
    }
    let reflection = names.into_iter().fold(reflection, |all, name| all.with_service_name(name));
    Ok(Routes::from(routes).add_service(health).add_service(reflection.build_v1()?).into_axum_router())
}

/// The health of `/readyz`, under the name of each service and under the empty name, which means the process.
#[derive(Clone)]
struct SelfHealth {
    names: Vec<&'static str>,
    is_well: IsWell,
    /// Cancelled when the process takes no more requests.
    stop: CancellationToken,
    /// The last result for the watchers. They share it, so the stores are probed once for all of them.
    last: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl SelfHealth {
    fn knows(&self, name: &str) -> bool {
        name.is_empty() || self.names.contains(&name)
    }

    async fn look(&self) -> ServingStatus {
        let mut last = self.last.lock().await;
        let well = match *last {
            Some((at, well)) if at.elapsed() < POLL / 2 => well,
            _ => {
                let well = (self.is_well)().await;
                *last = Some((Instant::now(), well));
                well
            }
        };
        status(well && !self.stop.is_cancelled())
    }

    /// Waits for a status that differs from `last`, the one that the watcher knows. Returns `None` when the
    /// process ends.
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
                () = pause(POLL) => {}
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
            return Err(Status::not_found("a service with this name does not exist here"));
        }
        Ok(Response::new(response(status((self.is_well)().await))))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (health, known) = (self.clone(), self.knows(&request.get_ref().service));
        let changes = unfold(None, move |last| {
            let health = health.clone();
            async move { health.next(known, last).await.map(|now| (Ok(response(now)), Some(now))) }
        });
        Ok(Response::new(changes.boxed()))
    }
}

fn status(well: bool) -> ServingStatus {
    if well { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
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

    /// The descriptor of any service would do.
    const DESCRIBED: Described = Described {
        names: &["grpc.reflection.v1.ServerReflection"],
        descriptor: tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    };

    /// A process with one store, which is unavailable while `is_down` is true.
    struct Running {
        http: SocketAddr,
        grpc: String,
        is_down: Arc<AtomicBool>,
        stop: CancellationToken,
        host: JoinHandle<anyhow::Result<()>>,
    }

    async fn start() -> Running {
        let is_down = Arc::new(AtomicBool::new(false));
        let store = is_down.clone();
        let probe = move || {
            let is_down = store.load(Ordering::SeqCst);
            async move {
                if is_down {
                    Err(Refusal::new(Kind::Unavailable, "store_unavailable", "down"))
                } else {
                    Ok(())
                }
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
            internal: crate::Internal::Disabled,
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
        Running { http: address, grpc: url, is_down, stop, host }
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
    async fn check_agrees_with_readyz_for_the_process_and_each_service() {
        let running = start().await;
        let mut health = HealthClient::new(running.channel().await);
        for is_down in [false, true, false] {
            running.is_down.store(is_down, Ordering::SeqCst);
            // A result is kept for a second.
            let begun = Instant::now();
            for name in ["", DESCRIBED.names[0]] {
                let expected = if is_down { ServingStatus::NotServing } else { ServingStatus::Serving };
                while health.check(ask(name)).await.expect("an answer").into_inner().status() != expected {
                    assert!(begun.elapsed() < 10 * POLL, "{name} does not notice that the store changed");
                }
            }
            assert_eq!(running.readyz().await, !is_down);
        }
        let unknown = health.check(ask("portal.unknown.v1.Unknown")).await.expect_err("an unknown service");
        assert_eq!(unknown.code(), Code::NotFound);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn watch_reports_every_change_and_the_end_of_the_process() {
        let running = start().await;
        let mut health = HealthClient::new(running.channel().await);
        let mut changes = health.watch(ask("")).await.expect("a stream").into_inner();
        let mut unknown = health.watch(ask("unknown")).await.expect("a stream").into_inner();
        let first = unknown.message().await.expect("a message").expect("a status").status();
        assert_eq!(first, ServingStatus::ServiceUnknown);
        for (is_down, expected) in [
            (false, ServingStatus::Serving),
            (true, ServingStatus::NotServing),
            (false, ServingStatus::Serving),
        ] {
            running.is_down.store(is_down, Ordering::SeqCst);
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
    async fn reflection_lists_the_services_and_describes_their_messages() {
        let running = start().await;
        let mut client = ServerReflectionClient::new(running.channel().await);
        let mut ask = async |question: MessageRequest| {
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
            ask(MessageRequest::ListServices(String::new())).await
        else {
            panic!("no list");
        };
        let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        assert_eq!(names, ["grpc.health.v1.Health", DESCRIBED.names[0]]);
        let symbol = "grpc.health.v1.HealthCheckRequest".to_owned();
        let descriptor = ask(MessageRequest::FileContainingSymbol(symbol)).await;
        assert!(matches!(descriptor, MessageResponse::FileDescriptorResponse(_)), "{descriptor:?}");
    }
}
