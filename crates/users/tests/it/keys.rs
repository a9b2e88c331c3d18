//! A change of the signing key while clients work on. README.md names the steps.

use std::sync::Arc;

use axum::Router;
use chassis::{IdentityConfig, Surroundings, Verifier};
use testkit::Folder;

use crate::people::{Person, Users};

/// Returns a key as the service creates it.
async fn new_key() -> String {
    let users = Users::new().await;
    std::fs::read_to_string(users.folder.join("signing-key.pem")).expect("reads")
}

/// Another service, which runs during the change and fetches the keys when it needs one.
struct Neighbour {
    surroundings: Surroundings,
    verifier: Arc<Verifier>,
}

impl Neighbour {
    async fn of(users: &Users) -> Self {
        let surroundings = Surroundings::one_process().with_clock(users.clock.clone());
        let identity =
            IdentityConfig { issuer: "http://127.0.0.1:8080".to_owned(), keys: "inproc://users".to_owned() };
        let verifier = Verifier::new(&identity, &surroundings).expect("a verifier");
        let neighbour = Self { surroundings, verifier };
        neighbour.sees(users).await;
        neighbour
    }

    /// Serves the currently published keys from now on.
    async fn sees(&self, users: &Users) {
        let keys = users.ask("GET", "/.well-known/jwks.json").send().await.is(200).text;
        let route = axum::routing::get(move || async move { keys });
        self.surroundings.register_http("users", Router::new().route("/.well-known/jwks.json", route));
    }

    async fn believes(&self, person: &Person) -> bool {
        self.verifier.verify(&person.token).await.is_ok()
    }
}

fn key_id(person: &Person) -> String {
    use base64::Engine;
    let head = person.token.split('.').next().expect("a head");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head).expect("base64");
    let head: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    head["kid"].as_str().expect("a key id").to_owned()
}

async fn published(users: &Users) -> Vec<String> {
    let set = users.ask("GET", "/.well-known/jwks.json").send().await.is(200).json;
    let keys = set["keys"].as_array().expect("keys").clone();
    keys.iter().map(|key| key["kid"].as_str().expect("a key id").to_owned()).collect()
}

/// Restarts the service with these keys in its file.
async fn with_keys(users: Users, keys: &[&str]) -> Users {
    let text = keys.concat();
    users
        .crash_with(|folder: &Folder| {
            std::fs::write(folder.join("signing-key.pem"), text).expect("writes");
        })
        .await
}

#[tokio::test]
async fn tokens_of_the_old_key_are_accepted_while_it_is_published_and_not_after() {
    let users = Users::new().await;
    let old_key = std::fs::read_to_string(users.folder.join("signing-key.pem")).expect("reads");
    let new_key = new_key().await;
    let before = users.admin().await;
    assert_eq!(published(&users).await, [key_id(&before)]);

    // 1. The new key is published, and the old key signs.
    let users = with_keys(users, &[&old_key, &new_key]).await;
    let running = Neighbour::of(&users).await;
    let during = users.admin().await;
    assert_eq!((published(&users).await.len(), key_id(&during)), (2, key_id(&before)));
    assert!(running.believes(&before).await && running.believes(&during).await);

    // 2. The new key signs, and the old key is still published.
    let users = with_keys(users, &[&new_key, &old_key]).await;
    let after = Person::of(&users.refresh(&during.cookie).await.is(200));
    assert_ne!(key_id(&after), key_id(&before));
    let started = Neighbour::of(&users).await;
    for person in [&before, &during, &after] {
        users.ask("GET", "/me").by(person).send().await.is(200);
        // A service that runs since the first step has both keys and fetches none.
        assert!(running.believes(person).await && started.believes(person).await);
    }

    // 3. The old key is gone.
    let users = with_keys(users, &[&new_key]).await;
    users.ask("GET", "/me").by(&before).send().await.refused(401, "invalid_token");
    users.ask("GET", "/me").by(&after).send().await.is(200);
    let started = Neighbour::of(&users).await;
    assert!(!started.believes(&before).await && started.believes(&after).await);
    // A service that runs since the first step forgets it within five minutes. That also ends the use of a
    // stolen key.
    running.sees(&users).await;
    assert!(running.believes(&before).await);
    users.pass(300);
    assert!(!running.believes(&before).await && running.believes(&after).await);
    // No session has ended.
    users.refresh(&before.cookie).await.is(200);
}
