//! From registration to recommendation to erasure.

use serde_json::{Value, json};
use testkit::{PATIENCE, wait_until};

use system_tests::{PASSWORD, SERVICES, Shape, World, login, scenarios};

scenarios! {
    on both shapes:
        the_readings_of_a_consenting_reader_lead_to_recommendations_until_the_erasure,
        without_consent_nothing_is_counted,
        the_older_prefixes_return_the_same_and_name_their_successors,
        ctrl_c_stops_in_order_and_a_restart_finds_everything,
        the_robot_passes;
    on one process, because "the data of a fleet lies in servers, not in files of ours":
        after_erasure_and_a_stop_no_file_holds_a_name_or_an_address;
    on one process, because "`portal replay` and `portal healthcheck` are commands of the one process":
        a_lost_view_is_rebuilt_from_the_events,
        the_health_check_answers;
}

fn labels(answer: &Value) -> Vec<String> {
    let list = answer.as_array().expect("a bare array");
    list.iter().map(|label| label["id"].as_str().expect("a label has an id").to_owned()).collect()
}

async fn the_readings_of_a_consenting_reader_lead_to_recommendations_until_the_erasure(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let reader = world.consenting_reader("vera").await;
    for (section, label) in [("famous", "film"), ("politics", "budget"), ("sports", "football")] {
        let id = world.published(section, &format!("News of {label}"), &[label], &admin).await;
        let path = format!("/news/v1/{section}/{id}?min_version=2");
        let read = world.client().get(&path).token(&reader.token).send().await.expect_status(200).json();
        assert_eq!((&read["status"], &read["news"]["state"]), (&"success".into(), &"published".into()));
        assert_eq!(read["news"]["tags"], json!([label]));
    }
    let all = world.client().get("/news/v1/all/1/10").send().await.expect_status(200).json();
    assert_eq!((&all["page"]["total"], &all["partial"]), (&3.into(), &false.into()));

    let liked = format!("/recommendation/v1/user/{}", reader.id);
    let three = wait_until("three labels in the reader's list", PATIENCE, || async {
        let answer = world.client().get(&liked).token(&reader.token).send().await.expect_status(200);
        Some(answer.json()).filter(|answer| labels(answer).len() == 3)
    })
    .await;
    assert!(three.as_array().is_some_and(|all| all.iter().all(|label| label["reads"] == 1)));
    let who = world.client().get("/recommendation/v1/label/budget").token(&admin.token).send().await;
    assert_eq!(who.expect_status(200).json(), json!([{"id": reader.id}]));

    let own = format!("/users/v1/{}", reader.id);
    let erased = world.client().delete(&own).token(&reader.token).send().await.expect_status(202).json();
    assert_eq!(erased["result"], "success");
    assert!(erased["erasure"]["id"].is_string() && erased["erasure"]["state"].is_string(), "{erased}");
    world.client().get(&own).send().await.expect_problem(404, "not_found");
    wait_until("an empty list of the erased reader", PATIENCE, || async {
        let answer = world.client().get(&liked).token(&admin.token).send().await;
        (answer.status != 200 || labels(&answer.json()).is_empty()).then_some(())
    })
    .await;
    for label in ["film", "budget", "football"] {
        let path = format!("/recommendation/v1/label/{label}");
        let who = world.client().get(&path).token(&admin.token).send().await.expect_status(200);
        assert_eq!(who.json(), json!([]), "{label}");
    }
}

async fn without_consent_nothing_is_counted(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let (silent, open) = (world.reader("silent").await, world.consenting_reader("open").await);
    let id = world.published("sports", "A final", &["tennis"], &admin).await;
    let article = format!("/news/v1/sports/{id}?min_version=2");
    // The reader without consent reads first. When the label of the other one is visible, theirs would be
    // visible too.
    world.client().get(&article).token(&silent.token).send().await.expect_status(200);
    world.client().get(&article).token(&open.token).send().await.expect_status(200);
    wait_until("the label of the reader who consented", PATIENCE, || async {
        let path = format!("/recommendation/v1/user/{}", open.id);
        let answer = world.client().get(&path).token(&open.token).send().await.expect_status(200);
        (!labels(&answer.json()).is_empty()).then_some(())
    })
    .await;
    let path = format!("/recommendation/v1/user/{}", silent.id);
    let answer = world.client().get(&path).token(&silent.token).send().await.expect_status(200);
    assert_eq!(answer.json(), json!([]));
}

async fn the_older_prefixes_return_the_same_and_name_their_successors(shape: Shape) {
    let world = World::new(shape).await;
    let answer = world.client().get("/v1/news/all/1/10").send().await.expect_status(200);
    assert!(answer.header("deprecation").is_some());
    let successor = "</news/v1/all/1/10>; rel=\"successor-version\"";
    assert!(answer.headers.get_all("link").iter().any(|link| link == successor), "{:?}", answer.headers);
    assert_eq!(answer.json(), world.client().get("/news/v1/all/1/10").send().await.json());
    let refused = world.client().get("/v1/users/all").send().await.expect_problem(401, "unauthenticated");
    assert!(refused.header("deprecation").is_some());
    // Behind nginx a service does not know which of its two prefixes the client used. It names the one that
    // is not deprecated.
    let instance = if shape == Shape::OneProcess { "/v1/users/all" } else { "/users/v1/all" };
    assert_eq!(refused.json()["instance"], instance);
    world.client().get("/v1/users/healthcheck").send().await.expect_status(200);
}

async fn ctrl_c_stops_in_order_and_a_restart_finds_everything(shape: Shape) {
    let mut world = World::new(shape).await;
    let admin = world.admin().await;
    let reader = world.reader("grace").await;
    let id = world.published("famous", "An honour", &["honours"], &admin).await;
    world.stop().await;
    let output = world.output();
    let processes = if shape == Shape::Fleet { SERVICES.len() } else { 1 };
    for word in ["stopping: no new requests", "stopped"] {
        let line = format!("\"message\":\"{word}\"");
        assert_eq!(output.iter().filter(|output| output.contains(&line)).count(), processes, "{output:#?}");
    }
    world.restart().await;
    let path = format!("/news/v1/famous/{id}?min_version=2");
    let read = world.client().get(&path).send().await.expect_status(200);
    assert_eq!(read.header("etag"), Some("\"v2\""));
    login(world.client(), &reader.email, PASSWORD).await;
}

async fn after_erasure_and_a_stop_no_file_holds_a_name_or_an_address(shape: Shape) {
    let mut world = World::new(shape).await;
    let admin = world.admin().await;
    let author = world.staff("rumpelstilz", "author", &admin).await;
    let draft = world.draft("famous", "A spinner", &["straw"], &author).await;
    let own = format!("/users/v1/{}", author.id);
    world.client().delete(&own).token(&author.token).send().await.expect_status(202);
    let path = format!("/news/v1/famous/{}?min_version=1", draft["id"].as_str().expect("an id"));
    wait_until("an article without its byline", PATIENCE, || async {
        let read = world.client().get(&path).token(&admin.token).send().await.expect_status(200);
        (read.json()["news"]["author"] == "").then_some(())
    })
    .await;
    world.stop().await;
    for entry in std::fs::read_dir(world.portal().data()).expect("the data folder") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a file");
        let found = bytes.windows(11).any(|window| window.eq_ignore_ascii_case(b"rumpelstilz"));
        assert!(!found, "{} holds it", path.display());
    }
}

async fn run(arguments: &[&str]) -> std::process::Output {
    let mut command = tokio::process::Command::new(testkit::portal_binary());
    command.args(arguments).output().await.expect("the command runs")
}

async fn a_lost_view_is_rebuilt_from_the_events(shape: Shape) {
    let mut world = World::new(shape).await;
    let admin = world.admin().await;
    let id = world.published("famous", "An honour", &["honours"], &admin).await;
    let path = format!("/news/v1/famous/{id}");
    let before = world.client().get(&format!("{path}?min_version=2")).send().await.expect_status(200);
    let data = world.portal().data().display().to_string();
    let refused = run(&["replay", "--data-dir", &data]).await;
    assert!(!refused.status.success(), "a running portal holds its stores");
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("stop it first") && why.contains(&data), "{why}");
    world.stop().await;
    for entry in std::fs::read_dir(world.portal().data()).expect("the data folder") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("famous-news-view.db")) {
            std::fs::remove_file(&path).expect("a file of the view");
        }
    }
    let replayed = run(&["replay", "--data-dir", &data, "--section", "famous"]).await;
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    world.restart().await;
    let after = world.client().get(&path).send().await.expect_status(200);
    assert_eq!(after.body, before.body);
}

async fn the_robot_passes(shape: Shape) {
    let world = World::as_documented(shape).await;
    let password = world.admin_password_file().display().to_string();
    let robot = run(&["robot", world.client().base(), "--admin-password-file", &password]).await;
    assert!(robot.status.success(), "{}", String::from_utf8_lossy(&robot.stderr));
    let output = String::from_utf8_lossy(&robot.stdout).into_owned();
    assert!(output.lines().count() > 5 && output.lines().all(|line| line.starts_with("ok  ")), "{output}");
    wait_until("a portal without the robot's articles", PATIENCE, || async {
        let all = world.client().get("/news/v1/all/1/10").send().await.expect_status(200).json();
        (all["page"]["total"] == 0 && all["partial"] == false).then_some(())
    })
    .await;
}

async fn the_health_check_answers(shape: Shape) {
    let world = World::new(shape).await;
    let url = world.client().base().to_owned();
    assert!(run(&["healthcheck", &url]).await.status.success());
    assert!(!run(&["healthcheck", "http://127.0.0.1:1"]).await.status.success());
}
