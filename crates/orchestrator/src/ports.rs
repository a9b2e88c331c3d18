//! What this service needs from outside: the three news sections, somewhere to tell that an article was read, and somebody who knows
//! what a reader likes.

use std::time::Duration;

use async_trait::async_trait;
use chassis::http::AccessToken;
use kernel::{ArticleId, Class, Expected, Fault, Kind, Refusal, Section, Timestamp, UserId, Version};

use crate::domain::{
    Article, DiffPart, History, Part, Picked, Reading, SectionList, SectionPositions, State, Taste,
};

pub use proto::news::v1::command_request::Action;

/// A change of an article that a caller wants.
#[derive(Debug, Clone)]
pub struct Command {
    /// The article; `None` for a new one.
    pub id: Option<ArticleId>,
    /// The version that the caller has seen; `None` for a new article.
    pub expected: Option<Expected>,
    /// The change. Only the section knows what it means, so it is passed on as the message that the section reads.
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
/// * The token alone says who the caller is: the verified access token of the client. Each section verifies it again.
/// * No call outlives the deadline of the current request.
/// * If the caller of a call has gone, the section stops working on it.
/// * A read that reached no section is tried again.
/// * A command is tried again too, always under one key: the client's, or a key of the orchestrator that no client can send. So it
///   has one effect.
/// * If the section says of a further attempt that the command is still running, that is not taken for the answer.
/// * A refusal of a section is passed on unchanged.
/// * A refusal that was kept under the client's key says so.
/// * A section that has no process is unavailable.
/// * A section that keeps failing is not called for a while; the others are.
/// * Answers that were abandoned count as failures of their section.
/// * A costly question (texts of many articles, a comparison) never counts as a failure of its section.
/// * A section that can't write can still be read.
/// * An answer that can't be read is a failure of the section.
#[async_trait]
pub trait NewsSections: Send + Sync {
    /// Returns an article with its content. With `min_version` the section waits up to a second until it can show that version. An
    /// article that the caller may not see is refused as if it did not exist.
    async fn get(
        &self,
        section: Section,
        id: ArticleId,
        min_version: Option<Version>,
        token: Option<&str>,
    ) -> Result<Article, SectionError>;

    /// Returns those of these articles that are in one of `states` (empty: published) and that the caller may see, in the order of
    /// `ids`, at most 100. With `content` they have their texts, and only as many come as fit into one page. Articles that no longer
    /// exist are left out.
    async fn get_many(
        &self,
        section: Section,
        ids: &[ArticleId],
        states: &[State],
        content: bool,
        token: Option<&str>,
    ) -> Result<Picked, SectionError>;

    /// Returns how many bytes the texts of the same articles have, in no order.
    async fn sizes(
        &self,
        section: Section,
        ids: &[ArticleId],
        states: &[State],
        token: Option<&str>,
    ) -> Result<Vec<(ArticleId, u64)>, SectionError>;

    /// Counts an answer as a failure of its section, because the request did not wait for it any longer: other sections had answered.
    fn count_failure(&self, section: Section);

    /// Returns a part of the section's articles without their texts, as far as the caller may see them, and the total that passes the
    /// filter.
    async fn list(
        &self,
        section: Section,
        part: &Part,
        token: Option<&str>,
    ) -> Result<SectionList, SectionError>;

    /// Returns the positions of the same part, without the articles.
    async fn positions(
        &self,
        section: Section,
        part: &Part,
        token: Option<&str>,
    ) -> Result<SectionPositions, SectionError>;

    /// Sends a command. All commands take this way: the section decides what they mean and who is allowed to send them.
    async fn command(&self, section: Section, command: Command) -> Result<Done, SectionError>;

    /// Returns the history of an article before the version `before` (or all of it), the newest version first. The section looks at no
    /// more than `limit` versions.
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
            SectionError::Resting { .. } => Class::own(Kind::Unavailable, "section_unavailable"),
            SectionError::Unreadable { .. } => Class::own(Kind::Internal, "internal"),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            SectionError::Refused(refusal) => refusal.retry_after,
            SectionError::Resting { retry_after, .. } => Some(*retry_after),
            SectionError::Unreadable { .. } => None,
        }
    }
}

/// Where it is told that articles were read. Whoever listens to the section hears all that the reading holds.
#[async_trait]
pub trait ReadingSink: Send + Sync {
    /// Tells these readings, in their order. After an error any of them may have been told: they are told again under the same
    /// ids. A bus that is away is an error that may pass.
    async fn tell(&self, readings: &[Reading]) -> Result<(), SinkError>;
}

/// Why readings were not told; they are best effort, and are tried again until their queue overflows.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The bus did not take them.
    #[error("the bus did not take the readings")]
    Bus(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The bus gave no answer in time.
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

/// What readers like. The service that counts their readings knows, and its own record of their consent decides whether it tells.
///
/// * A reader of whom nothing is told likes nothing.
/// * What is told arrives as it was said and in that order.
/// * What never answers is given up when its time is over, and stops working.
/// * A refusal arrives as it was said.
/// * A question that found nobody is asked again.
/// * Whoever keeps failing is left in peace.
/// * Where nobody is there, that is an error at once.
/// * An answer that is no taste is an error and no panic.
#[async_trait]
pub trait Tastes: Send + Sync {
    /// What `reader` likes, heaviest first, at most `limit` labels (1 to 100). `reader` comes from a verified token.
    async fn of(&self, reader: UserId, limit: u32) -> Result<Vec<Taste>, TastesError>;
}

/// Why nobody knows what a reader likes. It makes a page less personal and never makes it fail.
#[derive(Debug, thiserror::Error)]
pub enum TastesError {
    /// Recommendations, or the way to it, said no.
    #[error("recommendations was asked and did not answer well")]
    Failed(#[source] Refusal),
    /// It failed so often that it is left in peace for a moment.
    #[error("recommendations is not asked for the moment")]
    Resting(Duration),
    /// It answered something that is no taste.
    #[error("recommendations gave an answer that cannot be read: {0}")]
    Unreadable(String),
}

impl Fault for TastesError {
    fn classify(&self) -> Class<'_> {
        match self {
            TastesError::Failed(refusal) => Class::Inner(refusal),
            TastesError::Resting(_) => Class::own(Kind::Unavailable, "dependency_unavailable"),
            TastesError::Unreadable(_) => Class::own(Kind::Internal, "dependency_failed"),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            TastesError::Failed(refusal) => refusal.retry_after,
            TastesError::Resting(left) => Some(*left),
            TastesError::Unreadable(_) => None,
        }
    }
}
