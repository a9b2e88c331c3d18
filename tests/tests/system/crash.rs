//! kill -9 at moments that a seed determines. The client's list of writes that were acknowledged with a 2xx
//! is compared with the portal afterwards.

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
const NO_PAUSE: Duration = Duration::from_millis(1);

async fn killed_at_seeded_moments_the_portal_has_every_acknowledged_write_once(shape: Shape) {
    // A fleet takes six times as long to start.
    let moments = if shape == Shape::OneProcess { 20 } else { 5 };
    let mut world = World::new(shape).await;
    let mut chance = random(SEED);
    let mut ledger = Ledger::default();
    // The token stays valid after each restart.
    let admin = world.admin().await;
    for round in 0..moments {
        let writers = Writers::start(&world, &admin, &format!("c{round}"), 4, NO_PAUSE);
        // A moment is a number of writes and a short time. On a busy machine it comes later, which does not
        // matter.
        writers.wait_for_rounds(chance.random_range(1..8)).await;
        wait_for_moment(Duration::from_millis(chance.random_range(0..40))).await;
        world.kill9();
        ledger.extend(writers.finish().await);
        world.restart().await;
    }
    assert!(
        ledger.accounts.len() > moments && ledger.articles.len() > moments,
        "the clients hardly wrote anything"
    );
    ledger.assert_stored_once(&world).await;
}

#[expect(clippy::disallowed_methods, reason = "the moment of a crash is a time, not a condition")]
async fn wait_for_moment(moment: Duration) {
    tokio::time::sleep(moment).await;
}
