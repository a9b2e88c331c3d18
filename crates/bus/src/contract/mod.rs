//! The laws of the bus. Each case is one sentence of the crate's documentation; every adapter runs all of them.

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

/// A bus of its own for one case.
#[async_trait]
trait Fixture: Send + Sync {
    /// Prepares it; nothing is open yet, so that another process may open it first.
    async fn new() -> Self;
    /// How another process reaches it.
    fn url(&self) -> String;
    /// The bus, with five retries after pauses of at most some milliseconds.
    async fn bus(&self) -> Arc<dyn Bus>;
    /// The dead letters of a queue.
    async fn dead_letters(&self, queue: &str) -> Vec<DeadLetter>;
}

/// The one list of cases. `every_case!(LocalFixture::new)`, or with `ignore = "needs rabbitmq"` for an adapter that needs a server.
macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super::deliveries) {
                a_message_reaches_every_queue_that_wants_it,
                a_message_comes_with_all_that_its_publisher_wrote,
                a_message_that_matches_two_keys_of_a_queue_comes_once,
                keys_are_topic_patterns,
                a_queue_takes_messages_while_nobody_consumes_it,
                messages_come_in_the_order_of_their_publication,
                a_handled_message_does_not_come_again,
                a_delivery_is_in_the_hand_of_one_consumer_at_a_time,
                consumers_of_one_queue_share_its_messages,
                an_unfinished_delivery_comes_again,
                a_consumer_that_stops_finishes_what_it_has_in_hand,
                a_handler_runs_under_its_publishers_trace_and_its_own_service,
            }
            in (super::failures) {
                a_message_refused_for_a_passing_reason_comes_again,
                a_message_refused_at_every_delivery_is_dead_after_six,
                a_stale_message_comes_once_more,
                any_other_refusal_is_dead_at_once_with_its_reason,
                a_poison_message_does_not_block_its_neighbours,
                a_panicking_handler_counts_as_a_defect_and_its_consumer_goes_on,
                a_handler_over_its_budget_is_stopped_and_gets_the_message_again,
            }
            in (super::forgetting) {
                dead_letters_that_name_a_person_are_gone_once_they_are_forgotten_and_no_others,
            }
            in (super::broadcast) {
                a_broadcast_reaches_every_subscriber,
                a_message_goes_to_queues_and_broadcasts_alike,
                a_refused_broadcast_is_gone_and_the_next_one_comes,
            }
            in (super::calls) {
                a_call_is_answered_by_the_server_of_its_address,
                a_refusal_crosses_unchanged,
                a_call_that_nobody_answers_is_unavailable,
                a_call_ends_with_its_callers_deadline_and_so_does_the_server,
                a_call_whose_deadline_is_over_asks_nobody,
                a_caller_that_stops_waiting_stops_the_server,
                a_panic_of_the_server_is_an_internal_refusal_and_it_serves_on,
                a_call_carries_the_trace_and_the_deadline_of_its_caller,
                servers_of_one_address_share_its_calls,
                a_server_that_stops_finishes_the_calls_in_hand,
            }
            in (super::counts) {
                what_is_handled_comes_again_or_dies_is_counted,
                publications_are_counted_by_how_they_end,
            }
            in (super::crash) {
                a_confirmed_message_survives_kill_9,
                a_message_in_the_hand_of_a_killed_consumer_comes_again,
            }
        }
    };
}
use every_case;

/// A part of a service that runs in the background, as the chassis would run it.
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

    /// Stops it in order: what it had in hand is finished and settled when this returns.
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it stops in time")
            .expect("it does not panic");
    }

    /// Tears it away in the middle of whatever it does.
    async fn tear_away(self) {
        self.task.abort();
        let _cancelled = self.task.await;
    }
}

struct Handle<F>(F);

#[async_trait]
impl<F, A> Handler for Handle<F>
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
    Arc::new(Handle(handle))
}

/// A handler that answers with what `answer` says and tells afterwards what it got.
fn answering(
    answer: impl Fn(&Envelope) -> Result<(), Refusal> + Send + Sync + 'static,
) -> (Arc<dyn Handler>, UnboundedReceiver<Envelope>) {
    let (told, seen) = unbounded_channel();
    let handle = handler(move |message: Envelope| {
        let outcome = answer(&message);
        tell(&told, message);
        async move { outcome }
    });
    (handle, seen)
}

/// A handler that is content with everything, and what it got.
fn recording() -> (Arc<dyn Handler>, UnboundedReceiver<Envelope>) {
    answering(|_| Ok(()))
}

/// Nobody may listen any more: a test that has ended does not care.
fn tell<T>(told: &UnboundedSender<T>, value: T) {
    let _gone = told.send(value);
}

async fn next<T>(seen: &mut UnboundedReceiver<T>) -> T {
    tokio::time::timeout(PATIENCE, seen.recv())
        .await
        .expect("it comes in time")
        .expect("somebody may still send")
}

async fn bodies(seen: &mut UnboundedReceiver<Envelope>, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(text(&next(seen).await));
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
    Running::start(bus.subscribe(queue(name), handler).await.expect("subscribes"))
}

fn refused(kind: Kind) -> Refusal {
    Refusal::new(kind, "refused_by_test", "The test wants it so.")
}

struct Answer<F>(F);

#[async_trait]
impl<F, A> CallHandler for Answer<F>
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
    Running::start(bus.serve("test-server", address, Arc::new(Answer(answer))).await.expect("serves"))
}

fn call(method: &str) -> Call {
    Call {
        method: method.to_owned(),
        body: Bytes::from_static(b"please"),
        token: Some("token".to_owned()),
        idempotency_key: Some("key-1".to_owned()),
    }
}
