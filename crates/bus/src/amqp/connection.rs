use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kernel::Deadline;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, Event};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::BusError;

/// A silent peer is noticed within twice this.
const HEARTBEAT_SECONDS: u16 = 10;
/// How long a connection may take from the first packet to the end of the handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// The pause before the second attempt to connect …
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// … and the longest between two of them.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How often a connection is looked at, besides being told of its end.
const LOOK: Duration = Duration::from_secs(1);
/// How often a request that the driver has not answered yet is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// How long an orderly goodbye may take.
pub(super) const GOODBYE: Duration = Duration::from_secs(2);

/// A connection that is there again soon after it was lost. Everything that lived on it (channels, consumers, exclusive
/// queues, what was not confirmed) is gone then; whoever had it makes it anew on the next connection.
pub(super) struct Link {
    state: watch::Receiver<State>,
    closing: CancellationToken,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone)]
enum State {
    /// Not now, and why.
    Away(String),
    Up(Arc<Connection>),
    Closed,
}

impl Link {
    /// Begins to connect, and goes on with it for as long as `closing` is not cancelled.
    pub(super) fn start(uri: &AMQPUri, purpose: &str, closing: CancellationToken) -> Self {
        let mut uri = uri.clone();
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let (states, state) = watch::channel(State::Away("it has not answered yet".to_owned()));
        let name = format!("{} {purpose}", uri.authority.userinfo.username);
        let keeper = Keeper { uri, name, states, closing: closing.clone() };
        let keeper = Mutex::new(Some(chassis::spawn("bus.connection", keeper.run())));
        Self { state, closing, keeper }
    }

    /// The connection, if it is there at this moment.
    pub(super) fn now(&self) -> Result<Arc<Connection>, BusError> {
        match &*self.state.borrow() {
            State::Up(connection) if connection.status().connected() => Ok(connection.clone()),
            State::Up(_) => Err(away("the connection to the broker was lost")),
            State::Away(why) => Err(away(&format!("the broker is away: {why}"))),
            State::Closed => Err(away("the bus is closed")),
        }
    }

    /// The connection as soon as it is there.
    pub(super) async fn within(&self, deadline: Deadline) -> Result<Arc<Connection>, BusError> {
        let mut state = self.state.clone();
        let there = state.wait_for(|state| match state {
            State::Up(connection) => connection.status().connected(),
            State::Closed => true,
            State::Away(_) => false,
        });
        let _there = tokio::time::timeout_at(deadline.instant().into(), there).await;
        self.now()
    }

    /// The connection once it is there, however long that takes; nothing where the bus is closed first.
    pub(super) async fn wait(&self) -> Option<Arc<Connection>> {
        let mut state = self.state.clone();
        loop {
            match &*state.borrow_and_update() {
                State::Up(connection) if connection.status().connected() => return Some(connection.clone()),
                State::Closed => return None,
                State::Up(_) | State::Away(_) => {}
            }
            state.changed().await.ok()?;
        }
    }

    /// Says goodbye. A second time it does nothing.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            // It ends within `GOODBYE`; that it panicked would have been logged.
            let _ended = keeper.await;
        }
    }
}

/// The loop behind a link.
struct Keeper {
    uri: AMQPUri,
    name: String,
    states: watch::Sender<State>,
    closing: CancellationToken,
}

impl Keeper {
    async fn run(self) {
        let mut failures = 0u32;
        loop {
            let attempt = tokio::select! {
                biased;
                () = self.closing.cancelled() => break,
                attempt = self.connect() => attempt,
            };
            match attempt {
                Ok(connection) => {
                    tracing::info!(connection = self.name, "connected to the broker");
                    failures = 0;
                    if self.hold(connection).await {
                        break;
                    }
                }
                Err(why) => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        tracing::warn!(connection = self.name, cause = why, "the broker can not be reached");
                    }
                    self.states.send_replace(State::Away(why));
                }
            }
            tokio::select! {
                () = self.closing.cancelled() => break,
                () = chassis::pause(back_off(failures)) => {}
            }
        }
        self.states.send_replace(State::Closed);
    }

    /// Shows the connection until it is lost, or, which is true, to be closed.
    async fn hold(&self, connection: Connection) -> bool {
        let connection = Arc::new(connection);
        let mut events = Box::pin(connection.events_listener());
        let mut cause = None;
        self.states.send_replace(State::Up(connection.clone()));
        while connection.status().connected() {
            tokio::select! {
                biased;
                () = self.closing.cancelled() => {
                    self.states.send_replace(State::Closed);
                    let goodbye = connection.close(200, "OK".into());
                    let _too_late_or_gone = tokio::time::timeout(GOODBYE, goodbye).await;
                    return true;
                }
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) =>
                        tracing::warn!(connection = self.name, reason, "the broker takes no messages for now"),
                    Some(Event::ConnectionUnblocked) =>
                        tracing::info!(connection = self.name, "the broker takes messages again"),
                    Some(Event::Error(error)) if !is_answer(&error) => cause = Some(error.to_string()),
                    Some(_) => {}
                    None => break,
                },
                () = chassis::pause(LOOK) => {}
            }
        }
        tracing::warn!(connection = self.name, cause, "the connection to the broker was lost");
        self.states.send_replace(State::Away("the connection was lost".to_owned()));
        false
    }

    async fn connect(&self) -> Result<Connection, String> {
        let options = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let attempt = Connection::connect_uri(self.uri.clone(), options);
        match tokio::time::timeout(CONNECT, attempt).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err(format!("no handshake within {CONNECT:?}")),
        }
    }
}

/// The pause of everything that needs the broker, after so many failures in a row.
pub(super) fn back_off(failures: u32) -> Duration {
    chassis::back_off(failures, FIRST_PAUSE, MAX_PAUSE)
}

/// A channel on this connection.
pub(super) async fn channel(connection: &Connection) -> Result<Channel, BusError> {
    unless_lost(connection.create_channel(), || !connection.status().connected()).await
}

/// What the driver answers, or that it will not: `lost` is true and there is no answer.
///
/// New channels and acknowledgements go to a task of the driver by a queue of their own. What comes into that queue after
/// the end of the connection was noticed, and before the task has ended, is neither done nor refused: whoever waits for
/// it would wait for ever (lapin 4.12, `internal_rpc.rs`). Everything else is refused by the driver in time.
pub(super) async fn unless_lost<T>(
    asked: impl Future<Output = Result<T, lapin::Error>>,
    lost: impl Fn() -> bool,
) -> Result<T, BusError> {
    let mut asked = pin!(asked);
    loop {
        // First, so that an answer that came meanwhile counts.
        let is_lost = lost();
        tokio::select! {
            biased;
            answer = &mut asked => return answer.map_err(|error| failure(&error)),
            () = chassis::pause(GLANCE), if !is_lost => {}
            () = std::future::ready(()), if is_lost => {
                return Err(away("the connection was lost before the driver answered"));
            }
        }
    }
}

/// Whether this is a broker's refusal of one request, which ends a channel and is told to whoever asked. The connection goes on.
fn is_answer(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(refused) if matches!(refused.kind(), AMQPErrorKind::Soft(_)))
}

/// What the driver says, in the words of the port.
pub(super) fn failure(error: &lapin::Error) -> BusError {
    if let ErrorKind::ProtocolError(refused) = error.kind()
        && let AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED | AMQPSoftError::PRECONDITIONFAILED) =
            refused.kind()
    {
        return BusError::Refused(format!("the broker refuses: {}", refused.get_message()));
    }
    BusError::Away(format!("the broker did not do it: {error}"))
}

pub(super) fn away(why: &str) -> BusError {
    BusError::Away(why.to_owned())
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_request_that_the_driver_forgets_ends_with_the_connection_and_an_answer_counts_before_that() {
        let forgotten = unless_lost(pending::<Result<(), lapin::Error>>(), || true);
        assert!(matches!(forgotten.await, Err(BusError::Away(_))));
        let looks = std::cell::Cell::new(0);
        let lost_meanwhile =
            unless_lost(pending::<Result<(), lapin::Error>>(), || looks.replace(looks.get() + 1) == 2);
        assert!(matches!(lost_meanwhile.await, Err(BusError::Away(_))));
        assert_eq!(looks.get(), 3);
        let answered = unless_lost(ready(Ok::<_, lapin::Error>("answer")), || true);
        assert!(matches!(answered.await, Ok("answer")));
    }
}
