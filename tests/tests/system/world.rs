//! A portal of a test's own, and what people do with it.

use serde_json::{Value, json};
use testkit::{Answer, Client, Folder, NoAnswer, Portal, portal_binary};

pub const ADMIN: &str = "admin@portal.internal";
pub const PASSWORD: &str = "correct horse battery";

/// A running portal whose files are gone when the test is over.
pub struct World {
    pub portal: Portal,
    pub _folder: Folder,
}

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub struct Account {
    pub id: String,
    pub email: String,
    pub token: String,
}

impl World {
    pub async fn new() -> Self {
        let folder = Folder::new();
        let portal = Portal::start_with(portal_binary(), folder.path(), |program| {
            program.env("PORTAL__PROCESS__LOG_FORMAT", "json")
        })
        .await;
        Self { portal, _folder: folder }
    }

    pub fn client(&self) -> &Client {
        self.portal.client()
    }

    pub async fn admin(&self) -> Account {
        login(self.client(), ADMIN, &self.portal.admin_password()).await
    }

    /// Registers and logs in.
    pub async fn reader(&self, name: &str) -> Account {
        let email = format!("{name}@example.org");
        register(self.client(), name, &email).await.expect_status(201);
        login(self.client(), &email, PASSWORD).await
    }

    /// Registers, is given a role by an admin, and logs in.
    pub async fn staff(&self, name: &str, role: &str, admin: &Account) -> Account {
        let account = self.reader(name).await;
        let path = format!("/users/v1/{}/roles", account.id);
        self.client()
            .put(&path)
            .token(&admin.token)
            .json(&json!({"role": role}))
            .send()
            .await
            .expect_status(200);
        login(self.client(), &account.email, PASSWORD).await
    }

    /// Writes a draft.
    pub async fn draft(&self, section: &str, title: &str, tags: &[&str], author: &Account) -> Value {
        let body = json!({"title": title, "content": "What happened, and why.", "tags": tags});
        let path = format!("/news/v1/{section}");
        let answer =
            self.client().post(&path).token(&author.token).json(&body).send().await.expect_status(201);
        answer.json()["news"].clone()
    }

    /// Writes an article and publishes it; gives its id.
    pub async fn published(&self, section: &str, title: &str, tags: &[&str], admin: &Account) -> String {
        let draft = self.draft(section, title, tags, admin).await;
        let id = draft["id"].as_str().expect("a draft has an id").to_owned();
        let path = format!("/news/v1/{section}/{id}/publish");
        let publish = self.client().post(&path).token(&admin.token).header("if-match", "\"v1\"");
        publish.send().await.expect_status(200);
        id
    }
}

pub async fn register(client: &Client, name: &str, email: &str) -> Answer {
    try_register(client, name, email).await.unwrap_or_else(|error| panic!("{error}"))
}

pub async fn try_register(client: &Client, name: &str, email: &str) -> Result<Answer, NoAnswer> {
    let body = json!({"name": name, "email": email, "password": PASSWORD});
    client.post("/users/v1/").json(&body).try_send().await
}

pub async fn login(client: &Client, email: &str, password: &str) -> Account {
    let body = json!({"email": email, "password": password});
    let session = client.post("/users/v1/sessions").json(&body).send().await.expect_status(201).json();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    Account {
        id: text(&session["user"]["id"]),
        email: email.to_owned(),
        token: text(&session["access_token"]),
    }
}
