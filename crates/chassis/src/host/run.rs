use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use futures::FutureExt;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::health::{Health, health_routes, is_well};
use super::service::Service;
use crate::config::Process;
use crate::grpc::add_health_and_reflection;
use crate::http::listener::{Serving, Shares, listen};
use crate::http::{edge_with, probes};
use crate::observe::metrics::{self, Recorder};
use crate::observe::spans;
use crate::work::{drive, spawn};

/// A process around one or several services. It listens, drives the workers, reports its health, and stops in
/// order.
pub struct Host {
    /// The name in the process list and the log.
    pub name: &'static str,
    /// The services of the process.
    pub services: Vec<Service>,
    /// The settings of the process.
    pub process: Process,
    /// The fingerprint of the configuration.
    pub fingerprint: String,
    /// The place where `/metrics` is served.
    pub internal: Internal,
}

/// The place where metrics and the details of health are served, which only operators may see.
pub enum Internal {
    /// The port of the process: a gateway in front of it hides them.
    Shared,
    /// A separate port.
    Separate(TcpListener),
    /// No port.
    Disabled,
}

/// The signals that stop the parts of a process, each at its time.
#[derive(Default)]
struct Stops {
    listening: CancellationToken,
    consuming: CancellationToken,
    working: CancellationToken,
}

/// The running parts of a process.
#[derive(Default)]
struct Parts {
    servers: TaskTracker,
    consumers: TaskTracker,
    workers: TaskTracker,
}

impl Host {
    /// Serves `router` on `http`, and the gRPC of the services on `grpc`, until `stop` is cancelled. Calls
    /// `up` when everything runs.
    ///
    /// The stop has a fixed order: report not ready; accept no connections and finish the requests in flight;
    /// stop the consumers; step the workers until they are idle; close the stores.
    ///
    /// # Errors
    /// If the address of a listener or a descriptor of gRPC can't be read. Nothing else stops a host.
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
        let health = Health::new(&self.fingerprint, &self.services);
        let writes = TaskTracker::new();
        let app = edge_with(self.name, router, self.process.edge.clone(), writes.clone());
        // Operators see the details on a separate port, or if a gateway hides this one.
        let detailed = matches!(self.internal, Internal::Shared);
        let app = app.merge(probes(health_routes(health.clone(), detailed), &self.process.edge));
        let stops = Stops::default();
        let (app, separate) = match std::mem::replace(&mut self.internal, Internal::Disabled) {
            Internal::Shared => (app.merge(self.metrics_routes(&stops)), None),
            Internal::Separate(listener) => {
                tracing::info!(address = %listener.local_addr()?, "metrics are served");
                let router = self.metrics_routes(&stops).merge(health_routes(health.clone(), true));
                (app, Some((listener, router)))
            }
            Internal::Disabled => (app, None),
        };
        let parts = self.start(&stops, grace);
        let limits = |part, most| serving(&self.process, connections(part, most));
        parts.servers.spawn(listen(http, app, stops.listening.clone(), limits(2, 10_000)));
        if let Some((listener, router)) = separate {
            parts.servers.spawn(listen(listener, router, stops.listening.clone(), limits(16, 256)));
        }
        if let Some(listener) = grpc {
            let routes = self.services.iter_mut().filter_map(|service| service.grpc.take());
            let router = routes.fold(Router::new(), |all, routes| all.merge(routes.into_axum_router()));
            let described: Vec<_> =
                self.services.iter().filter_map(|service| service.grpc_described).collect();
            let router = add_health_and_reflection(
                router,
                &described,
                is_well(health.clone()),
                stops.listening.clone(),
            )?;
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

    /// Stops the parts in the order of their dependencies. Each stage has `grace`.
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
        // It waits for the collector, so it needs a thread that may block.
        if tokio::task::spawn_blocking(spans::flush).await.is_err() {
            tracing::warn!("the last spans were not exported");
        }
        tracing::info!("stopped");
    }

    /// Starts the workers and consumers of the services.
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
                        tracing::error!(consumer = name, panicked, "a consumer ended before the stop");
                    }
                });
            }
        }
        parts
    }

    /// Returns the route of the metrics. Without such a route nothing is counted: values that are not fetched
    /// would pile up.
    fn metrics_routes(&mut self, stops: &Stops) -> Router {
        let mut described = metrics::of_every_process();
        described.extend(self.services.iter_mut().flat_map(|service| std::mem::take(&mut service.metrics)));
        let Some(recorder) = Recorder::install(&described) else { return Router::new() };
        metrics::BUILD.set([env!("CARGO_PKG_VERSION").into(), self.fingerprint.clone().into()], 1.0);
        spawn("metrics.upkeep", recorder.clone().keep_up(stops.listening.clone()));
        let render =
            move || async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], recorder.render()) };
        Router::new().route("/metrics", axum::routing::get(render))
    }

    fn title(&self, state: &str) {
        proctitle::set_title(format!("{} [{state}] cfg {}", self.name, self.fingerprint));
    }
}

/// Waits for the tasks of a stage, within limits. A stage that does not end is logged and left behind.
async fn join(what: &'static str, tasks: TaskTracker, grace: Duration) {
    tasks.close();
    // Each task keeps to the grace itself. After twice the grace one of them does not.
    if tokio::time::timeout(grace * 2, tasks.wait()).await.is_err() {
        tracing::error!(what, left = tasks.len(), "the process stops without waiting any longer");
    }
}

/// Returns the limits of a listener with this many connections.
fn serving(process: &Process, connections: usize) -> Serving {
    let edge = &process.edge;
    // Even if the process may have few descriptors, one client does not get all of them. (0 means no limit.)
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

/// The most open requests of one client over HTTP/2 for each that it may have in flight. A refused request
/// takes memory too, until its client has read the answer.
const STREAMS_PER_REQUEST: usize = 4;

/// Returns the most connections of a listener, which gets one of `part` descriptors of the process. The
/// stores need the others.
fn connections(part: usize, most: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    (limit / part).clamp(16, most)
}
