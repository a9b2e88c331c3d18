use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{Runnable, StoreFailure};
use kernel::{Class, Fault, Kind, Refusal};

use crate::Envelope;

/// How long a handler may take with one message unless its subscription says otherwise.
pub const HANDLER_BUDGET: Duration = Duration::from_secs(10);

/// What carries messages and calls between the services. The laws are in the crate's documentation; each is a case of
/// the contract suite that every adapter passes.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Takes all messages or none. `Ok` means that every durable queue that wants them has them and that they survive
    /// a crash of this process. After an error, or where the caller does not wait for the answer, they may be there or
    /// not: send them again, under the same ids.
    async fn publish(&self, messages: Vec<Envelope>) -> Result<(), BusError>;

    /// Makes the queue, if it is not there, and gives back its consumer, which receives while it runs. A durable queue
    /// takes messages from the moment this returns, whether its consumer runs or not.
    async fn subscribe(
        &self,
        subscription: Subscription,
        handler: Arc<dyn Handler>,
    ) -> Result<Box<dyn Runnable>, BusError>;

    /// Asks whoever serves `address`, for as long as the deadline of `Context::current()` allows. What the server
    /// refuses comes back as it was refused. Nobody there: `Unavailable`; the time is over: `Timeout` with the code
    /// `deadline_exceeded`; the server panicked: `Internal`. A caller that stops waiting stops the server's work too.
    async fn call(&self, address: &str, call: Call) -> Result<Bytes, Refusal>;

    /// Answers calls to `address` on behalf of `service` until the runnable that this gives back stops or is dropped.
    /// Several servers of one address share its calls.
    async fn serve(
        &self,
        service: &'static str,
        address: &str,
        handler: Arc<dyn CallHandler>,
    ) -> Result<Box<dyn Runnable>, BusError>;

    /// Removes the dead letters that name this person, and what is left of messages about them that were handled. Only letters whose
    /// subject is the person stay: they say what becomes of the account, and nothing else. Returns false if messages that
    /// name the person still wait to be handled: call it again later.
    async fn forget(&self, person: &str) -> Result<bool, BusError>;

    /// Whether the bus answers at this moment; for `/readyz`.
    async fn ping(&self) -> Result<(), BusError>;

    /// Whether messages can be taken at this moment; for `/readyz`.
    async fn try_write(&self) -> Result<(), BusError>;

    /// Lets go of connections and files. Called once consumers and workers have stopped; a second time does nothing.
    async fn close(&self);
}

/// Where the messages of a subscription wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queue {
    /// A queue of this name (`<service>.<purpose>`) that survives crashes. Everyone who subscribes to it shares its
    /// messages: each is handled by one of them.
    Durable(String),
    /// A queue in memory for this subscription alone: every process gets every message that comes while it runs.
    Broadcast,
}

/// Which messages a service wants, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Where they wait.
    pub queue: Queue,
    /// The routing keys: topic patterns with `*` and `#`. Everyone who shares a queue names the same ones.
    pub keys: Vec<String>,
    /// The service that handles them: the name in its logs.
    pub service: &'static str,
    /// How long the handler may take with one message. When it is over the handler is dropped, which counts as `Timeout`.
    pub budget: Duration,
}

impl Subscription {
    /// A share in the durable queue `name`, with the usual budget.
    pub fn durable<K: Into<String>>(
        service: &'static str,
        name: impl Into<String>,
        keys: impl IntoIterator<Item = K>,
    ) -> Self {
        Self::new(service, Queue::Durable(name.into()), keys)
    }

    /// Everything that comes while it runs, with the usual budget.
    pub fn broadcast<K: Into<String>>(service: &'static str, keys: impl IntoIterator<Item = K>) -> Self {
        Self::new(service, Queue::Broadcast, keys)
    }

    /// The same with another budget for each message.
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    fn new<K: Into<String>>(service: &'static str, queue: Queue, keys: impl IntoIterator<Item = K>) -> Self {
        let keys = keys.into_iter().map(Into::into).collect();
        Self { queue, keys, service, budget: HANDLER_BUDGET }
    }
}

/// What a service does with a message. It runs in a `Context` of its service, with the message's trace and a deadline.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// `Ok` means that the effect is stored: the message is gone from the queue. Else its kind decides: what is
    /// transient comes later, `Stale` once more, anything else goes to the dead letters. The same message may come
    /// again after `Ok`, so the effect must be one that can be repeated. The bus logs the failure with all its causes; a
    /// handler does not.
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>>;
}

/// A request to a service that answers over the bus.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// The name of the request in `proto/`, such as `GetArticle`.
    pub method: String,
    /// The request itself in protobuf.
    pub body: Bytes,
    /// The caller's token, which the server verifies by itself.
    pub token: Option<String>,
    /// Under one key a command has one effect, however often it is sent.
    pub idempotency_key: Option<String>,
}

/// Neither the token nor the body may reach a log.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What a service answers to calls. It runs in a `Context` of its service, with the caller's trace and deadline.
#[async_trait]
pub trait CallHandler: Send + Sync + 'static {
    /// The reply in protobuf, or why there is none: the caller gets its refusal. Where the cause lies with us the bus logs
    /// it; a handler does not. Dropped when the caller stops waiting.
    async fn call(&self, call: &Call) -> Result<Bytes, Box<dyn Fault>>;
}

/// What keeps the bus from doing what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The store of the local bus failed.
    #[error(transparent)]
    Store(#[from] StoreFailure),
    /// No adapter speaks this.
    #[error("{0}")]
    Url(String),
    /// The broker is away, or did not answer in time.
    #[error("{0}")]
    Away(String),
    /// The broker will not do it however often it is asked: a permission that lacks, a queue that is there and different.
    #[error("{0}")]
    Refused(String),
    /// A name or pattern that no queue can have: a defect of the program.
    #[error("{0}")]
    Name(String),
}

impl Fault for BusError {
    fn classify(&self) -> Class<'_> {
        match self {
            BusError::Store(failure) => Class::Inner(failure),
            BusError::Url(_) => Class::own(Kind::Internal, "bus_url"),
            BusError::Away(_) => Class::own(Kind::Unavailable, "bus_unavailable"),
            BusError::Refused(_) => Class::own(Kind::Internal, "bus_refused"),
            BusError::Name(_) => Class::own(Kind::Internal, "bus_name"),
        }
    }
}
