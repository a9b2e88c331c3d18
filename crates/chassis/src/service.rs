use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use futures::FutureExt;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::openapi::OpenApi;

use crate::config::Process;
use crate::grpc_self::{self, Described, IsWell};
use crate::http::{Json, edge_with, probes};
use crate::listener::{Serving, Shares, listen};
use crate::metrics::{self, Recorder};
use crate::work::{Closer, Dependency, Runnable, Worker, drive};

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
    last: tokio::sync::Mutex<Option<Examination>>,
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
        let health = self.health();
        let writes = TaskTracker::new();
        let app = edge_with(self.name, router, self.process.edge.clone(), writes.clone());
        // What is for operators is said on a port of their own, or if the gateway closes this one.
        let detailed = matches!(self.internal, Internal::Beside);
        let app = app.merge(probes(health_routes(health.clone(), detailed), &self.process.edge));
        let stops = Stops::default();
        let (app, apart) = match std::mem::replace(&mut self.internal, Internal::Nowhere) {
            Internal::Beside => (app.merge(self.metrics_routes(&stops)), None),
            Internal::Apart(listener) => {
                tracing::info!(address = %listener.local_addr()?, "metrics are served");
                let router = self.metrics_routes(&stops).merge(health_routes(health.clone(), true));
                (app, Some((listener, router)))
            }
            Internal::Nowhere => (app, None),
        };
        let parts = self.start(&stops, grace);
        let limits = |part, most| serving(&self.process, connections(part, most));
        parts.servers.spawn(listen(http, app, stops.listening.clone(), limits(2, 10_000)));
        if let Some((listener, router)) = apart {
            parts.servers.spawn(listen(listener, router, stops.listening.clone(), limits(16, 256)));
        }
        if let Some(listener) = grpc {
            let routes = self.services.iter_mut().filter_map(|service| service.grpc.take());
            let router = routes.fold(Router::new(), |all, routes| all.merge(routes.into_axum_router()));
            let described: Vec<_> =
                self.services.iter().filter_map(|service| service.grpc_described).collect();
            let router =
                grpc_self::beside(router, &described, is_well(health.clone()), stops.listening.clone())?;
            parts.servers.spawn(listen(listener, router, stops.listening.clone(), limits(8, 2_000)));
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
            last: tokio::sync::Mutex::default(),
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

/// The probes. Only operators see the details of `/readyz`.
fn health_routes(health: Arc<Health>, detailed: bool) -> Router {
    let live = axum::routing::get(|| async { "live\n" });
    let ready = axum::routing::get(move || readyz(health.clone(), detailed));
    Router::new().route("/livez", live).route("/readyz", ready)
}

/// What gRPC's health says: the same as `/readyz`.
fn is_well(health: Arc<Health>) -> IsWell {
    Arc::new(move || {
        let health = health.clone();
        async move { health.look().await.0 }.boxed()
    })
}

async fn readyz(health: Arc<Health>, detailed: bool) -> (StatusCode, Json<serde_json::Value>) {
    let (well, dependencies) = health.look().await;
    let writes = dependencies.iter().all(|dependency| dependency["writes"] != false);
    let status = if !well {
        "not ready"
    } else if writes {
        "ready"
    } else {
        "degraded"
    };
    let mut body = serde_json::json!({ "status": status });
    if detailed {
        body["config"] = health.fingerprint.as_str().into();
        body["dependencies"] = dependencies.into();
    }
    (if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

/// How long an examination counts: however many ask, the stores are asked once in this time.
const EXAMINATION: Duration = Duration::from_secs(1);

/// When it was, whether all was well, and how each dependency was.
type Examination = (Instant, bool, Vec<serde_json::Value>);

impl Health {
    /// Whether the process may be sent requests, and how each of its dependencies is; as of the last second.
    async fn look(&self) -> (bool, Vec<serde_json::Value>) {
        let mut last = self.last.lock().await;
        let fresh = last.take().filter(|(at, ..)| at.elapsed() < EXAMINATION);
        let (at, well, answers) = match fresh {
            Some(fresh) => fresh,
            None => {
                let (well, answers) = examine(self).await;
                (Instant::now(), well, answers)
            }
        };
        *last = Some((at, well, answers.clone()));
        // A stop is not kept back for a second.
        (well && self.ready.load(Ordering::SeqCst), answers)
    }
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

/// What a listener allows that may have this many connections.
fn serving(process: &Process, connections: usize) -> Serving {
    let edge = &process.edge;
    // Also if the process may have few descriptors, one client does not take them all. (0 is no limit.)
    let of_one = edge.connections_per_address.min((connections / 4).max(1));
    Serving {
        shares: Shares {
            connections,
            connections_of_one: of_one,
            streams_of_one: edge.in_flight_per_address.saturating_mul(STREAMS_PER_REQUEST),
            unsent: edge.unsent_bytes,
            unsent_of_one: edge.unsent_bytes_per_address,
            trusted: edge.trusted_proxies.clone(),
        },
        patience: Duration::from_millis(edge.header_budget_ms),
        grace: Duration::from_millis(process.grace_ms),
    }
}

/// The most open requests of one client over HTTP/2 for each that it may have in flight: also what is refused takes memory until its
/// client has taken the answer.
const STREAMS_PER_REQUEST: usize = 4;

/// The most connections of a listener that may take one of `part` descriptors of the process. The stores need the others.
fn connections(part: usize, most: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    (limit / part).clamp(16, most)
}
