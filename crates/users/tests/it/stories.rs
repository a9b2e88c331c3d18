//! Long random histories: after any operations in any order, with crashes in between, all acknowledged
//! accounts are readable.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use crate::people::{PASSWORD, Person, Users};

/// The acknowledged state of an account: its name, e-mail and version.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    name: String,
    email: String,
    version: u64,
}

/// All acknowledged accounts. An erased account is `None`.
#[derive(Default)]
struct Hihistory {
    accounts: BTreeMap<String, Option<Known>>,
}

impl Hihistory {
    fn has(&self, email: &str) -> bool {
        self.accounts.values().flatten().any(|known| known.email.eq_ignore_ascii_case(email))
    }

    fn random_account(&self, chance: &mut StdRng) -> Option<String> {
        let alive: Vec<&String> =
            self.accounts.iter().filter(|(_, known)| known.is_some()).map(|(id, _)| id).collect();
        (!alive.is_empty()).then(|| alive[chance.random_range(0..alive.len())].clone())
    }

    async fn register(&mut self, users: &Users, chance: &mut StdRng) {
        let (name, email) = (name(chance), email(chance));
        let body = json!({"name": name, "email": email, "password": PASSWORD});
        let answer = users.ask("POST", "/").json(&body).send().await;
        if self.has(&email) {
            answer.refused(409, "email_taken");
        } else {
            let id = answer.is(201).json["id"].as_str().expect("an id").to_owned();
            self.accounts.insert(id, Some(Known { name, email, version: 1 }));
        }
    }

    async fn update(&mut self, users: &Users, admin: &Person, chance: &mut StdRng) {
        let Some(id) = self.random_account(chance) else { return };
        let (name, email) = (name(chance), email(chance));
        let known = self.accounts[&id].clone().expect("a living account");
        let ask = users.ask("PUT", &format!("/{id}")).by(admin).header("if-match", "*");
        let answer = ask.json(&json!({"name": name, "email": email})).send().await;
        if !email.eq_ignore_ascii_case(&known.email) && self.has(&email) {
            answer.refused(409, "email_taken");
        } else {
            answer.is(200);
            self.accounts.insert(id, Some(Known { name, email, version: known.version + 1 }));
        }
    }

    async fn erase(&mut self, users: &Users, admin: &Person, chance: &mut StdRng) {
        let Some(id) = self.random_account(chance) else { return };
        users.ask("DELETE", &format!("/{id}")).by(admin).send().await.is(202);
        self.accounts.insert(id, None);
    }

    async fn check(&self, users: &Users, admin: &Person) {
        for (id, known) in &self.accounts {
            let answer = users.ask("GET", &format!("/{id}")).by(admin).send().await;
            let Some(known) = known else {
                answer.refused(404, "not_found");
                continue;
            };
            let answer = answer.is(200).json;
            let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
            let version = answer["version"].as_u64().expect("a number");
            assert_eq!(&Known { name: text("name"), email: text("email"), version }, known);
        }
    }
}

fn name(chance: &mut StdRng) -> String {
    format!("Reader {}", chance.random_range(0..1000))
}

fn email(chance: &mut StdRng) -> String {
    let local = ["ann", "Ann", "bob", "BOB", "eve"][chance.random_range(0..5)];
    format!("{local}@example.org")
}

#[tokio::test]
async fn acknowledged_accounts_are_readable_whatever_happens() {
    for seed in [7, 11, 42] {
        let mut chance = testkit::random(seed);
        let mut users = Users::new().await;
        let admin = users.admin().await;
        let mut history = Hihistory::default();
        for _ in 0..60 {
            match chance.random_range(0..10) {
                0..4 => history.register(&users, &mut chance).await,
                4..6 => history.update(&users, &admin, &mut chance).await,
                6..7 => history.erase(&users, &admin, &mut chance).await,
                7..9 => drop(users.service.workers[0].step().await.expect("the step is done")),
                _ => users = users.crash().await,
            }
            history.check(&users, &admin).await;
        }
        users.settle().await;
        let list = users.ask("GET", "/all?count=100").by(&admin).send().await.is(200);
        let alive = history.accounts.values().flatten().count();
        assert_eq!(list.json.as_array().map(Vec::len), Some(alive + 1), "seed {seed}");
    }
}
