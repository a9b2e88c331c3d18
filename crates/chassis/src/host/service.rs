use std::sync::Arc;

use axum::Router;
use utoipa::openapi::OpenApi;

use crate::grpc::Described;
use crate::observe::metrics;
use crate::work::{Closer, Dependency, Runnable, Worker};

/// A service as a value: what it answers, what it does by itself, what it needs, and how it ends. Building it opens its stores
/// and nothing more; a [`Host`](crate::Host) brings it to life.
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
