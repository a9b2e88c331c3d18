use http::Method;
use rand::Rng;
use serde_json::{Value, json};

use crate::{Client, engine, wait_until};

/// The longest time until the broker's management reports a change. It collects statistics every few seconds.
const STATISTICS: std::time::Duration = std::time::Duration::from_secs(30);

/// A virtual host for one test on the broker for tests. It is deleted when this is dropped.
#[derive(Debug)]
pub struct Vhost {
    name: String,
    broker: String,
    management: Client,
}

impl Vhost {
    /// Creates an empty virtual host.
    ///
    /// # Panics
    /// If `PORTAL_TEST_AMQP_URL` or `PORTAL_TEST_AMQP_MANAGEMENT_URL` is not set, or the broker refuses.
    pub async fn new() -> Self {
        let broker = engine("AMQP");
        let management = Client::new(&engine("AMQP_MANAGEMENT"));
        let name = format!("test-{:016x}", rand::rng().next_u64());
        let (broker, _default_vhost) =
            broker.rsplit_once('/').expect("PORTAL_TEST_AMQP_URL ends with a virtual host");
        let vhost = Self { name, broker: broker.to_owned(), management };
        vhost.manage(Method::PUT, &format!("/api/vhosts/{}", vhost.name), None).await;
        vhost.grant(vhost.user(), ".*", ".*", ".*").await;
        vhost
    }

    /// Returns the URL for a bus.
    pub fn url(&self) -> String {
        format!("{}/{}", self.broker, self.name)
    }

    /// Returns the URL for a bus that connects through a proxy at `address`.
    pub fn url_through(&self, address: &str) -> String {
        let (credentials, _) = self.broker.rsplit_once('@').expect("the URL of the broker names a user");
        format!("{credentials}@{address}/{}", self.name)
    }

    /// Returns the address at which the broker listens.
    pub fn address(&self) -> &str {
        self.broker.rsplit_once('@').expect("the URL of the broker names a user").1
    }

    /// Creates a user with these permissions (patterns of names: configure, write, read) on this virtual host
    /// alone. Returns the URL for a bus of that user. `remove_user` deletes the user.
    pub async fn user_with(&self, user: &str, configure: &str, write: &str, read: &str) -> String {
        let body = json!({"password": "secret", "tags": ""});
        self.manage(Method::PUT, &format!("/api/users/{user}"), Some(&body)).await;
        self.grant(user, configure, write, read).await;
        format!("amqp://{user}:secret@{}/{}", self.address(), self.name)
    }

    /// Deletes a user of `user_with`.
    pub async fn remove_user(&self, user: &str) {
        self.manage(Method::DELETE, &format!("/api/users/{user}"), None).await;
    }

    /// Waits for at least this many connections to the virtual host, makes the broker close all of them, and
    /// returns their number.
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
            // A connection that has just ended needs no closing.
            self.management.delete(&format!("/api/connections/{name}")).send().await;
        }
        names.len()
    }

    /// Sends a request to the management interface. `path` begins with `/api/`.
    ///
    /// # Panics
    /// If the request is refused.
    pub async fn manage(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let request = self.management.request(method, path);
        let request = match body {
            Some(body) => request.json(body),
            None => request.header("content-type", "application/json"),
        };
        let response = request.send().await;
        assert!(response.is_success(), "{response}");
        if response.body.is_empty() { Value::Null } else { response.json() }
    }

    /// Returns the name of the virtual host.
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
        // A destructor can't await, and the test's runtime may have ended, so a separate thread waits.
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
