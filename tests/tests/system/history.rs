//! The history of an article from outside: its versions, the restore, the hash chain, and commands that are
//! sent twice.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::{Client, Response, at_once, portal_binary};

use system_tests::{Account, Shape, World, scenarios};

scenarios! {
    on both shapes:
        an_article_goes_through_its_states_and_only_those_who_may_can_read_its_history,
        a_post_that_is_sent_again_after_a_kill_has_one_effect_and_one_response,
        of_16_parallel_posts_under_one_key_one_creates_a_draft;
    on one process, because "`portal verify-history` reads the one process' files":
        a_byte_that_was_changed_in_a_file_is_found_and_named;
    on the fleet, because "in one process there are no servers, and no replicas":
        a_byte_that_was_changed_in_a_table_is_found_and_named_while_the_fleet_runs,
        of_posts_to_two_replicas_under_one_key_one_creates_a_draft_and_a_restart_remembers_it;
}

async fn step(world: &World, path: &str, version: u64, body: Value, by: &Account) -> Response {
    let seen = format!("\"v{version}\"");
    world.client().post(path).token(&by.token).header("if-match", &seen).json(&body).send().await
}

async fn an_article_goes_through_its_states_and_only_those_who_may_can_read_its_history(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let id = world.published("politics", "The budget falls", &["budget"], &admin).await;
    let path = format!("/news/v1/politics/{id}");
    let patch = world.client().patch(&path).token(&admin.token).header("if-match", "\"v2\"");
    patch.json(&json!({"title": "The budget passes"})).send().await.expect_status(200);
    let words =
        world.client().get(&format!("{path}/diff?from=2&to=3")).send().await.expect_status(200).json();
    let changed = |op: &str| -> Vec<Value> {
        let all = words.as_array().expect("a list");
        all.iter().filter(|words| words["op"] == op).map(|words| words["text"].clone()).collect()
    };
    assert_eq!((changed("delete"), changed("insert")), (vec![json!("falls")], vec![json!("passes")]));
    let old = world.client().get(&format!("{path}?version=2")).send().await.expect_status(200);
    assert_eq!(old.json()["news"]["title"], "The budget falls");
    world.client().get(&format!("{path}/versions/1")).send().await.expect_problem(404, "not_found");

    step(&world, &format!("{path}/unpublish"), 3, json!({}), &admin).await.expect_status(200);
    let gone = world.client().get(&format!("{path}?min_version=4")).send().await;
    gone.expect_problem(404, "not_found");
    for hidden in ["/history", "/versions/2", "/diff?from=2&to=3"] {
        world.client().get(&format!("{path}{hidden}")).send().await.expect_problem(404, "not_found");
    }
    let refused = step(&world, &format!("{path}/unpublish"), 4, json!({}), &admin).await;
    let refused = refused.expect_problem(409, "illegal_transition").json();
    assert_eq!(refused["state"], "unpublished");
    step(&world, &format!("{path}/restore"), 4, json!({"version": 2}), &admin).await.expect_status(200);
    step(&world, &format!("{path}/publish"), 5, json!({}), &admin).await.expect_status(200);
    let back = world.client().get(&format!("{path}?min_version=6")).send().await.expect_status(200).json();
    assert_eq!(back["news"]["title"], "The budget falls");

    let events = |answer: Response| -> Vec<String> {
        let history = answer.expect_status(200).json()["history"].as_array().expect("a history").clone();
        history
            .iter()
            .map(|step| format!("{} {}", step["version"], step["event"].as_str().expect("a name")))
            .collect()
    };
    let public = events(world.client().get(&format!("{path}/history")).send().await);
    assert_eq!(public, ["6 published", "3 updated", "2 published"]);
    let all = events(world.client().get(&format!("{path}/history")).token(&admin.token).send().await);
    assert_eq!(all, ["6 published", "5 restored", "4 unpublished", "3 updated", "2 published", "1 drafted"]);

    let draft = world.draft("politics", "A draft", &["law"], &admin).await;
    let path = format!("/news/v1/politics/{}", draft["id"].as_str().expect("an id"));
    let delete = world.client().delete(&path).token(&admin.token).header("if-match", "\"v1\"");
    delete.send().await.expect_status(200);
    let back =
        step(&world, &format!("{path}/undelete"), 2, json!({}), &admin).await.expect_status(200).json();
    assert_eq!((&back["news"]["state"], &back["news"]["version"]), (&json!("draft"), &json!(3)));
}

async fn a_byte_that_was_changed_in_a_file_is_found_and_named(shape: Shape) {
    let mut world = World::new(shape).await;
    let admin = world.admin().await;
    let id = world.published("sports", "Unmistakable", &["cup"], &admin).await;
    world.published("sports", "Another", &["cup"], &admin).await;
    let data = world.portal().data().display().to_string();
    let verify = |section: &'static str| {
        let mut command = tokio::process::Command::new(portal_binary());
        command.args(["verify-history", "--data-dir", &data, "--section", section]).output()
    };
    let held = verify("sports").await.expect("the command runs");
    assert!(!held.status.success(), "a running portal holds its stores");
    assert!(String::from_utf8_lossy(&held.stderr).contains("stop it first"));
    assert!(world.portal().stop().await.success());
    let whole = verify("sports").await.expect("the command runs");
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let output_text = String::from_utf8_lossy(&whole.stdout).into_owned();
    assert!(output_text.contains("2 articles, 4 versions: all unchanged"), "{output_text}");

    // This is the second version of the first article.
    let file = world.portal().data().join("sports-news.db");
    let mut bytes = std::fs::read(&file).expect("the file");
    let record =
        bytes.windows(12).enumerate().filter(|(_, window)| *window == b"Unmistakable").map(|(at, _)| at);
    let mut published = record.filter(|at| {
        let before = String::from_utf8_lossy(&bytes[at.saturating_sub(400)..*at]).into_owned();
        before
            .rfind("\"event\":\"published\"")
            .is_some_and(|at| !before[at..].contains("\"event\":\"drafted\""))
    });
    let at = published.next_back().expect("the record");
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).expect("it is written");
    let broken = verify("sports").await.expect("the command runs");
    assert!(!broken.status.success());
    let output_text = String::from_utf8_lossy(&broken.stdout).into_owned();
    assert!(
        output_text.contains(&format!("article {id}: version 2 is not what was written")),
        "{output_text}"
    );
    let others = verify("famous").await.expect("the command runs");
    assert!(others.status.success());
}

async fn a_post_that_is_sent_again_after_a_kill_has_one_effect_and_one_response(shape: Shape) {
    let mut world = World::new(shape).await;
    let admin = world.admin().await;
    let body = json!({"title": "Once", "content": "And only once.", "tags": ["once"]});
    let create = |world: &World, body: &Value| {
        let call = world.client().post("/news/v1/famous").token(&admin.token);
        call.header("idempotency-key", "a-key").json(body).send()
    };
    let first = create(&world, &body).await.expect_status(201);
    assert_eq!(first.header("idempotency-replayed"), None);
    world.kill9();
    world.restart().await;
    let again = create(&world, &body).await.expect_status(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.body, first.body);
    assert_eq!(
        (again.header("location"), again.header("etag")),
        (first.header("location"), first.header("etag"))
    );
    let other = json!({"title": "Twice", "content": "And not once.", "tags": ["once"]});
    create(&world, &other).await.expect_problem(422, "idempotency_key_reused");
}

async fn of_16_parallel_posts_under_one_key_one_creates_a_draft(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let body = json!({"title": "The one", "content": "And only.", "tags": ["one"]});
    let answers = at_once(16, |_| {
        let call = world.client().post("/news/v1/famous").token(&admin.token);
        call.header("idempotency-key", "one").json(&body).send()
    })
    .await;
    let mut ids = BTreeSet::new();
    for answer in answers {
        match answer.status {
            201 => drop(ids.insert(answer.json()["news"]["id"].to_string())),
            _ => drop(answer.expect_problem(409, "still_running")),
        }
    }
    assert_eq!(ids.len(), 1);
    // If the retry had created another draft of this title, it would have taken the next slug.
    let next = world.draft("famous", "The one", &["one"], &admin).await;
    assert!(next["slug"].as_str().is_some_and(|slug| slug.len() == "the-one-".len() + 8), "{}", next["slug"]);
}

async fn a_byte_that_was_changed_in_a_table_is_found_and_named_while_the_fleet_runs(shape: Shape) {
    let mut world = World::new(shape).await;
    let admin = world.admin().await;
    for section in ["famous", "politics"] {
        world.published(section, "As it was", &["past"], &admin).await;
    }
    let id = world.published("sports", "Unmistakable", &["cup"], &admin).await;
    let fleet = world.fleet();
    let output_text = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    for section in ["famous", "politics", "sports"] {
        let whole = fleet.verify_history(section).await;
        assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
        let output_text = output_text(&whole);
        assert!(
            output_text.contains("all unchanged") && !output_text.contains(": 0 articles"),
            "{output_text}"
        );
    }
    let mut events =
        PgConnection::connect(fleet.setting("sports-news", "EVENTS__URL")).await.expect("it answers");
    let change =
        "update events set record = replace(record, $1, $2) where article = $3::text::uuid and version = 2";
    for (from, to, whole) in [("Unmistakable", "Unmistakeble", false), ("Unmistakeble", "Unmistakable", true)]
    {
        let changed = sqlx::query(change).bind(from).bind(to).bind(&id).execute(&mut events).await;
        assert_eq!(changed.expect("it is changed").rows_affected(), 1);
        let found = fleet.verify_history("sports").await;
        assert_eq!(found.status.success(), whole, "{}", output_text(&found));
        let named = format!("article {id}: version 2 is not what was written");
        assert_eq!(output_text(&found).contains(&named), !whole, "{}", output_text(&found));
        assert!(fleet.verify_history("famous").await.status.success());
    }
    events.close().await.expect("the connection closes");
}

async fn of_posts_to_two_replicas_under_one_key_one_creates_a_draft_and_a_restart_remembers_it(shape: Shape) {
    let mut world = World::doubled(shape, &[]).await;
    let admin = world.admin().await;
    let replicas = world.orchestrators();
    assert_eq!(replicas.len(), 2);
    let body = json!({"title": "The one", "content": "And only.", "tags": ["one"]});
    let post = |replica: &Client, body: &Value| {
        replica.post("/famous").token(&admin.token).header("idempotency-key", "one").json(body).send()
    };
    let answers = at_once(16, |number| post(&replicas[number % 2], &body)).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    refused.into_iter().for_each(|answer| drop(answer.expect_problem(409, "still_running")));
    let first = done.first().expect("one of them has made it");
    assert!(done.iter().all(|answer| answer.body == first.body), "two answers under one key");
    let fresh = done.iter().filter(|answer| answer.header("idempotency-replayed").is_none());
    assert!(fresh.count() <= 1, "two effects under one key");

    let other = json!({"title": "Another", "content": "And not the one.", "tags": ["one"]});
    for restarted in [false, true] {
        if restarted {
            world.kill9();
            world.restart().await;
        }
        for replica in &replicas {
            let again = post(replica, &body).await.expect_status(201);
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "restarted: {restarted}");
            let headers =
                |answer: &Response| ["location", "etag"].map(|name| answer.header(name).map(str::to_owned));
            assert_eq!((&again.body, headers(&again)), (&first.body, headers(first)));
            post(replica, &other).await.expect_problem(422, "idempotency_key_reused");
        }
    }
    // If the retry had created another draft of this title, it would have taken the next slug.
    let next = world.draft("famous", "The one", &["one"], &admin).await;
    assert!(next["slug"].as_str().is_some_and(|slug| slug.len() == "the-one-".len() + 8), "{}", next["slug"]);
}
