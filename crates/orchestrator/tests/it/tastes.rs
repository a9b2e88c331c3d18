//! The laws of the port `Tastes`, one case each, named by the sentence in its documentation. Both ways run all of them: the
//! neighbour in this process, and a server over the network.

use std::time::Duration;

use chassis::{Context, Surroundings};
use kernel::{Fault, Kind, Refusal, UserId};
use orchestrator::clients::{GrpcTastes, RetryRule};
use orchestrator::ports::{Tastes, TastesError};
use testkit::{PATIENCE, wait_until};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::taste::{Mood, Recommendations};

/// Which way a question goes.
#[derive(Clone, Copy)]
enum Way {
    InProcess,
    OverTheNetwork,
}

macro_rules! every_case {
    ($($case:ident)*) => {
        mod in_process {
            $(#[tokio::test(flavor = "multi_thread")] async fn $case() { super::$case(super::Way::InProcess).await })*
        }
        mod over_the_network {
            $(#[tokio::test(flavor = "multi_thread")] async fn $case() { super::$case(super::Way::OverTheNetwork).await })*
        }
    };
}

every_case! {
    a_reader_of_whom_nothing_is_told_likes_nothing
    what_is_told_arrives_as_it_was_said_and_in_that_order
    what_never_answers_is_given_up_when_its_time_is_over_and_stops_working
    a_refusal_arrives_as_it_was_said
    a_question_that_found_nobody_is_asked_again
    whoever_keeps_failing_is_left_in_peace
    where_nobody_is_there_that_is_an_error_at_once
    an_answer_that_is_no_taste_is_an_error_and_no_panic
}

fn rule() -> RetryRule {
    RetryRule { retries: 2, pause: Duration::from_millis(1) }
}

fn client(surroundings: &Surroundings, url: &str) -> GrpcTastes {
    GrpcTastes::new(surroundings.transport(url).expect("a transport"), rule())
}

async fn neighbours(way: Way) -> (GrpcTastes, Recommendations) {
    let (surroundings, played) = (Surroundings::one_process(), Recommendations::default());
    let url = match way {
        Way::InProcess => {
            surroundings.register_grpc("recommendations", played.routes());
            "inproc://recommendations".to_owned()
        }
        Way::OverTheNetwork => {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}", listener.local_addr().expect("an address"));
            let server = tonic::transport::Server::builder().add_routes(played.routes());
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            drop(chassis::spawn("test.grpc", server.serve_with_incoming(incoming)));
            url
        }
    };
    (client(&surroundings, &url), played)
}

fn reader() -> UserId {
    UserId::new(Uuid::from_u128(7))
}

async fn a_reader_of_whom_nothing_is_told_likes_nothing(way: Way) {
    let (tastes, played) = neighbours(way).await;
    assert_eq!(tastes.of(reader(), 20).await.expect("is answered"), []);
    let asked = played.asked().remove(0);
    assert_eq!((asked.user_id, asked.limit), (reader().to_string(), 20));
}

async fn what_is_told_arrives_as_it_was_said_and_in_that_order(way: Way) {
    let (tastes, played) = neighbours(way).await;
    played.knows(reader(), &[("選挙", 2.5, 3), ("Fußball/Bundesliga", 1.0, 1), ("budget", 0.25, 4)]);
    let told = tastes.of(reader(), 2).await.expect("is answered");
    let told: Vec<_> =
        told.iter().map(|taste| (taste.label.typed().as_str(), taste.weight, taste.reads)).collect();
    assert_eq!(told, [("選挙", 2.5, 3), ("Fußball/Bundesliga", 1.0, 1)]);
}

async fn what_never_answers_is_given_up_when_its_time_is_over_and_stops_working(way: Way) {
    let (tastes, played) = neighbours(way).await;
    // The way there is known, and not part of what is measured.
    tastes.of(reader(), 1).await.expect("is answered");
    played.is(Mood::Silent);
    let context = Context::for_work("test", Duration::from_millis(200));
    let error = context.scope(tastes.of(reader(), 1)).await.expect_err("no answer");
    assert_eq!((error.kind(), played.asked().len()), (Kind::Timeout, 2));
    wait_until("the end of the callee", PATIENCE, || async { (played.given_up() == 1).then_some(()) }).await;
}

async fn a_refusal_arrives_as_it_was_said(way: Way) {
    let (tastes, played) = neighbours(way).await;
    let refusal = Refusal::new(Kind::Unauthenticated, "unauthenticated", "No credential.");
    played.is(Mood::Refusing(refusal.clone()));
    match tastes.of(reader(), 1).await {
        Err(TastesError::Failed(said)) => assert_eq!(said, refusal),
        other => panic!("{other:?}"),
    }
    assert_eq!(played.asked().len(), 1, "what was refused for good is not asked again");
}

async fn a_question_that_found_nobody_is_asked_again(way: Way) {
    let (tastes, played) = neighbours(way).await;
    played.knows(reader(), &[("budget", 1.0, 1)]);
    played.is(Mood::RefusingOnce(away()));
    assert_eq!(tastes.of(reader(), 1).await.expect("is answered").len(), 1);
    assert_eq!(played.asked().len(), 2);
}

async fn whoever_keeps_failing_is_left_in_peace(way: Way) {
    let (tastes, played) = neighbours(way).await;
    played.is(Mood::Refusing(away()));
    for _ in 0..20 {
        assert_eq!(tastes.of(reader(), 1).await.expect_err("a failure").kind(), Kind::Unavailable);
    }
    assert_eq!(played.asked().len(), 5, "the breaker opened after five failures in a row");
    let error = tastes.of(reader(), 1).await.expect_err("it rests");
    assert!(matches!(error, TastesError::Resting(_)) && error.retry_after().is_some());
}

async fn where_nobody_is_there_that_is_an_error_at_once(way: Way) {
    let url = match way {
        Way::InProcess => "inproc://recommendations",
        Way::OverTheNetwork => "http://127.0.0.1:1",
    };
    let tastes = client(&Surroundings::one_process(), url);
    let context = Context::for_work("test", Duration::from_secs(60));
    let asked = tokio::time::timeout(PATIENCE, context.scope(tastes.of(reader(), 1)));
    assert_eq!(asked.await.expect("at once").expect_err("nobody").kind(), Kind::Unavailable);
}

async fn an_answer_that_is_no_taste_is_an_error_and_no_panic(way: Way) {
    let (tastes, played) = neighbours(way).await;
    for (label, weight) in [("", 1.0), ("a\0b", 1.0), ("budget", f64::NAN), ("budget", -1.0)] {
        played.knows(reader(), &[(label, weight, 1)]);
        let error = tastes.of(reader(), 1).await.expect_err("no taste");
        assert!(matches!(error, TastesError::Unreadable(_)), "{label:?} {weight}");
    }
}

fn away() -> Refusal {
    Refusal::new(Kind::Unavailable, "store_unavailable", "The graph is away.")
}
