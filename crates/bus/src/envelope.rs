use bytes::Bytes;
use kernel::{MessageId, Timestamp, Trace};

/// A message with what the bus and its consumers need to know about it, after the attributes of CloudEvents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Minted by whoever has the effect that this tells of. A consumer that must not act twice stores it with its effect.
    pub id: MessageId,
    /// The full name of the message in `proto/`, such as `portal.news.v1.ArticlePublished`: says how to read `body`.
    pub kind: String,
    /// The routing key that subscriptions match, such as `news.sports.published`.
    pub key: String,
    /// The service that it comes from.
    pub source: String,
    /// The id of what it is about: an article, an account.
    pub subject: String,
    /// The version of the subject that it tells of. Who applies only newer versions may receive in any order.
    pub version: u32,
    /// When it happened.
    pub time: Timestamp,
    /// The trace of the request that caused it: it goes on in every handler.
    pub trace: Trace,
    /// The message itself in protobuf.
    pub body: Bytes,
}
