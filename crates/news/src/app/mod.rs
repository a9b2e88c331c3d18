//! The use cases of a news section: one file for each, and one for all commands on articles.

mod command;
mod corrections;
mod create;
mod desk;
mod erase;
mod error;
mod export;
mod get;
mod list;
mod once;
mod past;
mod project;
mod proof;
mod replay;
mod schedule;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use chassis::StoreFailure;
use kernel::{Clock, Ids, Section};
use tokio::sync::{Notify, Semaphore, watch};

use crate::domain::{Article, Newsroom};
use crate::ports::{ChangeWithMessage, EventStore, NewsView};

pub use command::{Command, Target};
pub use create::NewArticle;
pub use desk::Desk;
pub use error::NewsError;
pub use export::ExportPage;
pub use list::Texts;
pub use once::Done;
pub use past::{History, Which};
pub use replay::ReplayReport;
pub use verify::{AuditReport, ChainError, ChainReport};

/// One news section: its two stores and its rules.
pub struct App {
    section: Section,
    events: Arc<dyn EventStore>,
    view: Arc<dyn NewsView>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    newsroom: Newsroom,
    patience: Duration,
    // Counts the projections of this process, so that readers that wait for a version are woken.
    projected: watch::Sender<u64>,
    running: once::RunningCommands,
    // Wakes the publication of scheduled articles when one is scheduled.
    scheduled: Arc<Notify>,
    // Comparing long texts is work for a processor, so the number of comparisons at a time is limited.
    comparing: Arc<Semaphore>,
}

/// The parts of an [`App`].
pub struct Parts {
    /// The section.
    pub section: Section,
    /// The event store: the command side.
    pub events: Arc<dyn EventStore>,
    /// The view: the query side.
    pub view: Arc<dyn NewsView>,
    /// The source of the present time.
    pub clock: Arc<dyn Clock>,
    /// The source of new ids.
    pub ids: Arc<dyn Ids>,
    /// The rules of the newsroom.
    pub newsroom: Newsroom,
    /// The longest wait of a reader for a version that is not projected yet.
    pub patience: Duration,
}

impl App {
    /// Creates the use cases from their parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { section, events, view, clock, ids, newsroom, patience } = parts;
        Self {
            section,
            events,
            view,
            clock,
            ids,
            newsroom,
            patience,
            projected: watch::Sender::new(0),
            running: once::RunningCommands::default(),
            scheduled: Arc::default(),
            comparing: Arc::new(Semaphore::new(past::COMPARING)),
        }
    }

    /// Returns the section.
    pub fn section(&self) -> Section {
        self.section
    }

    /// Returns the signal that an article was scheduled.
    pub fn scheduled(&self) -> Arc<Notify> {
        self.scheduled.clone()
    }
}

/// Returns the article after the last of some changes.
fn newest(changes: Vec<ChangeWithMessage>) -> Result<Article, NewsError> {
    let last = changes.into_iter().next_back().map(|last| last.change.article);
    last.ok_or_else(|| StoreFailure::broken("a command without a change was stored").into())
}
