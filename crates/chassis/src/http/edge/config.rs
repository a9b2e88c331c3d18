use serde::{Deserialize, Serialize};

use crate::http::client::TrustedProxies;
use crate::http::throttle::ThrottleConfig;

/// The limits of a public listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeConfig {
    /// The path under which the gateway exposes this listener, such as `/users/v1`; empty if the listener is
    /// the gateway.
    pub public_base: String,
    /// The time that a client has to send the headers of a request, in milliseconds. A connection that sends
    /// nothing, or accepts nothing of its response, for this time is closed.
    pub header_budget_ms: u64,
    /// The time that a GET or HEAD may take, in milliseconds.
    pub read_budget_ms: u64,
    /// The time that any other request may take, in milliseconds.
    pub write_budget_ms: u64,
    /// The maximum number of requests in flight. Further requests are answered with 503 immediately.
    pub in_flight: usize,
    /// The maximum number of requests in flight of one client, until it has received their responses. Further
    /// requests are answered with 429. 0 means no limit. A client is an IPv4 address, or the first 64 bits of
    /// an IPv6 address. Trusted proxies have no limit.
    pub in_flight_per_address: usize,
    /// The maximum number of bodies that one client may send at the same time. Further requests are answered
    /// with 429. 0 means no limit.
    pub receiving_per_address: usize,
    /// The maximum number of connections of one client. For a further connection its longest idle one is
    /// closed. If none is idle, the new one is closed. 0 means no limit.
    pub connections_per_address: usize,
    /// The maximum number of unsent response bytes of all clients together. A response that would exceed it
    /// becomes a 503.
    pub unsent_bytes: usize,
    /// The maximum number of unsent response bytes of one client. 0 means no limit.
    pub unsent_bytes_per_address: usize,
    /// The proxies in front of this listener. They name the client in `X-Forwarded-For`. From any other peer
    /// that header is ignored, and the client is the peer of the connection.
    pub trusted_proxies: TrustedProxies,
    /// The origins whose pages may write, such as `https://editors.example.org`. Pages of every origin may
    /// read.
    pub writing_origins: Vec<String>,
    /// The request limits of one client and of one account.
    pub throttle: ThrottleConfig,
}

impl Default for EdgeConfig {
    /// Returns the defaults of the product: 10 s for headers, 2 s to read, 5 s to write, 512 requests in
    /// flight and a quarter of them for one client. No proxy is trusted, and no page of another origin may
    /// write.
    fn default() -> Self {
        Self {
            public_base: String::new(),
            header_budget_ms: 10_000,
            read_budget_ms: 2_000,
            write_budget_ms: 5_000,
            in_flight: 512,
            in_flight_per_address: 128,
            receiving_per_address: 32,
            connections_per_address: 256,
            unsent_bytes: 64 * 1024 * 1024,
            unsent_bytes_per_address: 16 * 1024 * 1024,
            trusted_proxies: TrustedProxies::default(),
            writing_origins: Vec::new(),
            throttle: ThrottleConfig::default(),
        }
    }
}
