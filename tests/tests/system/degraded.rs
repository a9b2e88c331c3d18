//! Sections that are away.

use serde_json::json;
use system_tests::{Shape, World, scenarios};
use testkit::{PATIENCE, wait_until};

scenarios! {
    on the fleet, because "the sections of one process come and go together":
        a_section_that_is_away_is_missing_in_the_mixed_list_and_nothing_else_is,
        where_every_section_is_away_the_answer_is_503_with_retry_after;
}

async fn a_section_that_is_away_is_missing_in_the_mixed_list_and_nothing_else_is(shape: Shape) {
    let mut world = World::new(shape).await;
    let admin = world.admin().await;
    for section in ["famous", "politics", "sports"] {
        let id = world.published(section, "News", &["news"], &admin).await;
        let path = format!("/news/v1/{section}/{id}?min_version=2");
        world.client().get(&path).send().await.expect_status(200);
    }
    let mixed = "/news/v1/all/1/10";
    let all = world.client().get(mixed).send().await.expect_status(200).json();
    assert_eq!((&all["page"]["total"], &all["partial"]), (&3.into(), &false.into()));
    assert_eq!(all["missing"], json!([]));

    world.fleet().kill9("sports-news");
    let some = world.client().get(mixed).send().await.expect_status(200).json();
    assert_eq!((&some["partial"], &some["missing"]), (&true.into(), &json!(["sports"])));
    let types: Vec<_> =
        some["news"].as_array().expect("a list").iter().map(|news| news["type"].clone()).collect();
    assert!(types.len() == 2 && !types.contains(&"sports".into()), "{types:?}");
    let alone = world.client().get("/news/v1/sports/1/10").send().await;
    assert!(matches!(alone.status, 503 | 504), "{alone}");
    assert!(!alone.code().is_empty(), "{alone}");
    world.client().get("/news/v1/famous/1/10").send().await.expect_status(200);

    world.fleet().start_service("sports-news").await;
    wait_until("the section that is back", PATIENCE, || async {
        let all = world.client().get(mixed).send().await.expect_status(200).json();
        (all["partial"] == false && all["page"]["total"] == 3).then_some(())
    })
    .await;
}

async fn where_every_section_is_away_the_answer_is_503_with_retry_after(shape: Shape) {
    let mut world = World::new(shape).await;
    for section in ["famous-news", "politics-news", "sports-news"] {
        world.fleet().kill9(section);
    }
    let answer = world.client().get("/news/v1/all/1/10").send().await.expect_status(503);
    assert!(
        answer.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()),
        "{:?}",
        answer.headers
    );
    assert!(!answer.code().is_empty(), "{answer}");
    // Who does not need them goes on.
    world.reader("grace").await;
}
