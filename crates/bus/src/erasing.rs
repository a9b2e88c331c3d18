//! Erasure is a duty that is repeated until it is true.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chassis::{Erasable, Step, Worker};
use kernel::{Fault, UserId};
use tokio::sync::Notify;

use crate::Bus;

/// The least time between two rounds that wiped everything: many erasures at once cost as much as one.
const PACE: Duration = Duration::from_secs(15);
/// The least time between two attempts while something is in the way.
const AGAIN: Duration = Duration::from_secs(1);

/// A worker that makes erasures true: it removes what dead letters say about the erased, wipes the stores of its service and the
/// bus, and only then counts the erasure as done.
///
/// It begins right after an erasure, and again after a crash, because the duty is a row in the store. As long as anything is in the
/// way (a message about the person that still waits, a reader that holds a log, a server that is down) it tries again.
pub struct Erasing {
    name: &'static str,
    stores: Vec<Arc<dyn Erasable>>,
    bus: Arc<dyn Bus>,
    next: Mutex<Option<Instant>>,
    wake: Arc<Notify>,
}

impl Erasing {
    /// Creates the worker of this name, `<service>.<purpose>`, for these stores.
    pub fn new(name: &'static str, stores: Vec<Arc<dyn Erasable>>, bus: Arc<dyn Bus>) -> Self {
        Self { name, stores, bus, next: Mutex::default(), wake: Arc::default() }
    }

    /// Uses this to be woken by.
    #[must_use]
    pub fn woken_by(self, wake: Arc<Notify>) -> Self {
        Self { wake, ..self }
    }

    fn is_due(&self) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|next| next <= Instant::now())
    }

    fn rest(&self, pause: Duration) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + pause);
    }

    /// Does everything once. Returns whether the erasure of these persons is true now.
    async fn wipe(&self, persons: &[UserId]) -> Result<bool, Box<dyn Fault>> {
        for person in persons {
            if !self.bus.forget(&person.to_string()).await? {
                return Ok(false);
            }
        }
        for store in &self.stores {
            if !store.wipe(persons).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[async_trait]
impl Worker for Erasing {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        if !self.is_due() {
            return Ok(Step::Idle);
        }
        let mut owed = BTreeSet::new();
        for store in &self.stores {
            owed.extend(store.owed().await?);
        }
        if owed.is_empty() {
            return Ok(Step::Idle);
        }
        let owed: Vec<UserId> = owed.into_iter().collect();
        // A failure is tried again with the pauses of every worker.
        if !self.wipe(&owed).await? {
            self.rest(AGAIN);
            return Ok(Step::Idle);
        }
        for store in &self.stores {
            store.done(&owed).await?;
        }
        self.rest(PACE);
        tracing::info!(persons = owed.len(), worker = self.name, "erasures are true in every file");
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}
