//! One connection: what it and its client use at the moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::bounds::{Bound, Shares};
use super::unsent::{Reserved, Unsent};
use crate::http::ClientKey;
use crate::observe::{millis, uptime};

/// After this many answers of 429 in a row a connection is closed.
const REFUSALS: u32 = 10;

/// What one client uses of a listener.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    streams: AtomicUsize,
    /// The bytes of answers that wait for it.
    pub(super) unsent: AtomicUsize,
}

/// One connection, as the table and its own task see it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Its client; `None` for a trusted proxy, which has no share.
    client: Option<(ClientKey, Arc<Usage>)>,
    shares: Arc<Shares>,
    unsent: Arc<Unsent>,
    /// Its last request or progress of an answer, in milliseconds of [`uptime`].
    pub(super) active: AtomicU64,
    requests: AtomicU64,
    in_flight: AtomicUsize,
    refusals: AtomicU32,
    /// The socket takes no more bytes at the moment.
    pub(super) blocked: AtomicBool,
    /// Bytes were written that the layer above has not flushed yet.
    pub(super) dirty: AtomicBool,
    /// Cancelled when the connection should end as soon as its requests have.
    pub(super) closing: CancellationToken,
}

impl Connection {
    /// Creates a connection of a client, or of a trusted proxy.
    pub(super) fn new(
        client: Option<(ClientKey, Arc<Usage>)>,
        shares: Arc<Shares>,
        unsent: Arc<Unsent>,
    ) -> Arc<Self> {
        let connection = Self {
            client,
            shares,
            unsent,
            active: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            refusals: AtomicU32::new(0),
            blocked: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            closing: CancellationToken::new(),
        };
        connection.is_active();
        Arc::new(connection)
    }

    /// Notes that a request came or an answer was taken further.
    pub(super) fn is_active(&self) {
        self.active.store(millis(uptime()), Ordering::Relaxed);
    }

    /// Whether everything that was written has gone to the socket.
    pub(super) fn is_flushed(&self) -> bool {
        !self.dirty.load(Ordering::Relaxed)
    }

    /// The time since a request came or an answer was taken further.
    pub(super) fn idle_for(&self) -> Duration {
        Duration::from_millis(millis(uptime()).saturating_sub(self.active_at()))
    }

    /// The moment of the last activity, in milliseconds of [`uptime`].
    pub(super) fn active_at(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The number of requests that have begun.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The client, for a log line.
    pub(crate) fn client(&self) -> Option<ClientKey> {
        self.client.as_ref().map(|(key, _)| *key)
    }

    /// Counts a request until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>, multiplexed: bool) -> Result<InFlight, Bound> {
        if let Some((_, usage)) = self.client.as_ref().filter(|_| multiplexed) {
            let most = self.shares.streams_of_one;
            let open = usage.streams.fetch_add(1, Ordering::Relaxed);
            if most > 0 && open >= most {
                usage.streams.fetch_sub(1, Ordering::Relaxed);
                return Err(Bound::StreamsOfOne);
            }
        }
        self.is_active();
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(InFlight { connection: self.clone(), multiplexed })
    }

    /// Notes how a request was answered. Returns true if the connection should end because its client goes on in spite of 429.
    pub(super) fn answered(&self, status: StatusCode) -> bool {
        if status != StatusCode::TOO_MANY_REQUESTS || self.client.is_none() {
            self.refusals.store(0, Ordering::Relaxed);
            return false;
        }
        self.refusals.fetch_add(1, Ordering::Relaxed) + 1 >= REFUSALS
    }

    /// Makes room for an answer of this many bytes, which wait until the client takes them.
    ///
    /// # Errors
    /// The bound that it would exceed.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<Reserved, Bound> {
        self.unsent.reserve(self.usage(), bytes, self.shares.unsent_of_one)
    }

    /// The same for an answer that is too small to be refused.
    pub(super) fn reserve_anyway(&self, bytes: usize) -> Reserved {
        self.unsent.reserve_anyway(self.usage(), bytes)
    }

    /// The counters of the client, which all its connections share.
    pub(super) fn usage(&self) -> Option<Arc<Usage>> {
        self.client.as_ref().map(|(_, usage)| usage.clone())
    }
}

/// A request that has not been answered to its end.
#[derive(Debug)]
pub(super) struct InFlight {
    connection: Arc<Connection>,
    multiplexed: bool,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.connection.is_active();
        self.connection.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some((_, usage)) = self.connection.client.as_ref().filter(|_| self.multiplexed) {
            usage.streams.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
