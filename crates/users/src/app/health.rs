use chassis::CachedProbe;

use super::App;

/// Checks that store and intake accept writes. Each is asked once in five seconds, however many callers there
/// are.
#[derive(Default)]
pub struct WriteProbes {
    store: CachedProbe,
    intake: CachedProbe,
}

/// The health of the stores, each of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The store of accounts answers and accepts writes.
    pub store: bool,
    /// The intake answers and accepts writes.
    pub intake: bool,
    /// The cache answers.
    pub cache: bool,
}

impl Health {
    /// Says whether all stores are healthy.
    pub fn is_well(self) -> bool {
        self.store && self.intake && self.cache
    }
}

impl App {
    /// Checks every store.
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
