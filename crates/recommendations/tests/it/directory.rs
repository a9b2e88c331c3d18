//! The laws of `UserDirectory`. Each case is one sentence of the port's documentation, asked of the generated client over the
//! transport in process and over the network.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chassis::{Context, Surroundings};
use kernel::{Fault, Kind};
use recommendations::clients::GrpcUserDirectory;
use recommendations::ports::{DirectoryError, UserDirectory};
use testkit::{PATIENCE, wait_until};

use crate::neighbour::{Mood, Neighbour};
use crate::world::user;

/// Users, and a way to it that gives each call a budget.
struct Given {
    users: Neighbour,
    way: Box<dyn Way>,
}

/// How users is reached.
#[async_trait]
trait Way: Send + Sync {
    fn directory(&self, budget: Duration) -> GrpcUserDirectory;
    /// Users begins to serve.
    async fn begin(&mut self, users: &Neighbour);
}

/// Opens an adapter and names the server that it needs, if any.
macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super) {
                what_users_knows_now_is_answered,
                where_there_is_no_such_account_there_is_no_consent_and_no_failure,
                it_answers_within_its_budget_or_not_at_all,
                it_never_answers_later_than_the_deadline_of_the_work_in_hand,
                users_stops_working_for_who_has_given_up,
                what_users_refuses_is_a_failure_that_may_pass,
                a_panic_of_users_is_a_failure_that_may_pass,
                where_users_is_away_the_call_fails_and_once_it_has_come_the_next_one_is_answered,
                when_it_keeps_failing_it_is_left_in_peace,
            }
        }
    };
}

mod in_process {
    use super::*;

    struct Inside(Surroundings);

    #[async_trait]
    impl Way for Inside {
        fn directory(&self, budget: Duration) -> GrpcUserDirectory {
            let transport = self.0.transport("inproc://users").expect("a neighbour's address");
            GrpcUserDirectory::new(transport, budget)
        }

        async fn begin(&mut self, users: &Neighbour) {
            self.0.register_grpc("users", users.routes());
        }
    }

    async fn open() -> Given {
        Given { users: Neighbour::new(), way: Box::new(Inside(Surroundings::one_process())) }
    }

    every_case!(open);
}

mod network {
    use tokio_util::sync::{CancellationToken, DropGuard};

    use super::*;

    /// A port that nobody else gets, and on which nobody listens until users begins.
    struct Outside {
        address: std::net::SocketAddr,
        socket: Option<tokio::net::TcpSocket>,
        serving: Option<DropGuard>,
    }

    #[async_trait]
    impl Way for Outside {
        fn directory(&self, budget: Duration) -> GrpcUserDirectory {
            let url = format!("http://{}", self.address);
            let transport = Surroundings::alone().transport(&url).expect("an address");
            GrpcUserDirectory::new(transport, budget)
        }

        async fn begin(&mut self, users: &Neighbour) {
            let socket = self.socket.take().expect("users begins once");
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

    async fn open() -> Given {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let address = socket.local_addr().expect("an address");
        let way = Outside { address, socket: Some(socket), serving: None };
        Given { users: Neighbour::new(), way: Box::new(way) }
    }

    every_case!(open);
}

impl Given {
    /// The port to a users that serves, with more time for each call than a test takes.
    async fn patient(mut self) -> (GrpcUserDirectory, Self) {
        self.way.begin(&self.users).await;
        (self.way.directory(PATIENCE), self)
    }
}

async fn failure(directory: &GrpcUserDirectory) -> DirectoryError {
    directory.consent_of(user(1)).await.expect_err("a failure")
}

async fn what_users_knows_now_is_answered(given: Given) {
    let (directory, given) = given.patient().await;
    for (permits, version) in [(true, 7), (false, 8)] {
        given.users.knows(user(1), permits, version);
        let record = directory.consent_of(user(1)).await.expect("an answer").expect("a consent");
        assert_eq!((record.consent.permits_counting(), record.version), (permits, version));
    }
}

async fn where_there_is_no_such_account_there_is_no_consent_and_no_failure(given: Given) {
    let (directory, given) = given.patient().await;
    for _ in 0..10 {
        assert_eq!(directory.consent_of(user(1)).await.expect("an answer"), None);
    }
    given.users.knows(user(1), true, 7);
    directory.consent_of(user(1)).await.expect("none of these counted as a failure").expect("a consent");
}

async fn it_answers_within_its_budget_or_not_at_all(mut given: Given) {
    given.way.begin(&given.users).await;
    let directory = given.way.directory(Duration::from_millis(200));
    given.users.is(Mood::Silent);
    let begun = Instant::now();
    assert_eq!(failure(&directory).await.kind(), Kind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

async fn it_never_answers_later_than_the_deadline_of_the_work_in_hand(given: Given) {
    let (directory, given) = given.patient().await;
    given.users.is(Mood::Silent);
    let begun = Instant::now();
    let work = Context::for_work("recommendations", Duration::from_millis(200));
    assert_eq!(work.scope(failure(&directory)).await.kind(), Kind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

async fn users_stops_working_for_who_has_given_up(given: Given) {
    let (directory, given) = given.patient().await;
    given.users.is(Mood::Silent);
    let asked = wait_until("the question", PATIENCE, || async { (given.users.asked() == 1).then_some(()) });
    tokio::select! {
        answer = directory.consent_of(user(1)) => panic!("{answer:?}"),
        () = asked => {}
    }
    let given_up =
        wait_until("the end of the work", PATIENCE, || async { (given.users.given_up() == 1).then_some(()) });
    given_up.await;
}

async fn what_users_refuses_is_a_failure_that_may_pass(given: Given) {
    let (directory, given) = given.patient().await;
    for mood in [Mood::Forbidding, Mood::Away] {
        given.users.is(mood);
        let fault = failure(&directory).await;
        assert_eq!(
            (fault.kind(), fault.code().as_str()),
            (Kind::Unavailable, "users_unavailable"),
            "{mood:?}"
        );
    }
}

async fn a_panic_of_users_is_a_failure_that_may_pass(given: Given) {
    let (directory, given) = given.patient().await;
    given.users.is(Mood::Panicking);
    assert_eq!(failure(&directory).await.kind(), Kind::Unavailable);
    given.users.is(Mood::Well);
    assert_eq!(directory.consent_of(user(1)).await.expect("it serves on"), None);
}

async fn where_users_is_away_the_call_fails_and_once_it_has_come_the_next_one_is_answered(mut given: Given) {
    let directory = given.way.directory(PATIENCE);
    assert_eq!(failure(&directory).await.kind(), Kind::Unavailable);
    given.way.begin(&given.users).await;
    assert_eq!(directory.consent_of(user(1)).await.expect("it is there"), None);
}

async fn when_it_keeps_failing_it_is_left_in_peace(given: Given) {
    let (directory, given) = given.patient().await;
    given.users.is(Mood::Away);
    for _ in 0..20 {
        assert_eq!(failure(&directory).await.kind(), Kind::Unavailable);
    }
    assert_eq!(given.users.asked(), 5);
    let fault = failure(&directory).await;
    assert!(matches!(fault, DirectoryError::Resting(_)) && fault.retry_after().is_some());
}
