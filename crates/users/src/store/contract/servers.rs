//! Schemas and prefixes of keys on real servers. Each test has new ones, which are removed with it.

use std::future::Future;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testkit::{engine, engine_with};
use uuid::Uuid;

/// A schema in the PostgreSQL server for tests.
pub struct Schema {
    name: String,
}

impl Schema {
    pub async fn new() -> Self {
        let schema = Self { name: format!("users_{}", Uuid::new_v4().simple()) };
        run(format!("create schema {}", schema.name)).await;
        schema
    }

    /// Returns the URL for the service's configuration.
    pub fn url(&self) -> String {
        engine_with("POSTGRES", &format!("options[search_path]={}", self.name))
    }
}

async fn run(statement: String) {
    let mut connection = PgConnection::connect(&engine("POSTGRES")).await.expect("the server answers");
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.expect("it is done");
    connection.close().await.expect("the connection closes");
}

/// A prefix of keys in one of the Redis servers for tests.
pub struct Keys {
    server: &'static str,
    prefix: String,
}

impl Keys {
    /// Returns a prefix in the server of caches.
    pub fn of_cache() -> Self {
        Self::at("REDIS_CACHE")
    }

    /// Returns a prefix in the server of intakes.
    pub fn of_intake() -> Self {
        Self::at("REDIS_INTAKE")
    }

    fn at(server: &'static str) -> Self {
        Self { server, prefix: format!("users:test-{}:", Uuid::new_v4().simple()) }
    }

    /// Returns the URL for the service's configuration.
    pub fn url(&self) -> String {
        engine_with(self.server, &format!("prefix={}", self.prefix))
    }

    /// Runs a command on one of these keys, past the service.
    pub fn command(&self, name: &str, key: &str, arguments: &[&str]) -> redis::Value {
        let mut command = redis::cmd(name);
        command.arg(format!("{}{key}", self.prefix)).arg(arguments);
        let client = redis::Client::open(engine(self.server)).expect("a URL");
        let mut connection = client.get_connection().expect("the server for tests answers");
        command.query(&mut connection).expect("it is done")
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let statement = format!("drop schema {} cascade", self.name);
        aside(run(statement));
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let (server, pattern) = (self.server, format!("{}*", self.prefix));
        aside(async move {
            let client = redis::Client::open(engine(server)).expect("a URL");
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
    // If it failed, the part stays on the server; no other test uses it.
    let _ = thread.join();
}

/// Everything of an adapter that outlives its process.
pub enum Place {
    Folder(testkit::Folder),
    Schema(Schema),
    Keys(Keys),
}
