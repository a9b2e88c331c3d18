//! The side of the caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chassis::{Context, causes};
use futures::StreamExt;
use kernel::{Kind, Refusal};
use lapin::BasicProperties;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::codec;
use super::connection::{Link, bus_error, open_channel, unavailable};
use super::publisher::{OutboundMessage, Publisher};
use super::topology::{self, REPLIES, ServiceExchange};
use crate::port::no_server;
use crate::{BusError, Call, instrument};

/// The message type of a reply that is a refusal, as JSON.
pub(super) const REFUSAL: &str = "Refusal";
const TRANSIENT: u8 = 1;
/// The most calls that were given up and whose servers are not notified yet. The servers of any more stop
/// only at the deadline.
const MAX_GIVEN_UP: usize = 1024;

/// The reply to a call.
type Reply = Result<Bytes, Refusal>;

/// The calls that wait for their reply, by correlation id.
type Pending = Arc<Mutex<HashMap<String, oneshot::Sender<Reply>>>>;

/// The sender of calls. It assigns each reply to its call.
pub(super) struct CallSender {
    service: String,
    /// The exchange that it sends to.
    exchange: String,
    link: Arc<Link>,
    requests: Arc<Publisher>,
    pending: Pending,
    /// The queue of replies on the current connection.
    replies: Arc<tokio::sync::Mutex<Option<ReplyQueue>>>,
    /// Address and id of each call that was given up, for its server.
    given_up: mpsc::Sender<(String, String)>,
}

/// The queue of this process for replies.
#[derive(Clone)]
struct ReplyQueue {
    name: String,
    /// Cancelled when the queue is lost, and with it every outstanding reply.
    lost: CancellationToken,
}

impl CallSender {
    /// Creates a sender that sends over `outgoing` and receives over `incoming`. The name of its reply queue
    /// begins with `service`.
    pub(super) fn new(service: &str, outgoing: &Arc<Link>, incoming: &Arc<Link>) -> Self {
        let pending = Pending::default();
        let pending_calls = pending.clone();
        let own = ServiceExchange::calls(service);
        let exchange = own.name.clone();
        let requests = Publisher::confirming(outgoing, move |returned| {
            let id = returned.properties.correlation_id().as_ref().map_or("", |id| id.as_str());
            resolve(&pending_calls, id, Err(no_server()));
        });
        let requests = Arc::new(requests.through(own));
        let (given_up, to_notify) = mpsc::channel(MAX_GIVEN_UP);
        chassis::spawn("bus.given-up", notify_servers(to_notify, exchange.clone(), requests.clone()));
        Self {
            service: service.to_owned(),
            exchange,
            link: incoming.clone(),
            requests,
            pending,
            replies: Arc::default(),
            given_up,
        }
    }

    /// Sends a call and waits for its reply until the deadline of the current context.
    pub(super) async fn call(&self, address: &str, call: Call) -> Reply {
        let caller = Context::current();
        let (span, trace) = instrument::start_client(caller.service, address, &call.method, caller.trace);
        let reply = self.call_in(&Context { trace, ..caller }, address, call).await;
        instrument::end_call(span, &reply);
        reply
    }

    async fn call_in(&self, caller: &Context, address: &str, call: Call) -> Reply {
        let deadline = caller.deadline.instant().into();
        if caller.deadline.left().is_zero() {
            return Err(deadline_exceeded());
        }
        let sent = tokio::time::timeout_at(deadline, self.send(address, call, caller)).await;
        let (replies, mut pending) = match sent {
            Ok(sent) => sent.map_err(|fault| {
                tracing::warn!(address, cause = causes(&fault), "a call could not be sent");
                bus_unavailable()
            })?,
            Err(_elapsed) => return Err(deadline_exceeded()),
        };
        let replied = async {
            tokio::select! {
                biased;
                reply = &mut pending.reply => reply.unwrap_or_else(|_| Err(bus_unavailable())),
                () = replies.lost.cancelled() => Err(bus_unavailable()),
            }
        };
        let reply = tokio::time::timeout_at(deadline, replied).await;
        pending.has_ended = true;
        reply.unwrap_or_else(|_elapsed| Err(deadline_exceeded()))
    }

    /// Sends the request. When this returns, the request is on its way, but not confirmed: the reply follows
    /// it anyway.
    async fn send(
        &self,
        address: &str,
        call: Call,
        caller: &Context,
    ) -> Result<(ReplyQueue, PendingCall), BusError> {
        let replies = self.reply_queue().await?;
        let id = Uuid::new_v4().to_string();
        let properties = request_properties(&id, &replies.name, &call, caller)?;
        let key = codec::short("an address", address)?.to_string();
        let (sender, reply) = oneshot::channel();
        lock(&self.pending).insert(id.clone(), sender);
        let pending_call = PendingCall {
            id: id.clone(),
            address: key.clone(),
            reply,
            pending: self.pending.clone(),
            given_up: self.given_up.clone(),
            has_ended: false,
        };
        let exchange = self.exchange.clone();
        let message = OutboundMessage { exchange, key, properties, body: call.body, mandatory: true };
        let (requests, pending, deadline) = (self.requests.clone(), self.pending.clone(), caller.deadline);
        // A separate task, so that a reply may arrive before the confirmation.
        chassis::spawn("bus.call", async move {
            if let Err(fault) = requests.send(vec![message], deadline).await
                && resolve(&pending, &id, Err(bus_unavailable()))
            {
                tracing::warn!(cause = causes(&fault), "a call could not be sent");
            }
        });
        Ok((replies, pending_call))
    }

    /// Returns the reply queue, a new one if the last one has ended with its connection.
    async fn reply_queue(&self) -> Result<ReplyQueue, BusError> {
        let (replies, link) = (self.replies.clone(), self.link.clone());
        let (service, pending) = (self.service.clone(), self.pending.clone());
        // A separate task, so that a caller whose time is over leaves no half-declared queue behind.
        let opening = chassis::spawn("bus.reply-queue", async move {
            let mut replies = replies.lock().await;
            match replies.as_ref().filter(|replies| !replies.lost.is_cancelled()) {
                Some(replies) => Ok(replies.clone()),
                None => Ok(replies.insert(ReplyQueue::open(&link, &service, pending).await?).clone()),
            }
        });
        opening.await.unwrap_or_else(|_panicked| Err(unavailable("the queue of replies could not be opened")))
    }
}

impl ReplyQueue {
    /// Declares the queue, and starts to assign its replies to the pending calls.
    async fn open(link: &Link, service: &str, pending: Pending) -> Result<Self, BusError> {
        let connection = link.current()?;
        topology::ensure_shared_exchanges(&connection).await?;
        let channel = open_channel(&connection).await?;
        let name = format!("{service}.replies.{}", Uuid::new_v4());
        topology::declare_exclusive_queue(&channel, &name).await?;
        topology::bind(&channel, &name, REPLIES, &name).await?;
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let replies = channel.basic_consume(name.as_str().into(), "".into(), options, FieldTable::default());
        let mut replies = replies.await.map_err(|error| bus_error(&error))?;
        let lost = CancellationToken::new();
        let guard = lost.clone().drop_guard();
        chassis::spawn("bus.replies", async move {
            let (_guard, _channel) = (guard, channel);
            while let Some(Ok(reply)) = replies.next().await {
                let id = reply.properties.correlation_id().as_ref().map_or("", |id| id.as_str());
                // False if the reply came too late and its caller has stopped waiting.
                let _in_time = resolve(&pending, id, decode_reply(&reply.properties, reply.data));
            }
        });
        Ok(Self { name, lost })
    }
}

/// A call that waits for its reply. If it is dropped before it has ended, its caller has given up.
struct PendingCall {
    id: String,
    address: String,
    reply: oneshot::Receiver<Reply>,
    pending: Pending,
    given_up: mpsc::Sender<(String, String)>,
    has_ended: bool,
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        lock(&self.pending).remove(&self.id);
        if !self.has_ended {
            // If the channel is full or closed, only the deadline stops the server.
            let _is_full =
                self.given_up.try_send((std::mem::take(&mut self.address), std::mem::take(&mut self.id)));
        }
    }
}

/// Returns the routing key under which the servers of an address are notified of calls that were given up.
pub(super) fn cancellation_key(address: &str) -> String {
    format!("{address}.given-up")
}

async fn notify_servers(
    mut to_notify: mpsc::Receiver<(String, String)>,
    exchange: String,
    requests: Arc<Publisher>,
) {
    while let Some((address, id)) = to_notify.recv().await {
        let properties = BasicProperties::default().with_correlation_id(id.into());
        let (exchange, key) = (exchange.clone(), cancellation_key(&address));
        let message = OutboundMessage { exchange, key, properties, body: Bytes::new(), mandatory: false };
        let deadline = kernel::Deadline::after(Duration::from_secs(1));
        if let Err(fault) = requests.send(vec![message], deadline).await {
            tracing::debug!(
                address,
                cause = causes(&fault),
                "a server could not be notified that its caller has given up"
            );
        }
    }
}

fn request_properties(
    id: &str,
    reply_to: &str,
    call: &Call,
    caller: &Context,
) -> Result<BasicProperties, BusError> {
    let left = caller.deadline.left();
    let deadline = kernel::Clock::now(&kernel::SystemClock).plus(left);
    let mut headers = FieldTable::default();
    let mut put = |name: &str, value: &str| {
        headers.insert(name.into(), codec::text(value));
    };
    put("ce-source", caller.service);
    put("traceparent", &caller.trace.to_string());
    put("deadline", &deadline.to_string());
    for (name, value) in [
        ("token", call.token.as_deref()),
        ("idempotency-key", call.idempotency_key.as_deref()),
        ("request-id", caller.request_id.as_deref()),
    ] {
        if let Some(value) = value {
            put(name, value);
        }
    }
    Ok(BasicProperties::default()
        .with_content_type("application/protobuf".into())
        .with_delivery_mode(TRANSIENT)
        .with_type(codec::short("the name of a request", &call.method)?)
        .with_correlation_id(id.into())
        .with_reply_to(reply_to.into())
        // The broker drops the request if no server has taken it by then.
        .with_expiration(left.as_millis().max(1).to_string().into())
        .with_headers(headers))
}

/// Decodes a reply.
fn decode_reply(properties: &BasicProperties, body: Vec<u8>) -> Reply {
    if properties.kind().as_ref().is_none_or(|kind| kind.as_str() != REFUSAL) {
        return Ok(body.into());
    }
    Err(serde_json::from_slice(&body)
        .unwrap_or_else(|_| Refusal::new(Kind::Internal, "internal", Kind::Internal.sentence())))
}

/// Passes a reply to its caller. Returns false if the caller no longer waits.
fn resolve(pending: &Pending, id: &str, reply: Reply) -> bool {
    lock(pending).remove(id).is_some_and(|caller| caller.send(reply).is_ok())
}

fn lock(pending: &Pending) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Reply>>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the refusal of a call if the broker can't carry it or its reply.
fn bus_unavailable() -> Refusal {
    Refusal::new(Kind::Unavailable, "unavailable", Kind::Unavailable.sentence())
}

fn deadline_exceeded() -> Refusal {
    Refusal::new(Kind::Timeout, "deadline_exceeded", Kind::Timeout.sentence())
}
