//! The laws of the bus. Each case is one sentence of the crate's documentation, and every adapter passes all
//! of them.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chassis::Runnable;
use kernel::{Clock, Fault, Ids, Kind, MessageId, Refusal, SystemClock, TimeOrderedIds, Trace};
use testkit::PATIENCE;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Bus, Call, CallHandler, DeadLetter, Envelope, Handler, Subscription};

mod amqp;
mod broadcast;
mod calls;
mod counts;
mod crash;
mod deliveries;
mod failures;
mod forgetting;
mod local;
mod model;

/// A new bus for one case.
#[async_trait]
trait Fixture: Send + Sync {
    /// Prepares the bus without opening it, so that another process may open it first.
    async fn new() -> Self;
    /// Returns the URL for another process.
    fn url(&self) -> String;
    /// Returns the bus, with five retries after pauses of at most some milliseconds.
    async fn bus(&self) -> Arc<dyn Bus>;
    /// Returns the dead letters of a queue.
    async fn dead_letters(&self, queue: &str) -> Vec<DeadLetter>;
}

/// The list of all cases: `every_case!(LocalFixture::new)`, with `ignore = "needs rabbitmq"` if the adapter
/// needs a server.
macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super::deliveries) {
                a_message_reaches_every_queue_that_subscribes_to_it,
                a_message_arrives_as_its_publisher_wrote_it,
                a_message_that_matches_two_keys_of_a_queue_is_delivered_once,
                keys_are_topic_patterns,
                a_queue_collects_messages_while_it_has_no_consumer,
                messages_are_delivered_in_the_order_of_their_publication,
                a_handled_message_is_not_delivered_again,
                only_one_consumer_at_a_time_holds_a_delivery,
                consumers_of_one_queue_share_its_messages,
                an_unfinished_delivery_is_delivered_again,
                a_consumer_that_stops_finishes_the_message_that_it_handles,
                a_handler_runs_with_the_trace_of_the_publisher_and_its_own_service_name,
            }
            in (super::failures) {
                a_message_refused_for_a_transient_reason_is_retried,
                a_message_that_is_always_refused_is_dead_after_six_deliveries,
                a_stale_message_is_retried_once,
                a_message_refused_for_another_reason_is_dead_immediately_with_the_reason,
                a_poison_message_does_not_block_others,
                a_panic_of_a_handler_makes_the_message_dead_and_the_consumer_continues,
                a_handler_that_exceeds_its_budget_is_stopped_and_the_message_is_retried,
            }
            in (super::forgetting) {
                forgetting_a_person_removes_the_dead_letters_that_name_them_and_no_others,
            }
            in (super::broadcast) {
                a_broadcast_reaches_every_subscriber,
                a_message_reaches_both_queues_and_subscribers_of_broadcasts,
                a_refused_broadcast_is_lost_and_the_next_one_arrives,
            }
            in (super::calls) {
                a_call_reaches_the_server_of_its_address,
                a_refusal_reaches_the_caller_unchanged,
                a_call_to_an_address_without_a_server_is_unavailable,
                a_call_and_the_work_of_its_server_end_with_the_deadline_of_the_caller,
                a_call_after_its_deadline_reaches_no_server,
                a_caller_that_stops_waiting_stops_the_server,
                a_panic_of_a_server_is_an_internal_refusal_and_the_server_continues,
                a_call_carries_the_trace_and_the_deadline_of_its_caller,
                servers_of_one_address_share_its_calls,
                a_server_that_stops_finishes_the_calls_in_progress,
            }
            in (super::counts) {
                handled_retried_and_dead_messages_are_counted,
                publications_are_counted_by_their_outcome,
            }
            in (super::crash) {
                a_confirmed_message_survives_kill_9,
                a_message_that_a_killed_consumer_held_is_delivered_again,
            }
        }
    };
}
use every_case;

/// A runnable in a background task, as the chassis runs it.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(runnable: Box<dyn Runnable>) -> Self {
        let stop = CancellationToken::new();
        let task = chassis::spawn("test.runnable", runnable.run(stop.clone()));
        Self { stop, task }
    }

    /// Stops it in order. When this returns, the message that it handled is finished and settled.
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it stops in time")
            .expect("it does not panic");
    }

    /// Aborts it in the middle of its work.
    async fn abort(self) {
        self.task.abort();
        let _cancelled = self.task.await;
    }
}

struct HandlerFn<F>(F);

#[async_trait]
impl<F, A> Handler for HandlerFn<F>
where
    F: Fn(Envelope) -> A + Send + Sync + 'static,
    A: Future<Output = Result<(), Refusal>> + Send + 'static,
{
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        Ok((self.0)(message.clone()).await?)
    }
}

fn handler<F, A>(handle: F) -> Arc<dyn Handler>
where
    F: Fn(Envelope) -> A + Send + Sync + 'static,
    A: Future<Output = Result<(), Refusal>> + Send + 'static,
{
    Arc::new(HandlerFn(handle))
}

/// Returns a handler that responds with the result of `answer`, and the messages that it receives.
fn respond_with(
    answer: impl Fn(&Envelope) -> Result<(), Refusal> + Send + Sync + 'static,
) -> (Arc<dyn Handler>, UnboundedReceiver<Envelope>) {
    let (reports, received) = unbounded_channel();
    let handle = handler(move |message: Envelope| {
        let outcome = answer(&message);
        report(&reports, message);
        async move { outcome }
    });
    (handle, received)
}

/// Returns a handler that accepts every message, and the messages that it receives.
fn accept_all() -> (Arc<dyn Handler>, UnboundedReceiver<Envelope>) {
    respond_with(|_| Ok(()))
}

/// Sends a value to the test, which may have ended.
fn report<T>(reports: &UnboundedSender<T>, value: T) {
    let _test_has_ended = reports.send(value);
}

async fn next<T>(received: &mut UnboundedReceiver<T>) -> T {
    tokio::time::timeout(PATIENCE, received.recv())
        .await
        .expect("it arrives in time")
        .expect("the sender still exists")
}

async fn bodies(received: &mut UnboundedReceiver<Envelope>, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(text(&next(received).await));
    }
    bodies
}

fn text(message: &Envelope) -> String {
    String::from_utf8(message.body.to_vec()).expect("the tests send text")
}

fn message(key: &str, body: &str) -> Envelope {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Envelope {
        id: MessageId::new(TimeOrderedIds::new(clock.clone()).next()),
        kind: "portal.test.v1.Happened".to_owned(),
        key: key.to_owned(),
        source: "test".to_owned(),
        subject: "subject-1".to_owned(),
        version: 7,
        time: clock.now(),
        trace: Trace::start(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

async fn publish(bus: &Arc<dyn Bus>, key: &str, body: &str) {
    bus.publish(vec![message(key, body)]).await.expect("the bus confirms");
}

fn queue(name: &str) -> Subscription {
    Subscription::durable("test", name, ["test.#"])
}

async fn consume(bus: &Arc<dyn Bus>, name: &str, handler: Arc<dyn Handler>) -> Running {
    Running::start(bus.subscribe(queue(name), handler).await.expect("the subscription is accepted"))
}

fn refusal(kind: Kind) -> Refusal {
    Refusal::new(kind, "refused_by_test", "The test refuses it.")
}

struct CallHandlerFn<F>(F);

#[async_trait]
impl<F, A> CallHandler for CallHandlerFn<F>
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Bytes, Refusal>> + Send + 'static,
{
    async fn call(&self, call: &Call) -> Result<Bytes, Box<dyn Fault>> {
        Ok((self.0)(call.clone()).await?)
    }
}

async fn serve<F, A>(bus: &Arc<dyn Bus>, address: &str, answer: F) -> Running
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Bytes, Refusal>> + Send + 'static,
{
    Running::start(
        bus.serve("test-server", address, Arc::new(CallHandlerFn(answer)))
            .await
            .expect("the address is served"),
    )
}

fn call(method: &str) -> Call {
    Call {
        method: method.to_owned(),
        body: Bytes::from_static(b"please"),
        token: Some("token".to_owned()),
        idempotency_key: Some("key-1".to_owned()),
    }
}
