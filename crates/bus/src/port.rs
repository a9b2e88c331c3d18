use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{Runnable, StoreFailure};
use kernel::{Class, Fault, Kind, Refusal, Timestamp};

use crate::Envelope;

/// The time that a handler has for one message, unless its subscription sets another.
pub const HANDLER_BUDGET: Duration = Duration::from_secs(10);

/// The code of the refusal of a call that no process has answered, because none serves its address. It comes
/// immediately.
pub const NO_SERVER: &str = "no_server";

/// Returns the refusal of a call that no process serves.
pub(crate) fn no_server() -> Refusal {
    Refusal::new(Kind::Unavailable, NO_SERVER, Kind::Unavailable.sentence())
}

/// The port that carries messages and calls between the services.
///
/// The laws are in the crate's documentation. Each is a case of the contract suite that every adapter passes.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes all messages or none. `Ok` means that every durable queue that subscribes to them has stored
    /// them, and that they survive a crash of this process. After an error it is unknown whether they were
    /// stored, and likewise if the caller stops waiting. In both cases publish them again under the same ids.
    async fn publish(&self, messages: Vec<Envelope>) -> Result<(), BusError>;

    /// Creates the queue if it does not exist, and returns its consumer, which receives while it runs. A
    /// durable queue collects messages from the moment this returns, whether its consumer runs or not.
    async fn subscribe(
        &self,
        subscription: Subscription,
        handler: Arc<dyn Handler>,
    ) -> Result<Box<dyn Runnable>, BusError>;

    /// Sends a call to `address` and waits for the reply until the deadline of `Context::current()`.
    ///
    /// * A refusal of the server is returned unchanged.
    /// * `Unavailable` with the code [`NO_SERVER`]: no process serves the address, or the one that received
    ///   the call has ended.
    /// * `Unavailable` with another code: the bus is unavailable.
    /// * `Timeout` with the code `deadline_exceeded`: the time is over.
    /// * `Internal`: the server panicked.
    ///
    /// If the caller stops waiting, the server's work is stopped too.
    async fn call(&self, address: &str, call: Call) -> Result<Bytes, Refusal>;

    /// Serves calls to `address` on behalf of `service` until the returned runnable stops or is dropped.
    /// Several servers of one address share its calls.
    async fn serve(
        &self,
        service: &'static str,
        address: &str,
        handler: Arc<dyn CallHandler>,
    ) -> Result<Box<dyn Runnable>, BusError>;

    /// Removes the dead letters that name this person, and the remains of handled messages about them. Only
    /// letters whose subject is the person stay, because they say what happens to the account and nothing
    /// else. Returns false if messages that name the person still wait to be handled. In that case call it
    /// again later.
    async fn forget(&self, person: &str) -> Result<bool, BusError>;

    /// Succeeds if the bus answers now. For `/readyz`.
    async fn ping(&self) -> Result<(), BusError>;

    /// Succeeds if the bus accepts messages now. For `/readyz`.
    async fn try_write(&self) -> Result<(), BusError>;

    /// Closes connections and files, after consumers and workers have stopped. A second call does nothing.
    async fn close(&self);
}

/// The queue in which the messages of a subscription wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queue {
    /// A queue of this name (`<service>.<purpose>`) that survives crashes. Its subscribers share the
    /// messages: each message is handled by one of them.
    Durable(String),
    /// A queue in memory for this subscription alone. Every process gets every message that is published
    /// while it runs.
    Broadcast,
}

/// The messages that a service receives, and the way in which it receives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The queue in which they wait.
    pub queue: Queue,
    /// The routing keys: topic patterns with `*` and `#`. All subscribers of one queue name the same keys.
    pub keys: Vec<String>,
    /// The service that handles them, as its logs name it.
    pub service: &'static str,
    /// The time that the handler has for one message. When it is over, the handler is dropped, which counts
    /// as `Timeout`.
    pub budget: Duration,
}

impl Subscription {
    /// Returns a subscription of the durable queue `name`, with the default budget.
    pub fn durable<K: Into<String>>(
        service: &'static str,
        name: impl Into<String>,
        keys: impl IntoIterator<Item = K>,
    ) -> Self {
        Self::new(service, Queue::Durable(name.into()), keys)
    }

    /// Returns a subscription of everything that is published while it runs, with the default budget.
    pub fn broadcast<K: Into<String>>(service: &'static str, keys: impl IntoIterator<Item = K>) -> Self {
        Self::new(service, Queue::Broadcast, keys)
    }

    /// Sets another budget for each message.
    #[must_use]
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    fn new<K: Into<String>>(service: &'static str, queue: Queue, keys: impl IntoIterator<Item = K>) -> Self {
        let keys = keys.into_iter().map(Into::into).collect();
        Self { queue, keys, service, budget: HANDLER_BUDGET }
    }
}

/// The handler of a service for messages. It runs in a `Context` of its service, with the message's trace and
/// a deadline.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Handles one message. `Ok` means that the effect is stored, and the message leaves the queue. After an
    /// error its kind decides: a transient one is retried later, `Stale` is retried once, any other goes to
    /// the dead letters.
    ///
    /// A message may be delivered again after `Ok`, so the effect must be repeatable. The bus logs a failure
    /// with all its causes, so the handler does not.
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>>;
}

/// A request to a service over the bus.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// The name of the request in `proto/`, such as `GetArticle`.
    pub method: String,
    /// The request in protobuf.
    pub body: Bytes,
    /// The caller's token. The server verifies it again.
    pub token: Option<String>,
    /// The key under which a command has one effect, however often it is sent.
    pub idempotency_key: Option<String>,
}

/// Leaves out the token and the body, which must not reach a log.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The handler of a service for calls. It runs in a `Context` of its service, with the caller's trace and
/// deadline.
#[async_trait]
pub trait CallHandler: Send + Sync + 'static {
    /// Returns the reply in protobuf. The caller receives an error as its refusal. If the cause is a fault of
    /// ours, the bus logs it, so the handler does not. The future is dropped when the caller stops waiting.
    async fn call(&self, call: &Call) -> Result<Bytes, Box<dyn Fault>>;
}

/// A message that was given up, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its position in the queue.
    pub position: i64,
    /// The time at which it was given up.
    pub died_at: Timestamp,
    /// The number of deliveries.
    pub deliveries: u32,
    /// The kind of the last refusal, in snake case.
    pub kind: String,
    /// The code of the last refusal.
    pub code: String,
    /// The sentence of the last refusal.
    pub detail: String,
    /// The message.
    pub message: Envelope,
}

/// A failure of the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The store of the local bus failed.
    #[error(transparent)]
    Store(#[from] StoreFailure),
    /// The URL is not an address of any adapter, or not allowed here.
    #[error("{0}")]
    Url(String),
    /// The broker is unavailable, or did not answer in time.
    #[error("{0}")]
    Unavailable(String),
    /// The broker refuses the operation, and repeating it does not help: a permission is missing, or the
    /// queue exists with other properties.
    #[error("{0}")]
    Refused(String),
    /// The name or pattern is not valid for a queue. This is a defect of the program.
    #[error("{0}")]
    Name(String),
}

impl Fault for BusError {
    fn classify(&self) -> Class<'_> {
        match self {
            BusError::Store(failure) => Class::Inner(failure),
            BusError::Url(_) => Class::own(Kind::Internal, "bus_url"),
            BusError::Unavailable(_) => Class::own(Kind::Unavailable, "bus_unavailable"),
            BusError::Refused(_) => Class::own(Kind::Internal, "bus_refused"),
            BusError::Name(_) => Class::own(Kind::Internal, "bus_name"),
        }
    }
}
