use chassis::Kept;

use super::App;

/// Whether store and intake take writes, each asked once in five seconds however many callers want to know.
#[derive(Default)]
pub struct Writes {
    store: Kept,
    intake: Kept,
}

/// How each store is. They are kept apart: that one answers says nothing about another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The store of accounts answers and takes writes.
    pub store: bool,
    /// The intake answers and takes writes.
    pub intake: bool,
    /// The cache answers.
    pub cache: bool,
}

impl Health {
    /// True if all of them do.
    pub fn is_well(self) -> bool {
        self.store && self.intake && self.cache
    }
}

impl App {
    /// Asks every store.
    pub async fn health(&self) -> Health {
        let (store, intake, cache, store_writes, intake_writes) = tokio::join!(
            self.store.ping(),
            self.intake.ping(),
            self.cache.ping(),
            self.writes.store.ask(self.store.try_write()),
            self.writes.intake.ask(self.intake.try_write()),
        );
        Health {
            store: store.is_ok() && store_writes.is_ok(),
            intake: intake.is_ok() && intake_writes.is_ok(),
            cache: cache.is_ok(),
        }
    }
}
