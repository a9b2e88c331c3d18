//! Forgetting: what a store keeps only for a while.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kernel::{Clock, Fault};
use tokio::sync::Notify;

use super::worker::{Step, Worker};

/// How many are forgotten in one step: nobody waits long for the store meanwhile.
const BATCH: u32 = 500;

type Forgotten = Pin<Box<dyn Future<Output = Result<u64, Box<dyn Fault>>> + Send>>;

/// A worker that forgets what a store keeps only for a while: at once after the start, and then each time that so much time has passed. Where
/// there is much it goes on without a pause, a batch at a step, until little is left.
///
/// It keeps a store small and is no promise: whoever reads must not count what is over, whether it is still there or not. Replicas do
/// it side by side, and a step that failed is taken again like that of every worker.
pub struct Forgetting {
    name: &'static str,
    every: Duration,
    clock: Arc<dyn Clock>,
    forget: Box<dyn Fn(u32) -> Forgotten + Send + Sync>,
    /// When the next look is due, by the clock that never goes back.
    next: Mutex<Option<Duration>>,
    wake: Arc<Notify>,
}

impl Forgetting {
    /// A worker of this name, `<service>.<purpose>`, that calls `forget` with the most it may forget. The answer is how many that were; as many
    /// as it may means that there may be more.
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
        let forget = move |most| -> Forgotten {
            let forgotten = forget(most);
            Box::pin(async move { forgotten.await.map_err(|fault| Box::new(fault) as Box<dyn Fault>) })
        };
        Self { name, every, clock, forget: Box::new(forget), next: Mutex::default(), wake: Arc::default() }
    }

    fn is_due(&self, now: Duration) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|next| next <= now)
    }
}

#[async_trait]
impl Worker for Forgetting {
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

    /// A store in which so much is over, and that is away where `away` is not zero.
    #[derive(Default)]
    struct Store {
        over: AtomicU64,
        asked: AtomicU64,
        away: AtomicU64,
    }

    impl Store {
        async fn forget(&self, most: u32) -> Result<u64, StoreFailure> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.away.load(Ordering::SeqCst) > 0 {
                return Err(StoreFailure::Unavailable("on purpose".into()));
            }
            let forgotten = self.over.load(Ordering::SeqCst).min(u64::from(most));
            self.over.fetch_sub(forgotten, Ordering::SeqCst);
            Ok(forgotten)
        }

        fn asked(&self) -> u64 {
            self.asked.load(Ordering::SeqCst)
        }
    }

    fn worker() -> (Forgetting, Arc<Store>, Arc<ManualClock>) {
        let (store, clock) = (Arc::<Store>::default(), Arc::new(ManualClock::at(Timestamp::from_millis(0))));
        let of = store.clone();
        let forget = move |most| {
            let store = of.clone();
            async move { store.forget(most).await }
        };
        (Forgetting::new("test.forgetting", EVERY, clock.clone(), forget), store, clock)
    }

    #[tokio::test]
    async fn it_forgets_at_once_and_then_each_time_that_so_much_time_has_passed() {
        let (worker, store, clock) = worker();
        for round in 1..4 {
            store.over.store(3, Ordering::SeqCst);
            assert_eq!(worker.step().await.expect("the store is there"), Step::Idle);
            assert_eq!((store.asked(), store.over.load(Ordering::SeqCst)), (round, 0));
            clock.advance(EVERY - Duration::from_millis(1));
            assert_eq!(worker.step().await.expect("the store is there"), Step::Idle);
            assert_eq!(store.asked(), round, "it is not time yet");
            clock.advance(Duration::from_millis(1));
        }
    }

    #[tokio::test]
    async fn much_is_forgotten_a_batch_at_a_step_without_a_pause() {
        let (worker, store, _clock) = worker();
        store.over.store(2 * u64::from(BATCH), Ordering::SeqCst);
        let mut steps = Vec::new();
        for _ in 0..4 {
            steps.push(worker.step().await.expect("the store is there"));
        }
        assert_eq!(steps, [Step::Worked, Step::Worked, Step::Idle, Step::Idle]);
        assert_eq!((store.asked(), store.over.load(Ordering::SeqCst)), (3, 0));
    }

    #[tokio::test]
    async fn what_a_store_could_not_do_is_still_due() {
        let (worker, store, _clock) = worker();
        store.over.store(1, Ordering::SeqCst);
        store.away.store(1, Ordering::SeqCst);
        assert!(worker.step().await.is_err());
        store.away.store(0, Ordering::SeqCst);
        assert_eq!(worker.step().await.expect("the store is back"), Step::Idle);
        assert_eq!(store.over.load(Ordering::SeqCst), 0);
    }
}
