use std::cmp::Ordering;

use kernel::{ArticleId, Section, Timestamp, UserId, Version};

/// The state of an article in the editors' work. A state that this service does not know is passed on
/// unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State(String);

impl State {
    const PUBLISHED: &'static str = "published";

    /// Creates a state from the name that its section uses.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Returns the state that every reader may see.
    pub fn published() -> Self {
        Self::new(Self::PUBLISHED)
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if every reader may see the article.
    pub fn is_public(&self) -> bool {
        self.0 == Self::PUBLISHED
    }
}

/// A public correction of a published article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The kind: `correction`, `clarification`, `update` or `note`.
    pub kind: String,
    /// The text: what was wrong and what is right.
    pub text: String,
    /// The moment of the correction.
    pub at: Timestamp,
    /// The version that contains it.
    pub version: Version,
}

/// The notice that readers get in place of a retracted article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retraction {
    /// The reason, in the editor's words.
    pub reason: String,
    /// The moment of the retraction.
    pub at: Timestamp,
}

/// An article at one version, as its section returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// The id, which is unique over all sections.
    pub id: ArticleId,
    /// The section that owns it.
    pub section: Section,
    /// The version, which every change increments.
    pub version: Version,
    /// The state in the editors' work.
    pub state: State,
    /// The readable name in addresses, unique in the section.
    pub slug: String,
    /// The title, one line.
    pub title: String,
    /// A few sentences for lists.
    pub description: Option<String>,
    /// The text; lists leave it out unless the client requests it.
    pub content: Option<String>,
    /// The byline. It is empty after the person with this name was erased.
    pub author: String,
    /// The account that wrote it.
    pub author_id: UserId,
    /// The account whose name is the byline; `None` if the byline is free text.
    pub byline_of: Option<UserId>,
    /// The labels, in the author's spelling and order.
    pub tags: Vec<String>,
    /// The BCP 47 tag of the language.
    pub lang: Option<String>,
    /// The URL of a picture.
    pub image: Option<String>,
    /// An ISO 3166 code or a continent.
    pub region: Option<String>,
    /// The moment of the first draft.
    pub created_at: Timestamp,
    /// The moment of this version.
    pub updated_at: Timestamp,
    /// The moment of the last change of what readers read: the text, the byline or a correction.
    pub revised_at: Timestamp,
    /// The moment of the first publication.
    pub published_at: Option<Timestamp>,
    /// The corrections since then, oldest first.
    pub corrections: Vec<Correction>,
    /// The moment since which it is in its state.
    pub state_since: Timestamp,
    /// The moment of its next publication; only while it is scheduled.
    pub scheduled_at: Option<Timestamp>,
    /// The notice of its retraction; only while it is retracted.
    pub retraction: Option<Retraction>,
    /// The note of the editor who returned it; only while it is a draft.
    pub review_note: Option<String>,
}

impl Article {
    /// Compares two articles by the order of every list: newest first; of the same moment, the greater id
    /// first.
    pub fn newest_first(&self, other: &Article) -> Ordering {
        (other.published_at, other.id).cmp(&(self.published_at, self.id))
    }
}

#[cfg(test)]
impl Article {
    /// Returns a published article for the tests of this crate's modules.
    pub(crate) fn sample(section: Section, id: ArticleId, published_at: Timestamp) -> Self {
        Self {
            id,
            section,
            version: Version::new(2),
            state: State::published(),
            slug: "the-budget".to_owned(),
            title: "The budget".to_owned(),
            description: None,
            content: None,
            author: "Ada".to_owned(),
            author_id: UserId::new(uuid::Uuid::from_u128(1)),
            byline_of: Some(UserId::new(uuid::Uuid::from_u128(1))),
            tags: vec!["budget".to_owned()],
            lang: None,
            image: None,
            region: None,
            created_at: published_at,
            updated_at: published_at,
            revised_at: published_at,
            published_at: Some(published_at),
            corrections: Vec::new(),
            state_since: published_at,
            scheduled_at: None,
            retraction: None,
            review_note: None,
        }
    }
}
