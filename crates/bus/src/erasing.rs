//! The worker that repeats an erasure until it is true.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chassis::{Erasable, Step, Worker};
use kernel::{Fault, UserId};
use tokio::sync::Notify;

use crate::{Bus, Envelope};

/// The shortest time between two complete rounds, so that many erasures together cost as much as one.
const PAUSE_AFTER_SUCCESS: Duration = Duration::from_secs(15);
/// The shortest time between two attempts while something prevents an erasure.
const PAUSE_AFTER_ATTEMPT: Duration = Duration::from_secs(1);

/// The most receipts of one publication.
const RECEIPTS: usize = 200;

/// Makes the receipt of this service for the erasure of a person.
pub type MakeReceipt = Arc<dyn Fn(UserId) -> Envelope + Send + Sync>;

/// A worker that makes erasures true. It removes dead letters about the erased persons, wipes the stores of
/// its service and the bus, publishes a receipt for each person, and only then records the erasure as done.
/// So the duty is the outbox of the receipt: it is published again after a crash, and never lost.
///
/// It begins right after an erasure, and again after a crash, because the duty is a row in the store. It
/// tries again while anything prevents the erasure: a message about the person that still waits, a reader
/// that holds a log, a server that is down.
pub struct Erasing {
    name: &'static str,
    stores: Vec<Arc<dyn Erasable>>,
    bus: Arc<dyn Bus>,
    receipt: MakeReceipt,
    next: Mutex<Option<Instant>>,
    wake: Arc<Notify>,
}

impl Erasing {
    /// Creates a worker named `<service>.<purpose>` for these stores.
    pub fn new(
        name: &'static str,
        stores: Vec<Arc<dyn Erasable>>,
        bus: Arc<dyn Bus>,
        receipt: MakeReceipt,
    ) -> Self {
        Self { name, stores, bus, receipt, next: Mutex::default(), wake: Arc::default() }
    }

    /// Sets the signal that wakes the worker.
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

    /// Wipes everything once. Returns whether the erasure of these persons is true now.
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
        // The worker's loop tries again after a failure.
        if !self.wipe(&owed).await? {
            self.rest(PAUSE_AFTER_ATTEMPT);
            return Ok(Step::Idle);
        }
        for persons in owed.chunks(RECEIPTS) {
            let receipts = persons.iter().map(|person| (self.receipt)(*person)).collect();
            self.bus.publish(receipts).await?;
        }
        for store in &self.stores {
            store.done(&owed).await?;
        }
        self.rest(PAUSE_AFTER_SUCCESS);
        tracing::info!(persons = owed.len(), worker = self.name, "erasures are true in every file");
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}
