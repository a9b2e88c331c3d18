//! The front page, from what a reader read to what they find there.

use serde_json::{Value, json};
use testkit::{PATIENCE, wait_until};

use system_tests::{Account, PASSWORD, Shape, World, login, scenarios};

scenarios! {
    on both shapes:
        what_a_reader_reads_leads_to_more_of_it_on_their_front_page_and_on_nobody_elses;
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|article| article["id"].as_str().expect("an id")).collect()
}

async fn home(world: &World, reader: Option<&Account>) -> testkit::Answer {
    let call = world.client().get("/news/v1/home");
    reader.iter().fold(call, |call, reader| call.token(&reader.token)).send().await.expect_status(200)
}

/// Registers, consents and logs in again: the token says what was consented to.
async fn consenting(world: &World, name: &str) -> Account {
    let reader = world.reader(name).await;
    let consent = json!({"personalisation": true, "history": true});
    let path = format!("/users/v1/{}/consent", reader.id);
    world.client().put(&path).token(&reader.token).json(&consent).send().await.expect_status(200);
    login(world.client(), &reader.email, PASSWORD).await
}

async fn what_a_reader_reads_leads_to_more_of_it_on_their_front_page_and_on_nobody_elses(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let reader = consenting(&world, "fiona").await;
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

    // Who takes the consent back has nothing left to follow.
    let path = format!("/users/v1/{}/consent", reader.id);
    let consent = json!({"personalisation": false, "history": true});
    world.client().put(&path).token(&reader.token).json(&consent).send().await.expect_status(200);
    wait_until("an empty list", PATIENCE, || async {
        let page = home(&world, Some(&reader)).await.json();
        (page["for_you"] == json!([]) && page["for_you_status"] == "ready").then_some(())
    })
    .await;
}
