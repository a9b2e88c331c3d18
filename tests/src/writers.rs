//! Clients that write while something is broken, and the list of acknowledged writes, which every test of a
//! fault checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use testkit::{Client, NoResponse, Response, wait_until};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::world::{Account, PASSWORD, World, login, text_of, try_register};

const SECTIONS: [&str; 3] = ["famous", "politics", "sports"];

/// The longest time after a fault until an acknowledged write becomes visible.
const CAUGHT_UP: Duration = Duration::from_secs(30);

/// The writes that were acknowledged.
#[derive(Debug, Default)]
pub struct Ledger {
    /// E-mail → id.
    pub accounts: BTreeMap<String, String>,
    /// Ids of accounts that were erased.
    pub erased: BTreeSet<String>,
    /// (Section, id) → version.
    pub articles: BTreeMap<(&'static str, String), u32>,
}

/// Clients that register, post, publish and erase, each one after the other, whatever the responses are.
pub struct Writers {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU32>,
    clients: JoinSet<Ledger>,
}

impl Writers {
    /// Starts `count` clients. Each begins a round of writes once in `pace`. `name` distinguishes their
    /// accounts.
    pub fn start(world: &World, admin: &Account, name: &str, count: usize, pace: Duration) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let mut clients = JoinSet::new();
        for number in 0..count {
            let writer = Writer {
                client: world.client().clone(),
                admin: admin.clone(),
                name: format!("{name}-{number}"),
                ledger: Ledger::default(),
            };
            clients.spawn(writer.run(stop.clone(), done.clone(), pace));
        }
        Self { stop, done, clients }
    }

    /// Waits for this many more rounds whose writes were all acknowledged.
    pub async fn wait_for_rounds(&self, more: u32) {
        let target = self.done.load(Ordering::SeqCst) + more;
        wait_until("writes that are acknowledged", CAUGHT_UP, || {
            std::future::ready((self.done.load(Ordering::SeqCst) >= target).then_some(()))
        })
        .await;
    }

    /// Lets each client finish its round, and returns the acknowledged writes.
    pub async fn finish(self) -> Ledger {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Ledger::default();
        for ledger in self.clients.join_all().await {
            all.extend(ledger);
        }
        all
    }
}

struct Writer {
    client: Client,
    admin: Account,
    name: String,
    ledger: Ledger,
}

impl Writer {
    async fn run(mut self, stop: Arc<AtomicBool>, done: Arc<AtomicU32>, pace: Duration) -> Ledger {
        let mut turn = interval(pace);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0.. {
            turn.tick().await;
            if stop.load(Ordering::SeqCst) {
                break;
            }
            // A write that was not acknowledged may have happened or not. It is not recorded, and the next
            // round writes something else.
            if let Ok(true) = self.round(round).await {
                done.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.ledger
    }

    /// Writes an account and an article, and erases every fourth account. Returns false if a write was
    /// refused.
    async fn round(&mut self, round: usize) -> Result<bool, NoResponse> {
        let account = self.account(round).await?;
        let article = self.article(SECTIONS[round % 3], round).await?;
        Ok(account && article)
    }

    async fn account(&mut self, round: usize) -> Result<bool, NoResponse> {
        let email = format!("{}-{round}@example.org", self.name);
        let answer = try_register(&self.client, &self.name, &email).await?;
        if !self.is_done(&answer) {
            return Ok(false);
        }
        let id = text_of(&answer.json()["id"]);
        if round % 4 != 3 {
            self.ledger.accounts.insert(email, id);
            return Ok(true);
        }
        let path = format!("/users/v1/{id}");
        let answer = self.client.delete(&path).token(&self.admin.token).try_send().await?;
        // If the erasure was not acknowledged, the account may exist or not.
        let is_erased = self.is_done(&answer);
        if is_erased {
            self.ledger.erased.insert(id);
        }
        Ok(is_erased)
    }

    async fn article(&mut self, section: &'static str, round: usize) -> Result<bool, NoResponse> {
        let body =
            json!({"title": format!("News {} {round}", self.name), "content": "Hello.", "tags": ["crash"]});
        let path = format!("/news/v1/{section}");
        let draft = self.client.post(&path).token(&self.admin.token).json(&body).try_send().await?;
        if !self.is_done(&draft) {
            return Ok(false);
        }
        let id = text_of(&draft.json()["news"]["id"]);
        self.ledger.articles.insert((section, id.clone()), 1);
        let path = format!("/news/v1/{section}/{id}/publish");
        let publish = self.client.post(&path).token(&self.admin.token).header("if-match", "\"v1\"");
        let publish = publish.try_send().await?;
        let is_published = self.is_done(&publish);
        if is_published {
            self.ledger.articles.insert((section, id), 2);
        }
        Ok(is_published)
    }

    /// Returns whether a write was acknowledged. Refusals of the client are defects, because no request here
    /// is wrong.
    fn is_done(&self, answer: &Response) -> bool {
        assert!(answer.is_success() || answer.status > 500 || answer.status == 429, "{answer}");
        answer.is_success()
    }
}

impl Ledger {
    /// Adds the writes of other clients.
    pub fn extend(&mut self, mut other: Self) {
        self.accounts.append(&mut other.accounts);
        self.erased.append(&mut other.erased);
        self.articles.append(&mut other.articles);
    }

    /// Asserts that every acknowledged write exists once, and no erased account.
    ///
    /// # Panics
    /// If one is missing or exists twice. The message names it.
    pub async fn assert_stored_once(&self, world: &World) {
        let admin = world.admin().await;
        self.assert_accounts_stored_once(world, &admin).await;
        self.assert_articles_stored_once(world, &admin).await;
    }

    async fn assert_accounts_stored_once(&self, world: &World, admin: &Account) {
        for (email, id) in &self.accounts {
            let path = format!("/users/v1/{id}");
            let found = world.client().get(&path).token(&admin.token).send().await.expect_status(200).json();
            assert_eq!(found["email"].as_str(), Some(email.as_str()));
        }
        let listed = wait_until("every account in the list", CAUGHT_UP, || async {
            let emails = all_emails(world, admin).await;
            self.accounts.keys().all(|email| emails.contains_key(email)).then_some(emails)
        })
        .await;
        assert!(listed.values().all(|count| *count == 1), "{listed:?}");
        for email in self.accounts.keys().step_by(10) {
            login(world.client(), email, PASSWORD).await;
        }
        for id in &self.erased {
            let path = format!("/users/v1/{id}");
            world.client().get(&path).token(&admin.token).send().await.expect_problem(404, "not_found");
        }
    }

    async fn assert_articles_stored_once(&self, world: &World, admin: &Account) {
        for ((section, id), version) in &self.articles {
            let path = format!("/news/v1/{section}/{id}?min_version={version}");
            let found = wait_until("an article that was acknowledged", CAUGHT_UP, || async {
                let found = world.client().get(&path).token(&admin.token).send().await;
                // 503 means that the projection has not reached this version yet.
                (found.status != 503).then_some(found)
            })
            .await
            .expect_status(200);
            assert!(found.json()["news"]["version"].as_u64() >= Some(u64::from(*version)), "{found}");
        }
        let counts = all_published(world).await;
        for ((section, id), _) in self.articles.iter().filter(|(_, version)| **version == 2) {
            assert_eq!(counts.get(id), Some(&1), "{section}/{id}");
        }
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    }
}

async fn all_emails(world: &World, admin: &Account) -> BTreeMap<String, u32> {
    let mut emails = BTreeMap::new();
    for start in (0..).step_by(100) {
        let path = format!("/users/v1/all?start={start}&count=100");
        let page = world.client().get(&path).token(&admin.token).send().await.expect_status(200).json();
        let page = page.as_array().expect("a bare array").clone();
        for user in &page {
            *emails.entry(text_of(&user["email"])).or_default() += 1;
        }
        if page.len() < 100 {
            break;
        }
    }
    emails
}

/// Counts how often each published article is in the mixed list.
async fn all_published(world: &World) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for page in 1.. {
        let path = format!("/news/v1/all/{page}/100");
        let list = world.client().get(&path).send().await.expect_status(200).json();
        assert_eq!(list["partial"], false, "a section is missing");
        for article in list["news"].as_array().expect("a list") {
            *counts.entry(text_of(&article["id"])).or_default() += 1;
        }
        if page >= list["page"]["pages"].as_u64().expect("a number of pages") {
            break;
        }
    }
    counts
}
