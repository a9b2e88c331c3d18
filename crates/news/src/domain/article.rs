use kernel::{ArticleId, Section, Timestamp, UserId, Version};

use super::{Byline, Event, IllegalTransition, Slug, State, Story, Transition};

/// A public correction of a published article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// correction, clarification, update or note.
    pub kind: String,
    /// What was wrong and what is right.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// The version that it led to.
    pub version: Version,
}

/// An article as it is at one version.
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
    /// The readable part of its address.
    pub slug: Slug,
    /// What it says.
    pub story: Story,
    /// Under whose name.
    pub byline: Byline,
    /// The account that wrote it.
    pub author: UserId,
    /// When it was drafted.
    pub created_at: Timestamp,
    /// When this version was made.
    pub updated_at: Timestamp,
    /// When it was first published.
    pub published_at: Option<Timestamp>,
    /// What was corrected since, oldest first.
    pub corrections: Vec<Correction>,
}

/// One step in the life of an article: what happened, and the article from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub event: Event,
    /// The full new version.
    pub article: Article,
    /// Who did it.
    pub by: UserId,
    /// The version whose text came back, where an older one was restored.
    pub from: Option<Version>,
}

/// Everything that a new draft needs.
#[derive(Debug, Clone)]
pub struct Drafting {
    /// The new id.
    pub id: ArticleId,
    /// Its section.
    pub section: Section,
    /// A slug that is hoped to be free.
    pub slug: Slug,
    /// What it says.
    pub story: Story,
    /// Under whose name.
    pub byline: Byline,
    /// Who writes it.
    pub author: UserId,
    /// The present.
    pub at: Timestamp,
}

impl Article {
    /// The first version: a draft.
    pub fn draft(new: Drafting) -> Change {
        let article = Article {
            id: new.id,
            section: new.section,
            version: Version::FIRST,
            state: State::Draft,
            slug: new.slug,
            story: new.story,
            byline: new.byline,
            author: new.author,
            created_at: new.at,
            updated_at: new.at,
            published_at: None,
            corrections: Vec::new(),
        };
        Change { event: Event::Drafted, by: article.author, article, from: None }
    }

    /// Returns the event and the state that a transition leads to.
    ///
    /// # Errors
    /// [`IllegalTransition`], if it is not legal in this state.
    pub(super) fn next_step(&self, transition: Transition) -> Result<(Event, State), IllegalTransition> {
        self.state.on(transition).ok_or(IllegalTransition { state: self.state, transition })
    }

    /// Returns the next version in the state that a transition leads to, and otherwise the same.
    pub(super) fn step(
        &self,
        transition: Transition,
        by: UserId,
        at: Timestamp,
    ) -> Result<Change, IllegalTransition> {
        let (event, state) = self.next_step(transition)?;
        let article = Article {
            version: self.version.next(),
            state,
            // Clocks of two machines differ; the time of a version never runs backwards.
            updated_at: at.max(self.updated_at),
            ..self.clone()
        };
        Ok(Change { event, article, by, from: None })
    }
}
