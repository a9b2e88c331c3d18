//! The front page: what a reader reads decides what it suggests.

use std::collections::HashSet;

use serde_json::{Value, json};
use testkit::{PATIENCE, wait_until};

use system_tests::{Account, Shape, World, login, scenarios};

scenarios! {
    on both shapes:
        the_readings_of_a_reader_change_only_their_own_front_page,
        a_seeded_portal_has_a_full_front_page_and_recommends_what_its_readers_like;
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|article| article["id"].as_str().expect("an id")).collect()
}

async fn home(world: &World, reader: Option<&Account>) -> testkit::Response {
    let call = world.client().get("/news/v1/home");
    reader.iter().fold(call, |call, reader| call.token(&reader.token)).send().await.expect_status(200)
}

async fn the_readings_of_a_reader_change_only_their_own_front_page(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let reader = world.consenting_reader("fiona").await;
    let read = world.published("politics", "A budget", &["budget"], &admin).await;
    let more = world.published("famous", "Rich by budget", &["money", "budget"], &admin).await;
    let other = world.published("sports", "A final", &["tennis"], &admin).await;
    let path = format!("/news/v1/politics/{read}?min_version=2");
    world.client().get(&path).token(&reader.token).send().await.expect_status(200);

    let page = wait_until("what follows the reader's label", PATIENCE, || async {
        let page = home(&world, Some(&reader)).await;
        (ids(&page.json()["for_you"]).len() == 2 && ids(&page.json()["top"]).len() == 3).then_some(page)
    })
    .await;
    let body = page.json();
    assert_eq!(ids(&body["for_you"]), [&more, &read], "the newer one first");
    assert_eq!(ids(&body["top"]), [&other, &more, &read]);
    assert_eq!(
        (&body["for_you_status"], &body["partial"], &body["missing"]),
        (&json!("ready"), &json!(false), &json!([]))
    );
    for item in body["for_you"].as_array().expect("a list") {
        assert_eq!(
            (&item["reason"]["code"], &item["reason"]["label"]),
            (&json!("read_label"), &json!("budget"))
        );
        assert!(item["reason"]["text"].as_str().is_some_and(|text| text.contains("budget")));
    }
    assert!(page.header("cache-control").is_some_and(|control| control.starts_with("private")));

    let open = home(&world, None).await;
    assert!(open.header("cache-control").is_some_and(|control| control.starts_with("public")));
    assert_eq!((&open.json()["for_you"], &open.json()["for_you_status"]), (&json!([]), &json!("anonymous")));
    assert_eq!(open.json()["top"], body["top"]);
    let tag = open.header("etag").expect("a tag").to_owned();
    world.client().get("/news/v1/home").header("if-none-match", &tag).send().await.expect_status(304);
    assert_eq!(home(&world, Some(&admin)).await.json()["for_you"], json!([]));

    // A reader who withdraws the consent has no labels any more.
    let path = format!("/users/v1/{}/consent", reader.id);
    let consent = json!({"personalisation": false, "history": true});
    world.client().put(&path).token(&reader.token).json(&consent).send().await.expect_status(200);
    wait_until("an empty list", PATIENCE, || async {
        let page = home(&world, Some(&reader)).await.json();
        (page["for_you"] == json!([]) && page["for_you_status"] == "ready").then_some(())
    })
    .await;
}

async fn a_seeded_portal_has_a_full_front_page_and_recommends_what_its_readers_like(shape: Shape) {
    let mut world = World::new(shape).await;
    let people = world.seed(60).await;
    let page = wait_until("a full front page", PATIENCE, || async {
        let page = home(&world, None).await.json();
        (ids(&page["top"]).len() >= 5).then_some(page)
    })
    .await;
    assert_eq!((&page["partial"], &page["missing"]), (&json!(false), &json!([])));
    let blocks = page["sections"].as_array().expect("a list");
    assert_eq!(blocks.len(), 3, "{page}");
    for block in blocks {
        let section = block["type"].as_str().expect("a section");
        assert!(ids(&block["news"]).len() >= 3, "{block}");
        let all =
            world.client().get(&format!("/news/v1/{section}/1/100")).send().await.expect_status(200).json();
        let titles: HashSet<_> =
            all["news"].as_array().expect("a list").iter().map(|news| &news["title"]).collect();
        assert_eq!(Some(titles.len() as u64), all["page"]["total"].as_u64(), "no two headlines are one");
    }
    let mut found = 0;
    for reader in people.iter().filter(|person| person.role == "reader").take(10) {
        let reader = login(world.client(), &reader.email, &reader.password).await;
        found += ids(&home(&world, Some(&reader)).await.json()["for_you"]).len();
    }
    assert!(found > 0, "none of ten readers with tastes finds a recommendation");
    let admin = world.admin().await;
    let drafts = world.client().get("/news/v1/all?state=draft").token(&admin.token).send().await;
    assert_ne!(drafts.expect_status(200).json()["news"], json!([]), "a newsroom is at work on something");
}
