//! The laws on a Redis server, and further tests of this adapter.

use super::*;

async fn at(keys: Keys, clock: Arc<ManualClock>) -> Fixture {
    let intake = RedisIntake::open(&keys.url(), clock.clone()).await.expect("opens");
    Fixture { intake: Arc::new(intake), clock, place: Place::Keys(keys) }
}

async fn open() -> Fixture {
    at(Keys::of_intake(), clock()).await
}

async fn reopen(before: Fixture) -> Fixture {
    let Fixture { intake, clock, place } = before;
    drop(intake);
    let Place::Keys(keys) = place else { unreachable!("the place is a prefix") };
    at(keys, clock).await
}

/// Opens the intake of another replica on the same server.
async fn replica(fixture: &Fixture) -> RedisIntake {
    let Place::Keys(keys) = &fixture.place else { unreachable!("the place is a prefix") };
    RedisIntake::open(&keys.url(), fixture.clock.clone()).await.expect("opens")
}

async fn spoil(fixture: &Fixture, number: u128) {
    let Place::Keys(keys) = &fixture.place else { unreachable!("the place is a prefix") };
    let id = id(number).uuid().to_string();
    let new = keys.command("HSET", "{users-intake}:records", &[&id, "{"]);
    assert_eq!(new, ::redis::Value::Int(0));
}

every_case!(open, reopen, spoil, ignore = "needs redis");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn two_replicas_never_take_the_same_registration() {
    let fixture = open().await;
    for number in 1..=60 {
        fixture.append(number, &format!("reader{number}@example.org")).await;
    }
    let other = replica(&fixture).await;
    let take = async |intake: &dyn Intake| {
        let mut taken = Vec::new();
        for _ in 0..10 {
            taken.extend(intake.take(3, LEASE).await.expect("takes").into_iter().map(|waiting| waiting.id));
        }
        taken
    };
    let (mut all, theirs) = tokio::join!(take(&*fixture.intake), take(&other));
    assert!(!all.is_empty() && !theirs.is_empty());
    all.extend(theirs);
    all.sort_unstable();
    assert_eq!(all, (1..=60).map(id).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn one_of_two_replicas_begins_under_a_key_and_both_return_its_answer() {
    let fixture = open().await;
    let intakes: [Arc<dyn Intake>; 2] = [fixture.intake.clone(), Arc::new(replica(&fixture).await)];
    for round in 0..20 {
        let key = format!("key {round}");
        let attempts = testkit::at_once(2, |at| {
            let (intake, attempt) = (intakes[at].clone(), attempt_at(&key, round * 2 + at as u128 + 1));
            async move {
                (intake.begin(&attempt, LEASE).await.expect("looks") == BeginOutcome::Begun)
                    .then_some(attempt)
            }
        });
        let mut begun: Vec<IdempotencyAttempt> = attempts.await.into_iter().flatten().collect();
        let first = begun.pop().expect("one begins");
        assert!(begun.is_empty(), "both have begun");
        let address = format!("reader{round}@example.org");
        fixture.append_under_key(&first, &address).await.expect("is accepted");
        for intake in &intakes {
            assert_eq!(intake.begin(&attempt_at(&key, 999), LEASE).await.expect("looks"), answered(&first));
        }
    }
    assert_eq!(fixture.intake.waiting(100).await.expect("lists").len(), 20);
}

async fn keep_refusal(fixture: &Fixture, attempt: &IdempotencyAttempt) {
    let Place::Keys(keys) = &fixture.place else { unreachable!("the place is a prefix") };
    let (name, ends) = (attempt.key.hex(), NOW.plus(attempt.answer_life).millis().to_string());
    let answer = serde_json::json!({
        "fingerprint": attempt.fingerprint.as_str(),
        "id": attempt.user.uuid().to_string(),
        "refusal": "{}",
    });
    keys.command("HSET", "{users-intake}:answers", &[&name, &answer.to_string()]);
    keys.command("ZADD", "{users-intake}:answer_times", &[&ends, &name]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn a_refusal_that_an_older_release_stored_does_not_count() {
    super::a_refusal_that_an_older_release_stored_does_not_count(open().await, keep_refusal).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn a_registration_of_a_dead_worker_is_claimed_and_late_messages_of_that_worker_are_ignored() {
    let fixture = open().await;
    fixture.append(1, "ann@example.org").await;
    assert_eq!(fixture.take_ids(1).await, [1]);
    let other = replica(&fixture).await;
    assert!(other.take(1, LEASE).await.expect("takes").is_empty());
    fixture.clock.advance(LEASE);
    let claimed = other.take(1, LEASE).await.expect("takes");
    assert_eq!((claimed[0].id, claimed[0].attempts), (id(1), 2));
    // The first replica was only slow.
    fixture.intake.give_back(id(1)).await.expect("does no harm");
    fixture.intake.defer(id(1), "too late", Duration::ZERO).await.expect("does no harm");
    assert!(fixture.take_ids(1).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn an_intake_whose_server_lost_everything_works_on() {
    let fixture = open().await;
    fixture.append(1, "ann@example.org").await;
    let Place::Keys(keys) = &fixture.place else { unreachable!("the place is a prefix") };
    for name in ["stream", "places", "records", "mails", "owners"] {
        keys.command("DEL", &format!("{{users-intake}}:{name}"), &[]);
    }
    fixture.append(2, "ann@example.org").await;
    assert_eq!(fixture.take_ids(9).await, [2]);
    fixture.intake.settle(id(2)).await.expect("is settled");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn a_server_without_a_durable_file_is_refused_as_an_intake() {
    let keys = Keys::of_cache();
    let refused = RedisIntake::open(&keys.url(), clock()).await.err().expect("it is refused");
    assert!(
        matches!(&refused, chassis::StoreFailure::Broken(cause) if cause.to_string().contains("append-only"))
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn all_keys_of_an_intake_are_on_one_node_of_a_cluster_and_a_settled_registration_leaves_none() {
    let fixture = open().await;
    for number in 1..=2 {
        fixture.append(number, &format!("reader{number}@example.org")).await;
    }
    let attempt = attempt_at("a", 4);
    assert_eq!(fixture.begin(&attempt).await, BeginOutcome::Begun);
    fixture.append_under_key(&attempt, "reader4@example.org").await.expect("is accepted");
    fixture.intake.settle(id(4)).await.expect("is settled");
    fixture.intake.forget_answers_about(id(4)).await.expect("is forgotten");
    let refused = fixture.intake.reserve(&email("reader1@example.org"), id(3), LEASE).await;
    assert!(matches!(refused, Err(IntakeError::EmailTaken)));
    fixture.take_ids(1).await;
    fixture.intake.bury(id(2), "it can't be stored").await.expect("is buried");
    for number in 1..=2 {
        fixture.intake.settle(id(number)).await.expect("is settled");
    }
    let Place::Keys(keys) = &fixture.place else { unreachable!("the place is a prefix") };
    let names = ["places", "records", "mails", "owners", "leases", "due", "failures", "buried"];
    for name in names.into_iter().chain(["answers", "answer_times", "answered"]) {
        let there = keys.command("EXISTS", &format!("{{users-intake}}:{name}"), &[]);
        assert_eq!(there, ::redis::Value::Int(0), "{name}");
    }
    assert_eq!(keys.command("XLEN", "{users-intake}:stream", &[]), ::redis::Value::Int(0));
}
