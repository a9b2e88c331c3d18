//! Cases about what is asked for under keys.

use kernel::UserId;
use uuid::Uuid;

use super::*;
use crate::domain::{Digest, Fingerprint};
use crate::ports::Answer;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Something under this key; the attempt would make the account of this number.
pub(super) fn once(key: &str, number: u128) -> Once {
    Once {
        name: Digest::of(key.as_bytes()),
        fingerprint: Fingerprint::stored(format!("of {key}")),
        id: id(number),
        kept: DAY,
    }
}

/// What is answered where this attempt had the effect.
pub(super) fn registered(once: &Once) -> Begun {
    let at = account(once.id.uuid().as_u128(), "ann@example.org").user.created_at;
    Begun::Before(Answer { fingerprint: once.fingerprint.clone(), id: once.id, at })
}

impl Fixture {
    pub(super) async fn begin(&self, once: &Once) -> Begun {
        self.intake.begin(once, LEASE).await.expect("looks")
    }

    async fn begun(&self, key: &str, number: u128) -> Once {
        let once = once(key, number);
        assert_eq!(self.begin(&once).await, Begun::Now);
        once
    }
}

pub(super) async fn of_parallel_beginnings_under_one_key_one_begins(fixture: Fixture) {
    let outcomes = testkit::at_once(16, |number| {
        let (intake, once) = (fixture.intake.clone(), once("a", number as u128 + 1));
        async move { intake.begin(&once, LEASE).await.expect("looks") }
    })
    .await;
    let count = |wanted: Begun| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!((count(Begun::Now), count(Begun::Running)), (1, 15));
}

/// For the case of a clock that goes back.
pub(super) async fn a_turn_begins(fixture: &Fixture) {
    fixture.begun("a", 11).await;
    assert_eq!(fixture.begin(&once("a", 12)).await, Begun::Running);
}

/// The next one, because the first is over.
pub(super) async fn another_turn_begins(fixture: &Fixture) {
    fixture.begun("a", 12).await;
    assert_eq!(fixture.begin(&once("a", 13)).await, Begun::Running);
}

pub(super) async fn a_beginning_whose_lease_ran_out_makes_way_for_the_next(fixture: Fixture) {
    fixture.begun("a", 1).await;
    fixture.clock.advance(LEASE - MOMENT);
    assert_eq!(fixture.begin(&once("a", 2)).await, Begun::Running);
    fixture.clock.advance(MOMENT);
    let second = fixture.begun("a", 2).await;
    fixture.append_once(&second, "ann@example.org").await.expect("is taken in");
    assert_eq!(fixture.begin(&once("a", 3)).await, registered(&second));
}

pub(super) async fn what_was_appended_under_a_key_is_the_answer_until_its_time_is_over(fixture: Fixture) {
    let first = fixture.begun("a", 1).await;
    fixture.append_once(&first, "ann@example.org").await.expect("is taken in");
    fixture.intake.settled(id(1)).await.expect("is settled");
    fixture.clock.advance(DAY - MOMENT);
    assert_eq!(fixture.begin(&once("a", 2)).await, registered(&first));
    fixture.clock.advance(MOMENT);
    // It stands in nobody's way, though nothing has removed it.
    let second = fixture.begun("a", 2).await;
    fixture.append_once(&second, "bob@example.org").await.expect("is taken in");
    assert_eq!(fixture.begin(&once("a", 3)).await, registered(&second));
}

pub(super) async fn an_append_under_a_key_that_somebody_else_has_begun_is_refused_and_takes_nothing_in(
    fixture: Fixture,
) {
    let late = fixture.begun("a", 1).await;
    fixture.clock.advance(LEASE);
    let second = fixture.begun("a", 2).await;
    let outcome = fixture.append_once(&late, "ann@example.org").await;
    assert!(matches!(outcome, Err(IntakeError::LeaseLost)));
    let never = once("b", 3);
    let outcome = fixture.append_once(&never, "bob@example.org").await;
    assert!(matches!(outcome, Err(IntakeError::LeaseLost)));
    assert!(fixture.intake.waiting(10).await.expect("names").is_empty());
    fixture.append_once(&second, "cem@example.org").await.expect("is taken in");
    // Once more by the same attempt is no second effect either.
    let outcome = fixture.append_once(&second, "dot@example.org").await;
    assert!(outcome.is_err());
    assert_eq!(fixture.intake.waiting(10).await.expect("names"), [id(2)]);
}

pub(super) async fn keys_are_apart(fixture: Fixture) {
    let (a, b) = (fixture.begun("a", 1).await, fixture.begun("b", 2).await);
    fixture.append_once(&a, "ann@example.org").await.expect("is taken in");
    assert_eq!(fixture.begin(&b).await, Begun::Running);
    fixture.append_once(&b, "bob@example.org").await.expect("is taken in");
    for once in [&a, &b] {
        assert_eq!(fixture.begin(once).await, registered(once));
    }
}

pub(super) async fn a_refusal_that_an_older_release_has_kept_counts_as_none(
    fixture: Fixture,
    keep_refusal: impl AsyncFn(&Fixture, &Once),
) {
    let refused = once("a", 1);
    keep_refusal(&fixture, &refused).await;
    // The key serves the next request, whatever it is.
    let corrected = Once { fingerprint: Fingerprint::stored("of another".to_owned()), ..once("a", 2) };
    assert_eq!(fixture.begin(&corrected).await, Begun::Now);
    assert_eq!(fixture.begin(&refused).await, Begun::Running);
    assert!(matches!(fixture.append_once(&refused, "ann@example.org").await, Err(IntakeError::LeaseLost)));
    fixture.append_once(&corrected, "bob@example.org").await.expect("is taken in");
    assert_eq!(fixture.begin(&refused).await, registered(&corrected));
}

pub(super) async fn what_is_given_up_can_be_begun_at_once_and_an_answer_stays(fixture: Fixture) {
    let first = fixture.begun("a", 1).await;
    fixture.intake.give_up(&once("a", 2)).await.expect("nothing happens");
    assert_eq!(fixture.begin(&first).await, Begun::Running);
    fixture.intake.give_up(&first).await.expect("is given up");
    let second = fixture.begun("a", 2).await;
    // What was given up has no effect any more, whenever it arrives.
    assert!(matches!(fixture.append_once(&first, "ann@example.org").await, Err(IntakeError::LeaseLost)));
    fixture.append_once(&second, "bob@example.org").await.expect("is taken in");
    fixture.intake.give_up(&second).await.expect("nothing happens");
    assert_eq!(fixture.begin(&first).await, registered(&second));
}

pub(super) async fn answers_whose_time_is_over_are_forgotten_in_bounded_steps_and_the_registrations_stay(
    fixture: Fixture,
) {
    for number in 1..=5 {
        let once = fixture.begun(&number.to_string(), number).await;
        let address = format!("reader{number}@example.org");
        fixture.append_once(&once, &address).await.expect("is taken in");
    }
    fixture.clock.advance(MOMENT);
    let young = fixture.begun("young", 6).await;
    fixture.append_once(&young, "young@example.org").await.expect("is taken in");
    fixture.clock.advance(DAY - MOMENT);
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(fixture.intake.forget_answers(2).await.expect("forgets"));
    }
    assert_eq!(steps, [2, 2, 1, 0]);
    assert_eq!(fixture.begin(&young).await, registered(&young));
    assert_eq!(fixture.intake.waiting(10).await.expect("names").len(), 6);
}

pub(super) async fn of_an_account_that_is_forgotten_no_answer_is_kept_and_of_the_others_all_are(
    fixture: Fixture,
) {
    let (ann, bob) = (fixture.begun("a", 1).await, fixture.begun("b", 2).await);
    fixture.append_once(&ann, "ann@example.org").await.expect("is taken in");
    fixture.append_once(&bob, "bob@example.org").await.expect("is taken in");
    for nobody in [id(1), id(1), UserId::new(Uuid::from_u128(9))] {
        fixture.intake.forget_answers_about(nobody).await.expect("forgets");
    }
    assert_eq!(fixture.begin(&bob).await, registered(&bob));
    let again = fixture.begun("a", 3).await;
    fixture.append_once(&again, "anna@example.org").await.expect("is taken in");
    assert_eq!(fixture.begin(&ann).await, registered(&again));
}
