//! The portals that are measured: a fleet and one process, both with the same data, created through the API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use system_tests::gateway::Settings;
use system_tests::{ADMIN, Account, Fleet, PASSWORD, UNTHROTTLED, login, register, text_of};
use testkit::{Client, Folder, Portal, portal_binary};

use crate::progress::Progress;

/// The sections.
pub const SECTIONS: [&str; 3] = ["famous", "politics", "sports"];
/// Number of published articles over all sections.
pub const ARTICLES: usize = 1_000;
/// Number of accounts, without the first admin.
pub const ACCOUNTS: usize = 100;
/// Number of requests in flight while a portal is filled.
const AT_ONCE: usize = 16;
/// The longest time until registrations and publications can be read.
const SETTLED: Duration = Duration::from_secs(180);

/// One portal with its data.
pub struct Stock {
    /// The URL of the portal.
    pub client: Client,
    /// The published articles of each section, in the order of [`SECTIONS`].
    pub articles: [Arc<[String]>; 3],
    /// E-mails of the accounts; all have the tests' password.
    pub emails: Arc<[String]>,
    admin_password: String,
}

/// The fleet with its data.
pub struct InFleet {
    /// The processes.
    pub fleet: Fleet,
    /// The data.
    pub stock: Stock,
}

/// The one process with its data.
pub struct InOne {
    /// The process.
    pub portal: Portal,
    /// The data.
    pub stock: Stock,
    _folder: Folder,
}

impl InFleet {
    /// Starts the six binaries behind nginx and fills them.
    pub async fn start(progress: &Progress) -> Result<Self> {
        progress.doing("the fleet starts");
        // As documented, except the limits of one client, because this client stands for many.
        let fleet = Fleet::start(1, &UNTHROTTLED, Settings::new()).await;
        let password =
            std::fs::read_to_string(fleet.admin_password_file()).context("the admin's password")?;
        let client = Client::new(fleet.url());
        let stock = Stock::fill("fleet", client, password.trim().to_owned(), progress).await?;
        Ok(Self { fleet, stock })
    }

    /// Returns the URL of a service without the gateway, such as `http://127.0.0.1:3000`.
    pub fn url(&self, service: &str) -> String {
        format!("http://{}", self.fleet.setting(service, "PROCESS__LISTEN"))
    }

    /// The id of a service's process.
    pub fn id(&self, service: &str) -> u32 {
        self.fleet.process(service).id()
    }
}

impl InOne {
    /// Starts `portal run` and fills it.
    pub async fn start(progress: &Progress) -> Result<Self> {
        progress.doing("the one process starts");
        let folder = Folder::on_disk();
        let portal = Portal::start_with(portal_binary(), folder.path(), |program| {
            let program = program.env("PORTAL__PROCESS__LOG_FORMAT", "json");
            UNTHROTTLED
                .iter()
                .fold(program, |program, (name, value)| program.env(format!("PORTAL__{name}"), value))
        });
        let portal = portal.await;
        let password = portal.admin_password();
        let stock = Stock::fill("one process", portal.client().clone(), password, progress).await?;
        Ok(Self { portal, stock, _folder: folder })
    }
}

impl Stock {
    async fn fill(name: &str, client: Client, admin_password: String, progress: &Progress) -> Result<Self> {
        let mut stock = Self { client, articles: Default::default(), emails: Arc::new([]), admin_password };
        progress.doing(&format!("{name}: {ACCOUNTS} accounts"));
        stock.emails = stock.register().await?.into();
        progress.doing(&format!("{name}: {ARTICLES} articles"));
        let admin = stock.admin().await;
        for (section, (of, articles)) in SECTIONS.into_iter().zip(share().zip(&mut stock.articles)) {
            *articles = publish(&stock.client, section, of, &admin).await?.into();
        }
        stock.settle(&admin).await?;
        Ok(stock)
    }

    async fn register(&self) -> Result<Vec<String>> {
        let emails = (0..ACCOUNTS).map(|number| format!("reader-{number}@example.org"));
        let one = |email: String| async move {
            let answer = register(&self.client, "A reader", &email).await;
            ensure!(answer.status == 201, "{answer}");
            Ok(email)
        };
        stream::iter(emails).map(one).buffered(AT_ONCE).try_collect().await
    }

    /// Waits until all written data can be read. Lists are requested rarely, because they would delay the
    /// projection.
    async fn settle(&self, admin: &Account) -> Result<()> {
        let begun = Instant::now();
        loop {
            let answer = self.client.get("/news/v1/all/1/1").token(&admin.token).send().await;
            if answer.status == 200 && answer.json()["page"]["total"] == ARTICLES {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < SETTLED,
                "not all articles are in the lists after {SETTLED:?}: {answer}"
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The first admin, with a token of now: tokens last for a quarter of an hour.
    pub async fn admin(&self) -> Account {
        login(&self.client, ADMIN, &self.admin_password).await
    }

    /// The first of the readers, with a token of now.
    pub async fn reader(&self) -> Account {
        login(&self.client, &self.emails[0], PASSWORD).await
    }

    /// The articles of a section.
    pub fn of(&self, section: &str) -> Arc<[String]> {
        let place = SECTIONS.iter().position(|name| *name == section).expect("a section");
        self.articles[place].clone()
    }

    /// Returns an article as readers get it.
    pub async fn body(&self, section: &str, id: &str) -> Bytes {
        self.client.get(&format!("/news/v1/{section}/{id}")).send().await.expect_status(200).body
    }
}

/// Number of articles of each section.
fn share() -> impl Iterator<Item = usize> {
    (0..SECTIONS.len()).map(|place| (ARTICLES + place) / SECTIONS.len())
}

async fn publish(client: &Client, section: &str, count: usize, admin: &Account) -> Result<Vec<String>> {
    let path = format!("/news/v1/{section}?publish=true");
    let one = |number: usize| {
        let call = client.post(&path).token(&admin.token).json(&article(section, number));
        async move {
            let answer = call.send().await;
            ensure!(answer.status == 201, "{answer}");
            Ok(text_of(&answer.json()["news"]["id"]))
        }
    };
    stream::iter(0..count).map(one).buffered(AT_ONCE).try_collect().await
}

/// An article whose answer has about one KiB.
pub fn article(section: &str, number: usize) -> Value {
    json!({
        "title": format!("What happened in {section}, part {number}"),
        "content": "The council met in the evening and voted late. ".repeat(8),
        "tags": [format!("label-{}", number % 50), "news"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_article_is_lost_in_sharing() {
        assert_eq!(share().sum::<usize>(), ARTICLES);
        assert_eq!(share().count(), SECTIONS.len());
    }
}
