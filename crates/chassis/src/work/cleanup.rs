//! The regular deletion of what a store keeps for a limited time.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kernel::{Clock, Fault};
use tokio::sync::Notify;

use super::worker::{Step, Worker};

/// The most entries that a step deletes, so that other work does not wait long for the store.
const BATCH: u32 = 500;

type Deletion = Pin<Box<dyn Future<Output = Result<u64, Box<dyn Fault>>> + Send>>;

/// A worker that deletes expired entries of a store: immediately after the start, and then at a fixed
/// interval. If there are many it deletes a batch in each step, without a pause, until few are left.
///
/// It keeps a store small and promises nothing: a query must ignore expired entries, whether they are still
/// there or not. Replicas do it side by side, and a failed step is repeated like that of every worker.
pub struct Cleanup {
    name: &'static str,
    every: Duration,
    clock: Arc<dyn Clock>,
    forget: Box<dyn Fn(u32) -> Deletion + Send + Sync>,
    /// The time of the next deletion, by the clock that never goes back.
    next: Mutex<Option<Duration>>,
    wake: Arc<Notify>,
}

impl Cleanup {
    /// Creates a worker with this name, `<service>.<purpose>`. It calls `forget` with the most entries that
    /// may be deleted, and gets the number of deleted ones. If the two are equal there may be more.
    pub fn new<F, E>(
        name: &'static str,
        every: Duration,
        clock: Arc<dyn Clock>,
        forget: impl Fn(u32) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<u64, E>> + Send + 'static,
        E: Fault,
    {
        let forget = move |most| -> Deletion {
            let deletion = forget(most);
            Box::pin(async move { deletion.await.map_err(|fault| Box::new(fault) as Box<dyn Fault>) })
        };
        Self { name, every, clock, forget: Box::new(forget), next: Mutex::default(), wake: Arc::default() }
    }

    fn is_due(&self, now: Duration) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|next| next <= now)
    }
}

#[async_trait]
impl Worker for Cleanup {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        let now = self.clock.elapsed();
        if !self.is_due(now) {
            return Ok(Step::Idle);
        }
        if (self.forget)(BATCH).await? >= u64::from(BATCH) {
            return Ok(Step::Worked);
        }
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + self.every);
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use kernel::{ManualClock, Timestamp};

    use super::*;
    use crate::StoreFailure;

    const EVERY: Duration = Duration::from_secs(60);

    /// A store with a number of expired entries. It is unavailable if `down` is not zero.
    #[derive(Default)]
    struct Store {
        expired: AtomicU64,
        calls: AtomicU64,
        down: AtomicU64,
    }

    impl Store {
        async fn forget(&self, most: u32) -> Result<u64, StoreFailure> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.down.load(Ordering::SeqCst) > 0 {
                return Err(StoreFailure::Unavailable("on purpose".into()));
            }
            let deleted = self.expired.load(Ordering::SeqCst).min(u64::from(most));
            self.expired.fetch_sub(deleted, Ordering::SeqCst);
            Ok(deleted)
        }

        fn calls(&self) -> u64 {
            self.calls.load(Ordering::SeqCst)
        }
    }

    fn worker() -> (Cleanup, Arc<Store>, Arc<ManualClock>) {
        let (store, clock) = (Arc::<Store>::default(), Arc::new(ManualClock::at(Timestamp::from_millis(0))));
        let of = store.clone();
        let forget = move |most| {
            let store = of.clone();
            async move { store.forget(most).await }
        };
        (Cleanup::new("test.forgetting", EVERY, clock.clone(), forget), store, clock)
    }

    #[tokio::test]
    async fn entries_are_deleted_at_the_start_and_then_at_each_interval() {
        let (worker, store, clock) = worker();
        for round in 1..4 {
            store.expired.store(3, Ordering::SeqCst);
            assert_eq!(worker.step().await.expect("the store is there"), Step::Idle);
            assert_eq!((store.calls(), store.expired.load(Ordering::SeqCst)), (round, 0));
            clock.advance(EVERY - Duration::from_millis(1));
            assert_eq!(worker.step().await.expect("the store is there"), Step::Idle);
            assert_eq!(store.calls(), round, "the interval is not over yet");
            clock.advance(Duration::from_millis(1));
        }
    }

    #[tokio::test]
    async fn many_entries_are_deleted_in_batches_without_a_pause() {
        let (worker, store, _clock) = worker();
        store.expired.store(2 * u64::from(BATCH), Ordering::SeqCst);
        let mut steps = Vec::new();
        for _ in 0..4 {
            steps.push(worker.step().await.expect("the store is there"));
        }
        assert_eq!(steps, [Step::Worked, Step::Worked, Step::Idle, Step::Idle]);
        assert_eq!((store.calls(), store.expired.load(Ordering::SeqCst)), (3, 0));
    }

    #[tokio::test]
    async fn a_failed_deletion_is_repeated() {
        let (worker, store, _clock) = worker();
        store.expired.store(1, Ordering::SeqCst);
        store.down.store(1, Ordering::SeqCst);
        assert!(worker.step().await.is_err());
        store.down.store(0, Ordering::SeqCst);
        assert_eq!(worker.step().await.expect("the store is back"), Step::Idle);
        assert_eq!(store.expired.load(Ordering::SeqCst), 0);
    }
}
