//! Cases of the event store about commands under keys.

use std::time::Duration;

use kernel::{Timestamp, UserId, Version};
use uuid::Uuid;

use super::events::Fixture;
use super::sample::{at, author, drafted, fact, id, revised};
use crate::ports::{Answer, AppendError, Once};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A command of the author under this key.
fn once(key: &str) -> Once {
    let now = at(0);
    Once {
        owner: author(),
        command: "CreateArticle".to_owned(),
        key: key.to_owned(),
        fingerprint: format!("of {key}"),
        at: now,
        until: now.plus(DAY),
    }
}

fn later(once: &Once, now: Timestamp) -> Once {
    Once { at: now, until: now.plus(DAY), ..once.clone() }
}

fn done(fingerprint: &str, number: u128, version: u32) -> Answer {
    Answer { fingerprint: fingerprint.to_owned(), article: id(number), version: Version::new(version) }
}

async fn answer(given: &Fixture, once: &Once) -> Option<Answer> {
    given.store.answer(once).await.expect("it is read")
}

pub(super) async fn under_one_key_one_append_of_many_is_stored(given: Fixture) {
    let outcomes = testkit::at_once(16, |number| {
        let (store, draft) = (given.store.clone(), drafted(number as u128 + 1));
        async move { store.append(&[fact(draft)], Some(&once("a"))).await }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let answered = outcomes.iter().filter(|outcome| matches!(outcome, Err(AppendError::Answered)));
    assert_eq!(answered.count(), 15);
    assert_eq!(given.store.ids(None, 100).await.expect("a walk").len(), 1);
    assert_eq!(given.waiting().await.len(), 1);
}

pub(super) async fn an_answer_is_kept_with_its_effect_or_not_at_all(given: Fixture) {
    let draft = drafted(1);
    let published = draft.article.publish(author(), at(5)).expect("a legal step");
    assert_eq!(answer(&given, &once("a")).await, None);
    given
        .store
        .append(&[fact(draft.clone()), fact(published)], Some(&once("a")))
        .await
        .expect("both are appended");
    assert_eq!(answer(&given, &once("a")).await, Some(done("of a", 1, 2)));
    // Somebody else was faster: no effect, no answer.
    let stale = given.store.append(&[fact(revised(&draft.article, "Late"))], Some(&once("b"))).await;
    assert!(matches!(stale, Err(AppendError::Stale { .. })));
    assert_eq!(answer(&given, &once("b")).await, None);
    // The key is free for the next attempt.
    given.store.append(&[fact(drafted(2))], Some(&once("b"))).await.expect("it is appended");
    assert_eq!(answer(&given, &once("b")).await, Some(done("of b", 2, 1)));
}

pub(super) async fn a_key_is_of_one_account_and_one_command(given: Fixture) {
    let first = once("a");
    given.store.append(&[fact(drafted(1))], Some(&first)).await.expect("it is appended");
    let another = Once { owner: UserId::new(Uuid::from_u128(0xb)), ..first.clone() };
    let elsewhere = Once { command: "PublishArticle".to_owned(), ..first.clone() };
    for other in [&another, &elsewhere] {
        assert_eq!(answer(&given, other).await, None);
    }
    given.store.append(&[fact(drafted(2))], Some(&another)).await.expect("it is appended");
    given.store.append(&[fact(drafted(3))], Some(&elsewhere)).await.expect("it is appended");
    assert_eq!(answer(&given, &first).await, Some(done("of a", 1, 1)));
    assert_eq!(answer(&given, &another).await, Some(done("of a", 2, 1)));
    assert_eq!(answer(&given, &elsewhere).await, Some(done("of a", 3, 1)));
}

pub(super) async fn an_answer_whose_time_is_over_counts_as_none(given: Fixture) {
    let first = once("a");
    given.store.append(&[fact(drafted(1))], Some(&first)).await.expect("it is appended");
    let last_moment = later(&first, first.until.plus(Duration::ZERO));
    let before = later(&first, Timestamp::from_millis(first.until.millis() - 1));
    assert!(answer(&given, &before).await.is_some());
    assert_eq!(answer(&given, &last_moment).await, None);
    // It stands in nobody's way, though nothing has removed it.
    given.store.append(&[fact(drafted(2))], Some(&last_moment)).await.expect("it is appended");
    assert_eq!(answer(&given, &last_moment).await, Some(done("of a", 2, 1)));
}

pub(super) async fn a_refusal_that_an_older_release_has_kept_counts_as_none(given: Fixture) {
    let first = once("a");
    given.tamperer.keep_refusal(&first, "{\"code\": \"illegal_transition\"}").await;
    assert_eq!(answer(&given, &first).await, None);
    // It stands in nobody's way, whatever the request is now.
    let corrected = Once { fingerprint: "of another request".to_owned(), ..first.clone() };
    given.store.append(&[fact(drafted(1))], Some(&corrected)).await.expect("it is appended");
    assert_eq!(answer(&given, &corrected).await, Some(done("of another request", 1, 1)));
    // And what was done is kept: nothing takes its place.
    let again = given.store.append(&[fact(drafted(2))], Some(&first)).await;
    assert!(matches!(again, Err(AppendError::Answered)));
}

pub(super) async fn answers_whose_time_is_over_are_forgotten_in_bounded_steps(given: Fixture) {
    for number in 1..=5 {
        let once = once(&number.to_string());
        given.store.append(&[fact(drafted(number))], Some(&once)).await.expect("it is appended");
    }
    let young = later(&once("young"), at(1_000));
    given.store.append(&[fact(drafted(6))], Some(&young)).await.expect("it is appended");
    let now = once("1").until;
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(given.store.forget_answers(now, 2).await.expect("they are forgotten"));
    }
    assert_eq!(steps, [2, 2, 1, 0]);
    assert_eq!(answer(&given, &once("1")).await, None);
    assert!(answer(&given, &young).await.is_some());
    // The effects stay.
    assert_eq!(given.store.ids(None, 10).await.expect("a walk").len(), 6);
}

pub(super) async fn of_an_erased_person_no_answer_is_kept(given: Fixture) {
    let another = Once { owner: UserId::new(Uuid::from_u128(0xb)), ..once("a") };
    given.store.append(&[fact(drafted(1))], Some(&once("a"))).await.expect("it is appended");
    given.store.append(&[fact(drafted(2))], Some(&another)).await.expect("it is appended");
    given.store.erase(author()).await.expect("it is erased");
    assert_eq!(answer(&given, &once("a")).await, None);
    assert!(answer(&given, &another).await.is_some());
}
