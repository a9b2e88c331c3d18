use bytes::Bytes;
use kernel::{MessageId, Timestamp, Trace};

/// A message with its metadata, which follow the attributes of CloudEvents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The id, created with the effect that the message reports. A consumer that must not act twice stores it
    /// with its own effect.
    pub id: MessageId,
    /// The full name of the message in `proto/`, such as `portal.news.v1.ArticlePublished`. It says how to
    /// decode `body`.
    pub kind: String,
    /// The routing key that subscriptions match, such as `news.sports.published`.
    pub key: String,
    /// The service that publishes it.
    pub source: String,
    /// The id of the article or account that it is about.
    pub subject: String,
    /// The version of the subject that it reports. A consumer that applies only newer versions may receive
    /// messages in any order.
    pub version: u32,
    /// The time of the event.
    pub time: Timestamp,
    /// The trace of the request that caused it. Every handler continues it.
    pub trace: Trace,
    /// The message in protobuf.
    pub body: Bytes,
}
