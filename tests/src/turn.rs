//! The lock that decides which portals of a test process run at the same time.

use std::sync::{Arc, LazyLock};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Permission to run a portal. A measurement runs alone, all other tests of one binary may run at the same
/// time.
static TURNS: LazyLock<Arc<RwLock<()>>> = LazyLock::new(Arc::default);

pub(crate) enum Turn {
    Together(#[expect(dead_code, reason = "held until the world is gone")] OwnedRwLockReadGuard<()>),
    Alone(#[expect(dead_code, reason = "held until the world is gone")] OwnedRwLockWriteGuard<()>),
}

impl Turn {
    pub(crate) async fn together() -> Self {
        Self::Together(TURNS.clone().read_owned().await)
    }

    pub(crate) async fn alone() -> Self {
        Self::Alone(TURNS.clone().write_owned().await)
    }
}
