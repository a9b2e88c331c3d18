//! Tokens whose signature was checked, by their digests.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Identity, Timestamp};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

/// The most tokens that are remembered: some megabytes. What is rarely used makes way.
pub(super) const MOST: u64 = 10_000;
/// The longest that one is remembered: as long as users lets a token hold.
const LONGEST: Duration = Duration::from_secs(900);

/// SHA-256 of a token. The token itself is kept nowhere: whoever reads this memory can't log in with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Print([u8; 32]);

impl Print {
    /// That of this token, with its signature: another byte anywhere is another print.
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// What a token says that users has signed.
pub(super) struct Vouched {
    /// Who it is for.
    pub(super) identity: Identity,
    /// Before this it is not to be believed; in seconds since the Unix epoch.
    pub(super) begins: Option<i64>,
    /// From then on it is over; in seconds since the Unix epoch.
    pub(super) ends: i64,
    /// The set of keys that its signature was checked with.
    pub(super) generation: u64,
}

impl Vouched {
    /// Whether it is to be believed at this moment.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        let millis = |seconds: i64| seconds.saturating_mul(1000);
        self.begins.is_none_or(|begins| millis(begins) <= now.millis()) && now.millis() < millis(self.ends)
    }
}

/// The tokens of those who were here lately. Only what was verified gets in, so that made-up tokens drive nobody out.
pub(super) struct Remembered(Cache<Print, Arc<Vouched>>);

impl Default for Remembered {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_live(LONGEST).build())
    }
}

impl Remembered {
    /// What was said of this token.
    pub(super) fn get(&self, print: &Print) -> Option<Arc<Vouched>> {
        self.0.get(print)
    }

    /// Remembers it, until it makes way, its time is over, or the keys change.
    pub(super) fn keep(&self, print: Print, vouched: Arc<Vouched>) {
        self.0.insert(print, vouched);
    }

    /// Forgets all: other keys are published now.
    pub(super) fn forget_all(&self) {
        self.0.invalidate_all();
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.entry_count()
    }
}
