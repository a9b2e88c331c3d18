//! What a news section can do: one file for each use case.

mod create;
mod delete;
mod erase;
mod error;
mod get;
mod list;
mod once;
mod past;
mod project;
mod publish;
mod replay;
mod restore;
mod revise;
mod undelete;
mod unpublish;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use chassis::{Context, StoreFailure};
use kernel::{ArticleId, Clock, Expected, Identity, Ids, MessageId, Section};
use tokio::sync::{Semaphore, watch};

use crate::domain::{Article, Change, Command, Denied, Newsroom, may_change};
use crate::ports::{AppendError, EventStore, Fact, NewsView, Once};
use crate::wire;

pub use create::CreateArticle;
pub use error::NewsError;
pub use list::Texts;
pub use once::{Done, KEPT};
pub use past::{History, Which};
pub use replay::Replayed;
pub use restore::RestoreArticle;
pub use revise::{ReviseArticle, Revision};
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

/// Who gives a command, and under which key, if under any.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// Who; nobody without a token.
    pub who: Option<&'a Identity>,
    /// The key. What is appended is appended once under it.
    pub once: Option<&'a Once>,
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

    /// One step of an article that is there: who may, on which version, whether the state machine has it, in this order.
    ///
    /// A writer who expects any version does not lose to others: the step is tried on what they made of the article.
    async fn change(
        &self,
        writer: Writer<'_>,
        command: Command,
        id: ArticleId,
        expected: &Expected,
        make: impl Fn(&Identity, &Article) -> Result<Change, NewsError> + Send + Sync,
    ) -> Result<Article, NewsError> {
        let who = writer.who.ok_or(Denied::Anonymous)?;
        loop {
            let now = self.changeable(who, command, id, expected).await?;
            let change = make(who, &now)?;
            let article = change.article.clone();
            match self.append(vec![change], writer.once).await {
                Ok(()) => return Ok(article),
                Err(AppendError::Stale { .. }) if *expected == Expected::Any => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The article as it is, if `who` may change it and has seen its version.
    async fn changeable(
        &self,
        who: &Identity,
        command: Command,
        id: ArticleId,
        expected: &Expected,
    ) -> Result<Article, NewsError> {
        let now = self.events.latest(id).await?.ok_or(Denied::NotThere)?;
        may_change(who, command, &now, &self.newsroom)?;
        if !expected.admits(now.version) {
            return Err(NewsError::Stale { current: Some(now.version) });
        }
        Ok(now)
    }

    /// Stores what happened together with the messages that tell of it.
    async fn append(&self, changes: Vec<Change>, once: Option<&Once>) -> Result<(), AppendError> {
        let trace = Context::current().trace;
        let fact = |change: Change| {
            let message = wire::announcement(&change, MessageId::new(self.ids.next()), trace);
            Fact { change, message }
        };
        let facts: Vec<Fact> = changes.into_iter().map(fact).collect();
        self.events.append(&facts, once).await?;
        for fact in &facts {
            let article = &fact.change.article;
            tracing::info!(
                article = %article.id,
                version = article.version.number(),
                section = %article.section,
                by = %fact.change.by,
                event = %fact.change.event,
                "an article has a new version"
            );
        }
        Ok(())
    }
}
