//! The first bytes of a connection, looked at before anything takes them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::pause;

/// How HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How a request of the probes begins.
const PROBES: [&[u8]; 4] = [b"GET /livez ", b"GET /readyz ", b"HEAD /livez ", b"HEAD /readyz "];
/// The pause before a beginning that is too short to be understood is looked at again.
const AGAIN: Duration = Duration::from_millis(20);
/// The time that a probe has to say what it wants.
const PROBE_TIME: Duration = Duration::from_secs(1);
/// The most connections at once that may turn out to be probes.
const LANE: usize = 32;

/// Waits until a client has said whether it speaks HTTP/2, and returns whether it does. hyper waits for that without a clock, so
/// a client that says nothing, or half of it, would stay for ever.
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

/// Waits until a client asks for a probe; false if it asks for anything else, or for nothing in time.
pub(super) async fn asks_for_a_probe(stream: &TcpStream) -> bool {
    let looked = async {
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
    matches!(tokio::time::timeout(PROBE_TIME, looked).await, Ok(Ok(true)))
}

async fn peek<'a>(stream: &TcpStream, start: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let length = stream.peek(start).await?;
    if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(&start[..length]) }
}

/// The places of connections that got none in the table and may be probes. A new one takes the place of the oldest.
#[derive(Debug, Default)]
pub(super) struct Lane(Mutex<VecDeque<CancellationToken>>);

impl Lane {
    /// A place that is taken away when the token is cancelled.
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
