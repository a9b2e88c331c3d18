//! The newsroom from outside: review, schedule, correct and retract.

use std::time::Duration;

use kernel::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};
use system_tests::{Account, Shape, World, scenarios, text_of, verify_proof};
use testkit::{Response, wait_until};

scenarios! {
    on both shapes:
        an_article_is_written_reviewed_scheduled_corrected_and_retracted_by_different_people,
        a_retracted_article_leaves_lists_home_and_corrections,
        the_desk_and_the_lists_of_work_show_the_staff_what_waits_for_them,
        anyone_verifies_a_published_history_with_the_script_of_the_documentation;
    on the fleet, because "one process has no replicas":
        twenty_articles_that_are_due_at_once_appear_once_although_a_replica_is_killed;
}

/// The longest wait for a condition.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a command on the version that the caller has seen.
async fn command(world: &World, path: &str, name: &str, version: u64, body: Value, by: &Account) -> Response {
    let seen = format!("\"v{version}\"");
    let request = world.client().post(&format!("{path}/{name}")).token(&by.token);
    request.header("if-match", &seen).json(&body).send().await
}

fn events(history: &Response) -> Vec<String> {
    let history = history.json();
    history["history"].as_array().expect("a history").iter().map(|entry| text_of(&entry["event"])).collect()
}

async fn visible(world: &World, path: &str) -> Value {
    wait_until("the article is public", PATIENCE, || async {
        let answer = world.client().get(path).send().await;
        (answer.status == 200).then(|| answer.json()["news"].clone())
    })
    .await
}

async fn an_article_is_written_reviewed_scheduled_corrected_and_retracted_by_different_people(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let author = world.staff("ada", "author", &admin).await;
    let editor = world.staff("eve", "editor", &admin).await;
    let draft = world.draft("politics", "The vote", &["vote"], &author).await;
    let path = format!("/news/v1/politics/{}", text_of(&draft["id"]));

    command(&world, &path, "submit", 1, json!({}), &author).await.expect_status(200);
    let denied = command(&world, &path, "approve", 2, json!({}), &author).await;
    denied.expect_problem(403, "role_required");
    let note = json!({"note": "Who voted?"});
    let returned = command(&world, &path, "return", 2, note, &editor).await.expect_status(200).json();
    assert_eq!(
        (&returned["news"]["state"], &returned["news"]["review_note"]),
        (&json!("draft"), &json!("Who voted?"))
    );
    command(&world, &path, "submit", 3, json!({}), &author).await.expect_status(200);
    command(&world, &path, "approve", 4, json!({}), &editor).await.expect_status(200);
    let again = command(&world, &path, "approve", 5, json!({}), &editor).await;
    let again = again.expect_problem(409, "illegal_transition").json();
    let allowed = json!(["revise", "return", "schedule", "publish", "delete", "restore"]);
    assert_eq!((&again["state"], &again["allowed"]), (&json!("approved"), &allowed));
    let past = command(&world, &path, "schedule", 5, json!({"at": "2020-01-01T00:00:00Z"}), &editor).await;
    assert_eq!(past.expect_problem(422, "invalid").json()["errors"][0]["code"], "in_the_past");
    let at = SystemClock.now().plus(Duration::from_secs(3));
    let at_text = json!({"at": at.to_string()});
    command(&world, &path, "schedule", 5, at_text, &editor).await.expect_status(200);
    world.client().get(&path).send().await.expect_problem(404, "not_found");
    let published = visible(&world, &path).await;
    let appeared: Timestamp = text_of(&published["published_at"]).parse().expect("a time");
    assert!(appeared >= at, "{appeared} {at}");

    correct_and_retract(&world, &path, &editor).await;
}

/// Corrects the published version 7, retracts the article and reinstates it.
async fn correct_and_retract(world: &World, path: &str, editor: &Account) {
    let correction =
        json!({"kind": "correction", "text": "It was Tuesday.", "patch": {"title": "The vote on Tuesday"}});
    command(world, path, "correct", 7, correction, editor).await.expect_status(200);
    let seen = world.client().get(&format!("{path}?min_version=8")).send().await.expect_status(200).json();
    assert_eq!(seen["news"]["title"], "The vote on Tuesday");
    assert_eq!(seen["news"]["corrections"][0]["text"], "It was Tuesday.");
    let of_article =
        world.client().get(&format!("{path}/corrections")).send().await.expect_status(200).json();
    assert_eq!(of_article["corrections"], seen["news"]["corrections"]);
    let diff = world.client().get(&format!("{path}/diff?from=7&to=8")).send().await.expect_status(200).json();
    assert!(diff.as_array().expect("a diff").iter().any(|part| part["op"] == "insert"));

    let reason = json!({"reason": "It was invented."});
    command(world, path, "retract", 8, reason, editor).await.expect_status(200);
    for route in ["", "?version=7", "/versions/7", "/history", "/diff?from=7&to=8", "/corrections", "/proof"]
    {
        let gone = wait_until("the article is retracted", PATIENCE, || async {
            let answer = world.client().get(&format!("{path}{route}")).send().await;
            (answer.status == 410).then_some(answer)
        })
        .await;
        assert_eq!(gone.expect_problem(410, "retracted").json()["reason"], "It was invented.");
    }
    let history = world.client().get(&format!("{path}/history")).token(&editor.token).send().await;
    let expected = [
        "retracted",
        "corrected",
        "published",
        "scheduled",
        "approved",
        "submitted",
        "returned",
        "submitted",
        "drafted",
    ];
    assert_eq!(events(&history.expect_status(200)), expected);
    command(world, path, "reinstate", 9, json!({}), editor).await.expect_status(200);
    assert_eq!(visible(world, path).await["title"], "The vote on Tuesday");
}

async fn a_retracted_article_leaves_lists_home_and_corrections(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let id = world.published("sports", "Sensation", &["cup"], &admin).await;
    let path = format!("/news/v1/sports/{id}");
    let note = json!({"kind": "note", "text": "It rained."});
    command(&world, &path, "correct", 2, note, &admin).await.expect_status(200);
    let shows = async |route: &str| {
        let answer = world.client().get(&format!("/news/v1{route}")).send().await.expect_status(200);
        answer.json().to_string().contains(&id)
    };
    let routes = ["/all", "/sports", "/sports/1/10", "/sports?label=cup", "/home", "/corrections"];
    for route in routes {
        wait_until("the route shows it", PATIENCE, || async { shows(route).await.then_some(()) }).await;
    }
    command(&world, &path, "retract", 3, json!({"reason": "Invented."}), &admin).await.expect_status(200);
    for route in routes {
        wait_until("the route shows it no longer", PATIENCE, || async {
            (!shows(route).await).then_some(())
        })
        .await;
    }
    let staff = world.client().get("/news/v1/sports?state=retracted").token(&admin.token).send().await;
    assert_eq!(staff.expect_status(200).json()["news"][0]["retraction"]["reason"], "Invented.");
}

fn titles(articles: &Value) -> Vec<String> {
    articles.as_array().expect("articles").iter().map(|article| text_of(&article["title"])).collect()
}

/// Returns the titles of a list or a group as soon as they are these: a view follows its events.
async fn shows(world: &World, route: &str, pointer: &str, expected: &[&str], who: &Account) -> Value {
    wait_until("the staff see what waits for them", PATIENCE, || async {
        let answer = world.client().get(&format!("/news/v1{route}")).token(&who.token).send().await;
        let answer = answer.expect_status(200).json();
        (titles(answer.pointer(pointer).expect("articles")) == expected).then_some(answer)
    })
    .await
}

async fn the_desk_and_the_lists_of_work_show_the_staff_what_waits_for_them(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let author = world.staff("ada", "author", &admin).await;
    let editor = world.staff("eve", "editor", &admin).await;
    let mut paths = Vec::new();
    for (section, title) in [("sports", "The match"), ("politics", "The vote"), ("famous", "The film")] {
        let draft = world.draft(section, title, &[], &author).await;
        let path = format!("/news/v1/{section}/{}", text_of(&draft["id"]));
        command(&world, &path, "submit", 1, json!({}), &author).await.expect_status(200);
        paths.push(path);
    }
    let all = ["The match", "The vote", "The film"];
    shows(&world, "/desk", "/to_review/news", &all, &editor).await;
    shows(&world, "/all?state=in_review&order=waiting", "/news", &all, &editor).await;
    shows(&world, "/all?state=in_review&order=waiting&mine=true", "/news", &all, &author).await;
    shows(&world, "/all?state=in_review&order=waiting&mine=true", "/news", &[], &editor).await;
    let at = SystemClock.now().plus(Duration::from_secs(3_600)).to_string();
    command(&world, &paths[0], "approve", 2, json!({}), &editor).await.expect_status(200);
    command(&world, &paths[0], "schedule", 3, json!({"at": at}), &editor).await.expect_status(200);
    command(&world, &paths[1], "return", 2, json!({"note": "Who?"}), &editor).await.expect_status(200);
    shows(&world, "/desk", "/to_review/news", &["The film"], &editor).await;
    shows(&world, "/desk", "/scheduled/news", &["The match"], &editor).await;
    let desk = shows(&world, "/desk", "/returned/news", &["The vote"], &author).await;
    assert_eq!(desk["returned"]["news"][0]["review_note"], "Who?");
    assert_eq!((&desk["to_review"]["total"], &desk["partial"]), (&json!(0), &json!(false)));
    let counts = |section: usize| desk["sections"][section]["states"].clone();
    assert_eq!((&counts(0)["in_review"], &counts(1)["draft"]), (&json!(1), &json!(1)));
    let anonymous = world.client().get("/news/v1/desk").send().await;
    anonymous.expect_problem(401, "unauthenticated");
    let reader = world.reader("rita").await;
    let reader = world.client().get("/news/v1/desk").token(&reader.token).send().await;
    reader.expect_problem(403, "role_required");
}

/// Returns all pages of the proof of an article that a caller gets.
async fn proof(world: &World, path: &str, who: Option<&Account>) -> Vec<Value> {
    let mut pages: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let request = world.client().get(&format!("{path}/proof?include=record&limit=3{cursor}"));
        let request = who.iter().fold(request, |request, account| request.token(&account.token));
        pages.push(request.send().await.expect_status(200).json());
        let Value::String(next) = &pages[pages.len() - 1]["page"]["next_cursor"] else { return pages };
        cursor = format!("&cursor={next}");
    }
}

async fn anyone_verifies_a_published_history_with_the_script_of_the_documentation(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let author = world.staff("ada", "author", &admin).await;
    let editor = world.staff("eve", "editor", &admin).await;
    let draft = world.draft("politics", "The vote", &[], &author).await;
    let path = format!("/news/v1/politics/{}", text_of(&draft["id"]));
    let correction =
        json!({"kind": "note", "text": "It was Tuesday.", "patch": {"title": "The vote, corrected"}});
    for (version, name, body, by) in [
        (1, "submit", json!({}), &author),
        (2, "return", json!({"note": "Who voted?"}), &editor),
        (3, "submit", json!({}), &author),
        (4, "approve", json!({}), &editor),
        (5, "publish", json!({}), &editor),
        (6, "correct", correction, &editor),
    ] {
        command(&world, &path, name, version, body, by).await.expect_status(200);
    }
    let pages = proof(&world, &path, None).await;
    let said = "7 versions form a chain, and 2 records are what was hashed";
    assert_eq!((verify_proof(&pages), pages.len()), (Ok(said.to_owned()), 3));
    assert!(!format!("{pages:?}").contains("Who voted?"), "the note is for staff");
    // The record has what readers read.
    let link = &pages[2]["proof"][0];
    let record: Value = serde_json::from_str(&text_of(&link["record"])).expect("JSON");
    let read = world.client().get(&format!("{path}/versions/7")).send().await.expect_status(200).json();
    for field in ["id", "version", "title", "content", "corrections", "published_at"] {
        assert_eq!(record["article"][field], read["news"][field], "{field}");
    }
    let mut forged = pages.clone();
    forged[2]["proof"][0]["record"] = text_of(&link["record"]).replacen("Tuesday", "Monday", 1).into();
    assert_eq!(verify_proof(&forged), Err("the record of version 7 is not what was hashed".to_owned()));
    // Staff see every record, also the note in it.
    let pages = proof(&world, &path, Some(&author)).await;
    let said = "7 versions form a chain, and 7 records are what was hashed";
    assert_eq!(verify_proof(&pages), Ok(said.to_owned()));
    assert!(format!("{pages:?}").contains("Who voted?"));
}

#[expect(clippy::print_stdout, reason = "the measured delay is for people who run the test")]
async fn twenty_articles_that_are_due_at_once_appear_once_although_a_replica_is_killed(_: Shape) {
    let mut world = World::with_replicas(2).await;
    let admin = world.admin().await;
    let mut paths = Vec::new();
    for number in 0..20 {
        let draft = world.draft("sports", &format!("Goal {number}"), &["cup"], &admin).await;
        paths.push(format!("/news/v1/sports/{}", text_of(&draft["id"])));
    }
    // The time that the commands below take is unknown, so they are given much of it.
    let due = SystemClock.now().plus(Duration::from_secs(10));
    for path in &paths {
        let at = json!({"at": due.to_string()});
        command(&world, path, "schedule", 1, at, &admin).await.expect_status(200);
    }
    let half_a_second_before = due.minus(Duration::from_millis(500));
    wait_until("half a second before", PATIENCE, || async {
        (SystemClock.now() >= half_a_second_before).then_some(())
    })
    .await;
    world.fleet().kill9_one("sports-news", 1);
    let mut latest = Duration::ZERO;
    for path in &paths {
        let published: Timestamp =
            text_of(&visible(&world, path).await["published_at"]).parse().expect("a time");
        assert!(published >= due);
        latest = latest.max(published.since(due));
        let history = world.client().get(&format!("{path}/history")).token(&admin.token).send().await;
        assert_eq!(events(&history.expect_status(200)), ["published", "scheduled", "drafted"]);
    }
    println!("the last of 20 articles was published {} ms after its time", latest.as_millis());
}
