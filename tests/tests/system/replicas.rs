//! Two of each service behind the gateway, and one of each killed under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use system_tests::{SERVICES, Shape, World, Writers, scenarios};
use testkit::Client;
use tokio::task::JoinSet;
use tokio::time::interval;

scenarios! {
    on the fleet, because "one process has no replicas":
        with_one_of_two_of_each_killed_under_load_no_read_fails_after_a_second_and_no_write_is_lost;
}

/// A request that failed: its start and the reason.
type Failures = Vec<(Instant, String)>;

async fn with_one_of_two_of_each_killed_under_load_no_read_fails_after_a_second_and_no_write_is_lost(
    _: Shape,
) {
    let mut world = World::with_replicas(2).await;
    let admin = world.admin().await;
    let id = world.published("politics", "A vote", &["vote"], &admin).await;
    world.client().get(&format!("/news/v1/politics/{id}?min_version=2")).send().await.expect_status(200);
    let paths = [
        "/news/v1/all/1/10".to_owned(),
        format!("/news/v1/politics/{id}"),
        format!("/users/v1/{}", admin.id),
        format!("/recommendation/v1/user/{}", admin.id),
    ];
    let writers = Writers::start(&world, &admin, "w", 2, Duration::from_millis(50));
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for path in paths {
        readers.spawn(read(world.client().clone(), path, admin.token.clone(), stop.clone()));
    }
    writers.wait_for_rounds(4).await;
    let killed = Instant::now();
    for service in SERVICES {
        world.fleet().kill9_one(service, 1);
    }
    let second = Duration::from_secs(1);
    load_goes_on_until(killed + 6 * second).await;
    stop.store(true, Ordering::SeqCst);
    let (mut requests, mut failures) = (0, Failures::new());
    for (count, failed) in readers.join_all().await {
        requests += count;
        failures.extend(failed);
    }
    failures.retain(|(began, _)| *began < killed || *began > killed + second);
    assert!(failures.is_empty(), "{} of {requests}: {:?}", failures.len(), failures.first());
    assert!(requests > 100, "there was hardly any load: {requests}");
    // The writes succeed with the remaining instances.
    writers.wait_for_rounds(4).await;
    writers.finish().await.assert_stored_once(&world).await;
}

async fn read(client: Client, path: String, token: String, stop: Arc<AtomicBool>) -> (usize, Failures) {
    let (mut requests, mut failures) = (0, Failures::new());
    let mut turn = interval(Duration::from_millis(20));
    while !stop.load(Ordering::SeqCst) {
        turn.tick().await;
        let began = Instant::now();
        requests += 1;
        match client.get(&path).token(&token).try_send().await {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => failures.push((began, answer.to_string())),
            Err(error) => failures.push((began, error.to_string())),
        }
    }
    (requests, failures)
}

#[expect(clippy::disallowed_methods, reason = "what is watched is a time: that nothing fails in it")]
async fn load_goes_on_until(end: Instant) {
    tokio::time::sleep_until(end.into()).await;
}
