//! One connection, with the resources that it and its client use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::bounds::{Bound, Shares};
use super::unsent::{Reserved, Unsent};
use super::usage::Usage;
use crate::http::ClientKey;
use crate::observe::{millis, uptime};

/// The number of 429 answers in a row after which a connection is closed.
const REFUSALS: u32 = 10;

/// One connection, as the table and its own task see it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The client. It is `None` for a trusted proxy, which has no share.
    client: Option<(ClientKey, Arc<Usage>)>,
    shares: Arc<Shares>,
    unsent: Arc<Unsent>,
    /// The time of the last request or progress of an answer, in milliseconds of [`uptime`].
    pub(super) active: AtomicU64,
    requests: AtomicU64,
    in_flight: AtomicUsize,
    refusals: AtomicU32,
    /// True while the socket takes no more bytes.
    pub(super) blocked: AtomicBool,
    /// True if bytes were written that the layer above has not flushed.
    pub(super) dirty: AtomicBool,
    /// Cancelled when the connection should end after its requests.
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
        connection.note_activity();
        Arc::new(connection)
    }

    /// Notes that a request arrived or an answer made progress.
    pub(super) fn note_activity(&self) {
        self.active.store(millis(uptime()), Ordering::Relaxed);
    }

    /// True if everything that was written has reached the socket.
    pub(super) fn is_flushed(&self) -> bool {
        !self.dirty.load(Ordering::Relaxed)
    }

    /// Returns the time since the last activity.
    pub(super) fn idle_for(&self) -> Duration {
        Duration::from_millis(millis(uptime()).saturating_sub(self.active_at()))
    }

    /// Returns the time of the last activity, in milliseconds of [`uptime`].
    pub(super) fn active_at(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns the number of requests that have begun.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns the client, for a log line.
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
        self.note_activity();
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(InFlight { connection: self.clone(), multiplexed })
    }

    /// Notes the status of an answer. Returns true if the connection should end because its client goes on in
    /// spite of 429.
    pub(super) fn note_answer(&self, status: StatusCode) -> bool {
        if status != StatusCode::TOO_MANY_REQUESTS || self.client.is_none() {
            self.refusals.store(0, Ordering::Relaxed);
            return false;
        }
        self.refusals.fetch_add(1, Ordering::Relaxed) + 1 >= REFUSALS
    }

    /// Reserves the bytes of an answer, which wait until the client reads them.
    ///
    /// # Errors
    /// The bound that the answer would exceed.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<Reserved, Bound> {
        self.unsent.reserve(self.usage(), bytes, self.shares.unsent_of_one)
    }

    /// Reserves the bytes of an answer that is too small to be refused.
    pub(super) fn reserve_anyway(&self, bytes: usize) -> Reserved {
        self.unsent.reserve_anyway(self.usage(), bytes)
    }

    /// Returns the counters of the client, which all its connections share.
    pub(super) fn usage(&self) -> Option<Arc<Usage>> {
        self.client.as_ref().map(|(_, usage)| usage.clone())
    }
}

/// A request whose answer is not complete.
#[derive(Debug)]
pub(super) struct InFlight {
    connection: Arc<Connection>,
    multiplexed: bool,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.connection.note_activity();
        self.connection.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some((_, usage)) = self.connection.client.as_ref().filter(|_| self.multiplexed) {
            usage.streams.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
