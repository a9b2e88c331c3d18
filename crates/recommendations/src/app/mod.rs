//! The use cases, one file each.

mod change_consent;
mod count_reading;
mod erase_reader;
mod export;
mod forget_visits;
mod labels_of_reader;
mod readers_of_label;

use std::sync::Arc;

use chassis::StoreFailure;
use kernel::{Class, Clock, Fault};

pub use count_reading::ReadingOutcome;
pub(crate) use export::VISITS_PAGE;

use crate::domain::ReadingFault;
use crate::ports::{DirectoryError, TasteGraph, UserDirectory};

/// The largest number of entries in an answer: labels of a reader, or readers of a label.
pub const MAX_ENTRIES: u32 = 1000;

/// The ports that the use cases need.
pub struct Parts {
    /// The tastes, visits and consents.
    pub graph: Arc<dyn TasteGraph>,
    /// The service that owns the accounts.
    pub users: Arc<dyn UserDirectory>,
    /// The clock by which weights fade and readings are late.
    pub clock: Arc<dyn Clock>,
}

/// The use cases over their ports.
#[derive(Clone)]
pub struct App {
    graph: Arc<dyn TasteGraph>,
    users: Arc<dyn UserDirectory>,
    clock: Arc<dyn Clock>,
}

impl App {
    /// Creates the use cases over these ports.
    pub fn new(parts: Parts) -> Self {
        let Parts { graph, users, clock } = parts;
        Self { graph, users, clock }
    }
}

/// The failure of a use case.
#[derive(Debug, thiserror::Error)]
pub enum TasteError {
    /// The message about the reading is not valid.
    #[error(transparent)]
    Reading(#[from] ReadingFault),
    /// The graph is unavailable or broken.
    #[error(transparent)]
    Graph(#[from] StoreFailure),
    /// The service users did not answer.
    #[error(transparent)]
    Users(#[from] DirectoryError),
}

impl Fault for TasteError {
    fn classify(&self) -> Class<'_> {
        match self {
            TasteError::Reading(fault) => Class::Inner(fault),
            TasteError::Graph(fault) => Class::Inner(fault),
            TasteError::Users(fault) => Class::Inner(fault),
        }
    }
}
