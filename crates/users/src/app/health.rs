use super::App;

/// How each store is. They are kept apart: that one answers says nothing about another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The store of accounts.
    pub store: bool,
    /// The intake.
    pub intake: bool,
    /// The cache.
    pub cache: bool,
}

impl Health {
    /// True where all of them answer.
    pub fn is_well(self) -> bool {
        self.store && self.intake && self.cache
    }
}

impl App {
    /// Asks every store.
    pub async fn health(&self) -> Health {
        let (store, intake, cache) = tokio::join!(self.store.ping(), self.intake.ping(), self.cache.ping());
        Health { store: store.is_ok(), intake: intake.is_ok(), cache: cache.is_ok() }
    }
}
