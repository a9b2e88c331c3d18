use kernel::{ArticleId, Section, Timestamp, UserId, Version};

use super::{Byline, Slug, State, Story};

/// A public correction of a published article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// correction, clarification, update or note.
    pub kind: String,
    /// The error and the truth, in the editor's words.
    pub text: String,
    /// The time of the correction.
    pub at: Timestamp,
    /// The version that it led to.
    pub version: Version,
}

/// An article at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// Unique over all sections.
    pub id: ArticleId,
    /// The section that owns it.
    pub section: Section,
    /// One more with every change.
    pub version: Version,
    /// The state in the editorial workflow.
    pub state: State,
    /// The readable part of its address.
    pub slug: Slug,
    /// The text.
    pub story: Story,
    /// The name under which it appears.
    pub byline: Byline,
    /// The account that wrote it.
    pub author: UserId,
    /// The time of the first draft.
    pub created_at: Timestamp,
    /// The time of this version.
    pub updated_at: Timestamp,
    /// The time of the first publication.
    pub published_at: Option<Timestamp>,
    /// The corrections since its publication, oldest first.
    pub corrections: Vec<Correction>,
}

/// The values of a new draft.
#[derive(Debug, Clone)]
pub struct NewDraft {
    /// The id.
    pub id: ArticleId,
    /// The section.
    pub section: Section,
    /// The slug to try.
    pub slug: Slug,
    /// The text.
    pub story: Story,
    /// The name under which it appears.
    pub byline: Byline,
    /// The account that writes it.
    pub author: UserId,
    /// The present time.
    pub at: Timestamp,
}
