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

/// The interval of heartbeats. A silent peer is detected within twice this time.
const HEARTBEAT_SECONDS: u16 = 10;
/// The longest time from the first packet of a connection to the end of its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause before the second attempt to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The interval at which a connection is checked, besides the driver's notification of its end.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which the connection is checked while a request to the driver is open.
const REQUEST_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// The longest time for closing a connection or a channel in order.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that is reopened soon after it was lost.
///
/// Everything that belonged to the lost connection is gone: channels, consumers, exclusive queues,
/// unconfirmed messages. The owner of each creates it again on the next connection.
pub(super) struct Link {
    state: watch::Receiver<State>,
    closing: CancellationToken,
    reconnector: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone)]
enum State {
    /// Not connected, and why.
    Down(String),
    Up(Arc<Connection>),
    Closed,
}

impl Link {
    /// Starts to connect, and reconnects until `closing` is cancelled.
    pub(super) fn start(uri: &AMQPUri, purpose: &str, closing: CancellationToken) -> Self {
        let mut uri = uri.clone();
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let (states, state) = watch::channel(State::Down("it has not answered yet".to_owned()));
        let name = format!("{} {purpose}", uri.authority.userinfo.username);
        let reconnector = Reconnector { uri, name, states, closing: closing.clone() };
        let reconnector = Mutex::new(Some(chassis::spawn("bus.connection", reconnector.run())));
        Self { state, closing, reconnector }
    }

    /// Returns the connection if it is open now.
    pub(super) fn current(&self) -> Result<Arc<Connection>, BusError> {
        match &*self.state.borrow() {
            State::Up(connection) if connection.status().connected() => Ok(connection.clone()),
            State::Up(_) => Err(unavailable("the connection to the broker was lost")),
            State::Down(why) => Err(unavailable(&format!("the broker is unavailable: {why}"))),
            State::Closed => Err(unavailable("the bus is closed")),
        }
    }

    /// Returns the connection as soon as it is open, or an error after the deadline.
    pub(super) async fn wait_until(&self, deadline: Deadline) -> Result<Arc<Connection>, BusError> {
        let mut state = self.state.clone();
        let opened = state.wait_for(|state| match state {
            State::Up(connection) => connection.status().connected(),
            State::Closed => true,
            State::Down(_) => false,
        });
        let _opened = tokio::time::timeout_at(deadline.instant().into(), opened).await;
        self.current()
    }

    /// Returns the connection once it is open, however long that takes. Returns `None` if the bus is closed
    /// first.
    pub(super) async fn wait(&self) -> Option<Arc<Connection>> {
        let mut state = self.state.clone();
        loop {
            match &*state.borrow_and_update() {
                State::Up(connection) if connection.status().connected() => return Some(connection.clone()),
                State::Closed => return None,
                State::Up(_) | State::Down(_) => {}
            }
            state.changed().await.ok()?;
        }
    }

    /// Closes the connection in order. A second call does nothing.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        let reconnector = self.reconnector.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reconnector) = reconnector {
            // It ends within `CLOSE_TIMEOUT`. A panic would have been logged.
            let _ended = reconnector.await;
        }
    }
}

/// The task that keeps a link connected.
struct Reconnector {
    uri: AMQPUri,
    name: String,
    states: watch::Sender<State>,
    closing: CancellationToken,
}

impl Reconnector {
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
                        tracing::warn!(connection = self.name, cause = why, "the broker cannot be reached");
                    }
                    self.states.send_replace(State::Down(why));
                }
            }
            tokio::select! {
                () = self.closing.cancelled() => break,
                () = chassis::pause(back_off(failures)) => {}
            }
        }
        self.states.send_replace(State::Closed);
    }

    /// Publishes the connection until it ends. Returns true if it was closed, false if it was lost.
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
                    let close = connection.close(200, "OK".into());
                    let _late_or_lost = tokio::time::timeout(CLOSE_TIMEOUT, close).await;
                    return true;
                }
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) =>
                        tracing::warn!(connection = self.name, reason, "the broker accepts no messages now"),
                    Some(Event::ConnectionUnblocked) =>
                        tracing::info!(connection = self.name, "the broker accepts messages again"),
                    Some(Event::Error(error)) if !is_channel_error(&error) => cause = Some(error.to_string()),
                    Some(_) => {}
                    None => break,
                },
                () = chassis::pause(CHECK_INTERVAL) => {}
            }
        }
        tracing::warn!(connection = self.name, cause, "the connection to the broker was lost");
        self.states.send_replace(State::Down("the connection was lost".to_owned()));
        false
    }

    async fn connect(&self) -> Result<Connection, String> {
        let options = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let attempt = Connection::connect_uri(self.uri.clone(), options);
        match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err(format!("no handshake within {CONNECT_TIMEOUT:?}")),
        }
    }
}

/// Returns the pause before the next attempt of anything that needs the broker, after this many failures in a
/// row.
pub(super) fn back_off(failures: u32) -> Duration {
    chassis::back_off(failures, FIRST_PAUSE, MAX_PAUSE)
}

/// Opens a channel on this connection.
pub(super) async fn open_channel(connection: &Connection) -> Result<Channel, BusError> {
    unless_lost(connection.create_channel(), || !connection.status().connected()).await
}

/// Waits for the driver's answer to a request, but no longer than until the connection is lost.
///
/// The driver has a separate queue and task for new channels and acknowledgements. A request that enters this
/// queue after the driver has noticed the end of the connection, and before the task has ended, is neither
/// done nor refused. Its caller would wait forever (lapin 4.12, `internal_rpc.rs`). The driver refuses every
/// other request in time.
pub(super) async fn unless_lost<T>(
    request: impl Future<Output = Result<T, lapin::Error>>,
    is_lost: impl Fn() -> bool,
) -> Result<T, BusError> {
    let mut request = pin!(request);
    loop {
        // Checked before the answer, so that an answer that has arrived meanwhile counts.
        let is_lost = is_lost();
        tokio::select! {
            biased;
            answer = &mut request => return answer.map_err(|error| bus_error(&error)),
            () = chassis::pause(REQUEST_CHECK_INTERVAL), if !is_lost => {}
            () = std::future::ready(()), if is_lost => {
                return Err(unavailable("the connection was lost before the driver answered"));
            }
        }
    }
}

/// Returns true if the broker has refused one request. That ends a channel, and the caller of the request
/// gets the error. The connection stays open.
fn is_channel_error(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(refused) if matches!(refused.kind(), AMQPErrorKind::Soft(_)))
}

/// Converts an error of the driver into an error of the port.
pub(super) fn bus_error(error: &lapin::Error) -> BusError {
    if let ErrorKind::ProtocolError(refused) = error.kind()
        && let AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED | AMQPSoftError::PRECONDITIONFAILED) =
            refused.kind()
    {
        return BusError::Refused(format!("the broker refuses the request: {}", refused.get_message()));
    }
    BusError::Unavailable(format!("the broker did not complete the request: {error}"))
}

/// Returns the error for a broker that is unavailable.
pub(super) fn unavailable(why: &str) -> BusError {
    BusError::Unavailable(why.to_owned())
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_request_that_the_driver_forgets_ends_with_the_connection_unless_it_was_answered_before() {
        let forgotten = unless_lost(pending::<Result<(), lapin::Error>>(), || true);
        assert!(matches!(forgotten.await, Err(BusError::Unavailable(_))));
        let looks = std::cell::Cell::new(0);
        let lost_meanwhile =
            unless_lost(pending::<Result<(), lapin::Error>>(), || looks.replace(looks.get() + 1) == 2);
        assert!(matches!(lost_meanwhile.await, Err(BusError::Unavailable(_))));
        assert_eq!(looks.get(), 3);
        let answered = unless_lost(ready(Ok::<_, lapin::Error>("answer")), || true);
        assert!(matches!(answered.await, Ok("answer")));
    }
}
