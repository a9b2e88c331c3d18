//! The bus within one process: durable queues in a SQLite file, calls and broadcasts in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use chassis::Runnable;
use kernel::{Clock, Refusal};

use crate::instrument::Publication;
use crate::receiver::Receiver;
use crate::schedule::Schedule;
use crate::topic::{Pattern, parse_all};
use crate::{Bus, BusError, Call, CallHandler, DeadLetter, Envelope, Handler, Queue, Subscription};

mod broadcast;
mod calls;
mod consumer;
mod declarations;
mod queue;
mod store;
#[cfg(test)]
mod tests;

use broadcast::Broadcasts;
use calls::Exchange;
use consumer::Consumer;
use declarations::DeclarationLog;
pub use declarations::Declarations;
use queue::QueueState;
use store::Store;

/// The name of this adapter in traces.
const SYSTEM: &str = "portal.local";

/// The bus of a portal that is one process.
pub struct LocalBus {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    schedule: Arc<Schedule>,
    queues: RwLock<BTreeMap<String, Arc<QueueState>>>,
    /// Held while a queue is created or changed.
    declaring: tokio::sync::Mutex<()>,
    broadcasts: Broadcasts,
    exchange: Arc<Exchange>,
    declared: DeclarationLog,
}

/// The numbers of messages in a durable queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    /// The name of the queue.
    pub queue: String,
    /// Messages that wait or are being handled.
    pub waiting: u64,
    /// Dead letters: messages that failed too often.
    pub dead: u64,
}

impl LocalBus {
    /// Opens the file at `path`, and creates it if it does not exist.
    ///
    /// # Errors
    /// If the file can't be opened, or is open in another process.
    pub async fn open(path: &str, clock: Arc<dyn Clock>, schedule: Schedule) -> Result<Self, BusError> {
        let store = Store::open(path).await?;
        let mut queues = BTreeMap::new();
        for (name, (id, patterns)) in store.queues().await? {
            let patterns = parse_all(&patterns)?;
            queues.insert(name.clone(), Arc::new(QueueState::new(id, &name, patterns)));
        }
        Ok(Self {
            store: Arc::new(store),
            clock,
            schedule: Arc::new(schedule),
            queues: RwLock::new(queues),
            declaring: tokio::sync::Mutex::default(),
            broadcasts: Broadcasts::default(),
            exchange: Arc::default(),
            declared: DeclarationLog::default(),
        })
    }

    /// Returns the oldest dead letters of a durable queue, at most `limit`.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn dead_letters(&self, queue: &str, limit: u32) -> Result<Vec<DeadLetter>, BusError> {
        Ok(self.store.dead_letters(queue, limit).await?)
    }

    /// Returns the depth of each durable queue, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn depths(&self) -> Result<Vec<QueueDepth>, BusError> {
        Ok(self.store.depths().await?)
    }

    /// Wakes every consumer, so that it looks for due messages. For tests that have advanced the clock.
    pub fn wake_consumers(&self) {
        self.all_queues().iter().for_each(|queue| queue.wake());
    }

    fn all_queues(&self) -> Vec<Arc<QueueState>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    async fn declare(&self, name: &str, patterns: Vec<Pattern>) -> Result<Arc<QueueState>, BusError> {
        let _one_at_a_time = self.declaring.lock().await;
        let texts: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
        let id = self.store.declare(name, &texts).await?;
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        let queue =
            queues.entry(name.to_owned()).or_insert_with(|| Arc::new(QueueState::new(id, name, Vec::new())));
        queue.rebind(patterns);
        Ok(queue.clone())
    }

    /// Stores messages in the queues that subscribe to them, and sends them to the subscribers of broadcasts.
    async fn deliver(&self, messages: &[Envelope]) -> Result<(), BusError> {
        let queues = self.all_queues();
        let queues_of = |message: &Envelope| -> Vec<i64> {
            queues.iter().filter(|queue| queue.wants(&message.key)).map(|queue| queue.id).collect()
        };
        let addressed: Vec<(&Envelope, Vec<i64>)> =
            messages.iter().map(|message| (message, queues_of(message))).collect();
        if addressed.iter().any(|(_, queues)| !queues.is_empty()) {
            self.store.append(&addressed, self.clock.now()).await?;
        }
        for (message, queues) in &addressed {
            let is_broadcast = self.broadcasts.send(message);
            if !is_broadcast && queues.is_empty() {
                tracing::warn!(
                    key = message.key,
                    kind = message.kind,
                    caused_by = message.trace.id(),
                    "no subscription matches the key of this message"
                );
            }
        }
        for queue in queues.iter().filter(|queue| addressed.iter().any(|(_, ids)| ids.contains(&queue.id))) {
            queue.wake();
        }
        Ok(())
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, mut messages: Vec<Envelope>) -> Result<(), BusError> {
        let publication = Publication::begin(SYSTEM, &mut messages);
        publication.end(self.deliver(&messages).await)
    }

    async fn subscribe(
        &self,
        subscription: Subscription,
        handler: Arc<dyn Handler>,
    ) -> Result<Box<dyn Runnable>, BusError> {
        let patterns = parse_all(&subscription.keys)?;
        self.declared.add_subscription(&subscription);
        let Subscription { queue, service, budget, .. } = subscription;
        let receiver = |queue: Option<&str>| Receiver::new(SYSTEM, service, queue, budget, handler);
        let name = match queue {
            Queue::Broadcast => return Ok(Box::new(self.broadcasts.subscribe(patterns, receiver(None)))),
            Queue::Durable(name) => name,
        };
        if name.is_empty() {
            return Err(BusError::Name("a durable queue needs a name such as news.projection".to_owned()));
        }
        let queue = self.declare(&name, patterns).await?;
        Ok(Box::new(Consumer {
            queue,
            store: self.store.clone(),
            clock: self.clock.clone(),
            schedule: self.schedule.clone(),
            receiver: receiver(Some(&name)),
        }))
    }

    async fn call(&self, address: &str, call: Call) -> Result<Bytes, Refusal> {
        self.exchange.call(address, call).await
    }

    async fn serve(
        &self,
        service: &'static str,
        address: &str,
        handler: Arc<dyn CallHandler>,
    ) -> Result<Box<dyn Runnable>, BusError> {
        self.declared.add_address(service, address);
        Ok(Box::new(self.exchange.serve(service, address, handler)))
    }

    async fn forget(&self, person: &str) -> Result<bool, BusError> {
        Ok(self.store.forget(person).await?)
    }

    async fn ping(&self) -> Result<(), BusError> {
        Ok(self.store.ping().await?)
    }

    async fn try_write(&self) -> Result<(), BusError> {
        Ok(self.store.try_write().await?)
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
