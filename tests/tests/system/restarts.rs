//! A service that is killed and started again while clients write.

use std::time::Duration;

use serde_json::Value;
use system_tests::{Account, Shape, World, Writers, scenarios, text_of};
use testkit::wait_until;

scenarios! {
    on the fleet, because "in one process no service dies alone; crash.rs kills them all":
        a_section_that_is_killed_while_clients_write_loses_nothing_and_affects_no_other_section,
        users_that_is_killed_while_clients_write_loses_nothing,
        recommendations_that_is_killed_while_a_reader_reads_counts_each_article_once;
}

const PACE: Duration = Duration::from_millis(5);
/// The longest time until work of a killed process is repeated, such as a message that it was handling.
const PATIENCE: Duration = Duration::from_secs(30);

async fn killed_while_clients_write(shape: Shape, service: &'static str) -> World {
    let mut world = World::new(shape).await;
    let admin = world.admin().await;
    let writers = Writers::start(&world, &admin, "c", 3, PACE);
    writers.wait_for_rounds(6).await;
    for _ in 0..2 {
        world.fleet().kill9(service);
        world.fleet().start_service(service).await;
        writers.wait_for_rounds(6).await;
    }
    writers.finish().await.assert_stored_once(&world).await;
    world
}

async fn a_section_that_is_killed_while_clients_write_loses_nothing_and_affects_no_other_section(
    shape: Shape,
) {
    let mut world = killed_while_clients_write(shape, "sports-news").await;
    let admin = world.admin().await;
    world.fleet().kill9("sports-news");
    for section in ["famous", "politics"] {
        world.published(section, "Meanwhile", &["calm"], &admin).await;
    }
    world.fleet().start_service("sports-news").await;
    world.published("sports", "Back again", &["calm"], &admin).await;
}

async fn users_that_is_killed_while_clients_write_loses_nothing(shape: Shape) {
    killed_while_clients_write(shape, "users").await;
}

async fn recommendations_that_is_killed_while_a_reader_reads_counts_each_article_once(shape: Shape) {
    let mut world = World::new(shape).await;
    let admin = world.admin().await;
    let reader = world.consenting_reader("vera").await;
    let labels: Vec<_> = (0..12).map(|number| format!("label {number:02}")).collect();
    let mut articles = Vec::new();
    for label in &labels {
        articles.push(world.published("famous", &format!("News of {label}"), &[label], &admin).await);
    }
    for (number, id) in articles.iter().enumerate() {
        if number % 4 == 2 {
            world.fleet().kill9("recommendations");
        }
        if number % 4 == 3 {
            world.fleet().start_service("recommendations").await;
        }
        let path = format!("/news/v1/famous/{id}?min_version=2");
        world.client().get(&path).token(&reader.token).send().await.expect_status(200);
    }
    let liked = wait_until("every label in the reader's list", PATIENCE, || async {
        Some(liked_by(&world, &reader).await).filter(|liked| liked.len() == labels.len())
    })
    .await;
    assert!(liked.iter().all(|label| label["reads"] == 1), "{liked:?}");
    let mut found: Vec<_> = liked.iter().map(|label| text_of(&label["id"])).collect();
    found.sort();
    assert_eq!(found, labels);
}

async fn liked_by(world: &World, reader: &Account) -> Vec<Value> {
    let path = format!("/recommendation/v1/user/{}", reader.id);
    let answer = world.client().get(&path).token(&reader.token).send().await.expect_status(200);
    answer.json().as_array().expect("a bare array").clone()
}
