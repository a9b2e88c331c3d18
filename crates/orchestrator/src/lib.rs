#![doc = include_str!("../README.md")]

mod app;
mod clients;
mod config;
mod consumers;
mod domain;
mod http;
pub mod metrics;
mod ports;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus::{Bus, Subscription};
use chassis::http::EventStreams;
use chassis::{Service, Surroundings, Verifier};

pub use app::{App, ReadingQueue, Shelf};
pub use clients::{BusReadings, BusSections, GrpcTastes};
pub use config::{
    CacheConfig, Config, FeedsConfig, ListsConfig, LiveConfig, ReadingsConfig, RecommendationsConfig,
    SectionsConfig,
};
pub use domain::{
    Article, ArticleBatch, DiffOp, Filter, History, ListSlice, Order, Position, ProofLink, ProofSlice,
    Reading, Start, State,
};
pub use http::ACCESS;
pub use ports::{Action, Command, Done, NewsSections, ReadingSink, SectionError, Tastes, TastesError, Which};

use app::{Live, Parts, TextBudget};
use http::{News, Site};
use workers::PublishReadings;

/// The service's name in queues, logs and configuration.
pub const NAME: &str = "orchestrator";

/// Builds the service. Nothing runs until a host runs it.
///
/// # Errors
/// Fails if the bus or the source of keys can't be used here. The error says what to set.
pub async fn build(config: Config, surroundings: Surroundings) -> anyhow::Result<Service> {
    // Everything that may be refused comes first; the steps that create files come last.
    Verifier::new(&config.identity, &surroundings)?;
    surroundings.transport(&config.recommendations.url).context("recommendations.url")?;
    let bus::OpenBus { bus, closers } =
        bus::open(config.bus.url.expose(), &surroundings).await.context("bus.url")?;
    let (service, _) = build_on(bus, config, &surroundings).await?;
    Ok(Service { closers, ..service })
}

/// Builds the service on an open bus, which the caller closes, and also returns its use cases.
///
/// # Errors
/// Fails if the source of keys can't be used here, or if the bus refuses the subscription.
pub async fn build_on(
    bus: Arc<dyn Bus>,
    config: Config,
    surroundings: &Surroundings,
) -> anyhow::Result<(Service, Arc<App>)> {
    let verifier = Verifier::new(&config.identity, surroundings)?;
    let transport = surroundings.transport(&config.recommendations.url).context("recommendations.url")?;
    let transport = transport.with_token(&config.recommendations.token);
    let readings = Arc::new(ReadingQueue::new(config.readings.queue));
    let worker = PublishReadings {
        queue: readings.clone(),
        sink: Arc::new(BusReadings::new(bus.clone())),
        timeout: Duration::from_millis(config.readings.patience_ms),
    };
    let shelf = Arc::new(Shelf::new(config.cache.bytes, config.cache.times(), surroundings.clock.clone()));
    let live = Arc::new(Live::new(surroundings.clock.clone()));
    let events = Subscription::broadcast(NAME, consumers::KEYS);
    let follow = consumers::FollowEvents { shelf: shelf.clone(), live: live.clone() };
    let events = bus.subscribe(events, Arc::new(follow)).await?;
    let app = Arc::new(App::new(Parts {
        shelf,
        live,
        sections: Arc::new(BusSections::new(bus.clone(), config.sections.retry_rule())),
        tastes: Arc::new(GrpcTastes::new(transport, config.sections.retry_rule())),
        readings,
        clock: surroundings.clock.clone(),
        ids: surroundings.ids.clone(),
        text_budget: TextBudget::new(config.lists.content_bytes),
        section_deadline: config.sections.section_deadline(),
        taste_budget: Duration::from_millis(config.recommendations.budget_ms),
    }));
    let streams = EventStreams::new(config.live.streams, config.live.streams_per_address);
    let site =
        Site { title: config.feeds.title, origin: config.identity.issuer.trim_end_matches('/').into() };
    let news = News {
        app: app.clone(),
        public_base: config.public_base.into(),
        site: Arc::new(site),
        streams: Arc::new(streams),
    };
    let (http, doc) = http::router(news, verifier)?;
    let service = Service {
        name: NAME,
        http,
        doc,
        grpc: None,
        metrics: [metrics::described(), bus::metrics::described()].concat(),
        grpc_described: None,
        consumers: vec![events],
        workers: vec![Arc::new(worker)],
        health: vec![bus::dependency(&bus)],
        closers: Vec::new(),
    };
    Ok((service, app))
}
