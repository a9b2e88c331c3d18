//! Engines that a test kills and starts again, by the same command as an operator.

use std::process::Stdio;
use std::time::Duration;

use testkit::{engine, program, wait_until};

/// The longest time of Neo4j from its handshake to its first answer.
const WARM_UP: Duration = Duration::from_secs(60);

/// One of the private servers that the fleet stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL: accounts, and the sections' events.
    Postgres,
    /// FerretDB, in MongoDB's place: the sections' views.
    Ferretdb,
    /// The Redis of caches, which may lose data.
    RedisCache,
    /// The Redis of intakes, which must not lose data.
    RedisIntake,
    /// The broker.
    Rabbitmq,
    /// Neo4j: what readers like.
    Neo4j,
}

impl Engine {
    /// Returns the name that `cargo xtask engines` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Ferretdb => "ferretdb",
            Self::RedisCache => "redis-cache",
            Self::RedisIntake => "redis-intake",
            Self::Rabbitmq => "rabbitmq",
            Self::Neo4j => "neo4j",
        }
    }

    /// Kills the engine with all its processes (SIGKILL).
    pub async fn kill9(self) {
        xtask(&["engines", "kill", self.name()]).await;
    }

    /// Starts the engine again on its data. Returns when it answers.
    pub async fn start(self) {
        xtask(&["engines", "start", self.name()]).await;
        if self == Self::Neo4j {
            // It accepts connections long before it answers its first query.
            wait_until("an answer of Neo4j", WARM_UP, || async { query_neo4j().await.ok() }).await;
        }
    }

    /// Starts the engine again without async code. A failure is only reported.
    pub fn start_blocking(self) {
        let mut command = std::process::Command::new(program("XTASK"));
        let status = command.args(["engines", "start", self.name()]).stdin(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("{} was not started again", self.name());
        }
    }
}

async fn query_neo4j() -> neo4rs::Result<()> {
    let url = engine("NEO4J");
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (login, server) = rest.split_once('@').expect("a URL with a login");
    let (user, password) = login.split_once(':').expect("a name and a password");
    let graph = neo4rs::Graph::new(format!("{scheme}://{server}"), user, password)?;
    graph.run(neo4rs::query("return 1")).await
}

async fn xtask(arguments: &[&str]) {
    let mut command = tokio::process::Command::new(program("XTASK"));
    let output = command.args(arguments).stdin(Stdio::null()).output().await.expect("xtask can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`cargo xtask {}`: {errors}", arguments.join(" "));
}
