//! The editorial workflow: what callers can do to an article, in which states, who is allowed to, and the
//! event that it leads to.
//!
//! A new action is a variant of [`Transition`] with its permission and its row in [`State::on`], a variant of
//! [`Action`] with what the action needs, and its function.

use kernel::{FieldFault, Identity, TextError, Timestamp, UserId, Version};

use super::state::named;
use super::{Article, Byline, NewDraft, State, Story, StoryInput, StoryPatch};

named! {
    /// An event in the life of an article. Stores and routing keys contain the name.
    Event, "event of an article":
    /// The article was created.
    Drafted = "drafted",
    /// An article that is not public got a new version.
    Edited = "edited",
    /// The article became public.
    Published = "published",
    /// A public article got a new version.
    Updated = "updated",
    /// The article was deleted.
    Deleted = "deleted",
    /// The article was withdrawn without a notice.
    Unpublished = "unpublished",
    /// A deleted article came back.
    Undeleted = "undeleted",
    /// The article got a new version with the text of an older one.
    Restored = "restored",
}

named! {
    /// A step in the state machine of an article. Refusals contain the name.
    Transition, "transition of an article":
    /// A new text.
    Revise = "revise",
    /// Publication.
    Publish = "publish",
    /// Deletion.
    Delete = "delete",
    /// Withdrawal without a notice.
    Unpublish = "unpublish",
    /// The text of an older version again.
    Restore = "restore",
    /// The return of a deleted article.
    Undelete = "undelete",
}

/// The callers who are allowed to request a transition, among those who may see the article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Editors of the section; and the author, as long as the article is a draft.
    AuthorOfDraft,
    /// Editors of the section.
    Editor,
    /// Editors of the section. For their own articles the newsroom must allow self-review, unless they are
    /// admins.
    Reviewer,
}

impl Transition {
    /// Returns who is allowed to request this transition.
    pub const fn permission(self) -> Permission {
        match self {
            Transition::Revise | Transition::Restore | Transition::Delete => Permission::AuthorOfDraft,
            Transition::Publish => Permission::Reviewer,
            Transition::Unpublish | Transition::Undelete => Permission::Editor,
        }
    }
}

impl State {
    /// Returns the event and the next state of an article in this state; `None` if the transition is illegal
    /// here. This is the state table, and the only place that knows it.
    pub const fn on(self, transition: Transition) -> Option<(Event, State)> {
        use State::{Approved, Deleted, Draft, InReview, Published, Scheduled, Unpublished};
        match (transition, self) {
            (Transition::Revise, Published) => Some((Event::Updated, Published)),
            (Transition::Revise, Draft | InReview | Approved | Scheduled | Unpublished) => {
                Some((Event::Edited, self))
            }
            // A scheduled article is published when its time comes, or unscheduled first.
            (Transition::Publish, Draft | Approved | Unpublished) => Some((Event::Published, Published)),
            // A published article is retracted, not deleted: readers have seen it.
            (Transition::Delete, Draft | InReview | Approved | Unpublished) => {
                Some((Event::Deleted, Deleted))
            }
            (Transition::Unpublish, Published) => Some((Event::Unpublished, Unpublished)),
            // Legal wherever a revision is.
            (Transition::Restore, Draft | InReview | Approved | Scheduled | Published | Unpublished) => {
                Some((Event::Restored, self))
            }
            // The next state is the one before the deletion. Only the history knows it: `Article::undelete`
            // sets it.
            (Transition::Undelete, Deleted) => Some((Event::Undeleted, Draft)),
            _ => None,
        }
    }

    /// Returns the transitions that are legal in this state, for any caller.
    pub fn allowed(self) -> Vec<Transition> {
        Transition::ALL.into_iter().filter(|transition| self.on(*transition).is_some()).collect()
    }
}

/// A change of an article: the event, and the article after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The event.
    pub event: Event,
    /// The full new version.
    pub article: Article,
    /// The account that caused it.
    pub by: UserId,
    /// The version whose text came back, if an older version was restored.
    pub from: Option<Version>,
}

/// The state machine has no such transition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The action `{transition}` is not possible for an article in the state `{state}`.")]
pub struct IllegalTransition {
    /// The state of the article.
    pub state: State,
    /// The transition that was requested.
    pub transition: Transition,
}

/// An action on an article that exists, with what it needs. None of it is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Replaces all fields. An absent byline or language stays.
    Revise(StoryInput),
    /// Replaces the fields that the patch names.
    Patch(StoryPatch),
    /// Makes the article public.
    Publish,
    /// Deletes the article.
    Delete,
    /// Withdraws the article without a notice.
    Unpublish,
    /// Takes the text and the byline of this older version.
    Restore(Version),
    /// Brings the article back in the state that it had before its deletion.
    Undelete,
}

/// The reason why an action on an article is impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// The state machine has no such transition.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// Some fields break a rule.
    #[error("Some fields break a rule; see errors.")]
    Invalid(Vec<FieldFault>),
}

impl Action {
    /// Returns the transition that the state machine checks.
    pub const fn transition(&self) -> Transition {
        match self {
            Action::Revise(_) | Action::Patch(_) => Transition::Revise,
            Action::Publish => Transition::Publish,
            Action::Delete => Transition::Delete,
            Action::Unpublish => Transition::Unpublish,
            Action::Restore(_) => Transition::Restore,
            Action::Undelete => Transition::Undelete,
        }
    }

    /// Returns the older version of the article that the action needs beside the newest one.
    pub fn older_version(&self, newest: &Article) -> Option<Version> {
        match self {
            Action::Restore(version) => Some(*version),
            // Undeletion is the only transition out of the state `deleted`: the version before it has the
            // state to return to.
            Action::Undelete => {
                (newest.version > Version::FIRST).then(|| Version::new(newest.version.number() - 1))
            }
            _ => None,
        }
    }

    /// Applies the action to `article`, the newest version, in the name of `caller`. `older` is the version
    /// that [`Action::older_version`] names, if it exists. Returns `None` if there is nothing to change.
    ///
    /// # Errors
    /// `ActionError`. The state machine is asked before the fields are checked: an article that can't be
    /// revised at all needs no better title.
    pub fn apply(
        &self,
        article: &Article,
        older: Option<&Article>,
        caller: &Identity,
        at: Timestamp,
    ) -> Result<Option<Change>, ActionError> {
        article.next_step(self.transition())?;
        let by = caller.user;
        let change = match self {
            Action::Revise(input) => {
                let mut input = input.clone();
                input.lang = input.lang.or_else(|| article.story.lang.clone());
                let byline = Byline::by_writer(input.byline.as_deref(), Some(&article.byline), caller);
                let (story, byline) = with_byline(Story::parse(input), byline)?;
                article.revise(story, byline, by, at)
            }
            Action::Patch(patch) if *patch == StoryPatch::default() => return Ok(None),
            Action::Patch(patch) => {
                let byline = Byline::by_writer(patch.byline.as_deref(), Some(&article.byline), caller);
                let (story, byline) = with_byline(article.story.patched(patch.clone()), byline)?;
                article.revise(story, byline, by, at)
            }
            Action::Publish => article.publish(by, at),
            Action::Delete => article.delete(by, at),
            Action::Unpublish => article.unpublish(by, at),
            Action::Restore(_) => {
                let missing = || FieldFault::new("/version", "not_found", "the article has no such version");
                let old = older.ok_or_else(|| ActionError::Invalid(vec![missing()]))?;
                article.restore(old, by, at)
            }
            Action::Undelete => article.undelete(older.map_or(State::Draft, |older| older.state), by, at),
        };
        Ok(Some(change?))
    }
}

/// Joins a story and its byline, or every fault of both.
///
/// # Errors
/// [`ActionError::Invalid`] with the faults of the story first.
pub fn with_byline(
    story: Result<Story, Vec<FieldFault>>,
    byline: Result<Byline, TextError>,
) -> Result<(Story, Byline), ActionError> {
    let byline = byline.map_err(|error| FieldFault::new("/author", error.code(), error.to_string()));
    match (story, byline) {
        (Ok(story), Ok(byline)) => Ok((story, byline)),
        (story, byline) => {
            let faults = story.err().unwrap_or_default().into_iter().chain(byline.err());
            Err(ActionError::Invalid(faults.collect()))
        }
    }
}

impl Article {
    /// Returns the first version: a draft.
    pub fn draft(new: NewDraft) -> Change {
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
    fn next_step(&self, transition: Transition) -> Result<(Event, State), IllegalTransition> {
        self.state.on(transition).ok_or(IllegalTransition { state: self.state, transition })
    }

    /// Returns the next version in the state that a transition leads to, and otherwise the same.
    fn step(&self, transition: Transition, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        let (event, state) = self.next_step(transition)?;
        let article = Article {
            version: self.version.next(),
            state,
            // The clocks of two machines differ. The time of a version never goes backwards.
            updated_at: at.max(self.updated_at),
            ..self.clone()
        };
        Ok(Change { event, article, by, from: None })
    }

    /// Returns the next version with another text.
    ///
    /// # Errors
    /// [`IllegalTransition`], as every function here.
    pub fn revise(
        &self,
        story: Story,
        byline: Byline,
        by: UserId,
        at: Timestamp,
    ) -> Result<Change, IllegalTransition> {
        let mut change = self.step(Transition::Revise, by, at)?;
        change.article.story = story;
        change.article.byline = byline;
        Ok(change)
    }

    /// Returns the next version, which is public. The time of the first publication stays.
    pub fn publish(&self, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        let mut change = self.step(Transition::Publish, by, at)?;
        change.article.published_at = self.published_at.or(Some(change.article.updated_at));
        Ok(change)
    }

    /// Returns the next version, which is deleted.
    pub fn delete(&self, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        self.step(Transition::Delete, by, at)
    }

    /// Returns the next version, which is not public.
    pub fn unpublish(&self, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        self.step(Transition::Unpublish, by, at)
    }

    /// Returns the next version with the text and the byline of `old`. The state and the public corrections
    /// stay: going back to an older text takes back neither.
    pub fn restore(&self, old: &Article, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        let mut change = self.step(Transition::Restore, by, at)?;
        change.article.story = old.story.clone();
        change.article.byline = old.byline.clone();
        change.from = Some(old.version);
        Ok(change)
    }

    /// Returns the next version in the state before the deletion.
    pub fn undelete(&self, before: State, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        let mut change = self.step(Transition::Undelete, by, at)?;
        change.article.state = before;
        Ok(change)
    }
}

#[cfg(test)]
mod tests;
