//! New stores on the engines for the fleet of one test. They are removed with it.

use std::path::Path;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use testkit::{Vhost, engine, engine_with};

/// The services with tables, as SQL names them.
const SCHEMAS: [&str; 4] = ["users", "famous_news", "politics_news", "sports_news"];

/// The services with views in MongoDB.
const VIEWS: [&str; 3] = ["famous-news", "politics-news", "sports-news"];

/// Schemas, databases, a prefix of keys, tenants and a virtual host that belong to one test.
pub struct Stores {
    name: String,
    vhost: Vhost,
}

impl Stores {
    /// Creates empty stores.
    ///
    /// # Panics
    /// If an engine does not answer, or its address is not set.
    pub async fn new() -> Self {
        let vhost = Vhost::new().await;
        let stores = Self { name: vhost.name().replace("test-", "system_"), vhost };
        let make = SCHEMAS.map(|service| format!("create schema {};", stores.name_for(service))).concat();
        run(make).await;
        stores
    }

    /// Returns the URL of a service's schema.
    pub fn postgres(&self, service: &str) -> String {
        engine_with("POSTGRES", &format!("options[search_path]={}", self.name_for(service)))
    }

    /// Returns the URL of a section's view.
    pub fn mongodb(&self, service: &str) -> String {
        let url = engine("MONGODB");
        let (server, query) = url.split_once('?').unwrap_or((&url, ""));
        format!("{}/{}?{query}", server.trim_end_matches('/'), self.name_for(service))
    }

    /// Returns the URL of the cache of users.
    pub fn cache(&self) -> String {
        engine_with("REDIS_CACHE", &format!("prefix={}", self.prefix()))
    }

    /// Returns the URL of the intake of users.
    pub fn intake(&self) -> String {
        engine_with("REDIS_INTAKE", &format!("prefix={}", self.prefix()))
    }

    /// Returns the URL of the virtual host.
    pub fn amqp(&self) -> String {
        self.vhost.url()
    }

    /// Returns the URL of a graph for recommendations: a different one for each `number`.
    pub fn neo4j(&self, number: usize) -> String {
        engine_with("NEO4J", &format!("tenant={}-{number}", self.name))
    }

    /// Returns the text of every row of the services' tables and of every document of the sections' views.
    /// Binary columns are in hexadecimal digits.
    pub async fn stored_text(&self) -> String {
        let mut text = String::new();
        let mut connection = PgConnection::connect(&engine("POSTGRES")).await.expect("the server answers");
        for service in SCHEMAS {
            let schema = self.name_for(service);
            let tables = sqlx::query_scalar(
                "select table_name::text from information_schema.tables where table_schema = $1",
            );
            let tables: Vec<String> =
                tables.bind(&schema).fetch_all(&mut connection).await.expect("the tables are listed");
            for table in tables {
                let rows =
                    format!("select coalesce(string_agg(t::text, ' '), '') from {schema}.\"{table}\" t");
                let rows: String = sqlx::query_scalar(AssertSqlSafe(rows))
                    .fetch_one(&mut connection)
                    .await
                    .expect("a table can be read as text");
                text += &format!("{schema}.{table}: {rows}\n");
            }
        }
        connection.close().await.expect("the connection closes");
        for view in VIEWS {
            text += &documents(&self.mongodb(view)).await;
        }
        text
    }

    fn name_for(&self, service: &str) -> String {
        format!("{}_{}", self.name, service.replace('-', "_"))
    }

    fn prefix(&self) -> String {
        format!("users:{}:", self.name)
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        let tables =
            SCHEMAS.map(|service| format!("drop schema {} cascade;", self.name_for(service))).concat();
        let views: Vec<_> = VIEWS.map(|it| self.mongodb(it)).into();
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
        // If it fails, its output shows why, and the rest is removed with the data of the engines.
        let _panicked = cleaning.join();
    }
}

/// Returns the text of all documents of a database.
async fn documents(url: &str) -> String {
    let client = mongodb::Client::with_uri_str(url).await.expect("the URL of a database");
    let database = client.default_database().expect("the URL names a database");
    let mut text = String::new();
    for name in database.list_collection_names().await.expect("the collections are listed") {
        let found =
            database.collection::<Document>(&name).find(doc! {}).await.expect("the documents are found");
        let documents: Vec<Document> = found.try_collect().await.expect("the documents are read");
        text += &format!("{name}: {documents:?}\n");
    }
    text
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
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.expect("the statements succeed");
    connection.close().await.expect("the connection closes");
}

/// Returns a connection that holds the write lock of a SQLite file until it is dropped.
pub async fn lock_sqlite(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("the file opens");
    sqlx::query("begin immediate").execute(&mut connection).await.expect("the write lock is free");
    connection
}
