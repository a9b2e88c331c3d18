//! What this service needs from outside: the three news sections, and somewhere to tell that an article was read.

use std::time::Duration;

use async_trait::async_trait;
use kernel::{ArticleId, Code, Expected, Fault, FieldFault, Kind, Refusal, Section, Version};
use serde_json::{Map, Value};

use crate::domain::{Article, Change, Fields, Reading, SectionList};

/// A part of a section's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How many articles to skip.
    pub offset: u32,
    /// How many to give.
    pub limit: u32,
    /// Whether the text of each is wanted too.
    pub content: bool,
}

/// The desks of the news sections: each owns the articles of its section.
///
/// Who asks is said by `token` alone, the verified access token of the caller; each section verifies it again by itself. No call
/// outlives the deadline of the work in hand, and a call whose caller is gone is abandoned at the section too. A read that found
/// nobody is tried again; a write is sent once. What a section refuses is passed on as it said it. Where nobody serves a section it
/// is unavailable; one that keeps failing is left in peace for a while, and the others are not. One that can't write can still be
/// read. An answer that can't be read is a failure of the section.
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

    /// These articles with their content, in the order of `ids`, at most 100. What is not published is left out.
    async fn get_many(
        &self,
        section: Section,
        ids: &[ArticleId],
        token: Option<&str>,
    ) -> Result<Vec<Article>, DeskError>;

    /// A part of the section's published articles, newest first, and how many there are in all.
    async fn list(
        &self,
        section: Section,
        window: Window,
        token: Option<&str>,
    ) -> Result<SectionList, DeskError>;

    /// A new draft of what the author said; with `publish` it is public at once, or nothing is created.
    async fn create(
        &self,
        section: Section,
        fields: Fields,
        publish: bool,
        token: Option<&str>,
    ) -> Result<Article, DeskError>;

    /// A new version of what the writer has seen, in all fields or in some.
    async fn revise(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        change: Change,
        token: Option<&str>,
    ) -> Result<Article, DeskError>;

    /// Makes an article public.
    async fn publish(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        token: Option<&str>,
    ) -> Result<Article, DeskError>;

    /// Puts away an article that is not public; the answer is the version in which it was put away.
    async fn delete(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        token: Option<&str>,
    ) -> Result<Version, DeskError>;
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
        self.kind().is_ours() || self.kind().is_transient()
    }
}

impl Fault for DeskError {
    fn kind(&self) -> Kind {
        match self {
            DeskError::Refused(refusal) => refusal.kind,
            DeskError::Resting { .. } => Kind::Unavailable,
            DeskError::Unreadable { .. } => Kind::Internal,
        }
    }

    fn code(&self) -> Code {
        match self {
            DeskError::Refused(refusal) => refusal.code.clone(),
            DeskError::Resting { .. } => Code::new("section_unavailable"),
            DeskError::Unreadable { .. } => Code::new("internal"),
        }
    }

    fn fields(&self) -> Vec<FieldFault> {
        match self {
            DeskError::Refused(refusal) => refusal.fields.clone(),
            _ => Vec::new(),
        }
    }

    fn extra(&self) -> Map<String, Value> {
        match self {
            DeskError::Refused(refusal) => refusal.extra.clone(),
            _ => Map::new(),
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
    fn kind(&self) -> Kind {
        match self {
            SinkError::Bus(_) => Kind::Unavailable,
            SinkError::Timeout => Kind::Timeout,
        }
    }

    fn code(&self) -> Code {
        Code::new("bus_unavailable")
    }
}
