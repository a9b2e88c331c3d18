use std::time::Duration;

use kernel::{ArticleId, Section};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{Correction, NewDraft, Slug};

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
            let allowed = article.state.allowed().contains(&transition);
            match take(&article, transition, article.updated_at) {
                Ok(change) => {
                    prop_assert!(allowed);
                    prop_assert_eq!(Some((change.event, change.article.state)), article.state.on(transition));
                    article = change.article;
                }
                Err(illegal) => {
                    prop_assert!(!allowed);
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
        kind: "note".to_owned(),
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

#[test]
fn a_published_article_can_be_revised_but_neither_published_again_nor_deleted() {
    let allowed = [Transition::Revise, Transition::Unpublish, Transition::Restore];
    assert_eq!(State::Published.allowed(), allowed);
    assert_eq!(State::Published.on(Transition::Revise), Some((Event::Updated, State::Published)));
}

#[test]
fn a_deleted_article_can_only_be_undeleted() {
    assert_eq!(State::Deleted.allowed(), [Transition::Undelete]);
    assert_eq!(State::Retracted.allowed(), []);
}

#[test]
fn an_unpublished_article_can_be_published_again() {
    let unpublished = State::Published.on(Transition::Unpublish);
    assert_eq!(unpublished, Some((Event::Unpublished, State::Unpublished)));
    assert_eq!(State::Unpublished.on(Transition::Publish), Some((Event::Published, State::Published)));
    assert_eq!(State::Unpublished.on(Transition::Restore), Some((Event::Restored, State::Unpublished)));
}
