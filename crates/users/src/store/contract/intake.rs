use std::sync::Arc;
use std::time::Duration;

use chassis::Context;
use kernel::{Clock, ManualClock, Timestamp};
use testkit::Folder;

use super::servers::{Keys, Place};
use super::{NOW, account, email, id};
use crate::domain::Account;
use crate::ports::{BeginOutcome, IdempotencyAttempt, Intake, IntakeError};
use crate::store::redis::RedisIntake;
use crate::store::sqlite::SqliteIntake;

const LEASE: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(1);

struct Fixture {
    intake: Arc<dyn Intake>,
    clock: Arc<ManualClock>,
    place: Place,
}

impl Fixture {
    async fn append(&self, number: u128, address: &str) -> Account {
        let account = account(number, address);
        let reservation = self.intake.reserve(&email(address), id(number), LEASE).await.expect("is free");
        self.intake.append(&reservation, &account, None).await.expect("is accepted");
        account
    }

    /// Appends a registration under a key.
    async fn append_under_key(
        &self,
        attempt: &IdempotencyAttempt,
        address: &str,
    ) -> Result<Account, IntakeError> {
        let account = account(attempt.user.uuid().as_u128(), address);
        let reservation = self.intake.reserve(&email(address), attempt.user, LEASE).await?;
        self.intake.append(&reservation, &account, Some(attempt)).await?;
        Ok(account)
    }

    async fn is_taken(&self, address: &str) -> bool {
        match self.intake.reserve(&email(address), id(999), LEASE).await {
            Ok(reservation) => {
                self.intake.release(&reservation).await.expect("is released");
                false
            }
            Err(IntakeError::EmailTaken) => true,
            Err(error) => panic!("{error}"),
        }
    }

    async fn take_ids(&self, limit: u32) -> Vec<u128> {
        let taken = self.intake.take(limit, LEASE).await.expect("takes");
        taken.iter().map(|waiting| waiting.id.uuid().as_u128()).collect()
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_763_712_000_000)))
}

macro_rules! every_case {
    ($open:path, $reopen:path, $spoil:path $(, ignore = $reason:literal)?) => {
        testkit::cases! { [$open $(, ignore = $reason)?]
            in (super) {
                one_of_several_parallel_reservations_of_one_email_is_granted,
                an_expired_lease_makes_way_for_the_next_reservation,
                the_email_of_a_waiting_registration_stays_reserved_however_long_it_waits,
                emails_are_compared_without_regard_to_case,
                an_append_without_a_lease_is_refused_and_stores_nothing,
                a_released_email_can_be_reserved_again,
                a_release_never_frees_the_email_of_a_waiting_registration,
                a_release_never_frees_an_email_that_another_account_has_reserved_since,
                a_waiting_registration_is_found_by_id_and_by_email_until_it_is_settled,
                registrations_are_taken_in_the_order_in_which_they_arrived,
                a_taken_registration_is_given_to_no_other_worker_until_its_lease_expires,
                taking_a_registration_counts_an_attempt,
                waiting_registrations_are_listed_taken_or_not_the_oldest_first,
                a_settled_registration_is_gone_and_its_email_can_be_reserved_again,
                a_wiped_intake_keeps_waiting_registrations_and_no_file_of_its_own_contains_settled_ones,
                a_registration_that_is_given_back_can_be_taken_immediately_and_the_attempt_does_not_count,
                a_deferred_registration_is_taken_again_after_its_pause_and_not_before,
                a_buried_registration_is_not_taken_again_and_its_email_stays_reserved,
                a_registration_continues_the_trace_of_its_request,
                an_intake_answers_when_asked,
                one_of_several_parallel_attempts_under_one_key_begins,
                an_attempt_whose_lease_has_expired_makes_way_for_the_next,
                a_registration_that_was_appended_under_a_key_is_the_answer_until_it_expires,
                an_append_under_a_key_that_another_attempt_has_begun_is_refused_and_stores_nothing,
                keys_are_independent_of_each_other,
                a_clock_that_goes_back_makes_no_lease_no_attempt_and_no_pause_longer,
                a_key_that_was_given_up_can_be_begun_immediately_and_an_answer_stays,
                expired_answers_are_forgotten_in_bounded_steps_and_the_registrations_stay,
                no_answer_about_a_forgotten_account_stays_and_all_others_do,
            }
        }

        #[tokio::test(flavor = "multi_thread")]
        $(#[ignore = $reason])?
        async fn an_appended_registration_survives_the_process_taken_or_not() {
            super::an_appended_registration_survives_the_process_taken_or_not($open().await, $reopen).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        $(#[ignore = $reason])?
        async fn a_registration_that_can_not_be_read_does_not_affect_its_neighbours() {
            super::a_registration_that_can_not_be_read_does_not_affect_its_neighbours($open().await, $spoil).await;
        }
    };
}

mod sqlite {
    use super::*;

    async fn at(place: Folder, clock: Arc<ManualClock>) -> Fixture {
        let url = place.sqlite("intake.db");
        let intake = SqliteIntake::open(&url, clock.clone()).await.expect("opens");
        Fixture { intake: Arc::new(intake), clock, place: Place::Folder(place) }
    }

    async fn open() -> Fixture {
        at(Folder::new(), clock()).await
    }

    async fn reopen(before: Fixture) -> Fixture {
        let Fixture { intake, clock, place } = before;
        // The store is dropped without closing it: the content of the file must be enough.
        drop(intake);
        let Place::Folder(folder) = place else { unreachable!("the place is a folder") };
        at(folder, clock).await
    }

    async fn spoil(fixture: &Fixture, number: u128) {
        let Place::Folder(folder) = &fixture.place else { unreachable!("the place is a folder") };
        let path = folder.join("intake.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let pool = sqlx::SqlitePool::connect_with(options).await.expect("opens");
        let spoiled = sqlx::query("update registrations set record = '{' where user_id = ?");
        let done = spoiled.bind(id(number).uuid()).execute(&pool).await.expect("spoils");
        assert_eq!(done.rows_affected(), 1);
        pool.close().await;
    }

    every_case!(open, reopen, spoil);

    async fn keep_refusal(fixture: &Fixture, attempt: &IdempotencyAttempt) {
        let Place::Folder(folder) = &fixture.place else { unreachable!("the place is a folder") };
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join("intake.db"));
        let pool = sqlx::SqlitePool::connect_with(options).await.expect("opens");
        sqlx::query(
            "insert into answers (name, fingerprint, user_id, refusal, expires_at) values (?, ?, ?, '{}', ?)",
        )
        .bind(attempt.key.bytes())
        .bind(attempt.fingerprint.as_str())
        .bind(attempt.user.uuid())
        .bind(NOW.plus(attempt.answer_life).millis())
        .execute(&pool)
        .await
        .expect("is kept");
        pool.close().await;
    }

    #[tokio::test]
    async fn a_refusal_that_an_older_release_stored_does_not_count() {
        super::a_refusal_that_an_older_release_stored_does_not_count(open().await, keep_refusal).await;
    }
}

mod answers;
mod redis;

use answers::*;

async fn one_of_several_parallel_reservations_of_one_email_is_granted(fixture: Fixture) {
    let address = email("ann@example.org");
    let tries = (0..16).map(|number| fixture.intake.reserve(&address, id(number), LEASE));
    let outcomes = futures::future::join_all(tries).await;
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(IntakeError::EmailTaken))).count();
    assert_eq!((outcomes.iter().filter(|outcome| outcome.is_ok()).count(), refused), (1, 15));
}

async fn an_expired_lease_makes_way_for_the_next_reservation(fixture: Fixture) {
    let address = email("ann@example.org");
    fixture.intake.reserve(&address, id(1), LEASE).await.expect("is free");
    fixture.clock.advance(LEASE - MOMENT);
    assert!(fixture.is_taken("ann@example.org").await);
    fixture.clock.advance(MOMENT);
    assert!(!fixture.is_taken("ann@example.org").await);
}

async fn a_clock_that_goes_back_makes_no_lease_no_attempt_and_no_pause_longer(fixture: Fixture) {
    fixture.append(1, "ann@example.org").await;
    assert_eq!(fixture.take_ids(10).await, [1]);
    fixture.intake.reserve(&email("ben@example.org"), id(2), LEASE).await.expect("is free");
    answers::begin_first_attempt(&fixture).await;
    let hour = Duration::from_secs(3_600);
    fixture.clock.set(fixture.clock.now().minus(hour));
    assert!(!fixture.is_taken("ben@example.org").await, "a lease");
    assert_eq!(fixture.take_ids(10).await, [1], "a lease on a registration");
    answers::begin_next_attempt(&fixture).await;
    // A waiting registration keeps its e-mail.
    assert!(fixture.is_taken("ann@example.org").await);
    // From here on, the new clock sets the times.
    assert_eq!(fixture.take_ids(10).await, [0u128; 0]);
    fixture.clock.advance(LEASE);
    assert_eq!(fixture.take_ids(10).await, [1]);
}

async fn the_email_of_a_waiting_registration_stays_reserved_however_long_it_waits(fixture: Fixture) {
    fixture.append(1, "ann@example.org").await;
    fixture.clock.advance(LEASE * 1000);
    assert!(fixture.is_taken("ann@example.org").await);
}

async fn emails_are_compared_without_regard_to_case(fixture: Fixture) {
    let ann = fixture.append(1, "Ann@Example.org").await;
    assert!(fixture.is_taken("aNN@eXAMPLE.ORG").await);
    let found = fixture.intake.by_email(&email("ann@example.org")).await.expect("looks").expect("is found");
    assert_eq!(found.user.email.as_str(), ann.user.email.as_str());
}

async fn an_append_without_a_lease_is_refused_and_stores_nothing(fixture: Fixture) {
    let address = email("ann@example.org");
    let late = fixture.intake.reserve(&address, id(1), LEASE).await.expect("is free");
    fixture.clock.advance(LEASE);
    let outcome = fixture.intake.append(&late, &account(1, "ann@example.org"), None).await;
    assert!(matches!(outcome, Err(IntakeError::LeaseLost)));
    fixture.intake.reserve(&address, id(2), LEASE).await.expect("is free again");
    let outcome = fixture.intake.append(&late, &account(1, "ann@example.org"), None).await;
    assert!(matches!(outcome, Err(IntakeError::LeaseLost)));
    assert!(fixture.intake.waiting(10).await.expect("lists").is_empty());
    assert!(fixture.intake.by_id(id(1)).await.expect("looks").is_none());
}

async fn a_released_email_can_be_reserved_again(fixture: Fixture) {
    let address = email("ann@example.org");
    let reservation = fixture.intake.reserve(&address, id(1), LEASE).await.expect("is free");
    fixture.intake.release(&reservation).await.expect("is released");
    assert!(!fixture.is_taken("ann@example.org").await);
}

async fn a_release_never_frees_the_email_of_a_waiting_registration(fixture: Fixture) {
    let address = email("ann@example.org");
    let reservation = fixture.intake.reserve(&address, id(1), LEASE).await.expect("is free");
    let outcome = fixture.intake.append(&reservation, &account(1, "ann@example.org"), None).await;
    outcome.expect("is accepted");
    fixture.intake.release(&reservation).await.expect("does no harm");
    assert!(fixture.is_taken("ann@example.org").await);
}

async fn a_release_never_frees_an_email_that_another_account_has_reserved_since(fixture: Fixture) {
    let address = email("ann@example.org");
    let late = fixture.intake.reserve(&address, id(1), LEASE).await.expect("is free");
    fixture.clock.advance(LEASE);
    fixture.intake.reserve(&address, id(2), LEASE).await.expect("is free again");
    fixture.intake.release(&late).await.expect("does no harm");
    assert!(fixture.is_taken("ann@example.org").await);
}

async fn a_waiting_registration_is_found_by_id_and_by_email_until_it_is_settled(fixture: Fixture) {
    let ann = fixture.append(1, "ann@example.org").await;
    let found = async || {
        let by_id = fixture.intake.by_id(id(1)).await.expect("looks");
        assert_eq!(by_id, fixture.intake.by_email(&email("ann@example.org")).await.expect("looks"));
        by_id
    };
    assert_eq!(found().await, Some(ann.clone()));
    assert_eq!(fixture.take_ids(10).await, [1]);
    assert_eq!(found().await, Some(ann));
    fixture.intake.settle(id(1)).await.expect("is settled");
    assert_eq!(found().await, None);
}

async fn registrations_are_taken_in_the_order_in_which_they_arrived(fixture: Fixture) {
    for number in [5, 3, 9, 1] {
        fixture.append(number, &format!("reader{number}@example.org")).await;
    }
    assert_eq!(fixture.take_ids(3).await, [5, 3, 9]);
    assert_eq!(fixture.take_ids(3).await, [1]);
}

async fn a_taken_registration_is_given_to_no_other_worker_until_its_lease_expires(fixture: Fixture) {
    for number in 1..=40 {
        fixture.append(number, &format!("reader{number}@example.org")).await;
    }
    let taken = futures::future::join_all((0..8).map(|_| fixture.take_ids(7))).await;
    let mut all: Vec<u128> = taken.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (1..=40).collect::<Vec<u128>>());
    fixture.clock.advance(LEASE - MOMENT);
    assert!(fixture.take_ids(100).await.is_empty());
    fixture.clock.advance(MOMENT);
    assert_eq!(fixture.take_ids(100).await.len(), 40);
}

async fn taking_a_registration_counts_an_attempt(fixture: Fixture) {
    fixture.append(1, "ann@example.org").await;
    for attempt in 1..=3 {
        let taken = fixture.intake.take(1, LEASE).await.expect("takes");
        assert_eq!(taken[0].attempts, attempt);
        fixture.clock.advance(LEASE);
    }
}

async fn waiting_registrations_are_listed_taken_or_not_the_oldest_first(fixture: Fixture) {
    for number in [2, 1, 3] {
        fixture.append(number, &format!("reader{number}@example.org")).await;
    }
    assert_eq!(fixture.take_ids(1).await, [2]);
    assert_eq!(fixture.intake.waiting(2).await.expect("lists"), [id(2), id(1)]);
    fixture.intake.settle(id(2)).await.expect("is settled");
    assert_eq!(fixture.intake.waiting(9).await.expect("lists"), [id(1), id(3)]);
}

async fn a_settled_registration_is_gone_and_its_email_can_be_reserved_again(fixture: Fixture) {
    fixture.append(1, "ann@example.org").await;
    fixture.append(2, "bob@example.org").await;
    for _ in 0..2 {
        fixture.intake.settle(id(1)).await.expect("does no harm again");
    }
    assert!(!fixture.is_taken("ann@example.org").await);
    assert!(fixture.is_taken("bob@example.org").await);
    assert_eq!(fixture.take_ids(10).await, [2]);
}

async fn a_wiped_intake_keeps_waiting_registrations_and_no_file_of_its_own_contains_settled_ones(
    fixture: Fixture,
) {
    fixture.append(1, "rumpelstiltskin@example.org").await;
    let waits = fixture.append(2, "bob@example.org").await;
    fixture.intake.settle(id(1)).await.expect("is settled");
    assert!(fixture.intake.wipe().await.expect("it is wiped"));
    assert_eq!(fixture.intake.by_id(id(2)).await.expect("looks"), Some(waits));
    let Place::Folder(folder) = &fixture.place else { return };
    for entry in std::fs::read_dir(folder.path()).expect("reads") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        assert!(!bytes.windows(15).any(|window| window == b"rumpelstiltskin"));
    }
}

async fn a_registration_that_is_given_back_can_be_taken_immediately_and_the_attempt_does_not_count(
    fixture: Fixture,
) {
    fixture.append(1, "ann@example.org").await;
    for _ in 0..3 {
        let taken = fixture.intake.take(1, LEASE).await.expect("takes");
        assert_eq!(taken[0].attempts, 1);
        fixture.intake.give_back(id(1)).await.expect("is given back");
    }
}

async fn a_deferred_registration_is_taken_again_after_its_pause_and_not_before(fixture: Fixture) {
    fixture.append(1, "ann@example.org").await;
    assert_eq!(fixture.take_ids(1).await, [1]);
    fixture.intake.defer(id(1), "the store refused it", LEASE * 3).await.expect("is given back");
    fixture.clock.advance(LEASE * 3 - MOMENT);
    assert!(fixture.take_ids(1).await.is_empty());
    fixture.clock.advance(MOMENT);
    assert_eq!(fixture.take_ids(1).await, [1]);
}

async fn a_buried_registration_is_not_taken_again_and_its_email_stays_reserved(fixture: Fixture) {
    fixture.append(1, "ann@example.org").await;
    fixture.intake.bury(id(1), "it can't be stored").await.expect("is buried");
    fixture.clock.advance(LEASE * 1000);
    assert!(fixture.take_ids(1).await.is_empty());
    assert!(fixture.is_taken("ann@example.org").await);
    assert!(fixture.intake.waiting(10).await.expect("lists").is_empty());
}

async fn a_registration_continues_the_trace_of_its_request(fixture: Fixture) {
    let context = Context::for_work("users", LEASE);
    let trace = context.trace;
    context.scope(fixture.append(1, "ann@example.org")).await;
    assert_eq!(fixture.intake.take(1, LEASE).await.expect("takes")[0].trace.id(), trace.id());
}

async fn an_intake_answers_when_asked(fixture: Fixture) {
    assert!(fixture.intake.ping().await.is_ok());
    assert!(fixture.intake.try_write().await.is_ok());
}

async fn an_appended_registration_survives_the_process_taken_or_not(
    fixture: Fixture,
    reopen: impl AsyncFnOnce(Fixture) -> Fixture,
) {
    let ann = fixture.append(1, "ann@example.org").await;
    let attempt = attempt_at("a", 2);
    assert_eq!(fixture.intake.begin(&attempt, LEASE).await.expect("begins"), BeginOutcome::Begun);
    let bob = fixture.append_under_key(&attempt, "bob@example.org").await.expect("is accepted");
    assert_eq!(fixture.take_ids(1).await, [1]);
    let fixture = reopen(fixture).await;
    assert_eq!(fixture.begin(&attempt).await, answered(&attempt));
    assert_eq!(fixture.intake.by_id(id(1)).await.expect("looks"), Some(ann));
    assert_eq!(fixture.intake.by_id(id(2)).await.expect("looks"), Some(bob));
    assert!(fixture.is_taken("ann@example.org").await);
    fixture.clock.advance(LEASE);
    assert_eq!(fixture.take_ids(10).await, [1, 2]);
}

async fn a_registration_that_can_not_be_read_does_not_affect_its_neighbours(
    fixture: Fixture,
    spoil: impl AsyncFnOnce(&Fixture, u128),
) {
    for number in 1..=3 {
        fixture.append(number, &format!("reader{number}@example.org")).await;
    }
    spoil(&fixture, 2).await;
    let taken = fixture.intake.take(10, LEASE).await.expect("takes");
    let is_readable: Vec<bool> = taken.iter().map(|waiting| waiting.account.is_ok()).collect();
    assert_eq!(is_readable, [true, false, true]);
    assert_eq!(taken[1].id, id(2));
}
