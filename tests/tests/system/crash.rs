//! kill -9 at seeded moments. The oracle is the client's own list of what was acknowledged with a 2xx.

use std::time::Duration;

use rand::RngExt;
use system_tests::{Ledger, Shape, World, Writers, scenarios};
use testkit::random;

scenarios! {
    on both shapes:
        killed_at_seeded_moments_the_portal_has_every_acknowledged_write_once;
}

const SEED: u64 = 20_261_121;

/// A client writes as fast as it can.
const AT_ONCE: Duration = Duration::from_millis(1);

async fn killed_at_seeded_moments_the_portal_has_every_acknowledged_write_once(shape: Shape) {
    // A fleet takes six times as long to start.
    let moments = if shape == Shape::OneProcess { 20 } else { 5 };
    let mut world = World::new(shape).await;
    let mut chance = random(SEED);
    let mut told = Ledger::default();
    // Their token is believed by every process that follows.
    let admin = world.admin().await;
    for round in 0..moments {
        let writers = Writers::start(&world, &admin, &format!("c{round}"), 4, AT_ONCE);
        // A moment is a number of writes and then some: on a busy machine it comes later, and is as good a moment.
        writers.have_done(chance.random_range(1..8)).await;
        a_moment_passes(Duration::from_millis(chance.random_range(0..40))).await;
        world.kill9();
        told.take(writers.finish().await);
        world.restart().await;
    }
    assert!(
        told.accounts.len() > moments && told.articles.len() > moments,
        "the clients hardly wrote anything"
    );
    told.holds(&world).await;
}

#[allow(clippy::disallowed_methods, reason = "the moment of a crash is a time, not a condition")]
async fn a_moment_passes(moment: Duration) {
    tokio::time::sleep(moment).await;
}
