//! The bus within one process: durable queues in a SQLite file, calls and broadcasts in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use chassis::Runnable;
use kernel::{Clock, Refusal, Timestamp};

use crate::receiver::Receiver;
use crate::schedule::Schedule;
use crate::told::Publishing;
use crate::topic::{Pattern, parse};
use crate::{Bus, BusError, Call, CallHandler, Envelope, Handler, Subscription};

mod broadcast;
mod calls;
mod consumer;
mod listing;
mod queue;
mod store;
#[cfg(test)]
mod tests;

use broadcast::Audience;
use calls::Exchange;
use consumer::Consumer;
pub use listing::Listing;
use listing::Register;
use queue::Queue;
use store::Store;

/// What traces call this bus.
const SYSTEM: &str = "portal.local";

/// The bus of a portal that is one process.
pub struct BusLocal {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    schedule: Arc<Schedule>,
    queues: RwLock<BTreeMap<String, Arc<Queue>>>,
    /// Held while a queue is made or changed.
    declaring: tokio::sync::Mutex<()>,
    audience: Audience,
    exchange: Arc<Exchange>,
    register: Register,
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its place in the queue.
    pub position: i64,
    /// When it was given up.
    pub died_at: Timestamp,
    /// How often it was delivered.
    pub deliveries: u32,
    /// The kind of the last refusal, in snake case.
    pub kind: String,
    /// The code of the last refusal.
    pub code: String,
    /// What the handler said.
    pub detail: String,
    /// The message.
    pub message: Envelope,
}

/// How full a durable queue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// Its name.
    pub queue: String,
    /// Messages that wait or are in a consumer's hand.
    pub waiting: u64,
    /// Messages that were given up.
    pub dead: u64,
}

impl BusLocal {
    /// Opens (and creates) the file at `path`.
    ///
    /// # Errors
    /// Where it can't be opened or is open in another process.
    pub async fn open(path: &str, clock: Arc<dyn Clock>, schedule: Schedule) -> Result<Self, BusError> {
        let store = Store::open(path).await?;
        let mut queues = BTreeMap::new();
        for (name, (id, patterns)) in store.queues().await? {
            let patterns = parse(&patterns)?;
            queues.insert(name.clone(), Arc::new(Queue::new(id, &name, patterns)));
        }
        Ok(Self {
            store: Arc::new(store),
            clock,
            schedule: Arc::new(schedule),
            queues: RwLock::new(queues),
            declaring: tokio::sync::Mutex::default(),
            audience: Audience::default(),
            exchange: Arc::default(),
            register: Register::default(),
        })
    }

    /// The oldest dead letters of a durable queue, at most `limit`.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn dead_letters(&self, queue: &str, limit: u32) -> Result<Vec<DeadLetter>, BusError> {
        Ok(self.store.dead_letters(queue, limit).await?)
    }

    /// How full each durable queue is, by name.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn depths(&self) -> Result<Vec<Depth>, BusError> {
        Ok(self.store.depths().await?)
    }

    /// Makes every consumer look at what is due now: for whoever moves the clock.
    pub fn look_again(&self) {
        self.all().iter().for_each(|queue| queue.wake());
    }

    fn all(&self) -> Vec<Arc<Queue>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    async fn declare(&self, name: &str, patterns: Vec<Pattern>) -> Result<Arc<Queue>, BusError> {
        let _one_at_a_time = self.declaring.lock().await;
        let texts: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
        let id = self.store.declare(name, &texts).await?;
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        let queue =
            queues.entry(name.to_owned()).or_insert_with(|| Arc::new(Queue::new(id, name, Vec::new())));
        queue.rebind(patterns);
        Ok(queue.clone())
    }

    /// Puts messages where they are wanted.
    async fn deliver(&self, messages: &[Envelope]) -> Result<(), BusError> {
        let queues = self.all();
        let wanted_by = |message: &Envelope| -> Vec<i64> {
            queues.iter().filter(|queue| queue.wants(&message.key)).map(|queue| queue.id).collect()
        };
        let addressed: Vec<(&Envelope, Vec<i64>)> =
            messages.iter().map(|message| (message, wanted_by(message))).collect();
        if addressed.iter().any(|(_, queues)| !queues.is_empty()) {
            self.store.append(&addressed, self.clock.now()).await?;
        }
        for (message, queues) in &addressed {
            let heard = self.audience.tell(message);
            if !heard && queues.is_empty() {
                tracing::warn!(
                    key = message.key,
                    kind = message.kind,
                    caused_by = message.trace.id(),
                    "nobody subscribes to the key of this message"
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
impl Bus for BusLocal {
    async fn publish(&self, mut messages: Vec<Envelope>) -> Result<(), BusError> {
        let publishing = Publishing::begin(SYSTEM, &mut messages);
        publishing.end(self.deliver(&messages).await)
    }

    async fn subscribe(
        &self,
        subscription: Subscription,
        handler: Arc<dyn Handler>,
    ) -> Result<Box<dyn Runnable>, BusError> {
        let patterns = parse(&subscription.keys)?;
        self.register.subscribed(&subscription);
        let Subscription { queue, service, budget, .. } = subscription;
        let receiver = |queue: Option<&str>| Receiver::new(SYSTEM, service, queue, budget, handler);
        let name = match queue {
            crate::Queue::Broadcast => return Ok(Box::new(self.audience.join(patterns, receiver(None)))),
            crate::Queue::Durable(name) => name,
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
        self.register.serves(service, address);
        Ok(Box::new(self.exchange.open(service, address, handler)))
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
