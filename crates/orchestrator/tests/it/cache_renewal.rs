//! What is no longer fresh serves on while a new answer is made behind the request.

use std::sync::Arc;
use std::time::Duration;

use kernel::{ArticleId, Kind, Refusal, Section};
use testkit::wait_until;
use tokio::sync::Barrier;

use crate::cache::{away, calls, newer, updated, world};
use crate::desk::Mood;
use crate::world::{Answer, World};

const KEPT: &str = "orchestrator; hit";
const PATIENCE: Duration = Duration::from_secs(10);

/// An article that was read, and is no longer fresh now.
async fn grown_old() -> (World, ArticleId, String) {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let path = format!("/sports/{id}");
    world.get(&path).send().await;
    world.clock.advance(Duration::from_secs(6));
    (world, id, path)
}

/// The first answer that is as it should be.
async fn until(world: &World, path: &str, what: &str, is: impl Fn(&Answer) -> bool) -> Answer {
    wait_until(what, PATIENCE, async || Some(world.get(path).send().await).filter(&is)).await
}

fn title(answer: &Answer) -> &str {
    answer.json["news"]["title"].as_str().unwrap_or_else(|| panic!("no article: {answer:?}"))
}

#[tokio::test]
async fn nobody_waits_for_the_section_when_an_answer_is_no_longer_fresh() {
    let (world, id, path) = grown_old().await;
    // The section revised it and could not tell.
    world.desk(Section::Sports).replace(newer(id, 8, "Revised"));
    let barrier = Arc::new(Barrier::new(2));
    world.desk(Section::Sports).set(Mood::Held(barrier.clone()));
    for _ in 0..20 {
        let answer = world.get(&path).send().await;
        assert_eq!((answer.header("cache-status"), answer.header("age")), (KEPT, "6"));
    }
    barrier.wait().await;
    assert_eq!(calls(&world), 2, "one asks for all");
    barrier.wait().await;
    let answer = until(&world, &path, "a new answer", |answer| answer.header("age") == "0").await;
    assert_eq!((answer.header("cache-status"), title(&answer)), (KEPT, "Revised"));
    assert_eq!(calls(&world), 2);
}

#[tokio::test]
async fn after_half_a_minute_more_a_reader_gets_what_is_there_now() {
    let (world, id, path) = grown_old().await;
    world.desk(Section::Sports).replace(newer(id, 8, "Revised"));
    world.clock.advance(Duration::from_secs(30));
    let answer = world.get(&path).send().await;
    assert_eq!(answer.header("cache-status"), "orchestrator; fwd=miss");
    assert_eq!(title(&answer), "Revised");
}

#[tokio::test]
async fn what_was_announced_since_is_never_shown_for_the_sake_of_speed() {
    let (world, id, path) = grown_old().await;
    world.desk(Section::Sports).replace(newer(id, 8, "Revised"));
    updated(&world, id, 8).await;
    assert_eq!(title(&world.get(&path).send().await), "Revised");
}

#[tokio::test]
async fn when_no_new_one_can_be_made_the_next_reader_is_told() {
    let (world, _, path) = grown_old().await;
    world.desk(Section::Sports).set(Mood::Refusing(away()));
    assert_eq!(world.get(&path).send().await.header("cache-status"), KEPT);
    until(&world, &path, "it is said", |answer| answer.header("cache-status").ends_with("detail=stale"))
        .await;
    // And when the section is back, whoever asks has a new one, as soon as the breaker lets somebody ask.
    world.desk(Section::Sports).set(Mood::Well);
    until(&world, &path, "a new one", |answer| answer.header("cache-status").ends_with("fwd=miss")).await;
}

#[tokio::test]
async fn a_list_that_would_lack_a_section_now_is_not_renewed_and_the_next_reader_is_told() {
    let world = world().await;
    world.desk(Section::Famous).published(1, 10);
    world.desk(Section::Sports).published(2, 20);
    let path = "/all/1/10";
    world.get(path).send().await;
    world.clock.advance(Duration::from_secs(6));
    world.desk(Section::Sports).set(Mood::Refusing(away()));
    assert_eq!(world.get(path).send().await.json["partial"], false);
    let answer = until(&world, path, "it is said", |answer| answer.json["partial"] == true).await;
    assert_eq!(answer.json["missing"], serde_json::json!(["sports"]));
    world.desk(Section::Sports).set(Mood::Well);
    until(&world, path, "it is whole again", |answer| answer.json["partial"] == false).await;
}

#[tokio::test]
async fn what_a_section_has_taken_back_goes_with_the_first_attempt_to_renew_it() {
    let (world, _, path) = grown_old().await;
    let gone = Refusal::new(Kind::Gone, "retracted", "The figures were wrong.");
    world.desk(Section::Sports).set(Mood::Refusing(gone));
    assert_eq!(world.get(&path).send().await.header("cache-status"), KEPT);
    until(&world, &path, "it is gone", |answer| answer.status == 410).await;
    world.desk(Section::Sports).set(Mood::Refusing(away()));
    assert_eq!(
        world.get(&path).send().await.problem().0,
        503,
        "and does not come back when nobody can be asked"
    );
}

#[tokio::test]
async fn answers_that_grow_old_together_are_made_anew_eight_at_a_time() {
    let world = world().await;
    let desk = world.desk(Section::Sports);
    let paths: Vec<_> = (1..=40).map(|number| format!("/sports/{}", desk.published(number, 10))).collect();
    for path in &paths {
        world.get(path).send().await;
    }
    world.clock.advance(Duration::from_secs(6));
    desk.forget();
    desk.set(Mood::Silent);
    for path in &paths {
        assert_eq!(world.get(path).send().await.header("cache-status"), KEPT);
    }
    wait_until("eight are asked for", PATIENCE, async || (calls(&world) == 8).then_some(())).await;
    assert_eq!(
        world.get(&paths[39]).send().await.header("cache-status"),
        KEPT,
        "the others serve as they are"
    );
    assert_eq!(calls(&world), 8);
}
