//! The first bytes of a connection, which are read without being consumed.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::pause;

/// The beginning of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The beginnings of the probes.
const PROBES: [&[u8]; 4] = [b"GET /livez ", b"GET /readyz ", b"HEAD /livez ", b"HEAD /readyz "];
/// The pause before a beginning that is too short is read again.
const AGAIN: Duration = Duration::from_millis(20);
/// The time that a probe has to send its beginning.
const PROBE_TIME: Duration = Duration::from_secs(1);
/// The most connections outside of the table that may be probes.
const LANE: usize = 32;

/// Waits for the beginning of a connection. Returns true for HTTP/2. hyper waits for it without a time limit,
/// so a client that sends nothing or half of it would stay for ever.
pub(super) async fn speaks_http_2(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0u8; PREFACE.len()];
    loop {
        let start = peek(stream, &mut start).await?;
        if start.len() == PREFACE.len() || !PREFACE.starts_with(start) {
            return Ok(start == PREFACE);
        }
        pause(AGAIN).await;
    }
}

/// Waits for the beginning of a request. Returns true for a probe, and false for any other request or if the
/// time is over.
pub(super) async fn asks_for_a_probe(stream: &TcpStream) -> bool {
    let beginning = async {
        let mut start = [0u8; 13];
        loop {
            let start = peek(stream, &mut start).await?;
            if PROBES.iter().any(|probe| start.starts_with(probe)) {
                return io::Result::Ok(true);
            }
            if !PROBES.iter().any(|probe| probe.starts_with(start)) {
                return Ok(false);
            }
            pause(AGAIN).await;
        }
    };
    matches!(tokio::time::timeout(PROBE_TIME, beginning).await, Ok(Ok(true)))
}

async fn peek<'a>(stream: &TcpStream, start: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let length = stream.peek(start).await?;
    if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(&start[..length]) }
}

/// The places for connections outside of the table that may be probes. A new one replaces the oldest.
#[derive(Debug, Default)]
pub(super) struct Lane(Mutex<VecDeque<CancellationToken>>);

impl Lane {
    /// Takes a place. It is lost when the token is cancelled.
    pub(super) fn enter(&self) -> CancellationToken {
        let place = CancellationToken::new();
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.push_back(place.clone());
        if places.len() > LANE
            && let Some(oldest) = places.pop_front()
        {
            oldest.cancel();
        }
        place
    }
}
