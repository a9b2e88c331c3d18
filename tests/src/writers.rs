//! Clients that write while something is broken, and the list of what they were told is done: the oracle of every fault.

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

/// How long after a fault everything that was acknowledged may take to be seen.
const CAUGHT_UP: Duration = Duration::from_secs(30);

/// What clients were told is done.
#[derive(Debug, Default)]
pub struct Ledger {
    /// E-mail → id.
    pub accounts: BTreeMap<String, String>,
    /// Ids of accounts that were erased.
    pub erased: BTreeSet<String>,
    /// (Section, id) → version.
    pub articles: BTreeMap<(&'static str, String), u32>,
}

/// Clients that register, post, publish and erase, each one thing after the other, whatever is answered.
pub struct Writers {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU32>,
    clients: JoinSet<Ledger>,
}

impl Writers {
    /// Starts `count` clients. Each begins a round of writes once in `pace`; `name` makes their accounts differ from others'.
    pub fn start(world: &World, admin: &Account, name: &str, count: usize, pace: Duration) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let mut clients = JoinSet::new();
        for number in 0..count {
            let writer = Writer {
                client: world.client().clone(),
                admin: admin.clone(),
                name: format!("{name}-{number}"),
                told: Ledger::default(),
            };
            clients.spawn(writer.run(stop.clone(), done.clone(), pace));
        }
        Self { stop, done, clients }
    }

    /// Waits until so many rounds more have been done, everything in them acknowledged.
    pub async fn have_done(&self, more: u32) {
        let wanted = self.done.load(Ordering::SeqCst) + more;
        wait_until("writes that are acknowledged", CAUGHT_UP, || {
            std::future::ready((self.done.load(Ordering::SeqCst) >= wanted).then_some(()))
        })
        .await;
    }

    /// Lets each finish what it has in hand, and gives what they were told.
    pub async fn finish(self) -> Ledger {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Ledger::default();
        for told in self.clients.join_all().await {
            all.take(told);
        }
        all
    }
}

struct Writer {
    client: Client,
    admin: Account,
    name: String,
    told: Ledger,
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
            // What was not acknowledged may have happened or not: nothing is noted, and the next round is another one.
            if let Ok(true) = self.round(round).await {
                done.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.told
    }

    /// An account and an article; every fourth account is erased. False where something was refused.
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
            self.told.accounts.insert(email, id);
            return Ok(true);
        }
        let path = format!("/users/v1/{id}");
        let answer = self.client.delete(&path).token(&self.admin.token).try_send().await?;
        // Where it was not acknowledged the account is there or not.
        let erased = self.is_done(&answer);
        if erased {
            self.told.erased.insert(id);
        }
        Ok(erased)
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
        self.told.articles.insert((section, id.clone()), 1);
        let path = format!("/news/v1/{section}/{id}/publish");
        let publish = self.client.post(&path).token(&self.admin.token).header("if-match", "\"v1\"");
        let publish = publish.try_send().await?;
        let published = self.is_done(&publish);
        if published {
            self.told.articles.insert((section, id), 2);
        }
        Ok(published)
    }

    /// Whether it was acknowledged. A refusal that is none of ours is a defect: nothing that is asked here is wrong.
    fn is_done(&self, answer: &Response) -> bool {
        assert!(answer.is_success() || answer.status > 500 || answer.status == 429, "{answer}");
        answer.is_success()
    }
}

impl Ledger {
    /// Adds what others were told.
    pub fn take(&mut self, mut other: Self) {
        self.accounts.append(&mut other.accounts);
        self.erased.append(&mut other.erased);
        self.articles.append(&mut other.articles);
    }

    /// Asserts that all of it is there, once, and nothing that was erased.
    ///
    /// # Panics
    /// With what is missing, or there twice.
    pub async fn holds(&self, world: &World) {
        let admin = world.admin().await;
        self.every_account_is_there_once(world, &admin).await;
        self.every_article_is_there_once(world, &admin).await;
    }

    async fn every_account_is_there_once(&self, world: &World, admin: &Account) {
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

    async fn every_article_is_there_once(&self, world: &World, admin: &Account) {
        for ((section, id), version) in &self.articles {
            let path = format!("/news/v1/{section}/{id}?min_version={version}");
            let found = wait_until("an article that was acknowledged", CAUGHT_UP, || async {
                let found = world.client().get(&path).token(&admin.token).send().await;
                // 503: its projection has not come so far yet.
                (found.status != 503).then_some(found)
            })
            .await
            .expect_status(200);
            assert!(found.json()["news"]["version"].as_u64() >= Some(u64::from(*version)), "{found}");
        }
        let seen = all_published(world).await;
        for ((section, id), _) in self.articles.iter().filter(|(_, version)| **version == 2) {
            assert_eq!(seen.get(id), Some(&1), "{section}/{id}");
        }
        assert!(seen.values().all(|count| *count == 1), "{seen:?}");
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

/// How often each published article is in the mixed list.
async fn all_published(world: &World) -> BTreeMap<String, u32> {
    let mut seen = BTreeMap::new();
    for page in 1.. {
        let path = format!("/news/v1/all/{page}/100");
        let list = world.client().get(&path).send().await.expect_status(200).json();
        assert_eq!(list["partial"], false, "a section is missing");
        for article in list["news"].as_array().expect("a list") {
            *seen.entry(text_of(&article["id"])).or_default() += 1;
        }
        if page >= list["page"]["pages"].as_u64().expect("a number of pages") {
            break;
        }
    }
    seen
}
