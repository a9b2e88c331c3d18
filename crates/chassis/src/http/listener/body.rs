//! The body of an answer, which is sent in parts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connection::{Connection, InFlight};
use super::streams::Progress;
use super::unsent::Reserved;
use crate::http::Share;

/// The largest part of a body over HTTP/1.
const PART: usize = 64 * 1024;
/// The largest part of a body over HTTP/2. A client must read one part within the time limit, so it also sets
/// the lowest rate.
const STREAM_PART: usize = 8 * 1024;

/// A body in parts. The bytes that are not passed on yet count as waiting for the client.
///
/// hyper buffers a part of any length as soon as the client has room for one byte, and forgets a stream when
/// its last part is buffered. So over HTTP/2 the last byte of each frame is a part of its own: it is passed
/// on when all others fit into the window of the client.
pub(super) struct Sending {
    inner: axum::body::Body,
    rest: Bytes,
    /// The length of the last part that was passed on.
    lent: usize,
    reserved: Arc<Reserved>,
    /// True if the length was not known before: it is counted as it arrives.
    counts: bool,
    stream: Option<Arc<Progress>>,
    connection: Arc<Connection>,
    /// Released when the client has read the answer.
    _held: (InFlight, Option<Arc<Share>>),
}

impl Sending {
    /// Creates a body. It has a `stream` over HTTP/2.
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

    /// Notes that the last part was read: the next one is requested only then.
    fn note_read(&mut self) {
        if let Some(stream) = &self.stream {
            stream.note_read();
        }
        if self.lent > 0 {
            self.connection.note_activity();
            self.reserved.shrink(std::mem::take(&mut self.lent));
        }
    }

    fn part(&mut self) -> Bytes {
        let length = match &self.stream {
            Some(stream) => {
                stream.note_part();
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
        self.note_read();
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
