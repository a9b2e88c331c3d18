#![doc = include_str!("../README.md")]

mod app;
mod calls;
mod codec;
mod config;
mod consumers;
mod domain;
pub mod metrics;
mod ports;
mod store;
mod workers;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bus::{Bus, Erasing, Outbox, Relay, Subscription};
use chassis::{Closer, Dependency, Service, Surroundings, Verifier};
use kernel::Section;

pub use app::{
    App, AuditReport, ChainError, ChainReport, Command, Desk, Done, History, NewArticle, NewsError,
    ReplayReport, Target, Texts, Which,
};
pub use codec::{CodecError, article_of_event, decode, event_message, make_receipts};
pub use config::{Config, NewsroomConfig, ReadsConfig};
pub use consumers::{Erasure, Projection};
pub use domain::{
    AccessDenied, Action, Article, BrokenChain, Byline, Change, Correction, CorrectionInput, CorrectionKind,
    DiffOp, DiffPart, Event, Filter, GENESIS, HistoryEntry, HistoryPage, IllegalTransition, NewDraft,
    Newsroom, Order, Part, Position, Proof, ProofLink, ProofPart, Retraction, Slug, Standing, Start, State,
    Story, StoryInput, StoryPatch, Transition, UnknownName, chain_hash,
};
pub use ports::{CommandKey, Listing, Positions, Sizes, StateCounts};
pub use store::{BylineColumns, RecordError, read_event, write_event};

/// Runs a section: the `main` of its binary.
pub fn main(section: Section) -> ExitCode {
    chassis::main(section.service(), move |config, surroundings| build(section, config, surroundings))
}

/// Builds the service of one section: opens its stores and its queues. Nothing else happens until a host runs
/// it.
///
/// # Errors
/// Fails if a store or the bus can't be opened, or if a URL can't be used here. The error names the setting.
pub async fn build(section: Section, config: Config, surroundings: Surroundings) -> anyhow::Result<Service> {
    let name = section.service();
    // Everything that may be refused comes first; the steps that create files come last.
    let verifier = Verifier::new(&config.identity, &surroundings)?;
    let bus::OpenBus { bus, closers } =
        bus::open(config.bus.of(name).expose(), &surroundings).await.context("bus.url")?;
    let (app, outbox) = open(section, &config, &surroundings).await?;

    let projection = Subscription::durable(name, format!("{name}.projection"), [format!("news.{section}.#")]);
    let erasure = Subscription::durable(name, format!("{name}.users"), ["users.erased"]);
    let calls = Arc::new(calls::Calls::new(app.clone(), verifier));
    let receipt = codec::make_receipts(section, &surroundings);
    let consumers = vec![
        bus.subscribe(projection, Arc::new(consumers::Projection(app.clone()))).await?,
        bus.subscribe(erasure, Arc::new(consumers::Erasure::new(app.clone(), bus.clone(), receipt.clone())))
            .await?,
        bus.serve(name, &format!("news.{section}.calls"), calls).await?,
    ];
    Ok(Service {
        name,
        http: axum::Router::new(),
        doc: utoipa::openapi::OpenApi::default(),
        grpc: None,
        metrics: [metrics::described(), bus::metrics::described()].concat(),
        grpc_described: None,
        consumers,
        workers: vec![
            Arc::new(Relay::new(outbox, bus.clone())),
            Arc::new(workers::PublishScheduled(app.clone())),
            Arc::new(workers::forget_answers(app.clone(), surroundings.clock.clone())),
            Arc::new(Erasing::new("news.erasures", app.erasures(), bus.clone(), receipt)),
        ],
        health: health(&app, &bus),
        closers: [closer(app)].into_iter().chain(closers).collect(),
    })
}

/// Opens the stores of one section without its service: for `portal replay` and `portal verify-history`,
/// which work on stores that no portal holds open.
///
/// # Errors
/// Fails if a store can't be opened.
pub async fn open(
    section: Section,
    config: &Config,
    surroundings: &Surroundings,
) -> anyhow::Result<(Arc<App>, Arc<dyn Outbox>)> {
    let name = section.service();
    let events = store::open_events(config.events.of(name).expose(), name).await;
    let (events, outbox) = events.context("events.url")?;
    let view = store::open_view(config.view.of(name).expose(), name).await.context("view.url")?;
    let app = App::new(app::Parts {
        section,
        events,
        view,
        clock: surroundings.clock.clone(),
        ids: surroundings.ids.clone(),
        newsroom: config.newsroom.rules(),
        patience: config.reads.patience(),
    });
    Ok((Arc::new(app), outbox))
}

fn health(app: &Arc<App>, bus: &Arc<dyn Bus>) -> Vec<Dependency> {
    let (events, view) = (app.clone(), app.clone());
    let (written_events, written_view) = (app.clone(), app.clone());
    vec![
        Dependency::new("events", move || {
            let app = events.clone();
            async move { app.ping_events().await }
        })
        .that_writes(move || {
            let app = written_events.clone();
            async move { app.try_events().await }
        }),
        Dependency::new("view", move || {
            let app = view.clone();
            async move { app.ping_view().await }
        })
        .that_writes(move || {
            let app = written_view.clone();
            async move { app.try_view().await }
        }),
        bus::dependency(bus),
    ]
}

fn closer(app: Arc<App>) -> Closer {
    Box::pin(async move { app.close().await })
}
