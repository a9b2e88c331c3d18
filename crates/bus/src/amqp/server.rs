//! The side that answers calls.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{Context, Runnable, Upstream, causes};
use futures::FutureExt;
use kernel::{Clock, Deadline, Kind, Refusal, SystemClock, Timestamp, Trace};
use lapin::message::Delivery;
use lapin::{BasicProperties, Connection};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::calls::{REFUSAL, given_up, unavailable};
use super::connection::{Link, back_off, channel};
use super::intake::{Intake, acknowledge};
use super::publisher::{Parcel, Publisher};
use super::topology::{self, CALLS, REPLIES};
use super::wire;
use crate::receiver::refused;
use crate::{BusError, Call, CallHandler, told};

/// The most calls of one address that a process works on at once. The others wait at the broker, and expire there.
const AT_ONCE: u16 = 128;
/// How long sending a reply may take when the caller's own deadline is over.
const REPLYING: Duration = Duration::from_secs(1);

/// What a server is and has in hand.
pub(super) struct Server {
    pub(super) service: &'static str,
    pub(super) address: String,
    pub(super) handler: Arc<dyn CallHandler>,
    pub(super) link: Arc<Link>,
    pub(super) replies: Publisher,
    /// The calls in hand, by correlation id, and how to stop each.
    in_hand: Mutex<HashMap<String, CancellationToken>>,
}

/// The queues of a server on one connection.
pub(super) struct Open {
    requests: Intake,
    given_up: Intake,
}

impl Server {
    pub(super) fn new(
        service: &'static str,
        address: &str,
        handler: Arc<dyn CallHandler>,
        incoming: &Arc<Link>,
        outgoing: &Arc<Link>,
    ) -> Self {
        Self {
            service,
            address: address.to_owned(),
            handler,
            link: incoming.clone(),
            replies: Publisher::plain(outgoing),
            in_hand: Mutex::default(),
        }
    }

    /// Takes calls from now on.
    pub(super) async fn open(&self, connection: &Connection) -> Result<Open, BusError> {
        topology::exchanges(connection).await?;
        let given_up_on = channel(connection).await?;
        let name = format!("{}.given-up.{}", self.service, uuid::Uuid::new_v4());
        topology::exclusive(&given_up_on, &name).await?;
        topology::bind(&given_up_on, &name, CALLS, &given_up(&self.address)).await?;
        let given_up = Intake::on(given_up_on, &name, AT_ONCE).await?;
        let requests_on = channel(connection).await?;
        topology::address(&requests_on, &self.address).await?;
        let requests = Intake::on(requests_on, &self.address, AT_ONCE).await?;
        Ok(Open { requests, given_up })
    }

    /// Begins to answer. `open` is where the calls come from until the connection is lost for the first time.
    pub(super) fn start(self, open: Open) -> Serving {
        let (address, stop) = (self.address.clone(), CancellationToken::new());
        let task = chassis::spawn("bus.serve", Arc::new(self).run(open, stop.clone()));
        Serving { address, stop: stop.drop_guard(), task }
    }

    async fn run(self: Arc<Self>, open: Open, stop: CancellationToken) {
        // Held by every call in hand, and nothing is ever sent: closed when the last of them has ended.
        let (busy, mut idle) = mpsc::channel::<()>(1);
        let mut next = Some(open);
        let mut failures = 0u32;
        while !stop.is_cancelled() {
            let outcome = match &mut next {
                Some(open) => self.answer(open, &stop, &busy).await,
                None => tokio::select! {
                    () = stop.cancelled() => break,
                    opened = self.open_again() => match opened {
                        Ok(Some(open)) => { next = Some(open); failures = 0; continue },
                        // The bus is closed: no call will ever come, but the service runs on.
                        Ok(None) => break,
                        Err(fault) => Err(fault),
                    },
                },
            };
            let Err(fault) = outcome else { break };
            next = None;
            tracing::warn!(
                address = self.address,
                cause = causes(&fault),
                "serving ended and will begin again"
            );
            failures = failures.saturating_add(1);
            tokio::select! {
                () = chassis::pause(back_off(failures)) => {}
                () = stop.cancelled() => {}
            }
        }
        drop(busy);
        let _none = idle.recv().await;
        // The channels stay until now: the calls in hand are acknowledged on them.
        drop(next);
    }

    async fn open_again(&self) -> Result<Option<Open>, BusError> {
        match self.link.wait().await {
            Some(connection) => self.open(&connection).await.map(Some),
            None => Ok(None),
        }
    }

    /// Answers until it is stopped, which is `Ok`, or something is lost.
    async fn answer(
        self: &Arc<Self>,
        open: &mut Open,
        stop: &CancellationToken,
        busy: &mpsc::Sender<()>,
    ) -> Result<(), BusError> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                given_up = open.given_up.any() => self.give_up(&given_up?).await?,
                request = open.requests.any() => self.accept(request?, busy),
            }
        }
        open.requests.cancel().await?;
        // What was given to us before the broker knew is answered as well.
        while let Some(request) = open.requests.rest().await? {
            self.accept(request, busy);
        }
        Ok(())
    }

    fn accept(self: &Arc<Self>, request: Delivery, busy: &mpsc::Sender<()>) {
        let given_up = CancellationToken::new();
        self.hand().insert(correlation(&request.properties), given_up.clone());
        chassis::spawn("bus.answer", self.clone().take(request, given_up, busy.clone()));
    }

    async fn give_up(&self, told: &Delivery) -> Result<(), BusError> {
        let id = correlation(&told.properties);
        if let Some(stop) = self.hand().get(&id) {
            stop.cancel();
        }
        acknowledge(told).await
    }

    /// Answers one call.
    async fn take(self: Arc<Self>, request: Delivery, given_up: CancellationToken, _busy: mpsc::Sender<()>) {
        let asked: Option<Trace> = header(&request, "traceparent").and_then(|text| text.parse().ok());
        let context = Context {
            service: self.service,
            trace: asked.map_or_else(Trace::start, Trace::child),
            request_id: header(&request, "request-id").map(Into::into),
            deadline: Deadline::after(left(&request)),
            upstream: Upstream::default(),
        };
        context.scope(self.reply(&request, asked, &given_up)).await;
        if let Err(fault) = acknowledge(&request).await {
            tracing::debug!(
                address = self.address,
                cause = causes(&fault),
                "a call was answered and not acknowledged"
            );
        }
        self.hand().remove(&correlation(&request.properties));
    }

    async fn reply(&self, request: &Delivery, asked: Option<Trace>, given_up: &CancellationToken) {
        let Context { deadline, trace, .. } = Context::current();
        let method = request.properties.kind().as_ref().map_or("", |kind| kind.as_str());
        if deadline.left().is_zero() {
            // Either it waited for long, or the clocks of two machines differ.
            tracing::warn!(address = self.address, method, "a call came after its deadline and was dropped");
            return;
        }
        let answering = told::answering(self.service, &self.address, method, trace, asked);
        let outcome = if request.redelivered {
            // It was in the hand of a server that has ended. Calls are at most once: its caller decides.
            Err(unavailable())
        } else {
            let call = call(request, method);
            let work = AssertUnwindSafe(async { self.handler.call(&call).await }).catch_unwind();
            let done = tokio::select! {
                biased;
                () = given_up.cancelled() => return,
                done = tokio::time::timeout_at(deadline.instant().into(), work) => done,
            };
            // The caller knows by itself when the time is over.
            let Ok(done) = done else { return };
            match done {
                Ok(reply) => reply.map_err(|fault| refused(&*fault)),
                Err(_panic) => {
                    tracing::error!(address = self.address, method, "a call handler panicked");
                    Err(Refusal::new(Kind::Internal, "internal", Kind::Internal.sentence()))
                }
            }
        };
        told::answered(answering, &outcome);
        tracing::debug!(address = self.address, method, ok = outcome.is_ok(), "a call was served");
        if let Err(fault) = self.send(request, outcome).await {
            tracing::warn!(
                address = self.address,
                method,
                cause = causes(&fault),
                "a reply could not be sent"
            );
        }
    }

    async fn send(&self, request: &Delivery, outcome: Result<Bytes, Refusal>) -> Result<(), BusError> {
        let reply_to = request.properties.reply_to().as_ref().map_or("", |name| name.as_str());
        let properties =
            BasicProperties::default().with_correlation_id(correlation(&request.properties).into());
        let (properties, body) = match outcome {
            Ok(body) => (properties.with_content_type("application/protobuf".into()), body),
            Err(refusal) => {
                let json = serde_json::to_vec(&refusal)
                    .map_err(|error| BusError::Name(format!("a refusal is no JSON: {error}")))?;
                (
                    properties.with_type(REFUSAL.into()).with_content_type("application/json".into()),
                    json.into(),
                )
            }
        };
        let (exchange, key) = (REPLIES.to_owned(), reply_to.to_owned());
        let parcel = Parcel { exchange, key, properties, body, mandatory: false };
        self.replies.send(vec![parcel], Deadline::after(REPLYING)).await?;
        Ok(())
    }

    fn hand(&self) -> std::sync::MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server at work. It stops when this is dropped.
pub(super) struct Serving {
    address: String,
    stop: DropGuard,
    task: JoinHandle<()>,
}

#[async_trait]
impl Runnable for Serving {
    fn name(&self) -> String {
        self.address.clone()
    }

    async fn run(self: Box<Self>, stop: CancellationToken) {
        stop.cancelled().await;
        drop(self.stop);
        // That it panicked would have been logged.
        let _ended = self.task.await;
    }
}

fn call(request: &Delivery, method: &str) -> Call {
    Call {
        method: method.to_owned(),
        body: Bytes::copy_from_slice(&request.data),
        token: header(request, "token"),
        idempotency_key: header(request, "idempotency-key"),
    }
}

/// How long the caller still waits: no longer than it said when it asked, and not beyond the moment that it named.
fn left(request: &Delivery) -> Duration {
    let said = request.properties.expiration().as_ref().and_then(|text| text.as_str().parse().ok());
    let said = Duration::from_millis(said.unwrap_or(0));
    let over_at: Option<Timestamp> = header(request, "deadline").and_then(|text| text.parse().ok());
    over_at.map_or(said, |over_at| said.min(over_at.since(SystemClock.now())))
}

fn header(request: &Delivery, name: &str) -> Option<String> {
    wire::string(request.properties.headers().as_ref(), name)
}

fn correlation(properties: &BasicProperties) -> String {
    properties.correlation_id().as_ref().map(|id| id.to_string()).unwrap_or_default()
}
