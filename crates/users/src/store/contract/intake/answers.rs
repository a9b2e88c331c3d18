//! The laws of idempotency keys.

use kernel::UserId;
use uuid::Uuid;

use super::*;
use crate::domain::{Digest, Fingerprint};
use crate::ports::RegistrationAnswer;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Creates an attempt under this key, which would create the account of this number.
pub(super) fn attempt_at(key: &str, number: u128) -> IdempotencyAttempt {
    IdempotencyAttempt {
        key: Digest::of(key.as_bytes()),
        fingerprint: Fingerprint::stored(format!("of {key}")),
        user: id(number),
        answer_life: DAY,
    }
}

/// Returns the outcome of a later attempt if this one was answered.
pub(super) fn answered(attempt: &IdempotencyAttempt) -> BeginOutcome {
    let at = account(attempt.user.uuid().as_u128(), "ann@example.org").user.created_at;
    BeginOutcome::Answered(RegistrationAnswer {
        fingerprint: attempt.fingerprint.clone(),
        user: attempt.user,
        registered_at: at,
    })
}

impl Fixture {
    pub(super) async fn begin(&self, attempt: &IdempotencyAttempt) -> BeginOutcome {
        self.intake.begin(attempt, LEASE).await.expect("looks")
    }

    async fn begin_attempt(&self, key: &str, number: u128) -> IdempotencyAttempt {
        let attempt = attempt_at(key, number);
        assert_eq!(self.begin(&attempt).await, BeginOutcome::Begun);
        attempt
    }
}

pub(super) async fn one_of_several_parallel_attempts_under_one_key_begins(fixture: Fixture) {
    let outcomes = testkit::at_once(16, |number| {
        let (intake, attempt) = (fixture.intake.clone(), attempt_at("a", number as u128 + 1));
        async move { intake.begin(&attempt, LEASE).await.expect("looks") }
    })
    .await;
    let count = |wanted: BeginOutcome| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!((count(BeginOutcome::Begun), count(BeginOutcome::StillRunning)), (1, 15));
}

/// Begins an attempt, for the case of a clock that goes back.
pub(super) async fn begin_first_attempt(fixture: &Fixture) {
    fixture.begin_attempt("a", 11).await;
    assert_eq!(fixture.begin(&attempt_at("a", 12)).await, BeginOutcome::StillRunning);
}

/// Begins the next attempt, because the lease of the first has expired.
pub(super) async fn begin_next_attempt(fixture: &Fixture) {
    fixture.begin_attempt("a", 12).await;
    assert_eq!(fixture.begin(&attempt_at("a", 13)).await, BeginOutcome::StillRunning);
}

pub(super) async fn an_attempt_whose_lease_has_expired_makes_way_for_the_next(fixture: Fixture) {
    fixture.begin_attempt("a", 1).await;
    fixture.clock.advance(LEASE - MOMENT);
    assert_eq!(fixture.begin(&attempt_at("a", 2)).await, BeginOutcome::StillRunning);
    fixture.clock.advance(MOMENT);
    let second = fixture.begin_attempt("a", 2).await;
    fixture.append_under_key(&second, "ann@example.org").await.expect("is accepted");
    assert_eq!(fixture.begin(&attempt_at("a", 3)).await, answered(&second));
}

pub(super) async fn a_registration_that_was_appended_under_a_key_is_the_answer_until_it_expires(
    fixture: Fixture,
) {
    let first = fixture.begin_attempt("a", 1).await;
    fixture.append_under_key(&first, "ann@example.org").await.expect("is accepted");
    fixture.intake.settle(id(1)).await.expect("is settled");
    fixture.clock.advance(DAY - MOMENT);
    assert_eq!(fixture.begin(&attempt_at("a", 2)).await, answered(&first));
    fixture.clock.advance(MOMENT);
    // It blocks no attempt, although no worker has deleted it.
    let second = fixture.begin_attempt("a", 2).await;
    fixture.append_under_key(&second, "bob@example.org").await.expect("is accepted");
    assert_eq!(fixture.begin(&attempt_at("a", 3)).await, answered(&second));
}

pub(super) async fn an_append_under_a_key_that_another_attempt_has_begun_is_refused_and_stores_nothing(
    fixture: Fixture,
) {
    let late = fixture.begin_attempt("a", 1).await;
    fixture.clock.advance(LEASE);
    let second = fixture.begin_attempt("a", 2).await;
    let outcome = fixture.append_under_key(&late, "ann@example.org").await;
    assert!(matches!(outcome, Err(IntakeError::LeaseLost)));
    let unbegun = attempt_at("b", 3);
    let outcome = fixture.append_under_key(&unbegun, "bob@example.org").await;
    assert!(matches!(outcome, Err(IntakeError::LeaseLost)));
    assert!(fixture.intake.waiting(10).await.expect("lists").is_empty());
    fixture.append_under_key(&second, "cem@example.org").await.expect("is accepted");
    // A second append of the same attempt has no second effect either.
    let outcome = fixture.append_under_key(&second, "dot@example.org").await;
    assert!(outcome.is_err());
    assert_eq!(fixture.intake.waiting(10).await.expect("lists"), [id(2)]);
}

pub(super) async fn keys_are_independent_of_each_other(fixture: Fixture) {
    let (a, b) = (fixture.begin_attempt("a", 1).await, fixture.begin_attempt("b", 2).await);
    fixture.append_under_key(&a, "ann@example.org").await.expect("is accepted");
    assert_eq!(fixture.begin(&b).await, BeginOutcome::StillRunning);
    fixture.append_under_key(&b, "bob@example.org").await.expect("is accepted");
    for attempt in [&a, &b] {
        assert_eq!(fixture.begin(attempt).await, answered(attempt));
    }
}

pub(super) async fn a_refusal_that_an_older_release_stored_does_not_count(
    fixture: Fixture,
    keep_refusal: impl AsyncFn(&Fixture, &IdempotencyAttempt),
) {
    let refused = attempt_at("a", 1);
    keep_refusal(&fixture, &refused).await;
    // The key serves the next request, whatever its content.
    let corrected = IdempotencyAttempt {
        fingerprint: Fingerprint::stored("of another".to_owned()),
        ..attempt_at("a", 2)
    };
    assert_eq!(fixture.begin(&corrected).await, BeginOutcome::Begun);
    assert_eq!(fixture.begin(&refused).await, BeginOutcome::StillRunning);
    assert!(matches!(
        fixture.append_under_key(&refused, "ann@example.org").await,
        Err(IntakeError::LeaseLost)
    ));
    fixture.append_under_key(&corrected, "bob@example.org").await.expect("is accepted");
    assert_eq!(fixture.begin(&refused).await, answered(&corrected));
}

pub(super) async fn a_key_that_was_given_up_can_be_begun_immediately_and_an_answer_stays(fixture: Fixture) {
    let first = fixture.begin_attempt("a", 1).await;
    fixture.intake.give_up(&attempt_at("a", 2)).await.expect("nothing happens");
    assert_eq!(fixture.begin(&first).await, BeginOutcome::StillRunning);
    fixture.intake.give_up(&first).await.expect("is given up");
    let second = fixture.begin_attempt("a", 2).await;
    // An attempt that was given up has no effect, even if it arrives late.
    assert!(matches!(fixture.append_under_key(&first, "ann@example.org").await, Err(IntakeError::LeaseLost)));
    fixture.append_under_key(&second, "bob@example.org").await.expect("is accepted");
    fixture.intake.give_up(&second).await.expect("nothing happens");
    assert_eq!(fixture.begin(&first).await, answered(&second));
}

pub(super) async fn expired_answers_are_forgotten_in_bounded_steps_and_the_registrations_stay(
    fixture: Fixture,
) {
    for number in 1..=5 {
        let attempt = fixture.begin_attempt(&number.to_string(), number).await;
        let address = format!("reader{number}@example.org");
        fixture.append_under_key(&attempt, &address).await.expect("is accepted");
    }
    fixture.clock.advance(MOMENT);
    let young = fixture.begin_attempt("young", 6).await;
    fixture.append_under_key(&young, "young@example.org").await.expect("is accepted");
    fixture.clock.advance(DAY - MOMENT);
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(fixture.intake.forget_answers(2).await.expect("forgets"));
    }
    assert_eq!(steps, [2, 2, 1, 0]);
    assert_eq!(fixture.begin(&young).await, answered(&young));
    assert_eq!(fixture.intake.waiting(10).await.expect("lists").len(), 6);
}

pub(super) async fn no_answer_about_a_forgotten_account_stays_and_all_others_do(fixture: Fixture) {
    let (ann, bob) = (fixture.begin_attempt("a", 1).await, fixture.begin_attempt("b", 2).await);
    fixture.append_under_key(&ann, "ann@example.org").await.expect("is accepted");
    fixture.append_under_key(&bob, "bob@example.org").await.expect("is accepted");
    for id in [id(1), id(1), UserId::new(Uuid::from_u128(9))] {
        fixture.intake.forget_answers_about(id).await.expect("forgets");
    }
    assert_eq!(fixture.begin(&bob).await, answered(&bob));
    let again = fixture.begin_attempt("a", 3).await;
    fixture.append_under_key(&again, "anna@example.org").await.expect("is accepted");
    assert_eq!(fixture.begin(&ann).await, answered(&again));
}
