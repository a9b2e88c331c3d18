//! Parallel requests over TCP that are released together. Exactly one of them may win.

use serde_json::json;
use testkit::at_once;

use system_tests::{Shape, World, register, scenarios};

scenarios! {
    on both shapes:
        of_16_parallel_registrations_of_one_e_mail_one_wins,
        of_12_parallel_writes_on_one_version_of_an_account_one_wins,
        of_12_parallel_writes_on_one_version_of_an_article_one_wins;
}

fn count(statuses: &[u16], wanted: u16) -> usize {
    statuses.iter().filter(|status| **status == wanted).count()
}

async fn of_16_parallel_registrations_of_one_e_mail_one_wins(shape: Shape) {
    let world = World::new(shape).await;
    let client = world.client();
    let answers = at_once(16, |number| {
        let client = client.clone();
        // E-mails are compared without regard to case.
        let email = if number % 2 == 0 { "Twin@Example.org" } else { "twin@example.org" };
        async move { register(&client, "Twin", email).await }
    })
    .await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!((count(&statuses, 201), count(&statuses, 409)), (1, 15), "{statuses:?}");
    for answer in answers.into_iter().filter(|answer| answer.status == 409) {
        answer.expect_problem(409, "email_taken");
    }
}

async fn of_12_parallel_writes_on_one_version_of_an_account_one_wins(shape: Shape) {
    let world = World::new(shape).await;
    let reader = world.reader("wanted").await;
    let answers = at_once(12, |number| {
        let path = format!("/users/v1/{}", reader.id);
        let call = world.client().patch(&path).token(&reader.token).header("if-match", "\"v1\"");
        call.json(&json!({"name": format!("Name {number}")})).send()
    })
    .await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!((count(&statuses, 200), count(&statuses, 412)), (1, 11), "{statuses:?}");
    let loser = answers.into_iter().find(|answer| answer.status == 412).expect("a loser");
    assert_eq!((loser.header("etag"), &loser.json()["current_version"]), (Some("\"v2\""), &2.into()));
}

async fn of_12_parallel_writes_on_one_version_of_an_article_one_wins(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let draft = world.draft("politics", "A draft", &["law"], &admin).await;
    let path = format!("/news/v1/politics/{}", draft["id"].as_str().expect("an id"));
    let answers = at_once(12, |number| {
        let call = world.client().patch(&path).token(&admin.token).header("if-match", "\"v1\"");
        call.json(&json!({"title": format!("Title {number}")})).send()
    })
    .await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!((count(&statuses, 200), count(&statuses, 412)), (1, 11), "{statuses:?}");
    let now = world
        .client()
        .get(&format!("{path}?min_version=2"))
        .token(&admin.token)
        .send()
        .await
        .expect_status(200);
    assert_eq!(now.header("etag"), Some("\"v2\""));
}
