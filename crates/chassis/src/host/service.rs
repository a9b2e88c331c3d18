use std::sync::Arc;

use axum::Router;
use utoipa::openapi::OpenApi;

use crate::grpc::Described;
use crate::observe::metrics;
use crate::work::{Closer, Dependency, Runnable, Worker};

/// A service as a value: its routes, its background work, its dependencies, and how it ends. Building it
/// opens its stores and nothing more. A [`Host`](crate::Host) runs it.
pub struct Service {
    /// The name, as in queues, logs and configuration.
    pub name: &'static str,
    /// The HTTP routes with bare paths. The gateway adds the prefix.
    pub http: Router,
    /// The OpenAPI document of the routes.
    pub doc: OpenApi,
    /// The gRPC services, behind [`grpc_edge`](crate::transport::grpc_edge).
    pub grpc: Option<tonic::service::Routes>,
    /// The names of the gRPC services, for health and reflection.
    pub grpc_described: Option<Described>,
    /// The consumers of messages and calls from the bus. They stop first.
    pub consumers: Vec<Box<dyn Runnable>>,
    /// The workers. They run until they are idle when the process stops.
    pub workers: Vec<Arc<dyn Worker>>,
    /// The dependencies that `/readyz` probes.
    pub health: Vec<Dependency>,
    /// The futures that close the stores. They run last.
    pub closers: Vec<Closer>,
    /// The metrics of the service, in addition to those of every process.
    pub metrics: Vec<metrics::Described>,
}
