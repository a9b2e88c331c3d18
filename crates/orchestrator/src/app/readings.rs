use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::Reading;
use crate::metrics::ARTICLE_READ_DROPPED;

/// Readings that wait until they are told. Bounded: when the bus is away for long, the newest are dropped and counted, and no
/// request ever waits for it. A reading is worth less than an answer in time, and it was never acknowledged to anybody.
pub struct ReadingQueue {
    waiting: Mutex<VecDeque<Reading>>,
    capacity: usize,
    dropped: AtomicU64,
    wake: Arc<Notify>,
}

impl ReadingQueue {
    /// A queue of at most `capacity` readings.
    pub fn new(capacity: usize) -> Self {
        Self { waiting: Mutex::default(), capacity, dropped: AtomicU64::new(0), wake: Arc::default() }
    }

    /// Takes a reading, or drops and counts it where the queue is full. Never waits.
    pub fn offer(&self, reading: Reading) {
        let taken = {
            let mut waiting = self.waiting();
            let room = waiting.len() < self.capacity;
            if room {
                waiting.push_back(reading);
            }
            room
        };
        if taken {
            self.wake.notify_one();
            return;
        }
        ARTICLE_READ_DROPPED.count([]);
        if self.dropped.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
            // Once in a thousand: a flood of drops must not become a flood of lines.
            tracing::warn!(dropped = self.dropped(), "readings are dropped: their queue is full");
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting().len()
    }

    /// True where none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were dropped since the process started.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The oldest, at most `most`. They stay in the queue until [`ReadingQueue::forget`]: what is being told counts as waiting,
    /// so that the bound holds for all of the memory. There is one worker, so nobody else takes them.
    pub fn oldest(&self, most: usize) -> Vec<Reading> {
        self.waiting().iter().take(most).cloned().collect()
    }

    /// Removes the `count` oldest: they were told.
    pub fn forget(&self, count: usize) {
        let mut waiting = self.waiting();
        let count = count.min(waiting.len());
        waiting.drain(..count);
    }

    /// Told when a reading came.
    pub fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Reading>> {
        // Nothing that holds the lock can panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
