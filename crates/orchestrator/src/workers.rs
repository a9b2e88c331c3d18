//! The worker that publishes readings.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::{Step, Worker};
use kernel::Fault;
use tokio::sync::Notify;

use crate::app::ReadingQueue;
use crate::ports::{ReadingSink, SinkError};

/// The number of readings that are published together.
const BATCH: usize = 100;

/// The worker that publishes the readings of the [`ReadingQueue`], oldest first. If the bus does not confirm
/// them, they stay in the queue and are published again.
pub struct PublishReadings {
    /// The waiting readings.
    pub queue: Arc<ReadingQueue>,
    /// The sink that publishes them.
    pub sink: Arc<dyn ReadingSink>,
    /// The time for the bus to confirm a batch.
    pub timeout: Duration,
}

#[async_trait]
impl Worker for PublishReadings {
    fn name(&self) -> &'static str {
        "orchestrator.readings"
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        let batch = self.queue.oldest(BATCH);
        if batch.is_empty() {
            return Ok(Step::Idle);
        }
        match tokio::time::timeout(self.timeout, self.sink.publish(&batch)).await {
            Ok(Ok(())) => {
                self.queue.remove_oldest(batch.len());
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

    /// A sink that fails a number of times, and records the ids that it was asked to publish.
    struct FlakySink {
        failures: Mutex<u32>,
        published: Mutex<Vec<Vec<MessageId>>>,
    }

    #[async_trait]
    impl ReadingSink for FlakySink {
        async fn publish(&self, readings: &[Reading]) -> Result<(), SinkError> {
            self.published.lock().expect("a lock").push(readings.iter().map(|reading| reading.id).collect());
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
    async fn readings_that_were_not_confirmed_are_published_again_with_the_same_ids_in_order() {
        let queue = Arc::new(ReadingQueue::new(500));
        (0..250).for_each(|number| queue.offer(reading(number)));
        let sink = Arc::new(FlakySink { failures: Mutex::new(1), published: Mutex::default() });
        let worker =
            PublishReadings { queue: queue.clone(), sink: sink.clone(), timeout: Duration::from_secs(5) };
        assert!(worker.step().await.is_err());
        assert_eq!(queue.len(), 250, "no reading is lost");
        while worker.step().await.expect("the sink works now") == Step::Worked {}
        let published = sink.published.lock().expect("a lock").clone();
        assert_eq!(published[0], published[1]);
        let all: Vec<u128> = published[1..].concat().into_iter().map(|id| id.uuid().as_u128()).collect();
        assert_eq!(all, (0..250).collect::<Vec<u128>>());
        assert!(queue.is_empty());
    }

    #[test]
    fn a_full_queue_drops_the_newest_and_counts_them() {
        let queue = ReadingQueue::new(2);
        (0..5).for_each(|number| queue.offer(reading(number)));
        assert_eq!((queue.len(), queue.dropped()), (2, 3));
        let waiting: Vec<u128> = queue.oldest(10).iter().map(|reading| reading.id.uuid().as_u128()).collect();
        assert_eq!(waiting, [0, 1]);
    }
}
