//! The floors: the smallest honest programs that do the same thing, each a process of its own.
//!
//! Servers say `ready at <address>` when they take requests. Programs that drive themselves print one line of
//! JSON at their end.

mod find;
mod inserts;
mod nginx;
mod original;
mod servers;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use testkit::{Process, Program};

pub use nginx::Static;

/// One of the floors.
#[derive(Debug, clap::Subcommand)]
pub enum Floor {
    /// axum responds with a JSON object of this size
    Json {
        /// Size of the body in bytes
        #[arg(long)]
        bytes: usize,
    },
    /// axum responds with the row of an id in a SQLite file
    Sqlite {
        /// The file
        #[arg(long)]
        file: PathBuf,
    },
    /// axum asks a section in the original's way: a connection and a durable queue for each call
    Original {
        /// The URL of the broker
        #[arg(long)]
        broker: String,
        /// The section
        #[arg(long)]
        section: String,
    },
    /// The MongoDB driver finds one document again and again
    Find {
        /// The URL of the database
        #[arg(long)]
        url: String,
        /// The article
        #[arg(long)]
        id: String,
        #[command(flatten)]
        drive: Drive,
    },
    /// Transactions of two insertions each
    Inserts {
        /// The URL of the database
        #[arg(long)]
        url: String,
        /// Size of an event in bytes
        #[arg(long)]
        bytes: usize,
        #[command(flatten)]
        drive: Drive,
    },
}

/// The load that a floor puts on itself.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Drive {
    /// Number of operations in flight
    #[arg(long)]
    in_flight: usize,
    /// For how long
    #[arg(long)]
    milliseconds: u64,
}

/// The result of a floor that drives itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    /// Number of operations.
    pub count: u64,
    /// In which time.
    pub seconds: f64,
    /// Its CPU time, in microseconds.
    pub cpu_us: f64,
}

impl Floor {
    /// Is this floor.
    ///
    /// # Errors
    /// If it can't be started.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::Json { bytes } => servers::json(bytes).await,
            Self::Sqlite { file } => servers::sqlite(&file).await,
            Self::Original { broker, section } => original::serve(broker, section).await,
            Self::Find { url, id, drive } => say(&find::drive(&url, &id, drive).await?),
            Self::Inserts { url, bytes, drive } => say(&inserts::drive(&url, bytes, drive).await?),
        }
    }
}

fn say(done: &Done) -> Result<()> {
    crate::say(&serde_json::to_string(done)?);
    Ok(())
}

impl Drive {
    /// Runs with this many operations in flight, for this time.
    pub fn new(in_flight: usize, time: Duration) -> Self {
        Self { in_flight, milliseconds: u64::try_from(time.as_millis()).unwrap_or(u64::MAX) }
    }

    fn arguments(self) -> [String; 4] {
        let (in_flight, time) = (self.in_flight.to_string(), self.milliseconds.to_string());
        ["--in-flight".to_owned(), in_flight, "--milliseconds".to_owned(), time]
    }

    /// Does it as often as there is time for. Before it is counted it runs for a moment, so that connections
    /// are open.
    async fn counted<F: Future<Output = Result<()>> + Send + 'static>(
        self,
        once: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) -> Result<Done> {
        self.turn(once.clone(), Duration::from_millis(500)).await?;
        let (begun, before) = (Instant::now(), crate::machine::read(&[std::process::id()], &[]));
        let count = self.turn(once, Duration::from_millis(self.milliseconds)).await?;
        let used = crate::machine::read(&[std::process::id()], &[]).since(&before);
        Ok(Done { count, seconds: begun.elapsed().as_secs_f64(), cpu_us: used.servers_us })
    }

    async fn turn<F: Future<Output = Result<()>> + Send + 'static>(
        self,
        once: impl Fn() -> F + Clone + Send + Sync + 'static,
        time: Duration,
    ) -> Result<u64> {
        let begun = Instant::now();
        let one = |_| {
            let once = once.clone();
            tokio::spawn(async move {
                let mut count = 0;
                while begun.elapsed() < time {
                    once().await?;
                    count += 1;
                }
                anyhow::Ok(count)
            })
        };
        let mut all = 0;
        for part in futures::future::join_all((0..self.in_flight).map(one)).await {
            all += part.context("a floor's task")??;
        }
        Ok(all)
    }
}

/// This program as a floor that serves; gives the process, which says where.
pub async fn server(arguments: &[&str]) -> Result<Process> {
    let this = std::env::current_exe().context("the path of this program")?;
    Ok(Process::start(&Program::new(this, "ready at ").args(["floor"]).args(arguments)).await)
}

/// This program as a floor that drives itself.
///
/// # Errors
/// If the floor fails.
pub async fn driven(arguments: &[&str], drive: Drive) -> Result<Done> {
    let this = std::env::current_exe().context("the path of this program")?;
    let mut command = tokio::process::Command::new(this);
    command.arg("floor").args(arguments).args(drive.arguments()).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("the floor can't be run")?;
    ensure!(output.status.success(), "the floor failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("what the floor said")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_driven_floor_counts_and_a_failing_one_fails() {
        let drive = Drive::new(2, Duration::from_millis(50));
        let yielding = || async {
            tokio::task::yield_now().await;
            Ok(())
        };
        let done = drive.counted(yielding).await.expect("it runs");
        assert!(done.count > 0 && done.seconds >= 0.05);
        assert!(drive.counted(|| async { anyhow::bail!("no") }).await.is_err());
    }
}
