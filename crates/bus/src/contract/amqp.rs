use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use testkit::Vhost;
use tokio::sync::OnceCell;

use super::{Fixture, every_case};
use crate::{AmqpBus, Bus, DeadLetter, Schedule};

pub(super) struct AmqpFixture {
    vhost: Vhost,
    bus: OnceCell<Arc<AmqpBus>>,
}

impl AmqpFixture {
    async fn open(&self) -> Arc<AmqpBus> {
        // The broker keeps these pauses. Two messages of equal pause share a queue.
        let schedule = Schedule::new([1, 2, 2, 5, 10].map(Duration::from_millis));
        let open = || async { AmqpBus::open(&self.url(), schedule).await.map(Arc::new) };
        self.bus.get_or_try_init(open).await.expect("the bus opens").clone()
    }
}

#[async_trait]
impl Fixture for AmqpFixture {
    async fn new() -> Self {
        Self { vhost: Vhost::new().await, bus: OnceCell::new() }
    }

    fn url(&self) -> String {
        self.vhost.url()
    }

    async fn bus(&self) -> Arc<dyn Bus> {
        self.open().await
    }

    async fn dead_letters(&self, queue: &str) -> Vec<DeadLetter> {
        self.open().await.dead_letters(queue, 100).await.expect("the broker answers")
    }
}

every_case!(AmqpFixture::new, ignore = "needs rabbitmq");
