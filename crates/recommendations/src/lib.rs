#![doc = include_str!("../README.md")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::Erasing;
use chassis::{Closer, Dependency, Described, Service, Surroundings, Verifier};
use proto::recommendations::v1::recommendations_server::{RecommendationsServer, SERVICE_NAME};
use tonic::service::Routes;

pub mod app;
pub mod clients;
pub mod config;
pub mod consumers;
pub mod domain;
pub mod grpc;
pub mod http;
pub mod ports;
pub mod store;
pub mod workers;

pub use config::Config;

use crate::app::App;
use crate::clients::GrpcUserDirectory;
use crate::grpc::RecommendationsGrpc;

/// The service's name in queues, logs and configuration.
pub const NAME: &str = "recommendations";

/// Builds the service: opens its store and its queues, and nothing more happens until a host runs it.
///
/// # Errors
/// Where the store or the bus can't be opened, or an address can't be used here.
pub async fn build(config: Config, surroundings: Surroundings) -> anyhow::Result<Service> {
    // First what may be refused here, then what leaves files behind.
    let verifier = Verifier::new(&config.identity, &surroundings)?;
    let transport = surroundings.transport(&config.users.url).context("users.url")?;
    let transport = transport.with_token(&config.users.token);
    let bus::Opened { bus, closers } =
        bus::open(config.bus.url.expose(), &surroundings).await.context("bus.url")?;
    let budget = Duration::from_millis(config.store.budget_ms);
    let store::Opened { graph, engine } =
        store::open(&config.store.url, budget).await.context("store.url")?;
    let users = GrpcUserDirectory::new(transport, Duration::from_millis(config.users.budget_ms));
    let app = App::new(graph, Arc::new(users), surroundings.clock.clone());
    let consumers = consumers::subscribe(&*bus, &app).await?;
    let (http, doc) = http::router(app.clone(), verifier)?;
    let routes = Routes::new(RecommendationsServer::new(RecommendationsGrpc(app.clone())));
    let routes = surroundings.serve_grpc(NAME, routes, &config.grpc);
    surroundings.register_http(NAME, http.clone());
    let (asked, written) = (engine.clone(), engine.clone());
    let closer: Closer = Box::pin(async move { engine.close().await });
    Ok(Service {
        name: NAME,
        http,
        doc,
        grpc: Some(routes),
        metrics: bus::metrics::described(),
        grpc_described: Some(Described { names: &[SERVICE_NAME], descriptor: proto::DESCRIPTOR }),
        consumers,
        workers: vec![
            Arc::new(workers::forget_visits(app, surroundings.clock.clone())),
            Arc::new(Erasing::new("recommendations.erasures", vec![asked.erasure()], bus.clone())),
        ],
        health: vec![
            Dependency::new(asked.name(), move || {
                let engine = asked.clone();
                async move { engine.ping().await }
            })
            .that_writes(move || {
                let engine = written.clone();
                async move { engine.try_write().await }
            }),
            bus::dependency(&bus),
        ],
        closers: [closer].into_iter().chain(closers).collect(),
    })
}
