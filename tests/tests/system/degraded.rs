//! Sections that are unavailable.

use serde_json::json;
use system_tests::{Account, Shape, World, scenarios, text_of};
use testkit::{PATIENCE, Response, wait_until};

scenarios! {
    on the fleet, because "the sections of one process come and go together":
        only_a_section_that_is_unavailable_is_missing_in_the_mixed_list,
        if_every_section_is_unavailable_the_response_is_503_with_retry_after,
        cached_responses_of_an_unavailable_section_are_served_until_they_name_an_erased_person;
}

async fn only_a_section_that_is_unavailable_is_missing_in_the_mixed_list(shape: Shape) {
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

async fn if_every_section_is_unavailable_the_response_is_503_with_retry_after(shape: Shape) {
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
    // Requests that do not need them are served.
    world.reader("grace").await;
}

/// Publishes the draft of another account.
async fn published_of(world: &World, author: &Account, title: &str, admin: &Account) -> String {
    let path =
        format!("/news/v1/sports/{}", text_of(&world.draft("sports", title, &["cup"], author).await["id"]));
    let publish = world.client().post(&format!("{path}/publish")).token(&admin.token);
    publish.header("if-match", "\"v1\"").send().await.expect_status(200);
    path
}

/// Requests until the orchestrator names this source of its answer.
async fn from_the_cache(world: &World, path: &str, status: &str) -> Response {
    wait_until("an answer from the cache", PATIENCE, || async {
        let answer = world.client().get(path).send().await;
        (answer.header("cache-status") == Some(status)).then_some(answer)
    })
    .await
}

async fn cached_responses_of_an_unavailable_section_are_served_until_they_name_an_erased_person(
    shape: Shape,
) {
    // The test does not wait for the 35 seconds for which an old response may be served.
    let settings = [("ORCHESTRATOR__CACHE__FRESH_MS", "500"), ("ORCHESTRATOR__CACHE__RENEWING_MS", "500")];
    let mut world = World::with(shape, &settings).await;
    let admin = world.admin().await;
    let author = world.staff("ada", "author", &admin).await;
    let article = published_of(&world, &author, "A final", &admin).await;
    let other = published_of(&world, &author, "A half-time", &admin).await;
    let list = "/news/v1/sports?limit=5";
    let mut kept = Vec::new();
    for path in [article.as_str(), list] {
        kept.push((path, from_the_cache(&world, path, "orchestrator; hit").await));
    }
    world.fleet().kill9("sports-news");
    for (path, kept) in &kept {
        let stale = from_the_cache(&world, path, "orchestrator; hit; detail=stale").await;
        let age = stale.header("age").and_then(|age| age.parse::<u32>().ok());
        assert!(age.is_some(), "{:?}", stale.headers);
        assert_eq!((stale.status, &stale.body, stale.header("etag")), (200, &kept.body, kept.header("etag")));
    }
    let unread = world.client().get(&other).send().await;
    assert!(matches!(unread.status, 503 | 504) && !unread.code().is_empty(), "{unread}");
    // New articles of two sections are better than old articles of three.
    let mixed = world.client().get("/news/v1/all?limit=5").send().await.expect_status(200).json();
    assert_eq!((&mixed["partial"], &mixed["missing"]), (&json!(true), &json!(["sports"])));

    let own = format!("/users/v1/{}", author.id);
    world.client().delete(&own).token(&author.token).send().await.expect_status(202);
    for (path, _) in &kept {
        wait_until("no response with the name of an erased person", PATIENCE, || async {
            let answer = world.client().get(path).send().await;
            matches!(answer.status, 503 | 504).then_some(())
        })
        .await;
    }
    world.fleet().start_service("sports-news").await;
    let back = from_the_cache(&world, &article, "orchestrator; hit").await.json();
    assert_eq!(back["news"]["author"], "");
}
