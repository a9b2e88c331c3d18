//! The laws of the port `Tastes`, one case each, named by the sentence in its documentation. Both transports
//! run all of them: in process, and over the network.

use std::time::Duration;

use chassis::{Context, RetryRule, Surroundings};
use kernel::{Fault, Kind, Refusal, UserId};
use orchestrator::{GrpcTastes, Tastes, TastesError};
use testkit::{PATIENCE, wait_until};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::fake_recommendations::{Behaviour, FakeRecommendations};

/// The transport of a call.
#[derive(Clone, Copy)]
enum Route {
    InProcess,
    OverTheNetwork,
}

macro_rules! every_case {
    ($($case:ident)*) => {
        mod in_process {
            $(#[tokio::test(flavor = "multi_thread")] async fn $case() { super::$case(super::Route::InProcess).await })*
        }
        mod over_the_network {
            $(#[tokio::test(flavor = "multi_thread")] async fn $case() { super::$case(super::Route::OverTheNetwork).await })*
        }
    };
}

every_case! {
    an_unknown_reader_has_no_labels
    labels_arrive_unchanged_and_in_order
    a_call_ends_at_its_deadline_and_the_server_stops_working_on_it
    a_refusal_arrives_unchanged
    a_call_that_no_process_received_is_retried
    after_repeated_failures_the_server_is_not_called_for_a_while
    if_the_server_is_down_the_call_fails_immediately
    an_invalid_answer_is_an_error_and_not_a_panic
}

fn rule() -> RetryRule {
    RetryRule { retries: 2, pause: Duration::from_millis(1), longest: Duration::from_millis(2) }
}

fn client(surroundings: &Surroundings, url: &str) -> GrpcTastes {
    GrpcTastes::new(surroundings.transport(url).expect("a transport"), rule())
}

async fn open(route: Route) -> (GrpcTastes, FakeRecommendations) {
    let (surroundings, fake) = (Surroundings::one_process(), FakeRecommendations::default());
    let url = match route {
        Route::InProcess => {
            surroundings.register_grpc("recommendations", fake.routes());
            "inproc://recommendations".to_owned()
        }
        Route::OverTheNetwork => {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}", listener.local_addr().expect("an address"));
            let server = tonic::transport::Server::builder().add_routes(fake.routes());
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            drop(chassis::spawn("test.grpc", server.serve_with_incoming(incoming)));
            url
        }
    };
    (client(&surroundings, &url), fake)
}

fn reader() -> UserId {
    UserId::new(Uuid::from_u128(7))
}

async fn an_unknown_reader_has_no_labels(route: Route) {
    let (tastes, fake) = open(route).await;
    assert_eq!(tastes.of(reader(), 20).await.expect("an answer"), []);
    let call = fake.calls().remove(0);
    assert_eq!((call.user_id, call.limit), (reader().to_string(), 20));
}

async fn labels_arrive_unchanged_and_in_order(route: Route) {
    let (tastes, fake) = open(route).await;
    fake.set_labels(reader(), &[("選挙", 2.5, 3), ("Fußball/Bundesliga", 1.0, 1), ("budget", 0.25, 4)]);
    let labels = tastes.of(reader(), 2).await.expect("an answer");
    let labels: Vec<_> =
        labels.iter().map(|taste| (taste.label.typed().as_str(), taste.weight, taste.reads)).collect();
    assert_eq!(labels, [("選挙", 2.5, 3), ("Fußball/Bundesliga", 1.0, 1)]);
}

async fn a_call_ends_at_its_deadline_and_the_server_stops_working_on_it(route: Route) {
    let (tastes, fake) = open(route).await;
    // The connection is open before the measurement.
    tastes.of(reader(), 1).await.expect("an answer");
    fake.behave(Behaviour::Hang);
    let context = Context::for_work("test", Duration::from_millis(200));
    let error = context.scope(tastes.of(reader(), 1)).await.expect_err("no answer");
    assert_eq!((error.kind(), fake.calls().len()), (Kind::Timeout, 2));
    wait_until("the end of the callee", PATIENCE, || async { (fake.cancelled_calls() == 1).then_some(()) })
        .await;
}

async fn a_refusal_arrives_unchanged(route: Route) {
    let (tastes, fake) = open(route).await;
    let refusal = Refusal::new(Kind::Unauthenticated, "unauthenticated", "No credential.");
    fake.behave(Behaviour::Refuse(refusal.clone()));
    match tastes.of(reader(), 1).await {
        Err(TastesError::Failed(actual)) => assert_eq!(actual, refusal),
        other => panic!("{other:?}"),
    }
    assert_eq!(fake.calls().len(), 1, "a final refusal is not retried");
}

async fn a_call_that_no_process_received_is_retried(route: Route) {
    let (tastes, fake) = open(route).await;
    fake.set_labels(reader(), &[("budget", 1.0, 1)]);
    fake.behave(Behaviour::RefuseOnce(unavailable()));
    assert_eq!(tastes.of(reader(), 1).await.expect("an answer").len(), 1);
    assert_eq!(fake.calls().len(), 2);
}

async fn after_repeated_failures_the_server_is_not_called_for_a_while(route: Route) {
    let (tastes, fake) = open(route).await;
    fake.behave(Behaviour::Refuse(unavailable()));
    for _ in 0..20 {
        assert_eq!(tastes.of(reader(), 1).await.expect_err("a failure").kind(), Kind::Unavailable);
    }
    assert_eq!(fake.calls().len(), 5, "the breaker opened after five failures in a row");
    let error = tastes.of(reader(), 1).await.expect_err("it rests");
    assert!(matches!(error, TastesError::CircuitOpen(_)) && error.retry_after().is_some());
}

async fn if_the_server_is_down_the_call_fails_immediately(route: Route) {
    let url = match route {
        Route::InProcess => "inproc://recommendations",
        Route::OverTheNetwork => "http://127.0.0.1:1",
    };
    let tastes = client(&Surroundings::one_process(), url);
    let context = Context::for_work("test", Duration::from_secs(60));
    let call = tokio::time::timeout(PATIENCE, context.scope(tastes.of(reader(), 1)));
    assert_eq!(
        call.await.expect("an immediate answer").expect_err("the server is down").kind(),
        Kind::Unavailable
    );
}

async fn an_invalid_answer_is_an_error_and_not_a_panic(route: Route) {
    let (tastes, fake) = open(route).await;
    for (label, weight) in [("", 1.0), ("a\0b", 1.0), ("budget", f64::NAN), ("budget", -1.0)] {
        fake.set_labels(reader(), &[(label, weight, 1)]);
        let error = tastes.of(reader(), 1).await.expect_err("no taste");
        assert!(matches!(error, TastesError::Unreadable(_)), "{label:?} {weight}");
    }
}

fn unavailable() -> Refusal {
    Refusal::new(Kind::Unavailable, "store_unavailable", "The graph is unavailable.")
}
