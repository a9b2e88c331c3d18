use std::collections::VecDeque;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;

use crate::PATIENCE;

/// An event of a stream (WHATWG HTML, section 9.2), with its fields as they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerEvent {
    /// The field `event`.
    pub event: Option<String>,
    /// The field `id`.
    pub id: Option<String>,
    /// The field `data`.
    pub data: Option<String>,
    /// The field `retry`.
    pub retry: Option<String>,
}

/// A stream of events that a server sends.
pub struct Events {
    source: Source,
    text: String,
    events: VecDeque<ServerEvent>,
}

enum Source {
    Network(reqwest::Response),
    Router(Body),
}

/// True if a response with these headers is a stream of events.
pub(crate) fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

impl Events {
    pub(crate) fn of_network(response: reqwest::Response) -> Self {
        assert!(is_stream(response.headers()), "not a stream of events: {response:?}");
        Self { source: Source::Network(response), text: String::new(), events: VecDeque::new() }
    }

    pub(crate) fn of_router(response: http::Response<Body>) -> Self {
        assert!(is_stream(response.headers()), "not a stream of events: {response:?}");
        Self { source: Source::Router(response.into_body()), text: String::new(), events: VecDeque::new() }
    }

    /// Returns the next event, without comments; `None` at the end of the stream.
    ///
    /// # Panics
    /// If nothing comes for [`PATIENCE`], or the connection breaks.
    pub async fn next(&mut self) -> Option<ServerEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.source.chunk());
            let chunk = chunk.await.expect("an event comes in time")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("a chunk is UTF-8"));
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                self.events.extend(parse(block));
                self.text = rest.to_owned();
            }
        }
    }
}

impl Source {
    async fn chunk(&mut self) -> Option<Bytes> {
        match self {
            Self::Network(response) => response.chunk().await.expect("the connection holds"),
            Self::Router(body) => {
                let frame = body.frame().await?.expect("the body has no error");
                Some(frame.into_data().unwrap_or_default())
            }
        }
    }
}

/// Returns the event of a block of lines; `None` if it has only comments.
fn parse(block: &str) -> Option<ServerEvent> {
    let mut event = ServerEvent::default();
    for line in block.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = Some(value.strip_prefix(' ').unwrap_or(value).to_owned());
        match name {
            "event" => event.event = value,
            "id" => event.id = value,
            "data" => event.data = value,
            "retry" => event.retry = value,
            _ => {}
        }
    }
    Some(event).filter(|event| *event != ServerEvent::default())
}
