//! The cases of the event store about commands under keys.

use std::time::Duration;

use kernel::{Timestamp, UserId, Version};
use uuid::Uuid;

use super::Fixture;
use super::sample::{at, author, drafted, id, revised, with_message};
use crate::ports::{AppendError, CommandKey, KeptAnswer};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns a key of the author.
fn key(name: &str) -> CommandKey {
    let now = at(0);
    CommandKey {
        owner: author(),
        command: "CreateArticle".to_owned(),
        key: name.to_owned(),
        fingerprint: format!("of {name}"),
        at: now,
        until: now.plus(DAY),
    }
}

fn later(key: &CommandKey, now: Timestamp) -> CommandKey {
    CommandKey { at: now, until: now.plus(DAY), ..key.clone() }
}

fn done(fingerprint: &str, number: u128, version: u32) -> KeptAnswer {
    KeptAnswer { fingerprint: fingerprint.to_owned(), article: id(number), version: Version::new(version) }
}

async fn answer(given: &Fixture, key: &CommandKey) -> Option<KeptAnswer> {
    given.store.answer(key).await.expect("it is read")
}

pub(super) async fn under_one_key_one_append_of_many_is_stored(given: Fixture) {
    let outcomes = testkit::at_once(16, |number| {
        let (store, draft) = (given.store.clone(), drafted(number as u128 + 1));
        async move { store.append(&[with_message(draft)], Some(&key("a"))).await }
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
    assert_eq!(answer(&given, &key("a")).await, None);
    given
        .store
        .append(&[with_message(draft.clone()), with_message(published)], Some(&key("a")))
        .await
        .expect("both are appended");
    assert_eq!(answer(&given, &key("a")).await, Some(done("of a", 1, 2)));
    // Another writer was faster: no effect, no answer.
    let stale = given.store.append(&[with_message(revised(&draft.article, "Late"))], Some(&key("b"))).await;
    assert!(matches!(stale, Err(AppendError::Stale { .. })));
    assert_eq!(answer(&given, &key("b")).await, None);
    // The key is free for the next attempt.
    given.store.append(&[with_message(drafted(2))], Some(&key("b"))).await.expect("it is appended");
    assert_eq!(answer(&given, &key("b")).await, Some(done("of b", 2, 1)));
}

pub(super) async fn a_key_belongs_to_one_account_and_one_command(given: Fixture) {
    let first = key("a");
    given.store.append(&[with_message(drafted(1))], Some(&first)).await.expect("it is appended");
    let another = CommandKey { owner: UserId::new(Uuid::from_u128(0xb)), ..first.clone() };
    let elsewhere = CommandKey { command: "PublishArticle".to_owned(), ..first.clone() };
    for other in [&another, &elsewhere] {
        assert_eq!(answer(&given, other).await, None);
    }
    given.store.append(&[with_message(drafted(2))], Some(&another)).await.expect("it is appended");
    given.store.append(&[with_message(drafted(3))], Some(&elsewhere)).await.expect("it is appended");
    assert_eq!(answer(&given, &first).await, Some(done("of a", 1, 1)));
    assert_eq!(answer(&given, &another).await, Some(done("of a", 2, 1)));
    assert_eq!(answer(&given, &elsewhere).await, Some(done("of a", 3, 1)));
}

pub(super) async fn an_expired_answer_does_not_count(given: Fixture) {
    let first = key("a");
    given.store.append(&[with_message(drafted(1))], Some(&first)).await.expect("it is appended");
    let last_moment = later(&first, first.until.plus(Duration::ZERO));
    let before = later(&first, Timestamp::from_millis(first.until.millis() - 1));
    assert!(answer(&given, &before).await.is_some());
    assert_eq!(answer(&given, &last_moment).await, None);
    // It does not get in the way, although it is not removed yet.
    given.store.append(&[with_message(drafted(2))], Some(&last_moment)).await.expect("it is appended");
    assert_eq!(answer(&given, &last_moment).await, Some(done("of a", 2, 1)));
}

pub(super) async fn a_refusal_that_an_older_release_kept_does_not_count(given: Fixture) {
    let first = key("a");
    given.tamperer.keep_refusal(&first, "{\"code\": \"illegal_transition\"}").await;
    assert_eq!(answer(&given, &first).await, None);
    // It does not get in the way, whatever the request is now.
    let corrected = CommandKey { fingerprint: "of another request".to_owned(), ..first.clone() };
    given.store.append(&[with_message(drafted(1))], Some(&corrected)).await.expect("it is appended");
    assert_eq!(answer(&given, &corrected).await, Some(done("of another request", 1, 1)));
    // The answer to the new request is kept, and nothing replaces it.
    let again = given.store.append(&[with_message(drafted(2))], Some(&first)).await;
    assert!(matches!(again, Err(AppendError::Answered)));
}

pub(super) async fn expired_answers_are_removed_in_bounded_steps(given: Fixture) {
    for number in 1..=5 {
        let key = key(&number.to_string());
        given.store.append(&[with_message(drafted(number))], Some(&key)).await.expect("it is appended");
    }
    let young = later(&key("young"), at(1_000));
    given.store.append(&[with_message(drafted(6))], Some(&young)).await.expect("it is appended");
    let now = key("1").until;
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(given.store.forget_answers(now, 2).await.expect("they are forgotten"));
    }
    assert_eq!(steps, [2, 2, 1, 0]);
    assert_eq!(answer(&given, &key("1")).await, None);
    assert!(answer(&given, &young).await.is_some());
    // The effects stay.
    assert_eq!(given.store.ids(None, 10).await.expect("a walk").len(), 6);
}

pub(super) async fn no_answer_of_an_erased_person_is_kept(given: Fixture) {
    let another = CommandKey { owner: UserId::new(Uuid::from_u128(0xb)), ..key("a") };
    given.store.append(&[with_message(drafted(1))], Some(&key("a"))).await.expect("it is appended");
    given.store.append(&[with_message(drafted(2))], Some(&another)).await.expect("it is appended");
    given.store.erase(author()).await.expect("it is erased");
    assert_eq!(answer(&given, &key("a")).await, None);
    assert!(answer(&given, &another).await.is_some());
}
