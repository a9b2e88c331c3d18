//! A portal of a test's own, in either shape, and what people do with it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sqlx::SqliteConnection;
use testkit::{Client, Folder, NoResponse, Portal, Process, Response, portal_binary};

use crate::fleet::Fleet;
use crate::gateway::Settings;
use crate::seed::{Seeded, seed};
use crate::stores::hold_sqlite;
use crate::turn::Turn;

/// The first admin's e-mail.
pub const ADMIN: &str = "admin@portal.internal";
/// Everybody else's password.
pub const PASSWORD: &str = "correct horse battery";

/// How the portal is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `portal run`: embedded stores in one folder.
    OneProcess,
    /// Six binaries behind nginx on the real stores.
    Fleet,
}

/// A running portal whose files and stores are gone when the test is over.
pub struct World {
    client: Client,
    running: Running,
    _turn: Turn,
}

enum Running {
    OneProcess(Box<Portal>, #[expect(dead_code, reason = "it goes with the world")] Folder),
    Fleet(Box<Fleet>),
}

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Their id.
    pub id: String,
    /// Their e-mail.
    pub email: String,
    /// Their access token.
    pub token: String,
}

impl World {
    /// One with the usual settings, but for the gateway's limits and its cache, which would show in answers.
    pub async fn new(shape: Shape) -> Self {
        Self::with(shape, &[]).await
    }

    /// The same with settings that every process is told, as `("PROCESS__LOG", "debug")`, or one service, as
    /// `("ORCHESTRATOR__CACHE__BYTES", "0")`.
    pub async fn with(shape: Shape, settings: &[(&str, &str)]) -> Self {
        Self::start(shape, &unthrottled(settings), quiet()).await
    }

    /// One with every setting as it is documented.
    pub async fn as_documented(shape: Shape) -> Self {
        Self::start(shape, &[], Settings::as_documented()).await
    }

    /// One that no other world of this test process runs beside: for measuring.
    pub async fn alone(shape: Shape) -> Self {
        let turn = Turn::alone().await;
        Self::run(shape, &unthrottled(&[]), quiet(), turn).await
    }

    async fn start(shape: Shape, settings: &[(&str, &str)], gateway: Settings) -> Self {
        Self::run(shape, settings, gateway, Turn::together().await).await
    }

    async fn run(shape: Shape, settings: &[(&str, &str)], gateway: Settings, turn: Turn) -> Self {
        match shape {
            Shape::OneProcess => {
                let folder = Folder::new();
                let portal = Portal::start_with(portal_binary(), folder.path(), |program| {
                    let program = program.env("PORTAL__PROCESS__LOG_FORMAT", "json");
                    settings.iter().fold(program, |it, (key, value)| it.env(variable("PORTAL", key), value))
                });
                let portal = portal.await;
                let client = portal.client().clone();
                Self { client, running: Running::OneProcess(Box::new(portal), folder), _turn: turn }
            }
            Shape::Fleet => Self::over(Fleet::start(1, settings, gateway).await, turn),
        }
    }

    /// A fleet with several of each service. No other world of this test process runs beside it: who asks for replicas looks at what
    /// fails within a second.
    pub async fn with_replicas(replicas: usize) -> Self {
        let turn = Turn::alone().await;
        Self::over(Fleet::start(replicas, &unthrottled(&[]), quiet()).await, turn)
    }

    /// One whose fleet has two of each service, with settings, behind a gateway that keeps what is public as documented. Other worlds
    /// run beside it.
    pub async fn doubled(shape: Shape, settings: &[(&str, &str)]) -> Self {
        match shape {
            Shape::OneProcess => Self::with(shape, settings).await,
            Shape::Fleet => {
                let turn = Turn::together().await;
                Self::over(Fleet::start(2, &unthrottled(settings), Settings::new()).await, turn)
            }
        }
    }

    fn over(fleet: Fleet, turn: Turn) -> Self {
        Self { client: Client::new(fleet.url()), running: Running::Fleet(Box::new(fleet)), _turn: turn }
    }

    /// A client of the portal.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Clients of everybody who answers for news, past the gateway. Their paths begin behind `/news/v1`.
    pub fn orchestrators(&self) -> Vec<Client> {
        match &self.running {
            Running::OneProcess(portal, _) => vec![Client::new(&format!("{}/news/v1", portal.url()))],
            Running::Fleet(fleet) => fleet.clients("orchestrator"),
        }
    }

    /// The one process.
    ///
    /// # Panics
    /// Where it is a fleet.
    pub fn portal(&mut self) -> &mut Portal {
        match &mut self.running {
            Running::OneProcess(portal, _) => portal,
            Running::Fleet(_) => panic!("a fleet is no single process"),
        }
    }

    /// The fleet.
    ///
    /// # Panics
    /// Where it is one process.
    pub fn fleet(&mut self) -> &mut Fleet {
        match &mut self.running {
            Running::Fleet(fleet) => fleet,
            Running::OneProcess(..) => panic!("one process is no fleet"),
        }
    }

    /// Ends everything that is ours at once, wherever it is: SIGKILL.
    pub fn kill9(&mut self) {
        match &mut self.running {
            Running::OneProcess(portal, _) => portal.kill9(),
            Running::Fleet(fleet) => fleet.kill9_all(),
        }
    }

    /// Asks everything to end and waits until it has, in order.
    pub async fn stop(&mut self) {
        match &mut self.running {
            Running::OneProcess(portal, _) => assert!(portal.stop().await.success()),
            Running::Fleet(fleet) => fleet.stop().await,
        }
    }

    /// Starts it again at the same address, on the same stores.
    pub async fn restart(&mut self) {
        match &mut self.running {
            Running::OneProcess(portal, _) => {
                portal.restart().await;
                self.client = portal.client().clone();
            }
            Running::Fleet(fleet) => fleet.start_all().await,
        }
    }

    /// Fills it by `portal seed`, and gives the people that were made. One process is stopped for it and started again; in a fleet the
    /// services run meanwhile.
    pub async fn seed(&mut self, articles: u16) -> Vec<Seeded> {
        match &mut self.running {
            Running::OneProcess(portal, _) => {
                assert!(portal.stop().await.success());
                let people = seed(portal.data(), articles, &[]);
                self.restart().await;
                people
            }
            Running::Fleet(fleet) => fleet.seed(articles),
        }
    }

    /// Restarts recommendations with an empty store: what it knew is lost.
    pub async fn lose_tastes(&mut self) {
        match &mut self.running {
            Running::OneProcess(portal, _) => {
                assert!(portal.stop().await.success());
                remove_files(portal.data(), "recommendations.db");
                // A portal does not start without a store that it had.
                forget_store(portal.data(), "recommendations.db");
                self.restart().await;
            }
            Running::Fleet(fleet) => fleet.lose_tastes().await,
        }
    }

    /// Keeps recommendations from doing anything until the result is dropped: in a fleet its process is frozen, in one process
    /// nothing can be written into its store.
    pub async fn hold_recommendations(&self) -> Held<'_> {
        match &self.running {
            Running::OneProcess(portal, _) => {
                Held(HeldBy::Writer(hold_sqlite(&portal.data().join("recommendations.db")).await))
            }
            Running::Fleet(fleet) => {
                let process = fleet.process("recommendations");
                process.pause();
                Held(HeldBy::Stopped(process))
            }
        }
    }

    /// Every line that the portal has written so far.
    pub fn output(&self) -> Vec<String> {
        match &self.running {
            Running::OneProcess(portal, _) => portal.process().output(),
            Running::Fleet(fleet) => fleet.output(),
        }
    }

    /// The file with the first admin's password.
    pub fn admin_password_file(&self) -> PathBuf {
        match &self.running {
            Running::OneProcess(portal, _) => portal.data().join("initial-admin-password"),
            Running::Fleet(fleet) => fleet.admin_password_file(),
        }
    }

    /// The first admin, logged in.
    pub async fn admin(&self) -> Account {
        let path = self.admin_password_file();
        let password = std::fs::read_to_string(&path).expect("the first admin has a password");
        login(self.client(), ADMIN, password.trim()).await
    }

    /// Registers and logs in.
    pub async fn reader(&self, name: &str) -> Account {
        let email = format!("{name}@example.org");
        register(self.client(), name, &email).await.expect_status(201);
        login(self.client(), &email, PASSWORD).await
    }

    /// Registers, consents to everything, and logs in: consent is a claim of the token.
    pub async fn consenting_reader(&self, name: &str) -> Account {
        let reader = self.reader(name).await;
        let consent = json!({"personalisation": true, "history": true});
        let path = format!("/users/v1/{}/consent", reader.id);
        self.client().put(&path).token(&reader.token).json(&consent).send().await.expect_status(200);
        login(self.client(), &reader.email, PASSWORD).await
    }

    /// Registers, is given a role by an admin, and logs in.
    pub async fn staff(&self, name: &str, role: &str, admin: &Account) -> Account {
        self.given(name, &json!({"role": role}), admin).await
    }

    /// The same with a role that holds in one section only.
    pub async fn staff_of(&self, section: &str, name: &str, role: &str, admin: &Account) -> Account {
        self.given(name, &json!({"role": role, "sections": [section]}), admin).await
    }

    async fn given(&self, name: &str, role: &Value, admin: &Account) -> Account {
        let account = self.reader(name).await;
        let path = format!("/users/v1/{}/roles", account.id);
        let call = self.client().put(&path).token(&admin.token).json(role);
        call.send().await.expect_status(200);
        login(self.client(), &account.email, PASSWORD).await
    }

    /// Writes a draft.
    pub async fn draft(&self, section: &str, title: &str, tags: &[&str], author: &Account) -> Value {
        let body = json!({"title": title, "content": "What happened, and why.", "tags": tags});
        let path = format!("/news/v1/{section}");
        let answer = self.client().post(&path).token(&author.token).json(&body).send().await;
        answer.expect_status(201).json()["news"].clone()
    }

    /// Writes an article and publishes it; gives its id.
    pub async fn published(&self, section: &str, title: &str, tags: &[&str], admin: &Account) -> String {
        let id = text_of(&self.draft(section, title, tags, admin).await["id"]);
        publish(self.client(), &format!("/news/v1/{section}/{id}"), admin).await;
        id
    }

    /// The same with each version seen before the next is written, and the last one by readers: FerretDB, in MongoDB's place, can lose
    /// one that two replicas of a section put into the view in the wrong order.
    pub async fn seen(&self, section: &str, title: &str, tags: &[&str], admin: &Account) -> String {
        let id = text_of(&self.draft(section, title, tags, admin).await["id"]);
        let path = format!("/news/v1/{section}/{id}");
        for version in [1, 2] {
            let call = self.client().get(&format!("{path}?min_version={version}")).token(&admin.token);
            call.send().await.expect_status(200);
            if version == 1 {
                publish(self.client(), &path, admin).await;
            }
        }
        id
    }
}

async fn publish(client: &Client, path: &str, admin: &Account) {
    let publish = client.post(&format!("{path}/publish")).token(&admin.token).header("if-match", "\"v1\"");
    publish.send().await.expect_status(200);
}

/// The name of a setting in the environment of a program. What is a standard's is not ours to rename.
pub(crate) fn variable(program: &str, key: &str) -> String {
    if key.starts_with("OTEL_") { key.to_owned() } else { format!("{program}__{key}") }
}

/// What takes the services' limits of one client away: all people of a test, or of a measurement, come from one address.
pub const UNTHROTTLED: [(&str, &str); 14] = [
    ("PROCESS__EDGE__THROTTLE__CLIENT", "[]"),
    ("PROCESS__EDGE__THROTTLE__ACCOUNT", "[]"),
    ("PROCESS__EDGE__THROTTLE__WRITES", "[]"),
    ("PROCESS__EDGE__THROTTLE__SAME_ADDRESS", "[]"),
    ("PROCESS__EDGE__THROTTLE__COSTLY", "[]"),
    ("PROCESS__EDGE__THROTTLE__PROBES", "[]"),
    ("PROCESS__EDGE__CONNECTIONS_PER_ADDRESS", "0"),
    ("PROCESS__EDGE__IN_FLIGHT_PER_ADDRESS", "0"),
    ("PROCESS__EDGE__RECEIVING_PER_ADDRESS", "0"),
    ("PROCESS__EDGE__UNSENT_BYTES_PER_ADDRESS", "0"),
    ("USERS__THROTTLE__LOGINS_PER_ACCOUNT_AND_ADDRESS", "1000000"),
    ("USERS__THROTTLE__LOGINS_PER_ACCOUNT", "1000000"),
    ("USERS__THROTTLE__LOGINS_PER_ADDRESS", "1000000"),
    ("USERS__THROTTLE__REGISTRATIONS_PER_ADDRESS", "1000000"),
];

/// These settings, without the limits of one client.
fn unthrottled<'a>(settings: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    UNTHROTTLED.iter().chain(settings).copied().collect()
}

/// The gateway as documented, without what would show in answers: its limits and its cache.
fn quiet() -> Settings {
    Settings::new().with("GATEWAY_CACHE_TIME", "0").with("GATEWAY_CACHE_LOCK", "1ms")
}

/// Recommendations, which stands still as long as this is there.
pub struct Held<'a>(HeldBy<'a>);

enum HeldBy<'a> {
    /// SQLite has one writer at a time, and this is it.
    Writer(#[expect(dead_code, reason = "it holds by being there")] SqliteConnection),
    Stopped(&'a Process),
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let HeldBy::Stopped(process) = &self.0 {
            process.resume();
        }
    }
}

/// Takes a store out of the list of those that were in this folder, as an operator does who wants to begin with an empty one.
pub fn forget_store(folder: &Path, name: &str) {
    let list = folder.join("known-stores");
    let text = std::fs::read_to_string(&list).expect("the list is there");
    let others: String = text.lines().filter(|line| *line != name).map(|line| format!("{line}\n")).collect();
    std::fs::write(&list, others).expect("a file of ours");
}

/// Removes the files of a folder whose names begin so.
fn remove_files(folder: &Path, beginning: &str) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning)) {
            std::fs::remove_file(&path).expect("a file of ours");
        }
    }
}

/// Registers an account.
pub async fn register(client: &Client, name: &str, email: &str) -> Response {
    try_register(client, name, email).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Registers an account with a portal that may go meanwhile.
pub async fn try_register(client: &Client, name: &str, email: &str) -> Result<Response, NoResponse> {
    let body = json!({"name": name, "email": email, "password": PASSWORD});
    client.post("/users/v1/").json(&body).try_send().await
}

/// Logs in.
pub async fn login(client: &Client, email: &str, password: &str) -> Account {
    let body = json!({"email": email, "password": password});
    let session = client.post("/users/v1/sessions").json(&body).send().await.expect_status(201).json();
    Account {
        id: text_of(&session["user"]["id"]),
        email: email.to_owned(),
        token: text_of(&session["access_token"]),
    }
}

/// The text that a JSON value is.
#[track_caller]
pub fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
