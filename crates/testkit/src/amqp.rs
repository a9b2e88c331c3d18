use http::Method;
use rand::Rng;
use serde_json::{Value, json};

use crate::{Client, engine, wait_until};

/// How long the broker may take to show in its management what has happened: it collects that every few seconds.
const STATISTICS: std::time::Duration = std::time::Duration::from_secs(30);

/// A virtual host for one test on the broker that `PORTAL_TEST_AMQP_URL` names. It goes away with the test.
#[derive(Debug)]
pub struct Vhost {
    name: String,
    broker: String,
    management: Client,
}

impl Vhost {
    /// A new, empty one.
    ///
    /// # Panics
    /// Where `PORTAL_TEST_AMQP_URL` or `PORTAL_TEST_AMQP_MANAGEMENT_URL` is not set, or the broker does not make it.
    pub async fn new() -> Self {
        let broker = engine("AMQP");
        let management = Client::new(&engine("AMQP_MANAGEMENT"));
        let name = format!("test-{:016x}", rand::rng().next_u64());
        let (broker, _its_own) =
            broker.rsplit_once('/').expect("PORTAL_TEST_AMQP_URL ends with a virtual host");
        let vhost = Self { name, broker: broker.to_owned(), management };
        vhost.manage(Method::PUT, &format!("/api/vhosts/{}", vhost.name), None).await;
        vhost.grant(vhost.user(), ".*", ".*", ".*").await;
        vhost
    }

    /// How a bus reaches it.
    pub fn url(&self) -> String {
        format!("{}/{}", self.broker, self.name)
    }

    /// The same through something in between that listens at `address`.
    pub fn url_through(&self, address: &str) -> String {
        let (credentials, _) = self.broker.rsplit_once('@').expect("the URL of the broker names a user");
        format!("{credentials}@{address}/{}", self.name)
    }

    /// Where the broker listens.
    pub fn address(&self) -> &str {
        self.broker.rsplit_once('@').expect("the URL of the broker names a user").1
    }

    /// A new user with these permissions (patterns of names: configure, write, read) on this virtual host alone, and how
    /// a bus reaches the virtual host as that user. The user goes away with `remove_user`.
    pub async fn user_with(&self, user: &str, configure: &str, write: &str, read: &str) -> String {
        let body = json!({"password": "secret", "tags": ""});
        self.manage(Method::PUT, &format!("/api/users/{user}"), Some(&body)).await;
        self.grant(user, configure, write, read).await;
        format!("amqp://{user}:secret@{}/{}", self.address(), self.name)
    }

    /// Takes a user of `user_with` away.
    pub async fn remove_user(&self, user: &str) {
        self.manage(Method::DELETE, &format!("/api/users/{user}"), None).await;
    }

    /// Makes the broker close every connection to this virtual host. Gives their number.
    pub async fn close_connections(&self, at_least: usize) -> usize {
        let path = format!("/api/vhosts/{}/connections", self.name);
        let names = wait_until("connections in the broker's management", STATISTICS, || async {
            let open = self.management.get(&path).send().await.expect_status(200).json();
            let names = |open: &Value| -> Vec<String> {
                let name = |one: &Value| one["name"].as_str().map(str::to_owned);
                open.as_array().into_iter().flatten().filter_map(name).collect()
            };
            Some(names(&open)).filter(|names| names.len() >= at_least)
        });
        let names = names.await;
        for name in &names {
            let name = name.replace(' ', "%20").replace('>', "%3E");
            // One that has just ended by itself is as good.
            self.management.delete(&format!("/api/connections/{name}")).send().await;
        }
        names.len()
    }

    /// Asks the management interface; `path` begins with `/api/`.
    ///
    /// # Panics
    /// Where it refuses.
    pub async fn manage(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let call = self.management.request(method, path);
        let call = match body {
            Some(body) => call.json(body),
            None => call.header("content-type", "application/json"),
        };
        let answer = call.send().await;
        assert!(answer.is_success(), "{path}: {}", answer.text());
        if answer.text().is_empty() { Value::Null } else { answer.json() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn grant(&self, user: &str, configure: &str, write: &str, read: &str) {
        let body = json!({"configure": configure, "write": write, "read": read});
        self.manage(Method::PUT, &format!("/api/permissions/{}/{user}", self.name), Some(&body)).await;
    }

    fn user(&self) -> &str {
        let (_, rest) = self.broker.split_once("://").expect("PORTAL_TEST_AMQP_URL is a URL");
        rest.split([':', '@']).next().unwrap_or_default()
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        let (base, path) = (self.management.base().to_owned(), format!("/api/vhosts/{}", self.name));
        // A destructor can't wait, and the test's own runtime may be at its end: a thread of its own can.
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            let removed = runtime.block_on(Client::new(&base).delete(&path).try_send());
            if let Err(error) = removed {
                eprintln!("{path} was left behind: {error}");
            }
        });
        let _panicked = removal.join();
    }
}
