//! The use cases of a news section: one file for each, and one for all commands on articles.

mod command;
mod create;
mod erase;
mod error;
mod get;
mod list;
mod once;
mod past;
mod project;
mod replay;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use chassis::StoreFailure;
use kernel::{Clock, Ids, Section};
use tokio::sync::{Semaphore, watch};

use self::command::newest;
use crate::domain::Newsroom;
use crate::ports::{EventStore, NewsView};

pub use command::{Command, Target};
pub use create::NewArticle;
pub use error::NewsError;
pub use list::Texts;
pub use once::{Done, KEPT};
pub use past::{History, Which};
pub use replay::Replayed;
pub use verify::{Audited, ChainError, Verified};

/// One news section: its two stores and its rules.
pub struct App {
    section: Section,
    events: Arc<dyn EventStore>,
    view: Arc<dyn NewsView>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    newsroom: Newsroom,
    patience: Duration,
    // Counts what this process has projected, so that a reader who waits for a version is woken.
    projected: watch::Sender<u64>,
    running: once::Running,
    // Comparing long texts is work for a processor: only so many at once, however many ask.
    comparing: Arc<Semaphore>,
}

/// What an [`App`] is made of.
pub struct Parts {
    /// The section.
    pub section: Section,
    /// The command side.
    pub events: Arc<dyn EventStore>,
    /// The query side.
    pub view: Arc<dyn NewsView>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn Ids>,
    /// How the newsroom works.
    pub newsroom: Newsroom,
    /// How long a reader waits for a version that is not projected yet.
    pub patience: Duration,
}

impl App {
    /// Puts the parts together.
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
            running: once::Running::default(),
            comparing: Arc::new(Semaphore::new(past::COMPARING)),
        }
    }

    /// The section that this is.
    pub fn section(&self) -> Section {
        self.section
    }

    /// Whether the command side answers.
    pub async fn ping_events(&self) -> Result<(), StoreFailure> {
        self.events.ping().await
    }

    /// Whether the command side takes writes.
    pub async fn try_events(&self) -> Result<(), StoreFailure> {
        self.events.try_write().await
    }

    /// Whether the query side takes writes.
    pub async fn try_view(&self) -> Result<(), StoreFailure> {
        self.view.try_write().await
    }

    /// Whether the query side answers.
    pub async fn ping_view(&self) -> Result<(), StoreFailure> {
        self.view.ping().await
    }

    /// Lets go of both stores.
    pub async fn close(&self) {
        self.events.close().await;
        self.view.close().await;
    }
}
