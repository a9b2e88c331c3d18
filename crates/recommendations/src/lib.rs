#![doc = include_str!("../README.md")]

mod app;
mod calls;
mod clients;
mod codec;
mod config;
mod consumers;
mod domain;
mod grpc;
mod http;
mod ports;
mod store;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus::Erasing;
use chassis::{Described, Service, Surroundings, Verifier};
use proto::recommendations::v1::recommendations_server::{RecommendationsServer, SERVICE_NAME};
use tonic::service::Routes;

pub use app::{App, MAX_ENTRIES, Parts, ReadingOutcome, TasteError};
pub use clients::GrpcUserDirectory;
pub use config::{Config, StoreConfig, UsersConfig};
pub use consumers::subscribe;
pub use domain::{Consent, ConsentRecord, Reading, ReadingFault};
pub use http::ACCESS;
pub use ports::{DirectoryError, TasteGraph, UserDirectory};
pub use store::open as open_graph;

use grpc::RecommendationsGrpc;

/// The service's name in queues, logs and configuration.
pub const NAME: &str = "recommendations";

/// Builds the service: opens its store and its queues. Nothing else happens until a host runs it.
///
/// # Errors
/// Fails if the store or the bus can't be opened, or if an address can't be used here.
pub async fn build(config: Config, surroundings: Surroundings) -> anyhow::Result<Service> {
    // Everything that may be refused comes first; the steps that create files come last.
    let verifier = Verifier::new(&config.identity, &surroundings)?;
    let transport = surroundings.transport(&config.users.url).context("users.url")?;
    let transport = transport.with_token(&config.users.token);
    let bus::OpenBus { bus, closers } =
        bus::open(config.bus.url.expose(), &surroundings).await.context("bus.url")?;
    let budget = Duration::from_millis(config.store.budget_ms);
    let store = store::open(&config.store.url, budget).await.context("store.url")?;
    let users = GrpcUserDirectory::new(transport, Duration::from_millis(config.users.budget_ms));
    let clock = surroundings.clock.clone();
    let app = App::new(Parts { graph: store.port, users: Arc::new(users), clock: clock.clone() });
    let mut consumers = consumers::subscribe(&*bus, &app).await?;
    consumers.push(calls::serve(&*bus, &app, verifier.clone()).await?);
    let (http, doc) = http::router(app.clone(), verifier)?;
    let routes = Routes::new(RecommendationsServer::new(RecommendationsGrpc(app.clone())));
    let routes = surroundings.serve_grpc(NAME, routes, &config.grpc);
    Ok(Service {
        name: NAME,
        http,
        doc,
        grpc: Some(routes),
        metrics: bus::metrics::described(),
        grpc_described: Some(Described { names: &[SERVICE_NAME], descriptor: proto::DESCRIPTOR }),
        consumers,
        workers: vec![
            Arc::new(workers::forget_visits(app, clock)),
            Arc::new(Erasing::new(
                "recommendations.erasures",
                store.erasures,
                bus.clone(),
                codec::make_receipts(&surroundings),
            )),
        ],
        health: store.dependencies.into_iter().chain([bus::dependency(&bus)]).collect(),
        closers: store.closers.into_iter().chain(closers).collect(),
    })
}
