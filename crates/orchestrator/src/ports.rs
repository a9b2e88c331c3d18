//! What this service needs from outside: the three news sections, somewhere to tell that an article was read, and somebody who knows
//! what a reader likes.

use std::time::Duration;

use async_trait::async_trait;
use kernel::{ArticleId, Class, Expected, Fault, Kind, Refusal, Section, Timestamp, UserId, Version};

use crate::domain::{
    Article, Change, DiffPart, Fields, History, Part, Picked, Reading, SectionList, SectionPositions, State,
    Taste,
};

/// Who gives a command, and under which key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Giver<'a> {
    /// The verified access token of the caller.
    pub token: Option<&'a str>,
    /// The key under which the client sent the command, if under any.
    pub key: Option<&'a str>,
}

/// What a command led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<T> {
    /// What it led to.
    pub value: T,
    /// It was done before, under the same key: this is what came of it then.
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

/// The desks of the news sections: each owns the articles of its section.
///
/// * Who asks is said by the token alone, the verified access token of the caller; each section verifies it again by itself.
/// * No call outlives the deadline of the work in hand.
/// * A call whose caller is gone is abandoned at the section too.
/// * A read that found nobody is tried again.
/// * So is a command, under one key, the client's or one of the orchestrator's own that no client can have given: it has one effect.
/// * A section that says of such a further attempt that the command is still being done has not answered yet.
/// * What a section refuses is passed on as it said it.
/// * In a refusal that it has kept under the client's key, `idempotency_replayed` says so.
/// * Where nobody serves a section it is unavailable.
/// * A section that keeps failing is left in peace for a while, and the others are not.
/// * A section that is given up too often is left in peace too.
/// * A question that is costly by itself (texts of many articles, a comparison) never counts as a failure of its section.
/// * One that can't write can still be read.
/// * An answer that can't be read is a failure of the section.
#[async_trait]
pub trait NewsDesks: Send + Sync {
    /// An article as its section tells it, with its content. With `min_version` the section waits up to a second until it can show that version.
    /// What the caller may not see is refused as if it were not there.
    async fn get(
        &self,
        section: Section,
        id: ArticleId,
        min_version: Option<Version>,
        token: Option<&str>,
    ) -> Result<Article, DeskError>;

    /// Those of these articles that are in one of `states` (none named: published) and that the caller may see, in the order of `ids`, at
    /// most 100; with their texts if `content` says so, and then only as many as one page holds. What is not there any more is
    /// left out.
    async fn get_many(
        &self,
        section: Section,
        ids: &[ArticleId],
        states: &[State],
        content: bool,
        token: Option<&str>,
    ) -> Result<Picked, DeskError>;

    /// How many bytes the texts of the same articles have, in no order.
    async fn sizes(
        &self,
        section: Section,
        ids: &[ArticleId],
        states: &[State],
        token: Option<&str>,
    ) -> Result<Vec<(ArticleId, u64)>, DeskError>;

    /// Counts an answer that was not waited for any longer, because others had answered, as a failure of its section.
    fn given_up(&self, section: Section);

    /// A part of the section's articles without their texts, as far as the caller may see them, and how many pass the filter in all.
    async fn list(
        &self,
        section: Section,
        part: &Part,
        token: Option<&str>,
    ) -> Result<SectionList, DeskError>;

    /// The places of the same part, without the articles.
    async fn positions(
        &self,
        section: Section,
        part: &Part,
        token: Option<&str>,
    ) -> Result<SectionPositions, DeskError>;

    /// A new draft of what the author said; with `publish` it is public at once, or nothing is created.
    async fn create(
        &self,
        section: Section,
        fields: Fields,
        publish: bool,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError>;

    /// A new version of what the writer has seen, in all fields or in some.
    async fn revise(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        change: Change,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError>;

    /// Makes an article public, at the version that was seen.
    async fn publish(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError>;

    /// Puts away an article that is not public; the answer is the version in which it was put away.
    async fn delete(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        giver: Giver<'_>,
    ) -> Result<Done<Version>, DeskError>;

    /// Takes a published article back from readers, at the version that was seen.
    async fn unpublish(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError>;

    /// A new version that says what the version `old` said.
    async fn restore(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        old: Version,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError>;

    /// Brings back what was put away, at the version that was seen.
    async fn undelete(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError>;

    /// What happened to an article before the version `before` (or ever), the newest first; at most `limit` versions are looked at.
    async fn history(
        &self,
        section: Section,
        id: ArticleId,
        before: Option<Version>,
        limit: u32,
        token: Option<&str>,
    ) -> Result<History, DeskError>;

    /// An article as it was at a version or at a moment, with its content.
    async fn version(
        &self,
        section: Section,
        id: ArticleId,
        which: Which,
        token: Option<&str>,
    ) -> Result<Article, DeskError>;

    /// The words in which two versions differ.
    async fn diff(
        &self,
        section: Section,
        id: ArticleId,
        from: Version,
        to: Version,
        token: Option<&str>,
    ) -> Result<Vec<DiffPart>, DeskError>;
}

/// Why a section did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The section, or the bus on the way to it, said no. Passed on word for word.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The section failed too often just now and is left in peace for a moment.
    #[error("the section {section} is left in peace after too many failures")]
    Resting {
        /// Which section.
        section: Section,
        /// When it is asked again.
        retry_after: Duration,
    },
    /// The section answered something that is no answer.
    #[error("the section {section} gave an answer that cannot be read: {reason}")]
    Unreadable {
        /// Which section.
        section: Section,
        /// What is wrong with the answer.
        reason: String,
    },
}

impl DeskError {
    /// True where the section is to be counted as away: the same request may succeed later, or at another section.
    pub fn is_away(&self) -> bool {
        self.kind().is_server_error() || self.kind().is_transient()
    }
}

impl Fault for DeskError {
    fn classify(&self) -> Class<'_> {
        match self {
            DeskError::Refused(refusal) => Class::Inner(refusal),
            DeskError::Resting { .. } => Class::own(Kind::Unavailable, "section_unavailable"),
            DeskError::Unreadable { .. } => Class::own(Kind::Internal, "internal"),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            DeskError::Refused(refusal) => refusal.retry_after,
            DeskError::Resting { retry_after, .. } => Some(*retry_after),
            DeskError::Unreadable { .. } => None,
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
