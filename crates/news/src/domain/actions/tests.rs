use std::time::Duration;

use kernel::{ArticleId, Role, Section, Sections, SessionId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{NewDraft, Slug};

fn story(title: &str) -> Story {
    let input = StoryInput { title: title.to_owned(), content: "text".to_owned(), ..StoryInput::default() };
    Story::parse(input).expect("a valid story")
}

fn drafted() -> Change {
    let id = ArticleId::new(Uuid::from_u128(7));
    Article::draft(NewDraft {
        id,
        section: Section::Sports,
        slug: Slug::candidates("A title", id)[0].clone(),
        story: story("A title"),
        byline: Byline::of("Ada", UserId::new(Uuid::from_u128(1))),
        author: UserId::new(Uuid::from_u128(1)),
        at: Timestamp::from_millis(1_000),
    })
}

fn take(article: &Article, transition: Transition, at: Timestamp) -> Result<Change, IllegalTransition> {
    let by = UserId::new(Uuid::from_u128(2));
    match transition {
        Transition::Revise => article.revise(story("Another"), Byline::of("Bob", by), by, at),
        Transition::Publish => article.publish(by, at),
        Transition::Delete => article.delete(by, at),
        Transition::Unpublish => article.unpublish(by, at),
        Transition::Restore => article.restore(&drafted().article, by, at),
        Transition::Undelete => article.undelete(State::Draft, by, at),
        Transition::PublishScheduled => article.publish_scheduled(at),
        other => article.step(other, Standing::Reviewer, by, at),
    }
}

fn transitions() -> impl Strategy<Value = Vec<(Transition, u64)>> {
    let one = (prop::sample::select(Transition::ALL.to_vec()), 0u64..10_000);
    prop::collection::vec(one, 0..30)
}

proptest! {
    #[test]
    fn a_transition_succeeds_exactly_if_the_state_allows_it(transitions in transitions()) {
        let mut article = drafted().article;
        for (transition, _) in transitions {
            let next = article.state.on(transition, Standing::Reviewer);
            match take(&article, transition, article.updated_at) {
                Ok(change) => {
                    prop_assert_eq!(Some((change.event, change.article.state)), next);
                    article = change.article;
                }
                Err(illegal) => {
                    prop_assert_eq!(next, None);
                    prop_assert_eq!(illegal, IllegalTransition { state: article.state, transition });
                }
            }
        }
    }

    #[test]
    fn versions_count_up_and_the_identity_of_an_article_never_changes(transitions in transitions()) {
        let first = drafted().article;
        let mut article = first.clone();
        let mut at = article.updated_at;
        for (transition, later) in transitions {
            at = at.plus(Duration::from_millis(later));
            let Ok(change) = take(&article, transition, at) else { continue };
            prop_assert_eq!(change.article.version, article.version.next());
            prop_assert!(change.article.updated_at >= article.updated_at);
            article = change.article;
            prop_assert_eq!(
                (article.id, article.section, &article.slug, article.author, article.created_at),
                (first.id, first.section, &first.slug, first.author, first.created_at)
            );
        }
    }

    #[test]
    fn the_time_of_publication_is_set_once_and_stays(transitions in transitions()) {
        let mut article = drafted().article;
        let mut at = article.updated_at;
        for (transition, later) in transitions {
            at = at.plus(Duration::from_millis(later));
            let Ok(change) = take(&article, transition, at) else { continue };
            match article.published_at {
                Some(first) => prop_assert_eq!(change.article.published_at, Some(first)),
                None if change.event == Event::Published => {
                    prop_assert_eq!(change.article.published_at, Some(at));
                }
                None => prop_assert_eq!(change.article.published_at, None),
            }
            article = change.article;
            prop_assert!(article.state != State::Published || article.published_at.is_some());
        }
    }

    #[test]
    fn a_published_article_is_never_deleted(transitions in transitions()) {
        let mut article = drafted().article;
        for (transition, _) in transitions {
            let before = article.state;
            let Ok(change) = take(&article, transition, article.updated_at) else { continue };
            prop_assert!(before != State::Published || change.event != Event::Deleted);
            article = change.article;
        }
    }
}

#[test]
fn time_never_runs_backwards_even_when_a_clock_does() {
    let article = drafted().article;
    let change = article.publish(article.author, Timestamp::from_millis(5)).expect("a legal step");
    assert_eq!(change.article.updated_at, article.updated_at);
    assert_eq!(change.article.published_at, Some(article.updated_at));
}

#[test]
fn a_restored_version_has_the_text_of_the_old_one_and_keeps_the_state() {
    let old = drafted().article;
    let by = UserId::new(Uuid::from_u128(2));
    let at = Timestamp::from_millis(9_000);
    let revised = old.revise(story("Another"), Byline::of("Bob", by), by, at).expect("a legal step").article;
    let mut published = revised.publish(by, at).expect("a legal step").article;
    published.corrections.push(Correction {
        kind: CorrectionKind::Note,
        text: "It was Tuesday.".to_owned(),
        at,
        version: published.version,
    });
    let change = published.restore(&old, by, at).expect("a legal step");
    assert_eq!((change.event, change.from), (Event::Restored, Some(old.version)));
    assert_eq!((&change.article.story, &change.article.byline), (&old.story, &old.byline));
    assert_eq!(change.article.state, State::Published);
    assert_eq!(change.article.version, published.version.next());
    assert_eq!(change.article.corrections, published.corrections);
}

#[test]
fn a_deleted_article_comes_back_in_the_state_that_it_had_before() {
    let by = UserId::new(Uuid::from_u128(2));
    let at = Timestamp::from_millis(9_000);
    let published = drafted().article.publish(by, at).expect("a legal step").article;
    let unpublished = published.unpublish(by, at).expect("a legal step").article;
    let deleted = unpublished.delete(by, at).expect("a legal step").article;
    let back = deleted.undelete(unpublished.state, by, at).expect("a legal step").article;
    assert_eq!((back.state, back.published_at), (State::Unpublished, published.published_at));
}

#[test]
fn every_name_is_read_back() {
    for state in State::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    for event in Event::ALL {
        assert_eq!(event.as_str().parse(), Ok(event));
    }
    for transition in Transition::ALL {
        assert_eq!(transition.as_str().parse(), Ok(transition));
    }
    assert!("vanished".parse::<State>().is_err());
}

fn legal(state: State) -> Vec<Transition> {
    let is_legal = |transition: &Transition| state.on(*transition, Standing::Reviewer).is_some();
    Transition::ALL.into_iter().filter(is_legal).collect()
}

#[test]
fn a_published_article_can_be_changed_and_withdrawn_but_neither_published_again_nor_deleted() {
    use Transition::{Correct, Restore, Retract, Revise, Unpublish};
    assert_eq!(legal(State::Published), [Revise, Correct, Unpublish, Retract, Restore]);
}

#[test]
fn a_deleted_article_can_only_be_undeleted_and_a_retracted_one_only_be_reinstated() {
    assert_eq!(legal(State::Deleted), [Transition::Undelete]);
    assert_eq!(legal(State::Retracted), [Transition::Reinstate]);
}

#[test]
fn what_its_writer_changes_needs_another_review() {
    for transition in [Transition::Revise, Transition::Restore] {
        for state in [State::InReview, State::Approved] {
            let after = |standing| state.on(transition, standing).map(|(_, state)| state);
            assert_eq!(after(Standing::Author), Some(State::Draft));
            assert_eq!(after(Standing::Reviewer), Some(state));
        }
    }
}

fn editor() -> Identity {
    Identity {
        user: UserId::new(Uuid::from_u128(2)),
        name: "Bob".to_owned(),
        role: Role::Editor,
        sections: Sections::All,
        history: false,
        session: SessionId::new(Uuid::nil()),
    }
}

/// Applies an action in the name of an editor, at this second.
fn apply(article: &Article, action: Action, second: i64) -> Result<Article, ActionError> {
    let at = Timestamp::from_millis(second * 1_000);
    let change = action.apply(article, None, &editor(), Standing::Reviewer, at)?;
    Ok(change.expect("there is something to change").article)
}

fn faults(outcome: Result<Article, ActionError>) -> Vec<(String, String)> {
    let Err(ActionError::Invalid(faults)) = outcome else { panic!("{outcome:?}") };
    faults.into_iter().map(|fault| (fault.pointer, fault.code.as_str().to_owned())).collect()
}

#[test]
fn a_note_stays_while_the_author_works_and_ends_with_the_next_submission() {
    let submitted = apply(&drafted().article, Action::Submit, 2).expect("it is submitted");
    let returned = apply(&submitted, Action::Return("Who?".to_owned()), 3).expect("it is returned");
    assert_eq!((returned.state, returned.review_note.as_deref()), (State::Draft, Some("Who?")));
    let patch = StoryPatch { title: Some("A better title".to_owned()), ..StoryPatch::default() };
    let revised = apply(&returned, Action::Patch(patch), 4).expect("it is revised");
    assert_eq!(revised.review_note.as_deref(), Some("Who?"));
    let submitted = apply(&revised, Action::Submit, 5).expect("it is submitted");
    assert_eq!(submitted.review_note, None);
}

#[test]
fn a_scheduled_article_is_published_by_the_portal_or_unscheduled() {
    let time = Timestamp::from_millis(60_000);
    let scheduled = apply(&drafted().article, Action::Schedule(time), 2).expect("it is scheduled");
    assert_eq!((scheduled.state, scheduled.scheduled_at), (State::Scheduled, Some(time)));
    let published = scheduled.publish_scheduled(time).expect("it is published");
    assert_eq!(published.by, UserId::new(Uuid::nil()));
    assert_eq!((published.article.scheduled_at, published.article.published_at), (None, Some(time)));
    let back = apply(&scheduled, Action::Unschedule, 3).expect("it is unscheduled");
    assert_eq!((back.state, back.scheduled_at), (State::Approved, None));
}

#[test]
fn a_retracted_article_has_its_notice_until_it_is_reinstated() {
    let at = Timestamp::from_millis(2_000);
    let published = drafted().article.publish(editor().user, at).expect("a legal step").article;
    let retract = Action::Retract("It was invented.".to_owned());
    let retracted = apply(&published, retract, 70).expect("it is retracted");
    let notice = Retraction { reason: "It was invented.".to_owned(), at: Timestamp::from_millis(70_000) };
    assert_eq!((retracted.state, retracted.retraction.clone()), (State::Retracted, Some(notice)));
    let back = apply(&retracted, Action::Reinstate, 80).expect("it is reinstated");
    assert_eq!((back.state, back.retraction, back.published_at), (State::Published, None, Some(at)));
}

#[test]
fn the_time_in_a_state_begins_with_the_state() {
    let submitted = apply(&drafted().article, Action::Submit, 2).expect("it is submitted");
    let patch = StoryPatch { title: Some("Another".to_owned()), ..StoryPatch::default() };
    let revised = apply(&submitted, Action::Patch(patch), 3).expect("it is revised");
    assert_eq!(revised.state_since, Timestamp::from_millis(2_000));
    let approved = apply(&revised, Action::Approve, 4).expect("it is approved");
    assert_eq!(approved.state_since, Timestamp::from_millis(4_000));
}

#[test]
fn the_time_of_the_revision_moves_only_with_what_readers_read() {
    let draft = drafted().article;
    let title = |title: &str| StoryPatch { title: Some(title.to_owned()), ..StoryPatch::default() };
    let same = apply(&draft, Action::Patch(title(&draft.story.title)), 2).expect("it is revised");
    let published = apply(&same, Action::Publish, 3).expect("it is published");
    assert_eq!(published.revised_at, draft.revised_at);
    let revised = apply(&published, Action::Patch(title("Another")), 4).expect("it is revised");
    assert_eq!(revised.revised_at, Timestamp::from_millis(4_000));
    let withdrawn = apply(&revised, Action::Unpublish, 5).expect("it is unpublished");
    let again = apply(&withdrawn, Action::Publish, 6).expect("it is published");
    assert_eq!(again.revised_at, Timestamp::from_millis(4_000));
    let note = CorrectionInput {
        kind: "note".to_owned(),
        text: "It rained.".to_owned(),
        patch: StoryPatch::default(),
    };
    let corrected = apply(&again, Action::Correct(note), 7).expect("it is corrected");
    assert_eq!(corrected.revised_at, Timestamp::from_millis(7_000));
}

#[test]
fn a_publication_is_scheduled_in_the_future_and_within_a_year() {
    let schedule = |at: Timestamp| apply(&drafted().article, Action::Schedule(at), 10);
    let now = Timestamp::from_millis(10_000);
    let latest = now.plus(MAX_AHEAD);
    for (at, code) in [
        (Timestamp::from_millis(0), "in_the_past"),
        (now, "in_the_past"),
        (latest.plus(Duration::from_millis(1)), "too_far"),
    ] {
        assert_eq!(faults(schedule(at)), [("/at".to_owned(), code.to_owned())]);
    }
    for at in [now.plus(Duration::from_millis(1)), latest] {
        assert_eq!(schedule(at).expect("it is scheduled").scheduled_at, Some(at));
    }
}

fn correction(kind: &str, text: &str, title: Option<&str>) -> Action {
    let patch = StoryPatch { title: title.map(str::to_owned), ..StoryPatch::default() };
    Action::Correct(CorrectionInput { kind: kind.to_owned(), text: text.to_owned(), patch })
}

#[test]
fn a_correction_is_added_with_its_version_and_may_change_the_text() {
    let published = drafted().article.publish(editor().user, Timestamp::from_millis(2_000));
    let published = published.expect("a legal step").article;
    let first = apply(&published, correction("note", "It rained.", None), 3).expect("it is corrected");
    assert_eq!((first.state, &first.story), (State::Published, &published.story));
    let second = correction("correction", "It was Tuesday.", Some("Tuesday"));
    let second = apply(&first, second, 4).expect("it is corrected");
    assert_eq!(second.story.title, "Tuesday");
    let kinds: Vec<_> = second.corrections.iter().map(|each| (each.kind, each.version.number())).collect();
    assert_eq!(kinds, [(CorrectionKind::Note, 3), (CorrectionKind::Correction, 4)]);
}

#[test]
fn every_fault_of_a_correction_is_named_together() {
    let published = drafted().article.publish(editor().user, Timestamp::from_millis(2_000));
    let mut published = published.expect("a legal step").article;
    let pair = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
    assert_eq!(
        faults(apply(&published, correction("rumour", "", Some("")), 3)),
        [pair("/kind", "unknown_name"), pair("/text", "empty"), pair("/patch/title", "empty")]
    );
    let long = "x".repeat(MAX_EDITORIAL_TEXT + 1);
    assert_eq!(faults(apply(&published, correction("note", &long, None), 3)), [pair("/text", "too_long")]);
    assert_eq!(faults(apply(&published, Action::Retract(" ".to_owned()), 3)), [pair("/reason", "empty")]);
    while published.corrections.len() < MAX_CORRECTIONS {
        published = apply(&published, correction("note", "Once more.", None), 3).expect("it is corrected");
    }
    let refused = faults(apply(&published, correction("note", "Once more.", None), 3));
    assert_eq!(refused, [pair("/text", "too_many")]);
}
