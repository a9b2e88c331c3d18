use std::cmp::Ordering;

use kernel::{ArticleId, Section, Timestamp, UserId, Version};

/// Where an article stands in the editors' work. A state that this service has never heard of is passed on as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State(String);

impl State {
    const PUBLISHED: &'static str = "published";

    /// A state by the name that its section gives it.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The state that every reader may see.
    pub fn published() -> Self {
        Self::new(Self::PUBLISHED)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True where every reader may see the article.
    pub fn is_public(&self) -> bool {
        self.0 == Self::PUBLISHED
    }
}

/// A public correction of a published article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// `correction`, `clarification`, `update` or `note`.
    pub kind: String,
    /// What was wrong and what is right.
    pub text: String,
    /// When it was said.
    pub at: Timestamp,
    /// The version that it led to.
    pub version: Version,
}

/// An article at one version, as its section tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// Unique over all sections.
    pub id: ArticleId,
    /// The section that owns it.
    pub section: Section,
    /// One more with every change.
    pub version: Version,
    /// Where it stands.
    pub state: State,
    /// Its readable name in addresses, unique in the section.
    pub slug: String,
    /// One line.
    pub title: String,
    /// A few sentences for lists.
    pub description: Option<String>,
    /// The text; absent in lists unless asked for.
    pub content: Option<String>,
    /// The byline; empty once the person whose name it was is erased.
    pub author: String,
    /// The account that wrote it.
    pub author_id: UserId,
    /// The account whose name the byline is; nothing for a byline that is text like the title.
    pub byline_of: Option<UserId>,
    /// What it is about, in the author's words and order.
    pub tags: Vec<String>,
    /// BCP 47 tag of the language.
    pub lang: Option<String>,
    /// URL of a picture.
    pub image: Option<String>,
    /// ISO 3166 code or a continent.
    pub region: Option<String>,
    /// When it was drafted.
    pub created_at: Timestamp,
    /// When this version was made.
    pub updated_at: Timestamp,
    /// When it was first published.
    pub published_at: Option<Timestamp>,
    /// What was corrected since, oldest first.
    pub corrections: Vec<Correction>,
}

impl Article {
    /// The order of every list: newest first, and of two of one moment the one with the greater id first.
    pub fn newest_first(&self, other: &Article) -> Ordering {
        (other.published_at, other.id).cmp(&(self.published_at, self.id))
    }
}

#[cfg(test)]
impl Article {
    /// A published article for tests of this crate's own modules.
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
            published_at: Some(published_at),
            corrections: Vec::new(),
        }
    }
}
