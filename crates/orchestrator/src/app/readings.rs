use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::Reading;
use crate::metrics::ARTICLE_READ_DROPPED;

/// The readings that wait to be published. The queue is bounded: if the bus is down for long, the newest
/// readings are dropped and counted, and no request ever waits for it. A reading is worth less than an answer
/// in time, and it was never acknowledged.
pub struct ReadingQueue {
    waiting: Mutex<VecDeque<Reading>>,
    capacity: usize,
    dropped: AtomicU64,
    wake: Arc<Notify>,
}

impl ReadingQueue {
    /// Creates a queue of at most `capacity` readings.
    pub fn new(capacity: usize) -> Self {
        Self { waiting: Mutex::default(), capacity, dropped: AtomicU64::new(0), wake: Arc::default() }
    }

    /// Adds a reading, or drops and counts it if the queue is full. Never waits.
    pub fn offer(&self, reading: Reading) {
        let added = {
            let mut waiting = self.waiting();
            let room = waiting.len() < self.capacity;
            if room {
                waiting.push_back(reading);
            }
            room
        };
        if added {
            self.wake.notify_one();
            return;
        }
        ARTICLE_READ_DROPPED.count([]);
        if self.dropped.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
            // Logged once in a thousand drops, so that a flood of drops is not a flood of log lines.
            tracing::warn!(dropped = self.dropped(), "readings are dropped because their queue is full");
        }
    }

    /// Returns the number of waiting readings.
    pub fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Returns true if no reading waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of readings that were dropped since the process started.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Returns the oldest readings, at most `most`. They stay in the queue until
    /// [`ReadingQueue::remove_oldest`], so that the bound also includes readings that are being published.
    /// There is one worker, so no one else reads them.
    pub fn oldest(&self, most: usize) -> Vec<Reading> {
        self.waiting().iter().take(most).cloned().collect()
    }

    /// Removes the `count` oldest readings after they were published.
    pub fn remove_oldest(&self, count: usize) {
        let mut waiting = self.waiting();
        let count = count.min(waiting.len());
        waiting.drain(..count);
    }

    /// Returns the signal for a new reading.
    pub fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Reading>> {
        // No code that holds the lock can panic halfway.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
