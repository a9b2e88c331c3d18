//! The body of an answer on its way to a client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connection::{Connection, InFlight};
use super::streams::Progress;
use super::unsent::Reserved;
use crate::http::Share;

/// The largest part of a body that is handed on at once over HTTP/1.
const PART: usize = 64 * 1024;
/// The same over HTTP/2. A client has to take one part within the time limit, so it also sets the slowest pace.
const STREAM_PART: usize = 8 * 1024;

/// A body in parts. What is not handed on yet counts as waiting for the client.
///
/// hyper buffers a part of any length as soon as the client has room for one byte, and forgets a stream when its last part is
/// buffered. So over HTTP/2 the last byte of each frame travels apart: it is handed on when all others fit in the client's window.
pub(super) struct Sending {
    inner: axum::body::Body,
    rest: Bytes,
    /// The length of the part that was handed on last.
    lent: usize,
    reserved: Arc<Reserved>,
    /// The length was not known beforehand: it is counted as it comes.
    counts: bool,
    stream: Option<Arc<Progress>>,
    connection: Arc<Connection>,
    /// Given back when the client has taken the answer.
    _held: (InFlight, Option<Arc<Share>>),
}

impl Sending {
    /// A body, with `stream` over HTTP/2.
    pub(super) fn new(
        inner: axum::body::Body,
        reserved: Arc<Reserved>,
        connection: Arc<Connection>,
        stream: Option<Arc<Progress>>,
        held: (InFlight, Option<Arc<Share>>),
    ) -> Self {
        let counts = inner.size_hint().exact().is_none();
        let rest = Bytes::new();
        Self { inner, rest, lent: 0, reserved, counts, stream, connection, _held: held }
    }

    /// The part before has been taken: a body is asked for the next one only then.
    fn taken(&mut self) {
        if let Some(stream) = &self.stream {
            stream.taken();
        }
        if self.lent > 0 {
            self.connection.is_active();
            self.reserved.shrink(std::mem::take(&mut self.lent));
        }
    }

    fn part(&mut self) -> Bytes {
        let length = match &self.stream {
            Some(stream) => {
                stream.offered();
                STREAM_PART.min(self.rest.len() - 1).max(1)
            }
            None => PART.min(self.rest.len()),
        };
        self.lent = length;
        self.rest.split_to(length)
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.taken();
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) if !data.is_empty() => {
                    if self.counts {
                        self.reserved.grow(data.len());
                    }
                    self.rest = data;
                }
                Ok(empty) => return Poll::Ready(Some(Ok(Frame::data(empty)))),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let part = self.part();
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.size_hint();
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
