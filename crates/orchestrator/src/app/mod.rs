//! The use cases, one file each.

mod error;
mod get_article;
mod list_all;
mod list_section;
mod readings;
mod write;

use std::sync::Arc;
use std::time::Duration;

use kernel::{Clock, Identity, Ids};

pub use error::ArticleError;
pub use list_all::Aggregate;
pub use readings::ReadingQueue;
pub use write::Write;

use crate::ports::NewsDesks;

/// What the use cases share.
pub struct App {
    /// The news sections.
    pub desks: Arc<dyn NewsDesks>,
    /// Where readings wait until they are told.
    pub readings: Arc<ReadingQueue>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn Ids>,
    /// How long a section may take where several are asked at once.
    pub section_deadline: Duration,
}

/// Who asks. There is deliberately no other way to say it than a verified token.
#[derive(Clone, Default)]
pub struct Asker {
    /// What the token says; nobody without one.
    pub identity: Option<Identity>,
    /// The token itself, for the section to verify again.
    pub token: Option<String>,
}

impl Asker {
    fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}
