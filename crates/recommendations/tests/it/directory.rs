//! The laws of `UserDirectory`. Each case is one sentence of the port's documentation. It runs with the
//! generated client over the transport in process and over the network.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chassis::{Context, Surroundings};
use kernel::{Fault, Kind};
use recommendations::{DirectoryError, GrpcUserDirectory, UserDirectory};
use testkit::{PATIENCE, wait_until};

use crate::fake_users::{Behaviour, FakeUsers};
use crate::service::user;

/// The fake of users, and the route to it.
struct Fixture {
    users: FakeUsers,
    route: Box<dyn Route>,
}

/// A route to users.
#[async_trait]
trait Route: Send + Sync {
    fn directory(&self, budget: Duration) -> GrpcUserDirectory;
    /// Starts users.
    async fn start(&mut self, users: &FakeUsers);
}

/// Makes a test of each case for the route that `open` opens.
macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super) {
                the_answer_is_the_newest_consent_that_users_knows,
                an_unknown_account_has_no_consent_and_that_is_not_a_failure,
                the_call_ends_within_its_budget,
                the_call_ends_by_the_deadline_of_the_current_work,
                users_stops_working_on_a_call_that_was_cancelled,
                a_refusal_by_users_is_a_failure_that_may_pass,
                a_panic_of_users_is_a_failure_that_may_pass,
                if_users_is_down_the_call_fails_and_the_first_call_after_it_has_started_succeeds,
                after_repeated_failures_users_is_not_called_for_a_while,
                a_recorded_view_names_the_reader_the_admin_and_the_address,
                a_view_that_users_did_not_record_is_a_failure,
            }
        }
    };
}

mod in_process {
    use super::*;

    struct Inside(Surroundings);

    #[async_trait]
    impl Route for Inside {
        fn directory(&self, budget: Duration) -> GrpcUserDirectory {
            let transport = self.0.transport("inproc://users").expect("an address in process");
            GrpcUserDirectory::new(transport, budget)
        }

        async fn start(&mut self, users: &FakeUsers) {
            self.0.register_grpc("users", users.routes());
        }
    }

    async fn open() -> Fixture {
        Fixture { users: FakeUsers::new(), route: Box::new(Inside(Surroundings::one_process())) }
    }

    every_case!(open);
}

mod network {
    use tokio_util::sync::{CancellationToken, DropGuard};

    use super::*;

    /// A reserved port, on which no process listens until users starts.
    struct Outside {
        address: std::net::SocketAddr,
        socket: Option<tokio::net::TcpSocket>,
        serving: Option<DropGuard>,
    }

    #[async_trait]
    impl Route for Outside {
        fn directory(&self, budget: Duration) -> GrpcUserDirectory {
            let url = format!("http://{}", self.address);
            let transport = Surroundings::alone().transport(&url).expect("an address");
            GrpcUserDirectory::new(transport, budget)
        }

        async fn start(&mut self, users: &FakeUsers) {
            let socket = self.socket.take().expect("users starts once");
            let listener = socket.listen(16).expect("the port is ours");
            let stop = CancellationToken::new();
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            let serving = tonic::transport::Server::builder()
                .add_routes(users.routes())
                .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
            chassis::spawn("test.users", serving);
            self.serving = Some(stop.drop_guard());
        }
    }

    async fn open() -> Fixture {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let address = socket.local_addr().expect("an address");
        let route = Outside { address, socket: Some(socket), serving: None };
        Fixture { users: FakeUsers::new(), route: Box::new(route) }
    }

    every_case!(open);
}

impl Fixture {
    /// Starts users and returns a directory with more time for each call than a test takes.
    async fn start(mut self) -> (GrpcUserDirectory, Self) {
        self.route.start(&self.users).await;
        (self.route.directory(PATIENCE), self)
    }
}

async fn a_recorded_view_names_the_reader_the_admin_and_the_address(fixture: Fixture) {
    let (directory, fixture) = fixture.start().await;
    let from = "2001:db8::7".parse().expect("an address");
    directory.record_labels_view(user(1), user(2), from).await.expect("is recorded");
    let views = fixture.users.views();
    let view = views.first().expect("a view");
    let expected = (user(1).to_string(), user(2).to_string(), "2001:db8::7");
    assert_eq!((view.reader_id.clone(), view.admin_id.clone(), view.address.as_str()), expected);
    assert_eq!(views.len(), 1);
}

async fn a_view_that_users_did_not_record_is_a_failure(fixture: Fixture) {
    let (directory, fixture) = fixture.start().await;
    let from = "192.0.2.7".parse().expect("an address");
    for behaviour in [Behaviour::Unavailable, Behaviour::Forbid, Behaviour::Panic] {
        fixture.users.behave(behaviour);
        let failure = directory.record_labels_view(user(1), user(2), from).await.expect_err("a failure");
        assert_eq!(failure.kind(), Kind::Unavailable, "{behaviour:?}");
    }
    assert_eq!(fixture.users.views().len(), 0);
}

async fn failure(directory: &GrpcUserDirectory) -> DirectoryError {
    directory.consent_of(user(1)).await.expect_err("a failure")
}

async fn the_answer_is_the_newest_consent_that_users_knows(fixture: Fixture) {
    let (directory, fixture) = fixture.start().await;
    for (permits, version) in [(true, 7), (false, 8)] {
        fixture.users.set_consent(user(1), permits, version);
        let record = directory.consent_of(user(1)).await.expect("an answer").expect("a consent");
        assert_eq!((record.consent.permits_counting(), record.version), (permits, version));
    }
}

async fn an_unknown_account_has_no_consent_and_that_is_not_a_failure(fixture: Fixture) {
    let (directory, fixture) = fixture.start().await;
    for _ in 0..10 {
        assert_eq!(directory.consent_of(user(1)).await.expect("an answer"), None);
    }
    fixture.users.set_consent(user(1), true, 7);
    directory.consent_of(user(1)).await.expect("none of these counted as a failure").expect("a consent");
}

async fn the_call_ends_within_its_budget(mut fixture: Fixture) {
    fixture.route.start(&fixture.users).await;
    let directory = fixture.route.directory(Duration::from_millis(200));
    fixture.users.behave(Behaviour::Hang);
    let begun = Instant::now();
    assert_eq!(failure(&directory).await.kind(), Kind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

async fn the_call_ends_by_the_deadline_of_the_current_work(fixture: Fixture) {
    let (directory, fixture) = fixture.start().await;
    fixture.users.behave(Behaviour::Hang);
    let begun = Instant::now();
    let work = Context::for_work("recommendations", Duration::from_millis(200));
    assert_eq!(work.scope(failure(&directory)).await.kind(), Kind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

async fn users_stops_working_on_a_call_that_was_cancelled(fixture: Fixture) {
    let (directory, fixture) = fixture.start().await;
    fixture.users.behave(Behaviour::Hang);
    let called = wait_until("the call", PATIENCE, || async { (fixture.users.calls() == 1).then_some(()) });
    tokio::select! {
        answer = directory.consent_of(user(1)) => panic!("{answer:?}"),
        () = called => {}
    }
    let cancelled = wait_until("the end of the work", PATIENCE, || async {
        (fixture.users.cancelled_calls() == 1).then_some(())
    });
    cancelled.await;
}

async fn a_refusal_by_users_is_a_failure_that_may_pass(fixture: Fixture) {
    let (directory, fixture) = fixture.start().await;
    for behaviour in [Behaviour::Forbid, Behaviour::Unavailable] {
        fixture.users.behave(behaviour);
        let fault = failure(&directory).await;
        assert_eq!(
            (fault.kind(), fault.code().as_str()),
            (Kind::Unavailable, "users_unavailable"),
            "{behaviour:?}"
        );
    }
}

async fn a_panic_of_users_is_a_failure_that_may_pass(fixture: Fixture) {
    let (directory, fixture) = fixture.start().await;
    fixture.users.behave(Behaviour::Panic);
    assert_eq!(failure(&directory).await.kind(), Kind::Unavailable);
    fixture.users.behave(Behaviour::Answer);
    assert_eq!(directory.consent_of(user(1)).await.expect("it still serves"), None);
}

async fn if_users_is_down_the_call_fails_and_the_first_call_after_it_has_started_succeeds(
    mut fixture: Fixture,
) {
    let directory = fixture.route.directory(PATIENCE);
    assert_eq!(failure(&directory).await.kind(), Kind::Unavailable);
    fixture.route.start(&fixture.users).await;
    assert_eq!(directory.consent_of(user(1)).await.expect("it has started"), None);
}

async fn after_repeated_failures_users_is_not_called_for_a_while(fixture: Fixture) {
    let (directory, fixture) = fixture.start().await;
    fixture.users.behave(Behaviour::Unavailable);
    for _ in 0..20 {
        assert_eq!(failure(&directory).await.kind(), Kind::Unavailable);
    }
    assert_eq!(fixture.users.calls(), 5);
    let fault = failure(&directory).await;
    assert!(matches!(fault, DirectoryError::CircuitOpen(_)) && fault.retry_after().is_some());
}
