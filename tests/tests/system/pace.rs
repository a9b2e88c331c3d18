//! Durations, measured while no other portal of this test process runs.

use std::time::{Duration, Instant};

use system_tests::{Account, Shape, World, scenarios, text_of};
use testkit::{PATIENCE, wait_until};

scenarios! {
    on both shapes:
        an_article_that_was_read_shows_in_the_labels_within_a_second,
        with_recommendations_standing_still_a_read_is_as_fast_as_before;
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn read(world: &World, id: &str, reader: &Account) -> Duration {
    let path = format!("/news/v1/sports/{id}?min_version=2");
    let start = Instant::now();
    world.client().get(&path).token(&reader.token).send().await.expect_status(200);
    start.elapsed()
}

async fn shows(world: &World, label: &str, reader: &Account) {
    let path = format!("/recommendation/v1/user/{}", reader.id);
    wait_until("the label in the reader's list", PATIENCE, || async {
        let answer = world.client().get(&path).token(&reader.token).send().await.expect_status(200).json();
        let found = answer.as_array().expect("a bare array").iter().any(|it| text_of(&it["id"]) == label);
        found.then_some(())
    })
    .await;
}

async fn an_article_that_was_read_shows_in_the_labels_within_a_second(shape: Shape) {
    let world = World::alone(shape).await;
    let admin = world.admin().await;
    let reader = world.consenting_reader("vera").await;
    let mut times = Vec::new();
    for number in 0..5 {
        let label = format!("label-{number}");
        let id = world.published("sports", "A final", &[&label], &admin).await;
        let start = Instant::now();
        read(&world, &id, &reader).await;
        shows(&world, &label, &reader).await;
        times.push(start.elapsed());
    }
    eprintln!("{shape:?}: a reading showed after {times:?}");
    assert!(median(times.clone()) <= Duration::from_secs(1), "{times:?}");
}

async fn with_recommendations_standing_still_a_read_is_as_fast_as_before(shape: Shape) {
    const BLOCKS: usize = 6;
    const READS: usize = 20;
    let world = World::alone(shape).await;
    let admin = world.admin().await;
    let reader = world.consenting_reader("vera").await;
    let id = world.published("sports", "A final", &["tennis"], &admin).await;
    read(&world, &id, &reader).await;
    shows(&world, "tennis", &reader).await;
    let (mut before, mut standing) = (Vec::new(), Vec::new());
    // Measured in turns, so that other work on the machine slows both down.
    for _ in 0..BLOCKS {
        for _ in 0..READS {
            before.push(read(&world, &id, &reader).await);
        }
        let held = world.hold_recommendations().await;
        for _ in 0..READS {
            standing.push(read(&world, &id, &reader).await);
        }
        drop(held);
    }
    let (before, standing) = (median(before), median(standing));
    eprintln!("{shape:?}: a read took {before:?}, with recommendations standing still {standing:?}");
    // If the request waited for it, it would take a hundred times as long.
    assert!(standing <= before * 2, "{before:?} before, {standing:?} with recommendations standing still");
}
