//! The way to users: its deadline and its circuit breaker.

use std::time::Duration;

use chassis::Surroundings;
use kernel::{Fault, Kind};
use recommendations::clients::GrpcUserDirectory;
use recommendations::ports::{DirectoryError, UserDirectory};
use testkit::{PATIENCE, wait_until};

use crate::neighbour::{Mood, Neighbour};
use crate::world::user;

fn directory(budget: Duration) -> (GrpcUserDirectory, Neighbour) {
    let surroundings = Surroundings::one_process();
    let transport = surroundings.transport("inproc://users").expect("a neighbour's address");
    (GrpcUserDirectory::new(transport, budget), Neighbour::beside(&surroundings))
}

#[tokio::test]
async fn nobody_by_an_id_is_an_answer_and_no_failure() {
    let (directory, users) = directory(Duration::from_secs(5));
    for _ in 0..10 {
        assert_eq!(directory.consent_of(user(1)).await.expect("an answer"), None);
    }
    users.knows(user(1), true, 7);
    let record = directory.consent_of(user(1)).await.expect("an answer").expect("a consent");
    assert!(record.consent.permits_counting() && record.version == 7);
}

#[tokio::test]
async fn users_that_never_answers_is_given_up_at_the_deadline_and_stops_working() {
    let (directory, users) = directory(Duration::from_millis(20));
    users.is(Mood::Silent);
    let fault = directory.consent_of(user(1)).await.expect_err("no answer");
    assert_eq!(fault.kind(), Kind::Timeout);
    wait_until("the end of the callee", PATIENCE, || async { (users.given_up() == 1).then_some(()) }).await;
}

#[tokio::test]
async fn users_that_keeps_failing_is_left_in_peace() {
    let (directory, users) = directory(Duration::from_secs(5));
    users.is(Mood::Away);
    for _ in 0..20 {
        let fault = directory.consent_of(user(1)).await.expect_err("a failure");
        assert_eq!(fault.kind(), Kind::Unavailable);
    }
    assert_eq!(users.asked(), 5);
    let fault = directory.consent_of(user(1)).await.expect_err("it rests");
    assert!(matches!(fault, DirectoryError::Resting(_)) && fault.retry_after().is_some());
}

#[tokio::test]
async fn a_neighbour_that_has_not_started_is_unavailable() {
    let surroundings = Surroundings::one_process();
    let transport = surroundings.transport("inproc://users").expect("a neighbour's address");
    let directory = GrpcUserDirectory::new(transport, Duration::from_secs(5));
    assert_eq!(directory.consent_of(user(1)).await.expect_err("nobody").kind(), Kind::Unavailable);
}
