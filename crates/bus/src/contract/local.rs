use std::sync::Arc;

use async_trait::async_trait;
use kernel::SystemClock;
use testkit::Folder;
use tokio::sync::OnceCell;

use super::{Fixture, every_case};
use crate::{Bus, DeadLetter, LocalBus, Schedule};

pub(super) struct LocalFixture {
    folder: Folder,
    bus: OnceCell<Arc<LocalBus>>,
}

impl LocalFixture {
    async fn open(&self) -> Arc<LocalBus> {
        let path = self.folder.join("bus.db");
        let schedule = Schedule::new([std::time::Duration::ZERO; 5]);
        let open = || async {
            LocalBus::open(path.to_str().expect("a plain path"), Arc::new(SystemClock), schedule)
                .await
                .map(Arc::new)
        };
        self.bus.get_or_try_init(open).await.expect("the bus opens").clone()
    }
}

#[async_trait]
impl Fixture for LocalFixture {
    async fn new() -> Self {
        Self { folder: Folder::new(), bus: OnceCell::new() }
    }

    fn url(&self) -> String {
        format!("local:{}", self.folder.join("bus.db").display())
    }

    async fn bus(&self) -> Arc<dyn Bus> {
        self.open().await
    }

    async fn dead_letters(&self, queue: &str) -> Vec<DeadLetter> {
        self.open().await.dead_letters(queue, 100).await.expect("the store answers")
    }
}

every_case!(LocalFixture::new);
