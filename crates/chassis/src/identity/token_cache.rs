//! The tokens whose signatures were checked, by their digests.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Identity, Timestamp};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

/// The most remembered tokens: some megabytes. Rarely used ones are evicted.
pub(super) const MOST: u64 = 10_000;
/// The longest time that a token is remembered: the longest validity of a token.
const LONGEST: Duration = Duration::from_secs(900);

/// The SHA-256 of a token. The token itself is not kept, so a copy of this memory does not let anyone in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Print([u8; 32]);

impl Print {
    /// Computes the digest of the whole token with its signature.
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// The content of a token whose signature was checked.
pub(super) struct VerifiedToken {
    /// The identity that it proves.
    pub(super) identity: Identity,
    /// The beginning of its validity, in seconds since the Unix epoch.
    pub(super) begins: Option<i64>,
    /// The end of its validity, in seconds since the Unix epoch.
    pub(super) ends: i64,
    /// The number of the key set that its signature was checked with.
    pub(super) generation: u64,
}

impl VerifiedToken {
    /// True if the token is valid at this time.
    pub(super) fn is_valid_at(&self, now: Timestamp) -> bool {
        let millis = |seconds: i64| seconds.saturating_mul(1000);
        self.begins.is_none_or(|begins| millis(begins) <= now.millis()) && now.millis() < millis(self.ends)
    }
}

/// The recently used tokens. Only verified tokens are remembered, so made-up ones evict nothing.
pub(super) struct TokenCache(Cache<Print, Arc<VerifiedToken>>);

impl Default for TokenCache {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_live(LONGEST).build())
    }
}

impl TokenCache {
    /// Returns the content of a token, if it is remembered.
    pub(super) fn get(&self, print: &Print) -> Option<Arc<VerifiedToken>> {
        self.0.get(print)
    }

    /// Remembers a token until it is evicted, its time is over, or the keys change.
    pub(super) fn keep(&self, print: Print, verified: Arc<VerifiedToken>) {
        self.0.insert(print, verified);
    }

    /// Forgets all tokens, because the published keys have changed.
    pub(super) fn forget_all(&self) {
        self.0.invalidate_all();
    }

    /// Returns the number of remembered tokens.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.entry_count()
    }
}
