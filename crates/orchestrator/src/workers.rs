//! The loop that tells readings to the bus.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::{Step, Worker};
use kernel::Fault;
use tokio::sync::Notify;

use crate::app::ReadingQueue;
use crate::ports::{ReadingSink, SinkError};

/// How many readings are told at once.
const BATCH: usize = 100;

/// Tells what waits in the [`ReadingQueue`], the oldest first. What the bus did not take stays there and is tried again.
pub struct TellReadings {
    /// What waits.
    pub queue: Arc<ReadingQueue>,
    /// Where it is told.
    pub sink: Arc<dyn ReadingSink>,
    /// How long the bus may take for a batch.
    pub patience: Duration,
}

#[async_trait]
impl Worker for TellReadings {
    fn name(&self) -> &'static str {
        "orchestrator.readings"
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        let batch = self.queue.oldest(BATCH);
        if batch.is_empty() {
            return Ok(Step::Idle);
        }
        match tokio::time::timeout(self.patience, self.sink.tell(&batch)).await {
            Ok(Ok(())) => {
                self.queue.forget(batch.len());
                Ok(Step::Worked)
            }
            Ok(Err(error)) => Err(Box::new(error)),
            Err(_) => Err(Box::new(SinkError::Timeout)),
        }
    }

    fn wake(&self) -> Arc<Notify> {
        self.queue.wake()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use kernel::{ArticleId, MessageId, Section, Timestamp, Trace, UserId, Version};
    use uuid::Uuid;

    use super::*;
    use crate::domain::Reading;

    /// Fails as often as it is told to, and keeps what it was asked to tell.
    struct Flaky {
        failures: Mutex<u32>,
        told: Mutex<Vec<Vec<MessageId>>>,
    }

    #[async_trait]
    impl ReadingSink for Flaky {
        async fn tell(&self, readings: &[Reading]) -> Result<(), SinkError> {
            self.told.lock().expect("a lock").push(readings.iter().map(|reading| reading.id).collect());
            let mut failures = self.failures.lock().expect("a lock");
            let fails = *failures > 0;
            *failures = failures.saturating_sub(1);
            if fails { Err(SinkError::Timeout) } else { Ok(()) }
        }
    }

    fn reading(number: u128) -> Reading {
        Reading {
            id: MessageId::new(Uuid::from_u128(number)),
            reader: UserId::new(Uuid::from_u128(1)),
            article: ArticleId::new(Uuid::from_u128(2)),
            section: Section::Sports,
            version: Version::FIRST,
            labels: Vec::new(),
            at: Timestamp::from_millis(1),
            trace: Trace::start(),
        }
    }

    #[tokio::test]
    async fn what_the_bus_did_not_take_is_told_again_under_the_same_ids_and_in_order() {
        let queue = Arc::new(ReadingQueue::new(500));
        (0..250).for_each(|number| queue.offer(reading(number)));
        let sink = Arc::new(Flaky { failures: Mutex::new(1), told: Mutex::default() });
        let worker =
            TellReadings { queue: queue.clone(), sink: sink.clone(), patience: Duration::from_secs(5) };
        assert!(worker.step().await.is_err());
        assert_eq!(queue.len(), 250, "nothing is lost");
        while worker.step().await.expect("works now") == Step::Worked {}
        let told = sink.told.lock().expect("a lock").clone();
        assert_eq!(told[0], told[1]);
        let all: Vec<u128> = told[1..].concat().into_iter().map(|id| id.uuid().as_u128()).collect();
        assert_eq!(all, (0..250).collect::<Vec<u128>>());
        assert!(queue.is_empty());
    }

    #[test]
    fn a_full_queue_drops_the_newest_and_counts_them() {
        let queue = ReadingQueue::new(2);
        (0..5).for_each(|number| queue.offer(reading(number)));
        assert_eq!((queue.len(), queue.dropped()), (2, 3));
        let kept: Vec<u128> = queue.oldest(10).iter().map(|reading| reading.id.uuid().as_u128()).collect();
        assert_eq!(kept, [0, 1]);
    }
}
