//! The engines as somebody who breaks them sees them: killed and started again by the same command as by hand.

use std::process::Stdio;
use std::time::Duration;

use testkit::{engine, program, wait_until};

/// How long Neo4j may take from its handshake to its first answer.
const WARM: Duration = Duration::from_secs(60);

/// One of the private servers that the fleet stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL: accounts, and the sections' events.
    Postgres,
    /// FerretDB, in MongoDB's place: the sections' views.
    Ferretdb,
    /// The Redis that may forget.
    RedisCache,
    /// The Redis that must not.
    RedisIntake,
    /// The broker.
    Rabbitmq,
    /// Tastes.
    Neo4j,
}

impl Engine {
    /// As `cargo xtask engines` calls it.
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

    /// Ends it at once, with everything it has started: SIGKILL.
    pub async fn kill9(self) {
        xtask(&["engines", "kill", self.name()]).await;
    }

    /// Starts it again on its data; returns when it answers.
    pub async fn start(self) {
        xtask(&["engines", "start", self.name()]).await;
        if self == Self::Neo4j {
            // It shakes hands long before it answers a question: everything that it does, it does for the first time.
            wait_until("an answer of Neo4j", WARM, || async { asked().await.ok() }).await;
        }
    }

    /// The same where nothing can be awaited. A failure is only said.
    pub fn start_now(self) {
        let mut command = std::process::Command::new(program("XTASK"));
        let status = command.args(["engines", "start", self.name()]).stdin(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("{} was not started again", self.name());
        }
    }
}

async fn asked() -> neo4rs::Result<()> {
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
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`cargo xtask {}`: {said}", arguments.join(" "));
}
