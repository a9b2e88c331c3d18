//! The side that asks.

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

use super::connection::{Link, away, channel, failure};
use super::publisher::{Parcel, Publisher};
use super::topology::{self, CALLS, REPLIES};
use super::wire;
use crate::{BusError, Call, told};

/// The type of a reply that is no answer but a refusal, as JSON.
pub(super) const REFUSAL: &str = "Refusal";
const TRANSIENT: u8 = 1;
/// The most callers that have given up and whose servers are not told yet. One more is stopped by its deadline alone.
const GIVEN_UP: usize = 1024;

type Answer = Result<Bytes, Refusal>;

/// The calls that wait for their reply, by correlation id.
type Pending = Arc<Mutex<HashMap<String, oneshot::Sender<Answer>>>>;

/// Asks, and knows who waits for which reply.
pub(super) struct Caller {
    service: String,
    link: Arc<Link>,
    requests: Arc<Publisher>,
    pending: Pending,
    /// Where replies arrive, on the connection that there is.
    desk: Arc<tokio::sync::Mutex<Option<Desk>>>,
    given_up: mpsc::Sender<(String, String)>,
}

/// The reply queue of this process.
#[derive(Clone)]
struct Desk {
    queue: String,
    /// Cancelled when the queue is gone, and with it every reply that was to come.
    gone: CancellationToken,
}

impl Caller {
    /// Asks over `outgoing` and hears over `incoming`; the queue of replies begins with `service`.
    pub(super) fn new(service: &str, outgoing: &Arc<Link>, incoming: &Arc<Link>) -> Self {
        let pending = Pending::default();
        let waiting = pending.clone();
        let requests = Arc::new(Publisher::confirming(outgoing, move |returned| {
            let id = returned.properties.correlation_id().as_ref().map_or("", |id| id.as_str());
            resolve(&waiting, id, Err(unavailable()));
        }));
        let (given_up, giving_up) = mpsc::channel(GIVEN_UP);
        chassis::spawn("bus.given-up", tell_servers(giving_up, requests.clone()));
        Self {
            service: service.to_owned(),
            link: incoming.clone(),
            requests,
            pending,
            desk: Arc::default(),
            given_up,
        }
    }

    pub(super) async fn call(&self, address: &str, call: Call) -> Answer {
        let caller = Context::current();
        let (asking, trace) = told::asking(caller.service, address, &call.method, caller.trace);
        let answer = self.answer(address, call, &Context { trace, ..caller }).await;
        told::answered(asking, &answer);
        answer
    }

    async fn answer(&self, address: &str, call: Call, caller: &Context) -> Answer {
        let deadline = caller.deadline.instant().into();
        if caller.deadline.left().is_zero() {
            return Err(too_late());
        }
        let asked = tokio::time::timeout_at(deadline, self.ask(address, call, caller)).await;
        let (desk, mut waiting) = match asked {
            Ok(asked) => asked.map_err(|fault| {
                tracing::warn!(address, cause = causes(&fault), "a call could not be sent");
                unavailable()
            })?,
            Err(_elapsed) => return Err(too_late()),
        };
        let answered = async {
            tokio::select! {
                biased;
                answer = &mut waiting.reply => answer.unwrap_or_else(|_| Err(unavailable())),
                () = desk.gone.cancelled() => Err(unavailable()),
            }
        };
        let answer = tokio::time::timeout_at(deadline, answered).await;
        waiting.ended = true;
        answer.unwrap_or_else(|_elapsed| Err(too_late()))
    }

    /// Sends the request. It is on its way, not confirmed, when this returns: the reply says more.
    async fn ask(&self, address: &str, call: Call, caller: &Context) -> Result<(Desk, Waiting), BusError> {
        let desk = self.desk().await?;
        let id = Uuid::new_v4().to_string();
        let properties = request(&id, &desk.queue, &call, caller)?;
        let key = wire::short("an address", address)?.to_string();
        let (answer, reply) = oneshot::channel();
        lock(&self.pending).insert(id.clone(), answer);
        let waiting = Waiting {
            id: id.clone(),
            address: key.clone(),
            reply,
            pending: self.pending.clone(),
            given_up: self.given_up.clone(),
            ended: false,
        };
        let parcel = Parcel { exchange: CALLS.to_owned(), key, properties, body: call.body, mandatory: true };
        let (requests, pending, deadline) = (self.requests.clone(), self.pending.clone(), caller.deadline);
        // In a task of its own, so that a reply may overtake the confirmation.
        chassis::spawn("bus.call", async move {
            if let Err(fault) = requests.send(vec![parcel], deadline).await
                && resolve(&pending, &id, Err(unavailable()))
            {
                tracing::warn!(cause = causes(&fault), "a call could not be sent");
            }
        });
        Ok((desk, waiting))
    }

    /// The reply queue, a new one where the last has ended with its connection.
    async fn desk(&self) -> Result<Desk, BusError> {
        let (desk, link) = (self.desk.clone(), self.link.clone());
        let (service, pending) = (self.service.clone(), self.pending.clone());
        // In a task of its own: a caller whose time is over meanwhile leaves no half of a queue behind.
        let opening = chassis::spawn("bus.desk", async move {
            let mut desk = desk.lock().await;
            match desk.as_ref().filter(|desk| !desk.gone.is_cancelled()) {
                Some(desk) => Ok(desk.clone()),
                None => Ok(desk.insert(Desk::open(&link, &service, pending).await?).clone()),
            }
        });
        opening.await.unwrap_or_else(|_panicked| Err(away("the queue of replies could not be opened")))
    }
}

impl Desk {
    async fn open(link: &Link, service: &str, pending: Pending) -> Result<Self, BusError> {
        let connection = link.now()?;
        topology::exchanges(&connection).await?;
        let channel = channel(&connection).await?;
        let queue = format!("{service}.replies.{}", Uuid::new_v4());
        topology::exclusive(&channel, &queue).await?;
        topology::bind(&channel, &queue, REPLIES, &queue).await?;
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let replies = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default());
        let mut replies = replies.await.map_err(|error| failure(&error))?;
        let gone = CancellationToken::new();
        let told = gone.clone();
        chassis::spawn("bus.replies", async move {
            let _gone = told.drop_guard();
            let _open = channel;
            while let Some(Ok(reply)) = replies.next().await {
                let id = reply.properties.correlation_id().as_ref().map_or("", |id| id.as_str());
                // Nobody waits for it any more: it came too late.
                let _late = resolve(&pending, id, answer(&reply.properties, reply.data));
            }
        });
        Ok(Self { queue, gone })
    }
}

/// A call under way. Dropped before it has ended, its caller has given up.
struct Waiting {
    id: String,
    address: String,
    reply: oneshot::Receiver<Answer>,
    pending: Pending,
    given_up: mpsc::Sender<(String, String)>,
    ended: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.pending).remove(&self.id);
        if !self.ended {
            // Full or closed: then the deadline alone stops the server.
            let _full =
                self.given_up.try_send((std::mem::take(&mut self.address), std::mem::take(&mut self.id)));
        }
    }
}

/// The key under which the servers of an address hear which calls nobody waits for any more.
pub(super) fn given_up(address: &str) -> String {
    format!("{address}.given-up")
}

async fn tell_servers(mut giving_up: mpsc::Receiver<(String, String)>, requests: Arc<Publisher>) {
    while let Some((address, id)) = giving_up.recv().await {
        let properties = BasicProperties::default().with_correlation_id(id.into());
        let (exchange, key) = (CALLS.to_owned(), given_up(&address));
        let parcel = Parcel { exchange, key, properties, body: Bytes::new(), mandatory: false };
        let deadline = kernel::Deadline::after(Duration::from_secs(1));
        if let Err(fault) = requests.send(vec![parcel], deadline).await {
            tracing::debug!(address, cause = causes(&fault), "a server was not told that its caller gave up");
        }
    }
}

fn request(id: &str, reply_to: &str, call: &Call, caller: &Context) -> Result<BasicProperties, BusError> {
    let left = caller.deadline.left();
    let over_at = kernel::Clock::now(&kernel::SystemClock).plus(left);
    let mut headers = FieldTable::default();
    let mut put = |name: &str, value: &str| {
        headers.insert(name.into(), wire::text(value));
    };
    put("ce-source", caller.service);
    put("traceparent", &caller.trace.to_string());
    put("deadline", &over_at.to_string());
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
        .with_type(wire::short("the name of a request", &call.method)?)
        .with_correlation_id(id.into())
        .with_reply_to(reply_to.into())
        // The broker drops what was not taken by then.
        .with_expiration(left.as_millis().max(1).to_string().into())
        .with_headers(headers))
}

/// What a reply says.
fn answer(properties: &BasicProperties, body: Vec<u8>) -> Answer {
    if properties.kind().as_ref().is_none_or(|kind| kind.as_str() != REFUSAL) {
        return Ok(body.into());
    }
    Err(serde_json::from_slice(&body)
        .unwrap_or_else(|_| Refusal::new(Kind::Internal, "internal", Kind::Internal.sentence())))
}

/// Gives the caller its answer. False where nobody waits for it.
fn resolve(pending: &Pending, id: &str, answer: Answer) -> bool {
    lock(pending).remove(id).is_some_and(|waiting| waiting.send(answer).is_ok())
}

fn lock(pending: &Pending) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Answer>>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn unavailable() -> Refusal {
    Refusal::new(Kind::Unavailable, "unavailable", Kind::Unavailable.sentence())
}

fn too_late() -> Refusal {
    Refusal::new(Kind::Timeout, "deadline_exceeded", Kind::Timeout.sentence())
}
