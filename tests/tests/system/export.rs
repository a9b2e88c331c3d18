//! The export of a person: one document with the part of every service.

use serde_json::{Value, json};
use system_tests::{Account, Shape, World, scenarios, text_of};
use testkit::{PATIENCE, Response, wait_until};

scenarios! {
    on both shapes:
        a_person_gets_everything_that_every_service_stores_about_them;
    on the fleet, because "the services of one process come and go together":
        an_export_names_the_parts_of_stopped_services_and_goes_on_when_they_are_back;
}

async fn export(world: &World, person: &Account) -> Response {
    world.client().get(&format!("/users/v1/{}/export", person.id)).token(&person.token).send().await
}

/// Asks until the export is complete, as a client does.
async fn whole_export(world: &World, person: &Account) -> Value {
    wait_until("a complete export", PATIENCE, || async {
        let answer = export(world, person).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await
}

fn items<'a>(document: &'a Value, service: &str) -> Vec<&'a Value> {
    let parts = document["articles"].as_array().expect("the sections");
    let part = parts.iter().find(|part| part["service"] == service).expect("the section has answered");
    part["data"].as_array().expect("a list").iter().collect()
}

async fn a_person_gets_everything_that_every_service_stores_about_them(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let (author, reader) =
        (world.staff("ada", "author", &admin).await, world.consenting_reader("grace").await);
    let client = world.client();
    let draft = text_of(&world.draft("famous", "A draft", &["stage"], &author).await["id"]);
    let published = text_of(&world.draft("sports", "A final", &["cup"], &author).await["id"]);
    let publish = client.post(&format!("/news/v1/sports/{published}/publish")).token(&admin.token);
    publish.header("if-match", "\"v1\"").send().await.expect_status(200);
    let article = format!("/news/v1/sports/{published}");
    client.get(&format!("{article}?min_version=2")).send().await.expect_status(200);
    let tastes = format!("/recommendation/v1/user/{}", reader.id);
    wait_until("a reading that counts", PATIENCE, || async {
        client.get(&article).token(&reader.token).send().await.expect_status(200);
        let labels = client.get(&tastes).token(&reader.token).send().await.expect_status(200);
        labels.text().contains("cup").then_some(())
    })
    .await;

    let written = whole_export(&world, &author).await;
    assert_eq!(written["account"]["data"]["email"], author.email.as_str());
    let hidden = items(&written, "famous-news");
    assert_eq!((hidden.len(), text_of(&hidden[0]["id"])), (1, draft));
    assert!(hidden[0]["content"].is_string() && hidden[0]["content_at"].is_null(), "{hidden:?}");
    let public = items(&written, "sports-news");
    assert_eq!((public.len(), text_of(&public[0]["content_at"])), (1, article.clone()));
    client.get(&text_of(&public[0]["content_at"])).send().await.expect_status(200);
    assert_eq!(items(&written, "politics-news"), [&Value::Null; 0]);

    let read = whole_export(&world, &reader).await;
    assert_eq!(read["consent"]["data"]["history"], true);
    assert!(
        read["readings"]["data"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|it| it["article"] == published.as_str())
    );
    assert_eq!(read["labels"]["data"][0]["id"], "cup");
    assert_eq!(read["settings"]["data"][0]["history"], true);
    for section in ["famous-news", "politics-news", "sports-news"] {
        assert_eq!(items(&read, section), [&Value::Null; 0], "a reader wrote nothing");
    }
    assert_eq!(read["sessions"]["data"].as_array().expect("sessions").len(), 2);

    // The export is in the audit. No other account gets it, and no cache may keep it.
    let audit = client.get(&format!("/users/v1/{}/audit", reader.id)).token(&reader.token);
    assert!(audit.send().await.expect_status(200).text().contains("export_requested"));
    for other in [&author, &admin] {
        let answer = client.get(&format!("/users/v1/{}/export", reader.id)).token(&other.token).send().await;
        answer.expect_problem(403, "role_required");
    }
    let answer = export(&world, &reader).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let older = client.get(&format!("/v1/users/{}/export", reader.id)).token(&reader.token).send().await;
    assert!(matches!(older.status, 200 | 202), "{older}");
}

async fn an_export_names_the_parts_of_stopped_services_and_goes_on_when_they_are_back(shape: Shape) {
    let mut world = World::new(shape).await;
    let reader = world.reader("grace").await;
    whole_export(&world, &reader).await;
    for service in ["sports-news", "recommendations"] {
        world.fleet().kill9(service);
    }
    let first = export(&world, &reader).await.expect_status(202);
    assert_eq!(first.header("retry-after"), Some("1"));
    let first = first.json();
    let missing = |part: &str, service: &str| json!({"part": part, "service": service});
    let of_recommendations = ["readings", "labels", "settings"].map(|part| missing(part, "recommendations"));
    let expected = [&[missing("articles", "sports-news")][..], &of_recommendations].concat();
    assert_eq!((&first["state"], &first["missing"]), (&json!("incomplete"), &json!(expected)));
    for service in ["sports-news", "recommendations"] {
        world.fleet().start_service(service).await;
    }
    let whole = whole_export(&world, &reader).await;
    assert_eq!(whole["missing"], json!([]));
    // The parts that had arrived are the same ones.
    assert_eq!(whole["articles"][0]["at"], first["articles"][0]["at"]);
    assert_eq!(whole["articles"][1]["at"], first["articles"][1]["at"]);
    let audit = world.client().get(&format!("/users/v1/{}/audit", reader.id)).token(&reader.token);
    let entries = audit.send().await.expect_status(200).text().matches("export_requested").count();
    assert_eq!(entries, 2, "one entry for each export");
}
