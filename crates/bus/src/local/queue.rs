use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chassis::StoreFailure;
use kernel::Timestamp;
use tokio::sync::Notify;

use super::store::{Delivery, Store};
use crate::topic::Pattern;

/// A durable queue as this process sees it: who is woken, and what is in whose hand.
///
/// That consumers compete without getting the same delivery at once is kept in memory: the file belongs to one process,
/// and what a crash forgets here is exactly what has to come again.
pub(super) struct Queue {
    pub(super) id: i64,
    pub(super) name: String,
    patterns: RwLock<Vec<Pattern>>,
    wake: Notify,
    in_hand: Mutex<BTreeSet<i64>>,
    /// Held while deliveries are chosen, so that two consumers do not choose the same.
    turn: tokio::sync::Mutex<()>,
}

impl Queue {
    pub(super) fn new(id: i64, name: &str, patterns: Vec<Pattern>) -> Self {
        Self {
            id,
            name: name.to_owned(),
            patterns: RwLock::new(patterns),
            wake: Notify::new(),
            in_hand: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn rebind(&self, patterns: Vec<Pattern>) {
        *self.patterns.write().unwrap_or_else(PoisonError::into_inner) = patterns;
    }

    pub(super) fn wants(&self, key: &str) -> bool {
        let patterns = self.patterns.read().unwrap_or_else(PoisonError::into_inner);
        patterns.iter().any(|pattern| pattern.matches(key))
    }

    /// Completes when there may be something to do; counts from the moment it is first polled or enabled.
    pub(super) fn woken(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.notified()
    }

    pub(super) fn wake(&self) {
        self.wake.notify_waiters();
    }

    /// Takes up to `limit` due deliveries into this consumer's hand.
    pub(super) async fn take(
        self: &Arc<Self>,
        store: &Store,
        now: Timestamp,
        longest: Duration,
        limit: u32,
    ) -> Result<Hand, StoreFailure> {
        let _turn = self.turn.lock().await;
        // What another consumer lets go of while this reads is either gone from the store or not due yet: its outcome was
        // committed before.
        let deliveries = store.due(self.id, now, longest, &self.positions_in_hand(), limit).await?;
        let positions: Vec<i64> = deliveries.iter().map(|delivery| delivery.position).collect();
        self.hands().extend(&positions);
        Ok(Hand { queue: self.clone(), positions, deliveries })
    }

    /// When there is something to do for a consumer with empty hands.
    pub(super) async fn next_due(&self, store: &Store) -> Result<Option<Timestamp>, StoreFailure> {
        store.next_due(self.id, &self.positions_in_hand()).await
    }

    fn positions_in_hand(&self) -> Vec<i64> {
        self.hands().iter().copied().collect()
    }

    fn hands(&self) -> std::sync::MutexGuard<'_, BTreeSet<i64>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deliveries that one consumer has taken. What is dropped unsettled is free for the others.
pub(super) struct Hand {
    queue: Arc<Queue>,
    positions: Vec<i64>,
    pub(super) deliveries: Vec<Delivery>,
}

impl Drop for Hand {
    fn drop(&mut self) {
        let mut hands = self.queue.hands();
        for position in &self.positions {
            hands.remove(position);
        }
        drop(hands);
        if !self.positions.is_empty() {
            self.queue.wake();
        }
    }
}
