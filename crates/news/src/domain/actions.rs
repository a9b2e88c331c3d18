//! The actions on articles: what callers can do, and the change that it leads to. Which of them are legal is
//! in [`super::workflow`].
//!
//! A new action is a variant of [`Action`] with what the action needs, and its function.

use std::time::Duration;

use kernel::{FieldFault, Identity, TextError, Timestamp, UserId, Version, multiline};
use uuid::Uuid;

use super::workflow::{Event, IllegalTransition, Standing, Transition};
use super::{
    Article, Byline, Correction, CorrectionKind, NewDraft, Retraction, State, Story, StoryInput, StoryPatch,
};

/// The longest note, correction or reason of a retraction, in characters.
const MAX_EDITORIAL_TEXT: usize = 2_000;
/// The most corrections of an article. Every list shows them.
const MAX_CORRECTIONS: usize = 20;
/// The longest time until a scheduled publication: a year of at most 366 days.
const MAX_AHEAD: Duration = Duration::from_secs(366 * 24 * 60 * 60);

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
    /// A random value in the record. Without it, the hash of the record of a hidden version would confirm a
    /// guess of its text. Older programs stored none.
    pub nonce: Option<Uuid>,
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
    /// Submits the draft for review.
    Submit,
    /// Returns the article to its author with this note.
    Return(String),
    /// Approves the article.
    Approve,
    /// Publishes the article at this time.
    Schedule(Timestamp),
    /// Cancels the scheduled publication.
    Unschedule,
    /// Corrects the article in public.
    Correct(CorrectionInput),
    /// Withdraws the article with a notice that has this reason.
    Retract(String),
    /// Makes the retracted article public again.
    Reinstate,
}

/// A correction as a client sent it. Nothing in it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionInput {
    /// The name of a [`CorrectionKind`].
    pub kind: String,
    /// The error and the truth.
    pub text: String,
    /// The changes of the article.
    pub patch: StoryPatch,
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

impl From<Vec<FieldFault>> for ActionError {
    fn from(faults: Vec<FieldFault>) -> Self {
        ActionError::Invalid(faults)
    }
}

impl From<FieldFault> for ActionError {
    fn from(fault: FieldFault) -> Self {
        ActionError::Invalid(vec![fault])
    }
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
            Action::Submit => Transition::Submit,
            Action::Return(_) => Transition::Return,
            Action::Approve => Transition::Approve,
            Action::Schedule(_) => Transition::Schedule,
            Action::Unschedule => Transition::Unschedule,
            Action::Correct(_) => Transition::Correct,
            Action::Retract(_) => Transition::Retract,
            Action::Reinstate => Transition::Reinstate,
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
    /// `ActionError`. The state is checked first, then the fields.
    pub fn apply(
        &self,
        article: &Article,
        older: Option<&Article>,
        caller: &Identity,
        standing: Standing,
        at: Timestamp,
    ) -> Result<Option<Change>, ActionError> {
        let next = article.step(self.transition(), standing, caller.user, at)?;
        Ok(Some(match self {
            Action::Patch(patch) if *patch == StoryPatch::default() => return Ok(None),
            Action::Revise(input) => {
                let mut input = input.clone();
                input.lang = input.lang.or_else(|| article.story.lang.clone());
                let byline = Byline::by_writer(input.byline.as_deref(), Some(&article.byline), caller);
                let (story, byline) = with_byline(Story::parse(input), byline)?;
                next.with_text(story, byline)
            }
            Action::Patch(patch) => {
                let (story, byline) = apply_patch(article, patch, caller)?;
                next.with_text(story, byline)
            }
            Action::Restore(_) => {
                let missing = || FieldFault::new("/version", "not_found", "the article has no such version");
                next.with_text_of(older.ok_or_else(missing)?)
            }
            Action::Undelete => next.with_state(older.map_or(State::Draft, |older| older.state)),
            Action::Return(note) => next.with_review_note(parse_text("/note", note)?),
            Action::Schedule(time) => next.with_schedule(checked_time(*time, at)?),
            Action::Correct(input) => correct(next, article, input, caller)?,
            Action::Retract(reason) => next.with_retraction(parse_text("/reason", reason)?),
            Action::Publish => next.with_publication(),
            Action::Delete
            | Action::Unpublish
            | Action::Submit
            | Action::Approve
            | Action::Unschedule
            | Action::Reinstate => next,
        }))
    }
}

/// Returns the text and the byline of an article after a patch.
fn apply_patch(
    article: &Article,
    patch: &StoryPatch,
    caller: &Identity,
) -> Result<(Story, Byline), Vec<FieldFault>> {
    let byline = Byline::by_writer(patch.byline.as_deref(), Some(&article.byline), caller);
    with_byline(article.story.apply(patch.clone()), byline)
}

/// Returns the article after a correction, or every fault of the correction and of its patch.
fn correct(
    next: Change,
    article: &Article,
    input: &CorrectionInput,
    caller: &Identity,
) -> Result<Change, Vec<FieldFault>> {
    let names = CorrectionKind::ALL.map(CorrectionKind::as_str).join(", ");
    let kind = input.kind.parse();
    let kind = kind.map_err(|_| FieldFault::new("/kind", "unknown_name", format!("must be one of {names}")));
    let text = parse_text("/text", &input.text).and_then(|text| {
        let most = format!("an article can have at most {MAX_CORRECTIONS} corrections");
        let is_full = article.corrections.len() >= MAX_CORRECTIONS;
        if is_full { Err(FieldFault::new("/text", "too_many", most)) } else { Ok(text) }
    });
    let patched = apply_patch(article, &input.patch, caller).map_err(|mut faults| {
        faults.iter_mut().for_each(|fault| fault.pointer.insert_str(0, "/patch"));
        faults
    });
    match (kind, text, patched) {
        (Ok(kind), Ok(text), Ok((story, byline))) => {
            Ok(next.with_text(story, byline).with_correction(kind, text))
        }
        (kind, text, patched) => {
            let own = kind.err().into_iter().chain(text.err());
            Err(own.chain(patched.err().unwrap_or_default()).collect())
        }
    }
}

/// Checks a note, a reason or the text of a correction.
fn parse_text(pointer: &str, text: &str) -> Result<String, FieldFault> {
    match multiline(text, MAX_EDITORIAL_TEXT) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(FieldFault::new(pointer, error.code(), error.to_string())),
    }
}

/// Checks the time of a scheduled publication.
fn checked_time(time: Timestamp, now: Timestamp) -> Result<Timestamp, FieldFault> {
    let latest = now.plus(MAX_AHEAD);
    if time <= now {
        let detail = format!("must be in the future; it is {now} now");
        return Err(FieldFault::new("/at", "in_the_past", detail));
    }
    if time > latest {
        let detail = format!("must be within a year: {latest} at the latest");
        return Err(FieldFault::new("/at", "too_far", detail));
    }
    Ok(time)
}

/// Joins a story and its byline, or every fault of both.
///
/// # Errors
/// The faults of the story first.
pub fn with_byline(
    story: Result<Story, Vec<FieldFault>>,
    byline: Result<Byline, TextError>,
) -> Result<(Story, Byline), Vec<FieldFault>> {
    let byline = byline.map_err(|error| FieldFault::new("/author", error.code(), error.to_string()));
    match (story, byline) {
        (Ok(story), Ok(byline)) => Ok((story, byline)),
        (story, byline) => {
            let faults = story.err().unwrap_or_default().into_iter().chain(byline.err());
            Err(faults.collect())
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
            revised_at: new.at,
            state_since: new.at,
            scheduled_at: None,
            retraction: None,
            review_note: None,
        };
        Change { event: Event::Drafted, by: article.author, article, from: None, nonce: None }
    }

    /// Returns the next version, in the state that a transition leads to, and otherwise the same. What
    /// belongs to a state ends with it: the time of a scheduled publication, the notice of a retraction, and
    /// the note of a review.
    ///
    /// # Errors
    /// [`IllegalTransition`], if it is not legal in this state.
    pub fn step(
        &self,
        transition: Transition,
        standing: Standing,
        by: UserId,
        at: Timestamp,
    ) -> Result<Change, IllegalTransition> {
        let illegal = IllegalTransition { state: self.state, transition };
        let (event, state) = self.state.on(transition, standing).ok_or(illegal)?;
        let article = Article {
            version: self.version.next(),
            // The clocks of two machines differ. The time of a version never goes backwards.
            updated_at: at.max(self.updated_at),
            ..self.clone()
        };
        Ok(Change { event, article, by, from: None, nonce: None }.with_state(state))
    }

    /// Returns the next version with another text, written by an editor.
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
        Ok(self.step(Transition::Revise, Standing::Reviewer, by, at)?.with_text(story, byline))
    }

    /// Returns the next version, which is public.
    pub fn publish(&self, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        Ok(self.step(Transition::Publish, Standing::Reviewer, by, at)?.with_publication())
    }

    /// Returns the next version, which is public because its scheduled time has come. The portal itself
    /// causes it.
    pub fn publish_scheduled(&self, at: Timestamp) -> Result<Change, IllegalTransition> {
        let portal = UserId::new(Uuid::nil());
        Ok(self.step(Transition::PublishScheduled, Standing::Reviewer, portal, at)?.with_publication())
    }

    /// Returns the next version, which is deleted.
    pub fn delete(&self, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        self.step(Transition::Delete, Standing::Reviewer, by, at)
    }

    /// Returns the next version, which is not public.
    pub fn unpublish(&self, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        self.step(Transition::Unpublish, Standing::Reviewer, by, at)
    }

    /// Returns the next version with the text and the byline of `old`, restored by an editor.
    pub fn restore(&self, old: &Article, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        Ok(self.step(Transition::Restore, Standing::Reviewer, by, at)?.with_text_of(old))
    }

    /// Returns the next version in the state before the deletion.
    pub fn undelete(&self, before: State, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        Ok(self.step(Transition::Undelete, Standing::Reviewer, by, at)?.with_state(before))
    }
}

/// The changes that come with a transition, besides the version.
impl Change {
    fn with_state(mut self, state: State) -> Self {
        let article = &mut self.article;
        if article.state != state {
            article.state_since = article.updated_at;
        }
        article.state = state;
        article.scheduled_at = article.scheduled_at.filter(|_| state == State::Scheduled);
        article.retraction = article.retraction.take().filter(|_| state == State::Retracted);
        article.review_note = article.review_note.take().filter(|_| state == State::Draft);
        self
    }

    fn with_text(mut self, story: Story, byline: Byline) -> Self {
        let article = &mut self.article;
        if article.story != story || article.byline != byline {
            article.revised_at = article.updated_at;
        }
        article.story = story;
        article.byline = byline;
        self
    }

    /// Going back to an older text takes back neither the publication nor a public correction.
    fn with_text_of(mut self, old: &Article) -> Self {
        self.from = Some(old.version);
        self.with_text(old.story.clone(), old.byline.clone())
    }

    /// The time of the first publication stays.
    fn with_publication(mut self) -> Self {
        self.article.published_at = self.article.published_at.or(Some(self.article.updated_at));
        self
    }

    fn with_schedule(mut self, at: Timestamp) -> Self {
        self.article.scheduled_at = Some(at);
        self
    }

    fn with_review_note(mut self, note: String) -> Self {
        self.article.review_note = Some(note);
        self
    }

    fn with_correction(mut self, kind: CorrectionKind, text: String) -> Self {
        let Article { version, updated_at: at, .. } = self.article;
        self.article.corrections.push(Correction { kind, text, at, version });
        self.article.revised_at = at;
        self
    }

    fn with_retraction(mut self, reason: String) -> Self {
        self.article.retraction = Some(Retraction { reason, at: self.article.updated_at });
        self
    }
}

#[cfg(test)]
mod tests;
