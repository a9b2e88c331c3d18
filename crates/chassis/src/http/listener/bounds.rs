//! The bounds of a listener, and what is logged when one is reached.

use crate::http::{ClientKey, TrustedProxies};
use crate::observe::LogLimit;
use crate::observe::metrics::BOUND;

/// The limits of one listener and its clients.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    /// The most connections.
    pub connections: usize,
    /// The most connections of one client; 0 for no limit.
    pub connections_of_one: usize,
    /// The most open requests of one client over HTTP/2; 0 for no limit.
    pub streams_of_one: usize,
    /// The most bytes of answers that wait for all clients.
    pub unsent: usize,
    /// The most bytes of answers that wait for one client; 0 for no limit.
    pub unsent_of_one: usize,
    /// The proxies without a share of their own: many clients come through them.
    pub trusted: TrustedProxies,
}

/// A bound that a connection or a request has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The connections of one client.
    ConnectionsOfOne,
    /// The connections of the listener.
    Connections,
    /// The open requests of one client over HTTP/2.
    StreamsOfOne,
    /// The requests in flight of one client.
    InFlightOfOne,
    /// The bodies that one client is sending.
    ReceivingOfOne,
    /// The bytes that wait for one client.
    UnsentOfOne,
    /// The bytes that wait for all clients.
    Unsent,
    /// The time in which a client reads a part of its answer.
    Stalled,
}

impl Bound {
    /// Returns the value of the label in the metric.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ConnectionsOfOne => "connections_per_address",
            Self::Connections => "connections",
            Self::StreamsOfOne => "streams_per_address",
            Self::InFlightOfOne => "in_flight_per_address",
            Self::ReceivingOfOne => "receiving_per_address",
            Self::UnsentOfOne => "unsent_bytes_per_address",
            Self::Unsent => "unsent_bytes",
            Self::Stalled => "stalled",
        }
    }
}

/// Counts that a bound was reached, and logs it once a second at most.
pub(crate) fn reached(bound: Bound, client: Option<ClientKey>) {
    static LOG: [LogLimit; 8] = [const { LogLimit::new() }; 8];
    BOUND.count([bound.name().into()]);
    let Some(times) = LOG[bound as usize].count() else { return };
    let client = client.map(tracing::field::display);
    match bound {
        Bound::Stalled => tracing::warn!(
            bound = bound.name(),
            client,
            times,
            "an answer was reset and its connection closed: the client read none of it for process.edge.header_budget_ms"
        ),
        _ => tracing::warn!(
            bound = bound.name(),
            client,
            times,
            "a bound of process.edge was reached, and what exceeded it was refused; if the client is a proxy, \
             name it in process.edge.trusted_proxies"
        ),
    }
}
