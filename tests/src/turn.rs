//! Which worlds run beside each other.

use std::sync::{Arc, LazyLock};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Who measures is alone; everybody else is there together. Tests of one binary run at the same time.
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
