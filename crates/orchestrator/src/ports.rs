//! The ports of this service: the three news sections, the sink of readings, and the source of the labels
//! that readers like.

use std::time::Duration;

use async_trait::async_trait;
use chassis::http::AccessToken;
use kernel::{ArticleId, Class, Expected, Fault, Kind, Refusal, Section, Timestamp, UserId, Version};

use crate::domain::{
    Article, ArticleBatch, ArticleCorrection, CorrectionSlice, DiffPart, History, ListSlice, Proof,
    ProofSlice, Reading, SectionDesk, SectionList, SectionPositions, State, Taste,
};

pub use proto::news::v1::command_request::Action;

/// A change of an article that a caller wants.
#[derive(Debug, Clone)]
pub struct Command {
    /// The article; `None` for a new one.
    pub id: Option<ArticleId>,
    /// The version that the caller has seen; `None` for a new article.
    pub expected: Option<Expected>,
    /// The change. Only the section knows what it means, so it is passed on as the message that the section
    /// reads.
    pub action: Action,
    /// The verified access token of the caller.
    pub token: Option<AccessToken>,
    /// The idempotency key, if the client sent one.
    pub key: Option<String>,
}

/// The effect of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The article after the command.
    pub article: Article,
    /// True if the command was done before, under the same key: `article` is the answer of that time.
    pub replayed: bool,
}

/// A version of an article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// By its number.
    Version(Version),
    /// The newest one of a moment.
    At(Timestamp),
}

/// The three news sections. Each owns the articles of its section.
///
/// * The token alone says who the caller is: the verified access token of the client. Each section verifies
///   it again.
/// * No call outlives the deadline of the current request.
/// * If the caller of a call has gone, the section stops working on it.
/// * A read that reached no section is tried again.
/// * A command is tried again too, always under one key: the client's, or a key of the orchestrator that no
///   client can send. So it has one effect.
/// * If the section says of a further attempt that the command is still running, that is not taken for the
///   answer.
/// * A refusal of a section is passed on unchanged.
/// * A section that has no process is unavailable. That says nothing about its next process, so the section
///   is called again immediately.
/// * A command waits for a section that has no process, for up to half of the time that is left.
/// * A section that keeps failing is not called for a while; the others are.
/// * Answers that were abandoned count as failures of their section.
/// * A costly question (texts of many articles, a comparison, a proof) never counts as a failure of its
///   section.
/// * A section that can't write can still be read.
/// * An answer that can't be read is a failure of the section.
#[async_trait]
pub trait NewsSections: Send + Sync {
    /// Returns an article with its content. With `min_version` the section waits up to a second until it can
    /// show that version. An article that the caller may not see is refused as if it did not exist.
    async fn get(
        &self,
        section: Section,
        id: ArticleId,
        min_version: Option<Version>,
        token: Option<&str>,
    ) -> Result<Article, SectionError>;

    /// Returns those of these articles that are in one of `states` (empty: published) and that the caller may
    /// see, in the order of `ids`, at most 100. With `content` they have their texts, and only as many come
    /// as fit into one page. Articles that no longer exist are left out.
    async fn get_many(
        &self,
        section: Section,
        ids: &[ArticleId],
        states: &[State],
        content: bool,
        token: Option<&str>,
    ) -> Result<ArticleBatch, SectionError>;

    /// Returns how many bytes the texts of the same articles have, in no order.
    async fn sizes(
        &self,
        section: Section,
        ids: &[ArticleId],
        states: &[State],
        token: Option<&str>,
    ) -> Result<Vec<(ArticleId, u64)>, SectionError>;

    /// Counts an answer as a failure of its section, because the request did not wait for it any longer:
    /// other sections had answered.
    fn count_failure(&self, section: Section);

    /// Returns a part of the section's articles without their texts, as far as the caller may see them, and
    /// the total that passes the filter.
    async fn list(
        &self,
        section: Section,
        slice: &ListSlice,
        token: Option<&str>,
    ) -> Result<SectionList, SectionError>;

    /// Returns the positions of the same slice, without the articles.
    async fn positions(
        &self,
        section: Section,
        slice: &ListSlice,
        token: Option<&str>,
    ) -> Result<SectionPositions, SectionError>;

    /// Returns the work of the section for one of its staff, at most 20 articles in each group, without their
    /// texts. Other callers are refused.
    async fn desk(&self, section: Section, token: Option<&str>) -> Result<SectionDesk, SectionError>;

    /// Sends a command. All commands take this way: the section decides what they mean and who is allowed to
    /// send them.
    async fn command(&self, section: Section, command: Command) -> Result<Done, SectionError>;

    /// Returns the history of an article before the version `before` (or all of it), the newest version
    /// first. The section looks at no more than `limit` versions.
    async fn history(
        &self,
        section: Section,
        id: ArticleId,
        before: Option<Version>,
        limit: u32,
        token: Option<&str>,
    ) -> Result<History, SectionError>;

    /// Returns an article at a version or at a moment, with its content.
    async fn version(
        &self,
        section: Section,
        id: ArticleId,
        which: Which,
        token: Option<&str>,
    ) -> Result<Article, SectionError>;

    /// Returns a slice of the public corrections of the section's published articles, the newest first, at
    /// most 101. Every caller may see them.
    async fn corrections(
        &self,
        section: Section,
        slice: &CorrectionSlice,
    ) -> Result<Vec<ArticleCorrection>, SectionError>;

    /// Returns a page of the hash chain of an article, the first version first. With records the page ends at
    /// 2 MiB of them.
    async fn proof(
        &self,
        section: Section,
        id: ArticleId,
        slice: ProofSlice,
        token: Option<&str>,
    ) -> Result<Proof, SectionError>;

    /// Returns the words in which two versions differ.
    async fn diff(
        &self,
        section: Section,
        id: ArticleId,
        from: Version,
        to: Version,
        token: Option<&str>,
    ) -> Result<Vec<DiffPart>, SectionError>;
}

/// The reason why a section did not answer a request.
#[derive(Debug, thiserror::Error)]
pub enum SectionError {
    /// The section, or the bus on the way to it, has refused. The refusal is passed on unchanged.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No process serves the section: it is being started, or it has ended.
    #[error("no process serves the section {section}")]
    Unserved {
        /// The section.
        section: Section,
    },
    /// The section failed too often and is not called for a moment.
    #[error("the section {section} has failed too often and is not called for a moment")]
    Resting {
        /// The section.
        section: Section,
        /// The time until it is called again.
        retry_after: Duration,
    },
    /// The answer of the section can't be read.
    #[error("the answer of the section {section} can't be read: {reason}")]
    Unreadable {
        /// The section.
        section: Section,
        /// The fault of the answer.
        reason: String,
    },
}

impl SectionError {
    /// True if the section counts as unavailable: the same request may succeed later, or at another section.
    pub fn is_unavailable(&self) -> bool {
        self.kind().is_server_error() || self.kind().is_transient()
    }
}

impl Fault for SectionError {
    fn classify(&self) -> Class<'_> {
        match self {
            SectionError::Refused(refusal) => Class::Inner(refusal),
            SectionError::Unserved { .. } | SectionError::Resting { .. } => {
                Class::own(Kind::Unavailable, "section_unavailable")
            }
            SectionError::Unreadable { .. } => Class::own(Kind::Internal, "internal"),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            SectionError::Refused(refusal) => refusal.retry_after,
            SectionError::Unserved { .. } => Some(Duration::from_secs(1)),
            SectionError::Resting { retry_after, .. } => Some(*retry_after),
            SectionError::Unreadable { .. } => None,
        }
    }
}

/// The sink that publishes readings.
///
/// * A subscriber of the section receives the whole reading.
/// * Readings are published in order.
/// * A reading that is published again has the same id.
/// * An unavailable bus is an error that may pass.
#[async_trait]
pub trait ReadingSink: Send + Sync {
    /// Publishes readings. After an error any of them may have been published, so they are published again
    /// with the same ids.
    async fn publish(&self, readings: &[Reading]) -> Result<(), SinkError>;
}

/// The failure to publish readings. They are best effort: they are published again until their queue
/// overflows.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The bus did not accept them.
    #[error("the bus did not accept the readings")]
    Bus(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The bus did not confirm them in time.
    #[error("the bus did not confirm the readings in time")]
    Timeout,
}

impl Fault for SinkError {
    fn classify(&self) -> Class<'_> {
        match self {
            SinkError::Bus(_) => Class::own(Kind::Unavailable, "bus_unavailable"),
            SinkError::Timeout => Class::own(Kind::Timeout, "bus_unavailable"),
        }
    }
}

/// The source of the labels that readers like: the service that counts their readings. Its own record of
/// their consent decides if it returns any.
///
/// * An unknown reader has no labels.
/// * Labels arrive unchanged and in order.
/// * A call ends at its deadline, and the server stops working on it.
/// * A refusal arrives unchanged.
/// * A call that no process received is retried.
/// * After repeated failures the server is not called for a while.
/// * If the server is down the call fails immediately.
/// * An invalid answer is an error and not a panic.
#[async_trait]
pub trait Tastes: Send + Sync {
    /// Returns at most `limit` labels (1 to 100) that `reader` likes, heaviest first. `reader` comes from a
    /// verified token.
    async fn of(&self, reader: UserId, limit: u32) -> Result<Vec<Taste>, TastesError>;
}

/// The failure to get a reader's labels. It makes a page less personal and never makes it fail.
#[derive(Debug, thiserror::Error)]
pub enum TastesError {
    /// Recommendations, or the transport to it, refused the call.
    #[error("the call to recommendations failed")]
    Failed(#[source] Refusal),
    /// Calls failed so often that recommendations is not called for this time.
    #[error("recommendations is not called for a while, because it failed repeatedly")]
    CircuitOpen(Duration),
    /// The answer is not valid.
    #[error("the answer of recommendations can't be read: {0}")]
    Unreadable(String),
}

impl Fault for TastesError {
    fn classify(&self) -> Class<'_> {
        match self {
            TastesError::Failed(refusal) => Class::Inner(refusal),
            TastesError::CircuitOpen(_) => Class::own(Kind::Unavailable, "dependency_unavailable"),
            TastesError::Unreadable(_) => Class::own(Kind::Internal, "dependency_failed"),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            TastesError::Failed(refusal) => refusal.retry_after,
            TastesError::CircuitOpen(left) => Some(*left),
            TastesError::Unreadable(_) => None,
        }
    }
}
