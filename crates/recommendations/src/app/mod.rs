//! What this service does: one file for each use case.

mod change_consent;
mod count_reading;
mod erase_reader;
mod forget_visits;
mod labels_of_reader;
mod readers_of_label;

use std::sync::Arc;

use kernel::{Clock, Code, Fault, Kind};

pub use count_reading::Outcome;

use crate::domain::ReadingFault;
use crate::ports::{DirectoryError, TasteGraph, TasteGraphError, UserDirectory};

/// The most labels that are told of a reader, and the most readers of a label.
pub const MOST: u32 = 1000;

/// The use cases, over the ports they need.
#[derive(Clone)]
pub struct App {
    graph: Arc<dyn TasteGraph>,
    users: Arc<dyn UserDirectory>,
    clock: Arc<dyn Clock>,
}

impl App {
    /// The use cases over these ports.
    pub fn new(graph: Arc<dyn TasteGraph>, users: Arc<dyn UserDirectory>, clock: Arc<dyn Clock>) -> Self {
        Self { graph, users, clock }
    }
}

/// Why a use case did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TasteError {
    /// The message can't be true.
    #[error(transparent)]
    Reading(#[from] ReadingFault),
    /// The graph is away, or broken.
    #[error(transparent)]
    Graph(#[from] TasteGraphError),
    /// Users could not be asked.
    #[error(transparent)]
    Users(#[from] DirectoryError),
}

impl TasteError {
    fn fault(&self) -> &dyn Fault {
        match self {
            TasteError::Reading(fault) => fault,
            TasteError::Graph(fault) => fault,
            TasteError::Users(fault) => fault,
        }
    }
}

impl Fault for TasteError {
    fn kind(&self) -> Kind {
        self.fault().kind()
    }

    fn code(&self) -> Code {
        self.fault().code()
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        self.fault().retry_after()
    }
}
