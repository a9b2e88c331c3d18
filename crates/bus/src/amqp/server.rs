//! The side of the server.

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

use super::calls::{REFUSAL, cancellation_key};
use super::codec;
use super::connection::{Link, back_off, open_channel};
use super::inbound::{Deliveries, acknowledge};
use super::publisher::{OutboundMessage, Publisher};
use super::topology::{self, CALLS, REPLIES};
use crate::port::no_server;
use crate::receiver::refusal_of_call;
use crate::{BusError, Call, CallHandler, instrument};

/// The most calls of one address that a process works on at a time. The others wait at the broker, and expire
/// there.
const MAX_CALLS: u16 = 128;
/// The longest time for sending a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// A server of one address, with the calls that it works on.
pub(super) struct Server {
    pub(super) service: &'static str,
    pub(super) address: String,
    pub(super) handler: Arc<dyn CallHandler>,
    pub(super) link: Arc<Link>,
    pub(super) replies: Publisher,
    /// The token that stops each call in progress, by correlation id.
    in_progress: Mutex<HashMap<String, CancellationToken>>,
}

/// The queues of a server on one connection.
pub(super) struct ServerQueues {
    requests: Deliveries,
    given_up: Deliveries,
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
            replies: Publisher::unconfirmed(outgoing),
            in_progress: Mutex::default(),
        }
    }

    /// Declares the queues and starts to receive calls.
    pub(super) async fn open(&self, connection: &Connection) -> Result<ServerQueues, BusError> {
        topology::ensure_shared_exchanges(connection).await?;
        let channel = open_channel(connection).await?;
        let name = format!("{}.given-up.{}", self.service, uuid::Uuid::new_v4());
        topology::declare_exclusive_queue(&channel, &name).await?;
        topology::bind(&channel, &name, CALLS, &cancellation_key(&self.address)).await?;
        let given_up = Deliveries::open_on(channel, &name, MAX_CALLS).await?;
        let channel = open_channel(connection).await?;
        topology::declare_address_queue(&channel, &self.address).await?;
        let requests = Deliveries::open_on(channel, &self.address, MAX_CALLS).await?;
        Ok(ServerQueues { requests, given_up })
    }

    /// Starts to serve. Calls come from `queues` until the connection is lost for the first time.
    pub(super) fn start(self, queues: ServerQueues) -> RunningServer {
        let (address, stop) = (self.address.clone(), CancellationToken::new());
        let task = chassis::spawn("bus.serve", Arc::new(self).run(queues, stop.clone()));
        RunningServer { address, stop: stop.drop_guard(), task }
    }

    async fn run(self: Arc<Self>, queues: ServerQueues, stop: CancellationToken) {
        // Every call in progress holds a sender, and no value is ever sent. The channel closes when the last
        // call has ended.
        let (busy, mut idle) = mpsc::channel::<()>(1);
        let mut queues = Some(queues);
        let mut failures = 0u32;
        while !stop.is_cancelled() {
            let outcome = match &mut queues {
                Some(queues) => self.serve(queues, &stop, &busy).await,
                None => tokio::select! {
                    () = stop.cancelled() => break,
                    reopened = self.reopen() => match reopened {
                        Ok(Some(reopened)) => { queues = Some(reopened); failures = 0; continue },
                        // The bus is closed, so no call will come. The service keeps running.
                        Ok(None) => break,
                        Err(fault) => Err(fault),
                    },
                },
            };
            let Err(fault) = outcome else { break };
            queues = None;
            tracing::warn!(
                address = self.address,
                cause = causes(&fault),
                "the server has stopped and will start again"
            );
            failures = failures.saturating_add(1);
            tokio::select! {
                () = chassis::pause(back_off(failures)) => {}
                () = stop.cancelled() => {}
            }
        }
        drop(busy);
        let _none = idle.recv().await;
        // The channels stay open until now, because the calls in progress are acknowledged on them.
        drop(queues);
    }

    /// Opens the queues on the next connection. Returns `None` if the bus is closed.
    async fn reopen(&self) -> Result<Option<ServerQueues>, BusError> {
        match self.link.wait().await {
            Some(connection) => self.open(&connection).await.map(Some),
            None => Ok(None),
        }
    }

    /// Serves until the server is stopped, which is `Ok`. Returns an error if the connection is lost.
    async fn serve(
        self: &Arc<Self>,
        queues: &mut ServerQueues,
        stop: &CancellationToken,
        busy: &mpsc::Sender<()>,
    ) -> Result<(), BusError> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                given_up = queues.given_up.receive() => self.stop_call(&given_up?).await?,
                request = queues.requests.receive() => self.accept(request?, busy),
            }
        }
        queues.requests.cancel().await?;
        // Calls that the broker has sent before it knew of the stop are served too.
        while let Some(request) = queues.requests.receive_rest().await? {
            self.accept(request, busy);
        }
        Ok(())
    }

    fn accept(self: &Arc<Self>, request: Delivery, busy: &mpsc::Sender<()>) {
        let given_up = CancellationToken::new();
        self.in_progress().insert(correlation_id(&request.properties), given_up.clone());
        chassis::spawn("bus.answer", self.clone().process(request, given_up, busy.clone()));
    }

    /// Stops the call whose caller has given up.
    async fn stop_call(&self, notification: &Delivery) -> Result<(), BusError> {
        let id = correlation_id(&notification.properties);
        if let Some(given_up) = self.in_progress().get(&id) {
            given_up.cancel();
        }
        acknowledge(notification).await
    }

    /// Serves one call in its own context and acknowledges it.
    async fn process(
        self: Arc<Self>,
        request: Delivery,
        given_up: CancellationToken,
        _busy: mpsc::Sender<()>,
    ) {
        let received: Option<Trace> = header(&request, "traceparent").and_then(|text| text.parse().ok());
        let context = Context {
            service: self.service,
            trace: received.map_or_else(Trace::start, Trace::child),
            request_id: header(&request, "request-id").map(Into::into),
            deadline: Deadline::after(time_left(&request)),
            upstream: Upstream::default(),
        };
        context.scope(self.reply(&request, received, &given_up)).await;
        if let Err(fault) = acknowledge(&request).await {
            tracing::debug!(
                address = self.address,
                cause = causes(&fault),
                "a call was served and could not be acknowledged"
            );
        }
        self.in_progress().remove(&correlation_id(&request.properties));
    }

    /// Runs the handler and sends its reply.
    async fn reply(&self, request: &Delivery, received: Option<Trace>, given_up: &CancellationToken) {
        let Context { deadline, trace, .. } = Context::current();
        let method = request.properties.kind().as_ref().map_or("", |kind| kind.as_str());
        if deadline.left().is_zero() {
            // Either it has waited for long, or the clocks of two machines differ.
            tracing::warn!(address = self.address, method, "a call came after its deadline and was dropped");
            return;
        }
        let span = instrument::start_server(self.service, &self.address, method, trace, received);
        // If there is no outcome, the caller no longer waits.
        let Some(outcome) = self.outcome(request, method, given_up).await else { return };
        instrument::end_call(span, &outcome);
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

    /// Runs the handler. Returns `None` if the caller has given up or its time is over.
    async fn outcome(
        &self,
        request: &Delivery,
        method: &str,
        given_up: &CancellationToken,
    ) -> Option<Result<Bytes, Refusal>> {
        if request.redelivered {
            // A server ended while it worked on this call. Calls happen at most once, so the caller decides.
            return Some(Err(no_server()));
        }
        let call = decode_call(request, method);
        let work = AssertUnwindSafe(async { self.handler.call(&call).await }).catch_unwind();
        let deadline = Context::current().deadline.instant().into();
        let done = tokio::select! {
            biased;
            () = given_up.cancelled() => return None,
            done = tokio::time::timeout_at(deadline, work) => done.ok()?,
        };
        Some(match done {
            Ok(reply) => reply.map_err(|fault| refusal_of_call(&*fault)),
            Err(_panic) => {
                tracing::error!(address = self.address, method, "a call handler panicked");
                Err(Refusal::new(Kind::Internal, "internal", Kind::Internal.sentence()))
            }
        })
    }

    async fn send(&self, request: &Delivery, outcome: Result<Bytes, Refusal>) -> Result<(), BusError> {
        let reply_to = request.properties.reply_to().as_ref().map_or("", |name| name.as_str());
        let properties =
            BasicProperties::default().with_correlation_id(correlation_id(&request.properties).into());
        let (properties, body) = match outcome {
            Ok(body) => (properties.with_content_type("application/protobuf".into()), body),
            Err(refusal) => {
                let json = serde_json::to_vec(&refusal).map_err(|error| {
                    BusError::Name(format!("a refusal cannot be encoded as JSON: {error}"))
                })?;
                (
                    properties.with_type(REFUSAL.into()).with_content_type("application/json".into()),
                    json.into(),
                )
            }
        };
        let (exchange, key) = (REPLIES.to_owned(), reply_to.to_owned());
        let message = OutboundMessage { exchange, key, properties, body, mandatory: false };
        self.replies.send(vec![message], Deadline::after(REPLY_TIMEOUT)).await?;
        Ok(())
    }

    fn in_progress(&self) -> std::sync::MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.in_progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server. It stops when this is dropped.
pub(super) struct RunningServer {
    address: String,
    stop: DropGuard,
    task: JoinHandle<()>,
}

#[async_trait]
impl Runnable for RunningServer {
    fn name(&self) -> String {
        self.address.clone()
    }

    async fn run(self: Box<Self>, stop: CancellationToken) {
        stop.cancelled().await;
        drop(self.stop);
        // A panic would have been logged.
        let _ended = self.task.await;
    }
}

fn decode_call(request: &Delivery, method: &str) -> Call {
    Call {
        method: method.to_owned(),
        body: Bytes::copy_from_slice(&request.data),
        token: header(request, "token"),
        idempotency_key: header(request, "idempotency-key"),
    }
}

/// Returns the time for which the caller still waits: at most its budget when it sent the call, and not
/// beyond its deadline.
fn time_left(request: &Delivery) -> Duration {
    let budget = request.properties.expiration().as_ref().and_then(|text| text.as_str().parse().ok());
    let budget = Duration::from_millis(budget.unwrap_or(0));
    let deadline: Option<Timestamp> = header(request, "deadline").and_then(|text| text.parse().ok());
    deadline.map_or(budget, |deadline| budget.min(deadline.since(SystemClock.now())))
}

fn header(request: &Delivery, name: &str) -> Option<String> {
    codec::string(request.properties.headers().as_ref(), name)
}

fn correlation_id(properties: &BasicProperties) -> String {
    properties.correlation_id().as_ref().map(|id| id.to_string()).unwrap_or_default()
}
