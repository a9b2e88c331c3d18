//! kill -9 at seeded moments. The oracle is the client's own list of what was acknowledged with a 2xx.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::RngExt;
use serde_json::{Value, json};
use testkit::{Client, NoAnswer, PATIENCE, random, wait_until};
use tokio::task::JoinSet;

use crate::world::{Account, PASSWORD, World, login, try_register};

const MOMENTS: u64 = 20;
const SEED: u64 = 20_261_121;

/// What one client was told is done.
#[derive(Default)]
struct Acknowledged {
    /// E-mail → id.
    accounts: BTreeMap<String, String>,
    /// (Section, id) → version.
    articles: BTreeMap<(&'static str, String), u32>,
}

/// Registers and posts as fast as it can, until nobody answers; `done` counts what was answered.
async fn hammer(client: Client, admin: Account, name: String, done: Arc<AtomicU32>) -> Acknowledged {
    let mut told = Acknowledged::default();
    for number in 0.. {
        if write(&client, &admin, &format!("{name}-{number}"), number, &mut told).await.is_err() {
            break;
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
    told
}

async fn write(
    client: &Client,
    admin: &Account,
    name: &str,
    number: usize,
    told: &mut Acknowledged,
) -> Result<(), NoAnswer> {
    let email = format!("{name}@example.org");
    let account = try_register(client, name, &email).await?;
    if account.is_success() {
        told.accounts.insert(email, text(&account.json()["id"]));
    }
    let section = ["famous", "politics", "sports"][number % 3];
    let body = json!({"title": format!("News {name}"), "content": "Hello.", "tags": ["crash"]});
    let path = format!("/news/v1/{section}");
    let draft = client.post(&path).token(&admin.token).json(&body).try_send().await?;
    if draft.is_success() {
        let id = text(&draft.json()["news"]["id"]);
        told.articles.insert((section, id.clone()), 1);
        let path = format!("/news/v1/{section}/{id}/publish");
        let publish = client.post(&path).token(&admin.token).header("if-match", "\"v1\"").try_send().await?;
        if publish.is_success() {
            told.articles.insert((section, id), 2);
        }
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_20_moments_the_portal_has_every_acknowledged_write_once() {
    let mut world = World::new().await;
    let mut chance = random(SEED);
    let mut told = Acknowledged::default();
    for round in 0..MOMENTS {
        let admin = world.admin().await;
        let done = Arc::new(AtomicU32::new(0));
        let mut clients = JoinSet::new();
        for number in 0..4 {
            let name = format!("c{round}-{number}");
            clients.spawn(hammer(world.client().clone(), admin.clone(), name, done.clone()));
        }
        // A moment is a number of writes and then some: on a busy machine it comes later, and is as good a moment.
        let writes = chance.random_range(1..8);
        wait_until("the moment of the crash", PATIENCE, || {
            std::future::ready((done.load(Ordering::SeqCst) >= writes).then_some(()))
        })
        .await;
        a_moment_passes(Duration::from_millis(chance.random_range(0..40))).await;
        world.portal.kill9();
        for mut found in clients.join_all().await {
            told.accounts.append(&mut found.accounts);
            told.articles.append(&mut found.articles);
        }
        world.portal.restart().await;
    }
    assert!(told.accounts.len() > 20 && told.articles.len() > 40, "the clients hardly wrote anything");
    let admin = world.admin().await;
    every_account_is_there_once(&world, &admin, &told).await;
    every_article_is_there_once(&world, &admin, &told).await;
}

#[allow(clippy::disallowed_methods, reason = "the moment of a crash is a time, not a condition")]
async fn a_moment_passes(moment: Duration) {
    tokio::time::sleep(moment).await;
}

async fn every_account_is_there_once(world: &World, admin: &Account, told: &Acknowledged) {
    for (email, id) in &told.accounts {
        let path = format!("/users/v1/{id}");
        let found = world.client().get(&path).token(&admin.token).send().await.expect_status(200).json();
        assert_eq!(found["email"].as_str(), Some(email.as_str()));
    }
    let listed = wait_until("every account in the list", PATIENCE, || async {
        let emails = all_emails(world, admin).await;
        told.accounts.keys().all(|email| emails.contains_key(email)).then_some(emails)
    })
    .await;
    assert!(listed.values().all(|count| *count == 1), "{listed:?}");
    // No more than one address may try in a minute.
    for email in told.accounts.keys().step_by(10).take(20) {
        login(world.client(), email, PASSWORD).await;
    }
}

async fn all_emails(world: &World, admin: &Account) -> BTreeMap<String, u32> {
    let mut emails = BTreeMap::new();
    for start in (0..).step_by(100) {
        let path = format!("/users/v1/all?start={start}&count=100");
        let page = world.client().get(&path).token(&admin.token).send().await.expect_status(200).json();
        let page = page.as_array().expect("a bare array").clone();
        for user in &page {
            *emails.entry(text(&user["email"])).or_default() += 1;
        }
        if page.len() < 100 {
            break;
        }
    }
    emails
}

async fn every_article_is_there_once(world: &World, admin: &Account, told: &Acknowledged) {
    for ((section, id), version) in &told.articles {
        let path = format!("/news/v1/{section}/{id}?min_version={version}");
        let found = world.client().get(&path).token(&admin.token).send().await.expect_status(200);
        assert!(found.json()["news"]["version"].as_u64() >= Some(u64::from(*version)), "{found}");
    }
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for page in 1.. {
        let path = format!("/news/v1/all/{page}/100");
        let list = world.client().get(&path).send().await.expect_status(200).json();
        for article in list["news"].as_array().expect("a list") {
            *seen.entry(text(&article["id"])).or_default() += 1;
        }
        if page >= list["page"]["pages"].as_u64().expect("a number of pages") {
            break;
        }
    }
    let published = told.articles.iter().filter(|(_, version)| **version == 2);
    for ((section, id), _) in published {
        assert_eq!(seen.get(id), Some(&1), "{section}/{id}");
    }
}
