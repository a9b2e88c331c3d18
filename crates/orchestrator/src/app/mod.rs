//! The use cases, one file each.

mod command;
mod error;
mod gather;
mod get_article;
mod home;
mod list;
mod past;
mod readings;
mod shelf;
mod text_budget;
mod texts;

use std::sync::Arc;
use std::time::Duration;

use kernel::{Clock, Ids};

pub use error::ArticleError;
pub use home::{ForYou, Home};
pub use list::{ListNews, NewsList};
pub use readings::ReadingQueue;
pub use shelf::{Key, Rendered, Served, Shelf, Shown, Source, Times};
pub use text_budget::{TextBudget, TextPermit};

use crate::ports::{NewsSections, Tastes};

/// What the use cases share.
pub struct App {
    /// The news sections.
    pub sections: Arc<dyn NewsSections>,
    /// Answers that everybody gets.
    pub shelf: Arc<Shelf>,
    /// What readers like.
    pub tastes: Arc<dyn Tastes>,
    /// Where readings wait until they are told.
    pub readings: Arc<ReadingQueue>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn Ids>,
    /// How long a section is waited for if another one has answered the same question.
    pub section_deadline: Duration,
    /// The memory that lists with texts may take at once.
    pub text_budget: TextBudget,
    /// How long it may take to find what follows a reader's labels.
    pub taste_budget: Duration,
}
