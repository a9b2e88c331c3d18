//! Live events: a stream of what becomes public, changes and disappears.

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use chassis::http::{Caller, Path, Problem, Stopping, event_stream};
use futures::StreamExt;
use http::{HeaderMap, HeaderName};
use kernel::{ArticleId, Section, Timestamp, Version};
use serde::Serialize;
use utoipa::ToSchema;

use super::News;
use super::articles::SectionPath;
use crate::app::{LastEvent, LiveItem};
use crate::domain::{Headline, LiveEvent};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The data of a live event.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveEventView {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    section: Section,
    /// The article.
    #[schema(value_type = uuid::Uuid)]
    id: ArticleId,
    /// The version after the event. `?min_version` waits until the article can be read at it.
    #[schema(value_type = u32)]
    version: Version,
    /// The title; null after the article was withdrawn.
    title: Option<String>,
    /// The readable name of the article in addresses; null after the article was withdrawn.
    slug: Option<String>,
    /// The moment of the event.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<&LiveEvent> for LiveEventView {
    fn from(event: &LiveEvent) -> Self {
        let LiveEvent { section, article, version, headline, at, .. } = event.clone();
        let (title, slug) = headline.map(|Headline { title, slug }| (title, slug)).unzip();
        Self { section, id: article, version, title, slug, at }
    }
}

/// Follows the public life of all articles, as server-sent events.
///
/// `event` is `published`, `updated`, `corrected`, `unpublished` or `retracted`, and `data` is a
/// `LiveEventView`. `id` is the id of the event, which is the same in every process: a client that comes back
/// sends its last one as `Last-Event-ID` and gets the events after it, of up to five minutes. It may get an
/// event twice. If its last event is not known any more, it gets the event `reset` and should read the lists
/// again. After 15 seconds without an event a comment is sent. A client for which 64 events wait is
/// disconnected.
#[utoipa::path(get, path = "/live", tag = "news",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the client got. Browsers send it by themselves.")),
    responses(
        (status = 200, description = "The events, until the client leaves or the portal stops.", body = LiveEventView, content_type = "text/event-stream"),
        (status = 429, description = "`too_many_requests`: this client has too many open streams."),
        (status = 503, description = "All clients together have too many open streams."),
    ))]
pub(super) async fn follow_all(
    State(news): State<News>,
    caller: Caller,
    stopping: Stopping,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    follow(&news, Section::ALL.to_vec(), &caller, stopping, &headers)
}

/// Follows the public life of the articles of one section, as server-sent events.
#[utoipa::path(get, path = "/{type}/live", tag = "news",
    params(SectionPath, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the client got. Browsers send it by themselves.")),
    responses(
        (status = 200, description = "The events, until the client leaves or the portal stops.", body = LiveEventView, content_type = "text/event-stream"),
        (status = 404, description = "`unknown_type`"),
        (status = 429, description = "`too_many_requests`: this client has too many open streams."),
        (status = 503, description = "All clients together have too many open streams."),
    ))]
pub(super) async fn follow_section(
    State(news): State<News>,
    Path(SectionPath { section }): Path<SectionPath>,
    caller: Caller,
    stopping: Stopping,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    follow(&news, vec![section], &caller, stopping, &headers)
}

fn follow(
    news: &News,
    sections: Vec<Section>,
    caller: &Caller,
    stopping: Stopping,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let open = news.streams.open(caller.client())?;
    let events = news.app.live().follow(sections, last_event(headers));
    Ok(event_stream(events.filter_map(async |item| encode(&item)), open, stopping))
}

/// Returns the last event that the client got, if it names one.
fn last_event(headers: &HeaderMap) -> Option<LastEvent> {
    let value = headers.get(LAST_EVENT_ID)?;
    Some(value.to_str().ok().and_then(|text| text.parse().ok()))
}

fn encode(item: &LiveItem) -> Option<Event> {
    match item {
        LiveItem::Reset => Some(Event::default().event("reset").data("{}")),
        LiveItem::Event(event) => {
            let encoded = Event::default().event(event.kind.as_str()).id(event.id.to_string());
            encoded.json_data(LiveEventView::from(&**event)).ok()
        }
    }
}
