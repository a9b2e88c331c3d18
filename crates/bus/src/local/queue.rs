use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chassis::StoreFailure;
use kernel::Timestamp;
use tokio::sync::Notify;

use super::store::{Delivery, Store};
use crate::topic::Pattern;

/// The state of a durable queue in this process: the signal for its consumers, and the deliveries that they
/// have taken.
///
/// It is kept in memory that consumers never hold the same delivery at the same time. The file belongs to one
/// process, and what a crash forgets here is exactly what has to be delivered again.
pub(super) struct QueueState {
    pub(super) id: i64,
    pub(super) name: String,
    patterns: RwLock<Vec<Pattern>>,
    wake: Notify,
    /// The positions that consumers have taken.
    taken: Mutex<BTreeSet<i64>>,
    /// Held while deliveries are chosen, so that two consumers do not choose the same ones.
    choosing: tokio::sync::Mutex<()>,
}

impl QueueState {
    pub(super) fn new(id: i64, name: &str, patterns: Vec<Pattern>) -> Self {
        Self {
            id,
            name: name.to_owned(),
            patterns: RwLock::new(patterns),
            wake: Notify::new(),
            taken: Mutex::default(),
            choosing: tokio::sync::Mutex::default(),
        }
    }

    /// Replaces the keys of the queue.
    pub(super) fn rebind(&self, patterns: Vec<Pattern>) {
        *self.patterns.write().unwrap_or_else(PoisonError::into_inner) = patterns;
    }

    /// Returns true if the queue subscribes to this routing key.
    pub(super) fn wants(&self, key: &str) -> bool {
        let patterns = self.patterns.read().unwrap_or_else(PoisonError::into_inner);
        patterns.iter().any(|pattern| pattern.matches(key))
    }

    /// Completes when there may be a delivery. It counts wake-ups from the moment it is first polled or
    /// enabled.
    pub(super) fn wake_up(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.notified()
    }

    /// Wakes all consumers.
    pub(super) fn wake(&self) {
        self.wake.notify_waiters();
    }

    /// Takes up to `limit` due deliveries for one consumer.
    pub(super) async fn take(
        self: &Arc<Self>,
        store: &Store,
        now: Timestamp,
        longest: Duration,
        limit: u32,
    ) -> Result<Batch, StoreFailure> {
        let _choosing = self.choosing.lock().await;
        // A delivery that another consumer releases during this read is either deleted or not due yet,
        // because its outcome was committed before.
        let deliveries = store.due(self.id, now, longest, &self.taken_positions(), limit).await?;
        let positions: Vec<i64> = deliveries.iter().map(|delivery| delivery.position).collect();
        self.lock_taken().extend(&positions);
        Ok(Batch { queue: self.clone(), positions, deliveries })
    }

    /// Returns the time at which the next delivery is due that no consumer has taken.
    pub(super) async fn next_due(&self, store: &Store) -> Result<Option<Timestamp>, StoreFailure> {
        store.next_due(self.id, &self.taken_positions()).await
    }

    fn taken_positions(&self) -> Vec<i64> {
        self.lock_taken().iter().copied().collect()
    }

    fn lock_taken(&self) -> std::sync::MutexGuard<'_, BTreeSet<i64>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The deliveries that one consumer has taken. Dropping it releases those that are not settled.
pub(super) struct Batch {
    queue: Arc<QueueState>,
    positions: Vec<i64>,
    pub(super) deliveries: Vec<Delivery>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        let mut taken = self.queue.lock_taken();
        for position in &self.positions {
            taken.remove(position);
        }
        drop(taken);
        if !self.positions.is_empty() {
            self.queue.wake();
        }
    }
}
