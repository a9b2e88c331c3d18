//! The portal of one test, in either shape, with the actions of its users.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sqlx::SqliteConnection;
use testkit::{Client, Folder, NoResponse, Portal, Process, Response, portal_binary};

use crate::fleet::Fleet;
use crate::gateway::Settings;
use crate::plan::{ADMIN, variable};
use crate::seed::{Seeded, seed};
use crate::stores::lock_sqlite;
use crate::turn::Turn;

/// The password of every other account.
pub const PASSWORD: &str = "correct horse battery";

/// The two shapes in which the portal runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `portal run`: embedded stores in one folder.
    OneProcess,
    /// Six binaries behind nginx on the real stores.
    Fleet,
}

/// A running portal. Its files and stores are removed when this is dropped.
pub struct World {
    client: Client,
    running: Running,
    _turn: Turn,
}

enum Running {
    OneProcess(Box<Portal>, #[expect(dead_code, reason = "it is removed with the portal")] Folder),
    Fleet(Box<Fleet>),
}

/// A person who is logged in.
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
    /// Starts a portal with the default settings, except the gateway's limits and its cache, which would be
    /// visible in responses.
    pub async fn new(shape: Shape) -> Self {
        Self::with(shape, &[]).await
    }

    /// Starts it with settings for every process, such as `("PROCESS__LOG", "debug")`, or for one service,
    /// such as `("ORCHESTRATOR__CACHE__BYTES", "0")`.
    pub async fn with(shape: Shape, settings: &[(&str, &str)]) -> Self {
        Self::start(shape, &unthrottled(settings), quiet()).await
    }

    /// Starts a portal with every setting as documented.
    pub async fn as_documented(shape: Shape) -> Self {
        Self::start(shape, &[], Settings::as_documented()).await
    }

    /// Starts a portal while no other of this test process runs, for measurements.
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

    /// Starts a fleet with several instances of each service, while no other portal of this test process
    /// runs. Tests of replicas look at failures within a second.
    pub async fn with_replicas(replicas: usize) -> Self {
        let turn = Turn::alone().await;
        Self::over(Fleet::start(replicas, &unthrottled(&[]), quiet()).await, turn)
    }

    /// Starts a portal whose fleet has two instances of each service, behind a gateway with the documented
    /// cache. Other portals may run at the same time.
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

    /// Returns a client of the portal.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns clients of every orchestrator, without the gateway. Their paths begin after `/news/v1`.
    pub fn orchestrators(&self) -> Vec<Client> {
        match &self.running {
            Running::OneProcess(portal, _) => vec![Client::new(&format!("{}/news/v1", portal.url()))],
            Running::Fleet(fleet) => fleet.clients("orchestrator"),
        }
    }

    /// Returns the one process.
    ///
    /// # Panics
    /// If this is a fleet.
    pub fn portal(&mut self) -> &mut Portal {
        match &mut self.running {
            Running::OneProcess(portal, _) => portal,
            Running::Fleet(_) => panic!("a fleet is not one process"),
        }
    }

    /// Returns the fleet.
    ///
    /// # Panics
    /// If this is one process.
    pub fn fleet(&mut self) -> &mut Fleet {
        match &mut self.running {
            Running::Fleet(fleet) => fleet,
            Running::OneProcess(..) => panic!("one process is not a fleet"),
        }
    }

    /// Kills every process of the portal (SIGKILL).
    pub fn kill9(&mut self) {
        match &mut self.running {
            Running::OneProcess(portal, _) => portal.kill9(),
            Running::Fleet(fleet) => fleet.kill9_all(),
        }
    }

    /// Stops every process in order, and waits until all have ended.
    pub async fn stop(&mut self) {
        match &mut self.running {
            Running::OneProcess(portal, _) => assert!(portal.stop().await.success()),
            Running::Fleet(fleet) => fleet.stop().await,
        }
    }

    /// Starts the portal again at the same address, on the same stores.
    pub async fn restart(&mut self) {
        match &mut self.running {
            Running::OneProcess(portal, _) => {
                portal.restart().await;
                self.client = portal.client().clone();
            }
            Running::Fleet(fleet) => fleet.start_all().await,
        }
    }

    /// Fills the portal with `portal seed`, and returns the accounts that were created. One process is
    /// stopped meanwhile. The services of a fleet keep running.
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

    /// Restarts recommendations with an empty store.
    pub async fn lose_tastes(&mut self) {
        match &mut self.running {
            Running::OneProcess(portal, _) => {
                assert!(portal.stop().await.success());
                remove_files(portal.data(), "recommendations.db");
                // A portal does not start if a store that it had is missing.
                forget_store(portal.data(), "recommendations.db");
                self.restart().await;
            }
            Running::Fleet(fleet) => fleet.lose_tastes().await,
        }
    }

    /// Blocks recommendations until the result is dropped. In a fleet its process is frozen, in one process
    /// its store can't be written.
    pub async fn hold_recommendations(&self) -> Held<'_> {
        match &self.running {
            Running::OneProcess(portal, _) => {
                Held(HeldBy::Writer(lock_sqlite(&portal.data().join("recommendations.db")).await))
            }
            Running::Fleet(fleet) => {
                let process = fleet.process("recommendations");
                process.pause();
                Held(HeldBy::Stopped(process))
            }
        }
    }

    /// Returns every line that the portal has written so far.
    pub fn output(&self) -> Vec<String> {
        match &self.running {
            Running::OneProcess(portal, _) => portal.process().output(),
            Running::Fleet(fleet) => fleet.output(),
        }
    }

    /// Returns the file with the password of the first admin.
    pub fn admin_password_file(&self) -> PathBuf {
        match &self.running {
            Running::OneProcess(portal, _) => portal.data().join("initial-admin-password"),
            Running::Fleet(fleet) => fleet.admin_password_file(),
        }
    }

    /// Logs the first admin in.
    pub async fn admin(&self) -> Account {
        let path = self.admin_password_file();
        let password = std::fs::read_to_string(&path).expect("the first admin has a password");
        login(self.client(), ADMIN, password.trim()).await
    }

    /// Registers an account and logs in.
    pub async fn reader(&self, name: &str) -> Account {
        let email = format!("{name}@example.org");
        register(self.client(), name, &email).await.expect_status(201);
        login(self.client(), &email, PASSWORD).await
    }

    /// Registers an account, consents to everything, and then logs in, because consent is a claim of the
    /// token.
    pub async fn consenting_reader(&self, name: &str) -> Account {
        let reader = self.reader(name).await;
        let consent = json!({"personalisation": true, "history": true});
        let path = format!("/users/v1/{}/consent", reader.id);
        self.client().put(&path).token(&reader.token).json(&consent).send().await.expect_status(200);
        login(self.client(), &reader.email, PASSWORD).await
    }

    /// Registers an account, gives it a role, and logs in.
    pub async fn staff(&self, name: &str, role: &str, admin: &Account) -> Account {
        self.account_with_role(name, &json!({"role": role}), admin).await
    }

    /// Registers an account with a role in one section only, and logs in.
    pub async fn staff_of(&self, section: &str, name: &str, role: &str, admin: &Account) -> Account {
        self.account_with_role(name, &json!({"role": role, "sections": [section]}), admin).await
    }

    async fn account_with_role(&self, name: &str, role: &Value, admin: &Account) -> Account {
        let account = self.reader(name).await;
        let path = format!("/users/v1/{}/roles", account.id);
        let call = self.client().put(&path).token(&admin.token).json(role);
        call.send().await.expect_status(200);
        login(self.client(), &account.email, PASSWORD).await
    }

    /// Writes a draft and returns it.
    pub async fn draft(&self, section: &str, title: &str, tags: &[&str], author: &Account) -> Value {
        let body = json!({"title": title, "content": "What happened, and why.", "tags": tags});
        let path = format!("/news/v1/{section}");
        let answer = self.client().post(&path).token(&author.token).json(&body).send().await;
        answer.expect_status(201).json()["news"].clone()
    }

    /// Writes an article, publishes it, and returns its id.
    pub async fn published(&self, section: &str, title: &str, tags: &[&str], admin: &Account) -> String {
        let id = text_of(&self.draft(section, title, tags, admin).await["id"]);
        publish(self.client(), &format!("/news/v1/{section}/{id}"), admin).await;
        id
    }

    /// Writes and publishes an article, and waits until each version is visible before the next is written.
    /// FerretDB, in MongoDB's place, can lose a version if two replicas of a section write to the view in the
    /// wrong order.
    pub async fn published_and_visible(
        &self,
        section: &str,
        title: &str,
        tags: &[&str],
        admin: &Account,
    ) -> String {
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

/// The settings that switch off the services' limits of one client. All people of a test or a measurement
/// have one address.
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

/// Adds the settings that switch off the limits of one client.
fn unthrottled<'a>(settings: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    UNTHROTTLED.iter().chain(settings).copied().collect()
}

/// Returns the gateway's documented settings without its limits and its cache, which would be visible in
/// responses.
fn quiet() -> Settings {
    Settings::new().with("GATEWAY_CACHE_TIME", "0").with("GATEWAY_CACHE_LOCK", "1ms")
}

/// A block of recommendations that ends when this is dropped.
pub struct Held<'a>(HeldBy<'a>);

enum HeldBy<'a> {
    /// The connection that holds SQLite's write lock.
    Writer(#[expect(dead_code, reason = "it blocks while it exists")] SqliteConnection),
    Stopped(&'a Process),
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let HeldBy::Stopped(process) = &self.0 {
            process.resume();
        }
    }
}

/// Removes a store from the list of known stores of a folder, as an operator does to begin with an empty one.
pub fn forget_store(folder: &Path, name: &str) {
    let list = folder.join("known-stores");
    let text = std::fs::read_to_string(&list).expect("the list exists");
    let others: String = text.lines().filter(|line| *line != name).map(|line| format!("{line}\n")).collect();
    std::fs::write(&list, others).expect("a file of ours");
}

/// Removes the files of a folder whose names have this beginning.
fn remove_files(folder: &Path, beginning: &str) {
    for entry in std::fs::read_dir(folder).expect("the folder exists") {
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

/// Registers an account with a portal that may be killed meanwhile.
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

/// Returns the text of a JSON value.
#[track_caller]
pub fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}
