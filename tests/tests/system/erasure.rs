//! An erasure is true in every file: nothing of the person can be read in the raw bytes of the data folder.

use std::path::Path;
use std::time::Duration;

use rand::RngExt;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use system_tests::{Account, Shape, World, register, scenarios};
use testkit::{random, wait_until};
use tokio::task::JoinSet;

scenarios! {
    on both shapes:
        each_service_sends_a_receipt_for_an_erasure_and_the_erased_person_sees_them;
    on one process, because "the files of a fleet belong to its servers":
        within_a_minute_of_an_erasure_no_file_holds_anything_of_the_person,
        killed_at_seeded_moments_of_an_erasure_the_portal_still_makes_it_true;
    on the fleet, because "one process has no tables on servers":
        within_a_minute_of_an_erasure_no_row_on_a_server_holds_anything_of_the_person;
}

const SEED: u64 = 20_261_127;
/// The promised time until an erasure is true.
const MINUTE: Duration = Duration::from_secs(60);

/// A person with an earlier e-mail, a byline and readings, all of which are unique texts.
struct Person {
    account: Account,
    canaries: Vec<String>,
    label: String,
}

/// Does everything that leaves traces.
async fn lives(world: &World, admin: &Account, number: u32) -> Person {
    let name = format!("Rumpelstiltskin {number:03}");
    let (earlier, email) =
        (format!("zwirbel{number:03}@canary.example"), format!("quastel{number:03}@canary.example"));
    let label = format!("knusperlabel{number:03}");
    let client = world.client();
    register(client, &name, &earlier).await.expect_status(201);
    let first = system_tests::login(client, &earlier, system_tests::PASSWORD).await;
    let path = format!("/users/v1/{}", first.id);
    let change = json!({"email": email, "current_password": system_tests::PASSWORD});
    let call = client.patch(&path).token(&first.token).header("if-match", "*").json(&change);
    call.send().await.expect_status(200);
    let role = json!({"role": "author"});
    client.put(&format!("{path}/roles")).token(&admin.token).json(&role).send().await.expect_status(200);
    let consent = json!({"personalisation": true, "history": true});
    client.put(&format!("{path}/consent")).token(&first.token).json(&consent).send().await.expect_status(200);
    let account = system_tests::login(client, &email, system_tests::PASSWORD).await;
    let draft = world.draft("sports", &format!("A match {number}"), &["tennis"], &account).await;
    assert_eq!(draft["author"], name.as_str(), "the byline is the person's name");
    let id = system_tests::text_of(&draft["id"]);
    let publish = client.post(&format!("/news/v1/sports/{id}/publish")).token(&admin.token);
    publish.header("if-match", "\"v1\"").send().await.expect_status(200);
    // An article of another author, with a label that only this person reads.
    let read = world.published_and_visible("politics", &format!("A vote {number}"), &[&label], admin).await;
    let taste = format!("/recommendation/v1/user/{}", account.id);
    wait_until("the reading to be counted", MINUTE, || async {
        client
            .get(&format!("/news/v1/politics/{read}"))
            .token(&account.token)
            .send()
            .await
            .expect_status(200);
        let labels = client.get(&taste).token(&account.token).send().await.expect_status(200);
        labels.text().contains(&label).then_some(())
    })
    .await;
    Person { account, canaries: vec![name, earlier, email], label }
}

/// Returns the files that still contain texts of these people, for files in the folder of the portal.
fn traces(data: &Path, people: &[Person]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        // A log may be deleted during the search.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        // The label of an article stays in the section's files. The person who has read it does not.
        let of_readings = name.starts_with("bus.db") || name.starts_with("recommendations.db");
        for person in people {
            let labels = of_readings.then_some(&person.label);
            for canary in person.canaries.iter().chain(labels).filter(|canary| text.contains(*canary)) {
                found.push(format!("{canary} in {name}"));
            }
        }
    }
    found
}

/// Adds the secrets of the person: the hash of the password, an access token and a refresh token.
async fn add_secrets(world: &World, data: &Path, person: &mut Person) {
    let credentials = json!({"email": person.account.email, "password": system_tests::PASSWORD});
    let login = world.client().post("/users/v1/sessions").json(&credentials).send().await.expect_status(201);
    let cookie = login.header("set-cookie").expect("a cookie").to_owned();
    let refresh_token = cookie.split(['=', ';']).nth(1).expect("a value").to_owned();
    let access_token = system_tests::text_of(&login.json()["access_token"]);
    let options = SqliteConnectOptions::new().filename(data.join("users.db")).read_only(true);
    let mut connection = options.connect().await.expect("the store opens");
    let hash: String = sqlx::query_scalar("select password from users where id = unhex(replace(?, '-', ''))")
        .bind(&person.account.id)
        .fetch_one(&mut connection)
        .await
        .expect("the account is stored");
    connection.close().await.expect("the store closes");
    assert!(hash.starts_with("$argon2id$") && refresh_token.len() > 40);
    person.canaries.extend([hash, access_token, refresh_token]);
}

async fn until_true(world: &mut World, people: &[Person]) {
    let data = world.portal().data().to_owned();
    let mut left = Vec::new();
    let begun = std::time::Instant::now();
    while begun.elapsed() < MINUTE {
        left = traces(&data, people);
        if left.is_empty() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("after a minute: {left:?}");
}

async fn within_a_minute_of_an_erasure_no_file_holds_anything_of_the_person(shape: Shape) {
    let mut world = World::new(shape).await;
    let admin = world.admin().await;
    let mut people = Vec::new();
    for number in 0..3 {
        people.push(lives(&world, &admin, number).await);
    }
    let data = world.portal().data().to_owned();
    for person in &mut people {
        add_secrets(&world, &data, person).await;
    }
    let before = traces(&data, &people);
    assert!(before.iter().any(|trace| trace.starts_with("$argon2id$")), "a hash is stored: {before:?}");
    for place in ["users.db", "bus.db", "recommendations.db", "sports-"] {
        assert!(
            before.iter().any(|trace| trace.contains(place)),
            "{place} has something to lose: {before:?}"
        );
    }
    for person in &people {
        let path = format!("/users/v1/{}", person.account.id);
        world.client().delete(&path).token(&person.account.token).send().await.expect_status(202);
    }
    until_true(&mut world, &people).await;
    let output = world.output();
    // It stays so after an orderly stop, which writes logs into their files.
    world.stop().await;
    assert_eq!(traces(&data, &people), Vec::<String>::new());
    // The log never contained any of it.
    for canary in people.iter().flat_map(|person| &person.canaries) {
        assert!(!output.iter().any(|line| line.contains(canary)), "{canary} is in the log");
    }
}

async fn killed_at_seeded_moments_of_an_erasure_the_portal_still_makes_it_true(shape: Shape) {
    let mut world = World::new(shape).await;
    let mut chance = random(SEED);
    let admin = world.admin().await;
    let mut people = Vec::new();
    for number in 0..6 {
        let person = lives(&world, &admin, number).await;
        let path = format!("/users/v1/{}", person.account.id);
        let (client, token) = (world.client().clone(), person.account.token.clone());
        let (mut erasing, asked) = (JoinSet::new(), path.clone());
        erasing.spawn(async move { client.delete(&asked).token(&token).try_send().await.is_ok() });
        a_moment_passes(Duration::from_millis(chance.random_range(0..60))).await;
        world.kill9();
        erasing.join_all().await;
        world.restart().await;
        // An erasure that was not acknowledged is requested again. A person who is already erased can't
        // request it.
        let again = world.client().delete(&path).token(&admin.token).send().await;
        assert!([202, 404].contains(&again.status), "{again:?}");
        people.push(person);
    }
    until_true(&mut world, &people).await;
}

async fn each_service_sends_a_receipt_for_an_erasure_and_the_erased_person_sees_them(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let author = lives(&world, &admin, 0).await.account;
    // A person who never wrote or read anything: no service has anything to wipe.
    let reader = world.reader("grace").await;
    for account in [&author, &reader] {
        let path = format!("/users/v1/{}", account.id);
        let begun = world.client().delete(&path).token(&account.token).send().await.expect_status(202);
        let place = begun.header("location").expect("it names the erasure").to_owned();
        assert_eq!(place, format!("/users/v1/erasures/{}", account.id));
        let done = wait_until("all receipts", MINUTE, || async {
            let erasure =
                world.client().get(&place).token(&account.token).send().await.expect_status(200).json();
            (erasure["state"] == "done").then_some(erasure)
        })
        .await;
        let receipts = done["receipts"].as_array().expect("receipts");
        let mut services: Vec<&str> =
            receipts.iter().map(|receipt| receipt["service"].as_str().expect("a service")).collect();
        services.sort_unstable();
        assert_eq!(services, ["famous-news", "politics-news", "recommendations", "sports-news", "users"]);
        assert_eq!(done["missing"], json!([]));
        let seen = world.client().get(&place).token(&admin.token).send().await.expect_status(200);
        assert_eq!(seen.json(), done);
    }
}

/// Freed pages of a server may still contain old data (decision 26). This test searches rows and documents.
async fn within_a_minute_of_an_erasure_no_row_on_a_server_holds_anything_of_the_person(shape: Shape) {
    let mut world = World::new(shape).await;
    let admin = world.admin().await;
    let person = lives(&world, &admin, 0).await;
    let held_canaries = |stored: &str| -> Vec<String> {
        let is_held = |canary: &&String| stored.contains(canary.as_str()) || stored.contains(&hex(canary));
        person.canaries.iter().filter(is_held).cloned().collect()
    };
    let before = held_canaries(&world.fleet().stored_text().await);
    assert!(before.len() >= 2, "the name and the e-mail are stored: {before:?}");
    let path = format!("/users/v1/{}", person.account.id);
    world.client().delete(&path).token(&person.account.token).send().await.expect_status(202);
    let begun = std::time::Instant::now();
    let mut held = before;
    while !held.is_empty() {
        assert!(begun.elapsed() < MINUTE, "after a minute: {held:?}");
        held = held_canaries(&world.fleet().stored_text().await);
    }
    let taste = format!("/recommendation/v1/user/{}", person.account.id);
    let labels = world.client().get(&taste).token(&admin.token).send().await;
    assert!(!labels.text().contains(&person.label), "{labels}");
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::disallowed_methods, reason = "the moment of a crash is a time, not a condition")]
async fn a_moment_passes(moment: Duration) {
    tokio::time::sleep(moment).await;
}
