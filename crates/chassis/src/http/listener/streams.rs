//! The requests of an HTTP/2 connection, each of which must make progress.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};

use super::bounds::{Bound, reached};
use super::connection::Connection;
use crate::observe::{millis, uptime};

tokio::task_local! {
    /// The progress of the stream that the task serves.
    static STREAM: Arc<Progress>;
}

/// While the socket takes no bytes all streams wait for it, and each may wait this many times longer.
const SLOW_NETWORK: u32 = 6;
/// The value of [`Progress`] if no part waits.
const NOTHING: u64 = u64::MAX;

/// The progress of the answer of one stream.
#[derive(Debug)]
pub(super) struct Progress {
    /// The time since which a part waits for the client, in milliseconds of [`uptime`].
    since: AtomicU64,
}

impl Progress {
    /// Returns the progress of the stream of the running task; `None` outside of HTTP/2.
    pub(super) fn current() -> Option<Arc<Self>> {
        STREAM.try_with(Clone::clone).ok()
    }

    /// Notes that a part waits for the client.
    pub(super) fn note_part(&self) {
        self.since.store(millis(uptime()), Ordering::Relaxed);
    }

    /// Notes that nothing waits for the client.
    pub(super) fn note_read(&self) {
        self.since.store(NOTHING, Ordering::Relaxed);
    }

    /// Returns the time for which a part has waited.
    fn waiting(&self) -> Option<Duration> {
        let since = self.since.load(Ordering::Relaxed);
        (since != NOTHING).then(|| Duration::from_millis(millis(uptime()).saturating_sub(since)))
    }
}

/// The executor of the streams of one connection.
#[derive(Clone)]
pub(super) struct Streams {
    connection: Arc<Connection>,
    patience: Duration,
}

impl Streams {
    pub(super) fn new(connection: Arc<Connection>, patience: Duration) -> Self {
        Self { connection, patience }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, work: F) {
        let progress = Arc::new(Progress { since: AtomicU64::new(NOTHING) });
        let stream = Stream {
            work: Box::pin(STREAM.scope(progress.clone(), work)),
            timer: None,
            progress,
            streams: self.clone(),
        };
        crate::spawn("listener.stream", stream);
    }
}

/// The task of one stream. Dropping its work resets the stream.
struct Stream<F: Future> {
    work: Pin<Box<F>>,
    timer: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
    streams: Streams,
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            let Some(left) = self.left() else {
                self.timer = None;
                return Poll::Pending;
            };
            if left.is_zero() {
                reached(Bound::Stalled, self.streams.connection.client());
                self.streams.connection.closing.cancel();
                return Poll::Ready(());
            }
            // It is checked again after the usual time: the socket may take bytes by then.
            let due = Instant::now() + left.min(self.streams.patience);
            let timer = self.timer.get_or_insert_with(|| Box::pin(timer(due)));
            if timer.deadline() > due || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it is a time limit, and no event marks its end")]
fn timer(due: Instant) -> Sleep {
    tokio::time::sleep_until(due)
}

impl<F: Future> Stream<F> {
    /// Returns the time that the waiting part has left; `None` if no part waits.
    fn left(&self) -> Option<Duration> {
        let Streams { connection, patience } = &self.streams;
        let slow = connection.blocked.load(Ordering::Relaxed);
        let patience = if slow { *patience * SLOW_NETWORK } else { *patience };
        self.progress.waiting().map(|waiting| patience.saturating_sub(waiting))
    }
}
