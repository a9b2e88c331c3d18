//! The use cases, one file each.

mod command;
mod corrections;
mod desk;
mod error;
mod gather;
mod get_article;
mod home;
mod list;
mod live;
mod past;
mod readings;
mod shelf;
mod text_budget;
mod texts;

use std::sync::Arc;
use std::time::Duration;

use kernel::{Clock, Ids};

pub use corrections::CorrectionList;
pub use desk::DeskPage;
pub use error::ArticleError;
pub use home::{ForYou, HomePage};
pub use list::{ListRequest, NewsList};
pub use live::{LastEvent, Live, LiveItem};
pub use readings::ReadingQueue;
pub use shelf::{CacheAnswer, CacheTimes, FeedHead, Key, RenderedAnswer, Shelf, ShownArticle, Source};
pub use text_budget::{TextBudget, TextShare};

use crate::ports::{NewsSections, Tastes};

/// The parts of an [`App`].
pub struct Parts {
    /// The news sections.
    pub sections: Arc<dyn NewsSections>,
    /// The cache of answers that are the same for everyone.
    pub shelf: Arc<Shelf>,
    /// The live events.
    pub live: Arc<Live>,
    /// The source of the labels that readers like.
    pub tastes: Arc<dyn Tastes>,
    /// The readings that wait to be published.
    pub readings: Arc<ReadingQueue>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of new ids.
    pub ids: Arc<dyn Ids>,
    /// The time to wait for a section if another one has answered the same request.
    pub section_deadline: Duration,
    /// The memory for lists with texts.
    pub text_budget: TextBudget,
    /// The time for the personal part of a front page.
    pub taste_budget: Duration,
}

/// The use cases over their ports.
pub struct App {
    sections: Arc<dyn NewsSections>,
    shelf: Arc<Shelf>,
    live: Arc<Live>,
    tastes: Arc<dyn Tastes>,
    readings: Arc<ReadingQueue>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    section_deadline: Duration,
    text_budget: TextBudget,
    taste_budget: Duration,
}

impl App {
    /// Creates the use cases from their parts.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            sections,
            shelf,
            live,
            tastes,
            readings,
            clock,
            ids,
            section_deadline,
            text_budget,
            taste_budget,
        } = parts;
        Self {
            sections,
            shelf,
            live,
            tastes,
            readings,
            clock,
            ids,
            section_deadline,
            text_budget,
            taste_budget,
        }
    }

    /// Returns the cache of answers that are the same for everyone.
    pub fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// Returns the live events.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Returns the readings that wait to be published.
    pub fn waiting_readings(&self) -> &ReadingQueue {
        &self.readings
    }

    /// Returns the memory for lists with texts.
    pub fn text_budget(&self) -> &TextBudget {
        &self.text_budget
    }
}
