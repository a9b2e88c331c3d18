//! Real servers for tests, each test in a place of its own, which goes away with it. A variable that is not set is a failure:
//! whoever asks for the ignored tests wants to see them run.

use std::future::Future;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

#[allow(clippy::disallowed_methods, reason = "a message from the test command, not a setting")]
fn given(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} says where the server for tests is; `cargo xtask test` sets it")
    })
}

fn with(url: &str, parameter: &str) -> String {
    format!("{url}{}{parameter}", if url.contains('?') { '&' } else { '?' })
}

/// A schema in the PostgreSQL server for tests.
pub struct Schema {
    server: String,
    name: String,
}

impl Schema {
    pub async fn new() -> Self {
        let schema = Self {
            server: given("PORTAL_TEST_POSTGRES_URL"),
            name: format!("users_{}", Uuid::new_v4().simple()),
        };
        run(&schema.server, format!("create schema {}", schema.name)).await;
        schema
    }

    /// As the service is told of it.
    pub fn url(&self) -> String {
        with(&self.server, &format!("options[search_path]={}", self.name))
    }
}

async fn run(server: &str, statement: String) {
    let mut connection = PgConnection::connect(server).await.expect("the server for tests answers");
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.expect("it is done");
    connection.close().await.expect("the connection closes");
}

/// A prefix of keys in one of the Redis servers for tests.
pub struct Keys {
    server: String,
    prefix: String,
}

impl Keys {
    /// In the server of caches.
    pub fn of_cache() -> Self {
        Self::at("PORTAL_TEST_REDIS_CACHE_URL")
    }

    /// In the server of intakes.
    pub fn of_intake() -> Self {
        Self::at("PORTAL_TEST_REDIS_INTAKE_URL")
    }

    fn at(variable: &str) -> Self {
        Self { server: given(variable), prefix: format!("users:test-{}:", Uuid::new_v4().simple()) }
    }

    /// As the service is told of it.
    pub fn url(&self) -> String {
        with(&self.server, &format!("prefix={}", self.prefix))
    }

    /// Runs a command on one of these keys, past the service.
    pub fn command(&self, name: &str, key: &str, arguments: &[&str]) -> redis::Value {
        let mut command = redis::cmd(name);
        command.arg(format!("{}{key}", self.prefix)).arg(arguments);
        let client = redis::Client::open(self.server.as_str()).expect("a URL");
        let mut connection = client.get_connection().expect("the server for tests answers");
        command.query(&mut connection).expect("it is done")
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (server, statement) = (self.server.clone(), format!("drop schema {} cascade", self.name));
        aside(async move { run(&server, statement).await });
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let (server, pattern) = (self.server.clone(), format!("{}*", self.prefix));
        aside(async move {
            let client = redis::Client::open(server).expect("a URL");
            let mut connection = client.get_multiplexed_async_connection().await.expect("the server answers");
            let keys: Vec<String> =
                redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.expect("lists");
            for key in keys {
                redis::cmd("DEL").arg(key).exec_async(&mut connection).await.expect("is deleted");
            }
        });
    }
}

/// Runs what a destructor can't wait for, on a thread with a runtime of its own.
fn aside(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(work);
    });
    // Where it failed the place stays; nobody else uses it.
    let _ = thread.join();
}

/// Everything of an adapter that outlives its process.
pub enum Place {
    Folder(testkit::Folder),
    Schema(Schema),
    Keys(Keys),
}
