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
use bus::{Erasing, Outbox, Relay, Subscription};
use chassis::{Closer, Dependency, Erasable, Service, Surroundings, Verifier};
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
    let OpenedNews { app, outbox, erasures, dependencies, closers: store_closers } =
        open(section, &config, &surroundings).await?;

    let projection = Subscription::durable(name, format!("{name}.projection"), [format!("news.{section}.#")]);
    let erasure = Subscription::durable(name, format!("{name}.users"), ["users.erased"]);
    let calls = Arc::new(calls::Calls::new(app.clone(), verifier.clone()));
    let exports = Arc::new(calls::Exports::new(app.clone(), verifier));
    let receipt = codec::make_receipts(section, &surroundings);
    let erase = consumers::Erasure::new(app.clone(), erasures.clone(), bus.clone(), receipt.clone());
    let consumers = vec![
        bus.subscribe(projection, Arc::new(consumers::Projection(app.clone()))).await?,
        bus.subscribe(erasure, Arc::new(erase)).await?,
        bus.serve(name, &format!("news.{section}.calls"), calls).await?,
        bus.serve(name, &format!("exports.{name}"), exports).await?,
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
            Arc::new(Erasing::new("news.erasures", erasures, bus.clone(), receipt)),
        ],
        health: dependencies.into_iter().chain([bus::dependency(&bus)]).collect(),
        closers: store_closers.into_iter().chain(closers).collect(),
    })
}

/// One section without its service: its use cases, and what its two stores need.
pub struct OpenedNews {
    /// The use cases.
    pub app: Arc<App>,
    /// The messages that wait to be published, written in the transactions of the event store.
    pub outbox: Arc<dyn Outbox>,
    /// The duties of the stores to wipe the data of erased people.
    pub erasures: Vec<Arc<dyn Erasable>>,
    /// The probes of the stores for `/readyz`.
    pub dependencies: Vec<Dependency>,
    /// Close the stores.
    pub closers: Vec<Closer>,
}

impl OpenedNews {
    /// Closes the stores, when nothing uses them any more.
    pub async fn close(self) {
        for closer in self.closers {
            closer.await;
        }
    }
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
) -> anyhow::Result<OpenedNews> {
    let name = section.service();
    let events = store::open_events(config.events.of(name).expose(), name).await.context("events.url")?;
    let view = store::open_view(config.view.of(name).expose(), name).await.context("view.url")?;
    let app = App::new(app::Parts {
        section,
        events: events.port,
        view: view.port,
        clock: surroundings.clock.clone(),
        ids: surroundings.ids.clone(),
        newsroom: config.newsroom.rules(),
        patience: config.reads.patience(),
    });
    Ok(OpenedNews {
        app: Arc::new(app),
        outbox: events.outbox,
        erasures: [events.erasures, view.erasures].concat(),
        dependencies: [events.dependencies, view.dependencies].concat(),
        closers: events.closers.into_iter().chain(view.closers).collect(),
    })
}
