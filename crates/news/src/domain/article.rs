use kernel::{ArticleId, Section, Timestamp, UserId, Version};

use super::state::named;
use super::{Byline, Slug, State, Story};

named! {
    /// The kind of a public correction.
    CorrectionKind, "kind of a correction":
    /// Something was wrong.
    Correction = "correction",
    /// Something could be misunderstood.
    Clarification = "clarification",
    /// Something has happened since.
    Update = "update",
    /// Something else that readers should know.
    Note = "note",
}

/// A public correction of a published article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The kind.
    pub kind: CorrectionKind,
    /// The error and the truth, in 1 to 2,000 characters.
    pub text: String,
    /// The time of the correction.
    pub at: Timestamp,
    /// The version that it led to.
    pub version: Version,
}

/// The notice that readers get in place of a retracted article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retraction {
    /// The reason: 1 to 2,000 characters.
    pub reason: String,
    /// The time of the retraction.
    pub at: Timestamp,
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
    /// The time of the last change of what readers read: the story, the byline or a correction.
    pub revised_at: Timestamp,
    /// The time since which it is in its state.
    pub state_since: Timestamp,
    /// The time of its next publication; only in the state `scheduled`.
    pub scheduled_at: Option<Timestamp>,
    /// The notice of its retraction; only in the state `retracted`.
    pub retraction: Option<Retraction>,
    /// The note of the editor who returned it, 1 to 2,000 characters; only in the state `draft`.
    pub review_note: Option<String>,
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
