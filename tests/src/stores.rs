//! Stores of one test's own on the engines, for a whole fleet. They go away with it.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use testkit::{Vhost, engine, engine_with};

/// The services with tables, as SQL names them.
const SCHEMAS: [&str; 4] = ["users", "famous_news", "politics_news", "sports_news"];

/// A schema, a database, a prefix, a tenant and a virtual host that nobody else has.
pub struct Stores {
    name: String,
    vhost: Vhost,
}

impl Stores {
    /// New, empty ones.
    ///
    /// # Panics
    /// Where an engine does not answer, or nobody said where it is.
    pub async fn new() -> Self {
        let vhost = Vhost::new().await;
        let stores = Self { name: vhost.name().replace("test-", "system_"), vhost };
        let make = SCHEMAS.map(|service| format!("create schema {};", stores.place(service))).concat();
        run(make).await;
        stores
    }

    /// Where a service keeps its tables.
    pub fn postgres(&self, service: &str) -> String {
        engine_with("POSTGRES", &format!("options[search_path]={}", self.place(service)))
    }

    /// Where a section keeps its view.
    pub fn mongodb(&self, service: &str) -> String {
        let url = engine("MONGODB");
        let (server, query) = url.split_once('?').unwrap_or((&url, ""));
        format!("{}/{}?{query}", server.trim_end_matches('/'), self.place(service))
    }

    /// Where users keeps what it looks up.
    pub fn cache(&self) -> String {
        engine_with("REDIS_CACHE", &format!("prefix={}", self.prefix()))
    }

    /// Where users keeps what it has acknowledged.
    pub fn intake(&self) -> String {
        engine_with("REDIS_INTAKE", &format!("prefix={}", self.prefix()))
    }

    /// The broker.
    pub fn amqp(&self) -> String {
        self.vhost.url()
    }

    /// Where recommendations keeps tastes. Each `number` is another graph.
    pub fn neo4j(&self, number: usize) -> String {
        engine_with("NEO4J", &format!("tenant={}-{number}", self.name))
    }

    fn place(&self, service: &str) -> String {
        format!("{}_{}", self.name, service.replace('-', "_"))
    }

    fn prefix(&self) -> String {
        format!("users:{}:", self.name)
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        let tables = SCHEMAS.map(|service| format!("drop schema {} cascade;", self.place(service))).concat();
        let views: Vec<_> = ["famous-news", "politics-news", "sports-news"].map(|it| self.mongodb(it)).into();
        let keys = format!("{}*", self.prefix());
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                run(tables).await;
                for url in views {
                    drop_database(&url).await;
                }
                for server in ["REDIS_CACHE", "REDIS_INTAKE"] {
                    delete_keys(&engine(server), &keys).await;
                }
            });
        });
        // Where it failed its words are shown, and what is left goes with the engines' data.
        let _panicked = cleaning.join();
    }
}

async fn drop_database(url: &str) {
    let client = mongodb::Client::with_uri_str(url).await.expect("the URL of a database");
    let database = client.default_database().expect("the URL names a database");
    database.drop().await.expect("the database is dropped");
}

async fn delete_keys(url: &str, pattern: &str) {
    let client = redis::Client::open(url).expect("the URL of a Redis server");
    let mut connection = client.get_multiplexed_async_connection().await.expect("the server answers");
    let keys: Vec<String> =
        redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.expect("a list of keys");
    if !keys.is_empty() {
        redis::cmd("DEL").arg(keys).exec_async(&mut connection).await.expect("keys are deleted");
    }
}

async fn run(statements: String) {
    let mut connection = PgConnection::connect(&engine("POSTGRES")).await.expect("the server answers");
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.expect("it is done");
    connection.close().await.expect("the connection closes");
}

/// A connection that is the one writer of a SQLite file, until it is dropped: nobody else can write into it.
pub async fn hold_sqlite(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("the file opens");
    sqlx::query("begin immediate").execute(&mut connection).await.expect("it is our turn to write");
    connection
}
