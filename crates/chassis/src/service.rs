use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use futures::FutureExt;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use utoipa::openapi::OpenApi;

use crate::config::Process;
use crate::grpc_self::{self, Described, IsWell};
use crate::http::{Json, edge_with};
use crate::metrics::{self, Recorder};
use crate::work::{Closer, Dependency, Runnable, Worker, drive, pause};

/// A service as a value: what it answers, what it does by itself, what it needs, and how it ends. Building it opens its stores
/// and nothing more; a [`Host`] brings it to life.
pub struct Service {
    /// Its name, as in queues, logs and configuration.
    pub name: &'static str,
    /// Its HTTP routes, by bare paths; the gateway adds the prefix.
    pub http: Router,
    /// Their document.
    pub doc: OpenApi,
    /// Its gRPC services, behind [`crate::transport::grpc_edge`].
    pub grpc: Option<tonic::service::Routes>,
    /// What these are, for health and reflection.
    pub grpc_described: Option<Described>,
    /// What takes messages and calls from the bus; stopped first.
    pub consumers: Vec<Box<dyn Runnable>>,
    /// What works on by itself; driven until idle when the process stops.
    pub workers: Vec<Arc<dyn Worker>>,
    /// What it can't do without.
    pub health: Vec<Dependency>,
    /// How its stores are closed; last.
    pub closers: Vec<Closer>,
    /// What it counts about itself, beside what every process does.
    pub metrics: Vec<metrics::Described>,
}

/// A process around one service or several: it listens, drives the workers, says whether it is well, and stops in order.
pub struct Host {
    /// As in the process list and the log.
    pub name: &'static str,
    /// What it holds.
    pub services: Vec<Service>,
    /// What it was told.
    pub process: Process,
    /// The configuration's fingerprint.
    pub fingerprint: String,
    /// Where `/metrics` is served: by itself here, or where there is no such listener beside `/livez`, if the port is an internal one.
    pub internal: Internal,
}

/// Who may see what is for operators only.
pub enum Internal {
    /// The port of the process is behind a gateway that closes it.
    Beside,
    /// A port of its own.
    Apart(TcpListener),
    /// Nobody.
    Nowhere,
}

/// How the parts of a process are told to end, each at its time.
#[derive(Default)]
struct Stops {
    listening: CancellationToken,
    consuming: CancellationToken,
    working: CancellationToken,
}

/// What runs, to be waited for.
#[derive(Default)]
struct Parts {
    servers: TaskTracker,
    consumers: TaskTracker,
    workers: TaskTracker,
}

struct Health {
    ready: AtomicBool,
    fingerprint: String,
    dependencies: Vec<(&'static str, Dependency)>,
}

impl Host {
    /// Serves `router` on `http` (and the services' gRPC on `grpc`) until `stop` is cancelled. Then: not ready; no new
    /// connections, the requests in flight finish; consumers stop; workers step until idle; stores close. `up` is called once
    /// everything runs.
    ///
    /// # Errors
    /// Where an address that was bound can't be read back, or a descriptor of gRPC can't be read; nothing else stops a host.
    pub async fn run(
        mut self,
        http: TcpListener,
        router: Router,
        grpc: Option<TcpListener>,
        stop: CancellationToken,
        up: impl FnOnce(SocketAddr),
    ) -> anyhow::Result<()> {
        let address = http.local_addr()?;
        let grace = Duration::from_millis(self.process.grace_ms);
        let patience = Duration::from_millis(self.process.edge.header_budget_ms);
        let health = self.health();
        let writes = TaskTracker::new();
        let app = edge_with(self.name, router, self.process.edge.clone(), writes.clone());
        // Outside of the edge: a process that is busy is not dead, and must not be killed for it.
        let app = app.merge(health_routes(health.clone()));
        let stops = Stops::default();
        let (app, apart) = match std::mem::replace(&mut self.internal, Internal::Nowhere) {
            Internal::Beside => (app.merge(self.metrics_routes(&stops)), None),
            Internal::Apart(listener) => {
                tracing::info!(address = %listener.local_addr()?, "metrics are served");
                let router = self.metrics_routes(&stops).merge(health_routes(health.clone()));
                (app, Some((listener, router)))
            }
            Internal::Nowhere => (app, None),
        };
        let parts = self.start(&stops, grace);
        parts.servers.spawn(listen(http, app, stops.listening.clone(), patience, grace));
        if let Some((listener, router)) = apart {
            parts.servers.spawn(listen(listener, router, stops.listening.clone(), patience, grace));
        }
        if let Some(listener) = grpc {
            let routes = self.services.iter_mut().filter_map(|service| service.grpc.take());
            let router = routes.fold(Router::new(), |all, routes| all.merge(routes.into_axum_router()));
            let described: Vec<_> =
                self.services.iter().filter_map(|service| service.grpc_described).collect();
            let router =
                grpc_self::beside(router, &described, is_well(health.clone()), stops.listening.clone())?;
            parts.servers.spawn(listen(listener, router, stops.listening.clone(), patience, grace));
        }
        health.ready.store(true, Ordering::SeqCst);
        self.title("ready");
        tracing::info!(%address, config = self.fingerprint, "ready");
        up(address);

        stop.cancelled().await;
        health.ready.store(false, Ordering::SeqCst);
        self.title("stopping");
        self.shut_down(parts, writes, &stops, grace).await;
        Ok(())
    }

    /// Ends everything in the order of what depends on what; each stage has `grace`.
    async fn shut_down(self, parts: Parts, writes: TaskTracker, stops: &Stops, grace: Duration) {
        tracing::info!("stopping: no new requests");
        stops.listening.cancel();
        join("requests in flight", parts.servers, grace).await;
        join("writes whose clients have left", writes, grace).await;
        stops.consuming.cancel();
        join("consumers", parts.consumers, grace).await;
        stops.working.cancel();
        join("workers", parts.workers, grace).await;
        for closer in self.services.into_iter().flat_map(|service| service.closers) {
            if tokio::time::timeout(grace, closer).await.is_err() {
                tracing::error!("a store did not close within process.grace_ms");
            }
        }
        // It waits for the collector, on a thread that may.
        if tokio::task::spawn_blocking(crate::spans::flush).await.is_err() {
            tracing::warn!("the last spans were not exported");
        }
        tracing::info!("stopped");
    }

    /// Starts what the services do by themselves.
    fn start(&mut self, stops: &Stops, grace: Duration) -> Parts {
        let parts = Parts::default();
        for service in &mut self.services {
            for worker in std::mem::take(&mut service.workers) {
                parts.workers.spawn(drive(service.name, worker, stops.working.clone(), grace));
            }
            for consumer in std::mem::take(&mut service.consumers) {
                let name = consumer.name();
                let running = AssertUnwindSafe(consumer.run(stops.consuming.clone())).catch_unwind();
                let ending = stops.consuming.clone();
                parts.consumers.spawn(async move {
                    let panicked = running.await.is_err();
                    if panicked || !ending.is_cancelled() {
                        tracing::error!(consumer = name, panicked, "a consumer ended by itself");
                    }
                });
            }
        }
        parts
    }

    fn health(&self) -> Arc<Health> {
        let of = |service: &Service| -> Vec<_> {
            service.health.iter().map(|dependency| (service.name, dependency.clone())).collect()
        };
        Arc::new(Health {
            ready: AtomicBool::new(false),
            fingerprint: self.fingerprint.clone(),
            dependencies: self.services.iter().flat_map(of).collect(),
        })
    }

    /// What the process counts, for whoever collects it. Where nobody can, nothing is counted: what is not fetched would pile up.
    fn metrics_routes(&mut self, stops: &Stops) -> Router {
        let mut described = metrics::of_every_process();
        described.extend(self.services.iter_mut().flat_map(|service| std::mem::take(&mut service.metrics)));
        let Some(recorder) = Recorder::install(&described) else { return Router::new() };
        metrics::BUILD.set([env!("CARGO_PKG_VERSION").into(), self.fingerprint.clone().into()], 1.0);
        crate::spawn("metrics.upkeep", recorder.clone().keep_up(stops.listening.clone()));
        let render =
            move || async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], recorder.render()) };
        Router::new().route("/metrics", axum::routing::get(render))
    }

    fn title(&self, state: &str) {
        proctitle::set_title(format!("{} [{state}] cfg {}", self.name, self.fingerprint));
    }
}

/// Waits for tasks that were told to end, but not for ever: what hangs is named and left behind.
async fn join(what: &'static str, tasks: TaskTracker, grace: Duration) {
    tasks.close();
    // Each of them keeps to the grace itself; twice that means that one does not.
    if tokio::time::timeout(grace * 2, tasks.wait()).await.is_err() {
        tracing::error!(what, left = tasks.len(), "the process stops without waiting any longer");
    }
}

fn health_routes(health: Arc<Health>) -> Router {
    let live = axum::routing::get(|| async { "live\n" });
    let ready = axum::routing::get(move || readyz(health.clone()));
    Router::new().route("/livez", live).route("/readyz", ready)
}

/// What gRPC's health says: the same as `/readyz`.
fn is_well(health: Arc<Health>) -> IsWell {
    Arc::new(move || {
        let health = health.clone();
        async move { examine(&health).await.0 }.boxed()
    })
}

async fn readyz(health: Arc<Health>) -> (StatusCode, Json<serde_json::Value>) {
    let (well, dependencies) = examine(&health).await;
    let writes = dependencies.iter().all(|dependency| dependency["writes"] != false);
    let body = serde_json::json!({
        "status": if !well { "not ready" } else if writes { "ready" } else { "degraded" },
        "config": health.fingerprint,
        "dependencies": dependencies,
    });
    (if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

/// Whether the process may be sent requests, and how each of its dependencies is. A store that takes no writes does not count: it is
/// reported, and reads go on.
async fn examine(health: &Health) -> (bool, Vec<serde_json::Value>) {
    let asked = health.dependencies.iter().map(|(service, dependency)| async move {
        let ((age, outcome), writes) = tokio::join!(dependency.check(), dependency.check_writes());
        if let Err(cause) = &outcome {
            tracing::warn!(dependency = dependency.name(), cause, "a dependency does not answer");
        } else if let Err(cause) = &writes {
            tracing::warn!(
                dependency = dependency.name(),
                cause,
                "a store takes no writes, and serves reads"
            );
        }
        let reason = outcome.as_ref().err().or(writes.as_ref().err());
        let answer = serde_json::json!({
            "service": service,
            "name": dependency.name(),
            "ok": outcome.is_ok(),
            "writes": writes.is_ok(),
            "reason": reason,
            "optional": dependency.is_optional(),
            "last_success_age_ms": age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        });
        (outcome.is_ok() || dependency.is_optional(), answer)
    });
    let answers = futures::future::join_all(asked).await;
    let running = health.ready.load(Ordering::SeqCst);
    let well = running && answers.iter().all(|(ok, _)| *ok);
    (well, answers.into_iter().map(|(_, answer)| answer).collect())
}

/// The most headers of a request; their bytes are limited by the edge.
const MAX_HEADERS: usize = 512;
/// The pause after a connection could not be accepted, as when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most connections at once; more wait in the system's queue. Half of the descriptors that the process may have are left for
/// its stores.
fn max_connections() -> usize {
    const MOST: u64 = 10_000;
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    usize::try_from(descriptors.map_or(MOST, |limit| (limit / 2).clamp(1, MOST))).unwrap_or(1)
}

/// Serves `router` until `stop`, with this `patience` for headers and for clients that do not take what they are sent; then lets the requests in flight finish for as long as `grace`, and cuts
/// what is left.
async fn listen(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    patience: Duration,
    grace: Duration,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience).max_headers(MAX_HEADERS);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(patience));
    let (graceful, cut) = (GracefulShutdown::new(), CancellationToken::new());
    let places = Arc::new(Semaphore::new(max_connections()));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                pause(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let app = router.clone().map_request(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.map(axum::body::Body::new)
        });
        let (builder, watcher, cut) = (builder.clone(), graceful.watcher(), cut.clone());
        connections.spawn(async move {
            let _place = place;
            if !matches!(tokio::time::timeout(patience, says_what_it_speaks(&stream)).await, Ok(Ok(()))) {
                return;
            }
            // Whoever takes nothing of an answer for as long is sent away: else a few such could hold every place.
            let mut stream = Box::pin(TimeoutStream::new(stream));
            stream.as_mut().set_write_timeout_pinned(Some(patience));
            let service = TowerToHyperService::new(app);
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
            let served = watcher.watch(connection.into_owned());
            tokio::select! {
                ended = served => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "a connection ended badly");
                    }
                }
                () = cut.cancelled() => {}
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests in flight were cut off: they took longer than process.grace_ms");
    }
    cut.cancel();
    connections.close();
    connections.wait().await;
}

/// Waits until a client has said whether it speaks HTTP/2. hyper waits for that without a clock, so a client that says nothing, or
/// half of it, would stay for ever.
async fn says_what_it_speaks(stream: &TcpStream) -> std::io::Result<()> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut start = [0u8; PREFACE.len()];
    loop {
        let length = stream.peek(&mut start).await?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if length == PREFACE.len() || !PREFACE.starts_with(&start[..length]) {
            return Ok(());
        }
        pause(ACCEPT_PAUSE).await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // A small answer must not wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer, place))
}
