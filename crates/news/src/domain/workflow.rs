//! The editorial workflow: the state table, and the callers who are allowed to request its transitions.
//!
//! A new transition is a variant of [`Transition`] with its permission, and its row in [`State::on`].

use super::State;
use super::state::named;

named! {
    /// An event in the life of an article. Stores and routing keys contain the name.
    Event, "event of an article":
    /// The article was created.
    Drafted = "drafted",
    /// An article that is not public got a new version.
    Edited = "edited",
    /// The draft was submitted for review.
    Submitted = "submitted",
    /// An editor returned the article to its author with a note.
    Returned = "returned",
    /// An editor approved the article.
    Approved = "approved",
    /// The publication was scheduled.
    Scheduled = "scheduled",
    /// The scheduled publication was cancelled.
    Unscheduled = "unscheduled",
    /// The article became public.
    Published = "published",
    /// A public article got a new version.
    Updated = "updated",
    /// A public article got a public correction.
    Corrected = "corrected",
    /// The article was deleted.
    Deleted = "deleted",
    /// The article was withdrawn without a notice.
    Unpublished = "unpublished",
    /// The article was withdrawn with a notice.
    Retracted = "retracted",
    /// A retracted article became public again.
    Reinstated = "reinstated",
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
    /// The request for a review.
    Submit = "submit",
    /// The return to the author.
    Return = "return",
    /// The approval after a review.
    Approve = "approve",
    /// A publication in the future.
    Schedule = "schedule",
    /// The cancellation of a scheduled publication.
    Unschedule = "unschedule",
    /// Publication.
    Publish = "publish",
    /// Publication at the scheduled time. Only the portal itself does it.
    PublishScheduled = "publish_scheduled",
    /// A public correction.
    Correct = "correct",
    /// Deletion.
    Delete = "delete",
    /// Withdrawal without a notice.
    Unpublish = "unpublish",
    /// Withdrawal with a notice.
    Retract = "retract",
    /// The return of a retracted article.
    Reinstate = "reinstate",
    /// The text of an older version again.
    Restore = "restore",
    /// The return of a deleted article.
    Undelete = "undelete",
}

/// The callers who are allowed to request a transition, among those who may see the article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Editors of the section; and the author.
    AuthorOrEditor,
    /// Editors of the section; and the author, as long as the article is a draft.
    AuthorOfDraftOrEditor,
    /// Editors of the section; and the author, while it is a draft, in review or approved. Editors change the
    /// text of their own articles after that only if the newsroom allows self-review: otherwise readers would
    /// see a text that no other editor has read.
    AuthorUntilDecidedOrEditor,
    /// Editors of the section.
    Editor,
    /// Editors of the section. For their own articles the newsroom must allow self-review, unless they are
    /// admins.
    Reviewer,
    /// No caller: the portal itself does it.
    Portal,
}

/// The standing of a caller towards the text of an article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The caller wrote the article and is not allowed to review it.
    Author,
    /// The caller is allowed to review the article.
    Reviewer,
}

impl Transition {
    /// Returns who is allowed to request this transition.
    pub const fn permission(self) -> Permission {
        match self {
            Transition::Submit => Permission::AuthorOrEditor,
            Transition::Delete => Permission::AuthorOfDraftOrEditor,
            Transition::Revise | Transition::Restore => Permission::AuthorUntilDecidedOrEditor,
            Transition::Return
            | Transition::Unschedule
            | Transition::Unpublish
            | Transition::Retract
            | Transition::Reinstate
            | Transition::Undelete => Permission::Editor,
            Transition::Approve | Transition::Schedule | Transition::Publish | Transition::Correct => {
                Permission::Reviewer
            }
            Transition::PublishScheduled => Permission::Portal,
        }
    }
}

impl State {
    /// Returns the event and the next state of an article in this state; `None` if the transition is illegal
    /// here. This is the state table, and the only place that knows it.
    pub const fn on(self, transition: Transition, standing: Standing) -> Option<(Event, State)> {
        use State::{Approved, Deleted, Draft, InReview, Published, Retracted, Scheduled, Unpublished};
        match (transition, self) {
            (Transition::Revise, Published) => Some((Event::Updated, Published)),
            (Transition::Revise, Draft | InReview | Approved | Scheduled | Unpublished) => {
                Some((Event::Edited, self.after_edit(standing)))
            }
            (Transition::Submit, Draft) => Some((Event::Submitted, InReview)),
            (Transition::Return, InReview | Approved) => Some((Event::Returned, Draft)),
            (Transition::Approve, InReview) => Some((Event::Approved, Approved)),
            (Transition::Schedule, Draft | Approved | Unpublished) => Some((Event::Scheduled, Scheduled)),
            (Transition::Unschedule, Scheduled) => Some((Event::Unscheduled, Approved)),
            // A scheduled article is published when its time comes, or unscheduled first.
            (Transition::Publish, Draft | Approved | Unpublished) => Some((Event::Published, Published)),
            (Transition::PublishScheduled, Scheduled) => Some((Event::Published, Published)),
            (Transition::Correct, Published) => Some((Event::Corrected, Published)),
            // Readers see a published article, so it is unpublished or retracted before it can be deleted.
            (Transition::Delete, Draft | InReview | Approved | Unpublished) => {
                Some((Event::Deleted, Deleted))
            }
            (Transition::Unpublish, Published) => Some((Event::Unpublished, Unpublished)),
            (Transition::Retract, Published) => Some((Event::Retracted, Retracted)),
            (Transition::Reinstate, Retracted) => Some((Event::Reinstated, Published)),
            // Legal wherever a revision is.
            (Transition::Restore, Draft | InReview | Approved | Scheduled | Published | Unpublished) => {
                Some((Event::Restored, self.after_edit(standing)))
            }
            // The next state is the one before the deletion. Only the history knows it: `Article::undelete`
            // sets it.
            (Transition::Undelete, Deleted) => Some((Event::Undeleted, Draft)),
            _ => None,
        }
    }

    /// Returns the state after a change of the text. What a writer changes needs another review.
    const fn after_edit(self, standing: Standing) -> State {
        match (self, standing) {
            (State::InReview | State::Approved, Standing::Author) => State::Draft,
            _ => self,
        }
    }
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
