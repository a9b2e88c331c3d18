use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chassis::{Context, StoreFailure, in_time};
use neo4rs::{ConfigBuilder, Graph, Neo4jClientErrorKind, Neo4jErrorKind, Query, Row, Txn};
use tokio::time::timeout;

use super::address::Address;

/// How many connections a process holds.
const CONNECTIONS: usize = 10;
/// How long the driver waits for a connection or an answer. Whoever asks waits less; this ends what nobody waits for any more.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection that lay idle is tested: behind a dead route it says nothing.
const TEST: Duration = Duration::from_secs(1);
/// The pauses between two attempts: the first at most, the longest at most, each with full jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How long a sweep waits for each connection.
const SWEEP: Duration = Duration::from_millis(250);

/// The way to the server: its connections, and what to do when it says no.
#[derive(Clone)]
pub struct Link {
    graph: Graph,
    tenant: String,
    /// How long somebody who waits for an answer waits for the graph.
    budget: Duration,
    /// How many sweeps are asked for; where it is not 0 there is one under way.
    sweeps: Arc<AtomicU32>,
}

impl Link {
    /// A link to a server that has not been asked anything yet.
    pub fn new(address: &Address, budget: Duration) -> Result<Self, StoreFailure> {
        let config = ConfigBuilder::default()
            .uri(&address.server)
            .user(&address.user)
            .password(&address.password)
            .max_connections(CONNECTIONS)
            .connection_timeout(PATIENCE)
            // The driver's word for how long a connection is tested before it is given out.
            .idle_timeout(TEST)
            .tcp_keepalive(Duration::from_secs(10))
            .build()
            .and_then(Graph::connect);
        let graph = config.map_err(Trouble::from)?;
        Ok(Self { graph, tenant: address.tenant.clone(), budget, sweeps: Arc::default() })
    }

    /// A statement about this tenant's nodes.
    pub fn query(&self, text: &str) -> Query {
        neo4rs::query(text).param("tenant", self.tenant.as_str())
    }

    /// The rows of a statement that only reads, within the budget of those who wait.
    pub async fn read(&self, query: Query) -> Result<Vec<Row>, StoreFailure> {
        Context::current().within(self.budget).scope(self.attempts(|| self.rows(query.clone()))).await
    }

    /// A transaction that may write: `attempt` from its beginning to its commit. Nobody waits for it but a consumer or a
    /// worker, so it has as much time as their work.
    ///
    /// Where the server broke it off for the sake of another (deadlocks are normal), it is tried again from the beginning,
    /// after a random pause, until the time is over.
    pub async fn write<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, StoreFailure>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        self.attempts(|| async {
            let unfinished = Unfinished(self);
            let outcome = attempt().await;
            if outcome.is_ok() {
                std::mem::forget(unfinished);
            }
            outcome
        })
        .await
    }

    /// Begins a transaction. One that is dropped without its commit has no effect.
    pub async fn begin(&self) -> Result<Txn, Trouble> {
        Ok(self.graph.start_txn().await?)
    }

    async fn rows(&self, query: Query) -> Result<Vec<Row>, Trouble> {
        // The server stops when nobody waits any more.
        let left = i64::try_from(Context::current().deadline.left().as_millis()).unwrap_or(i64::MAX);
        let mut stream = self.graph.execute_read(query.extra("tx_timeout", left.max(1))).await?;
        let mut rows = Vec::new();
        while let Some(row) = stream.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }

    async fn attempts<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, StoreFailure>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let tries = async {
            let mut longest = FIRST_PAUSE;
            loop {
                match attempt().await {
                    Err(trouble) if trouble.passes() => {
                        tracing::debug!(cause = chassis::causes(&trouble), "a transaction is tried again");
                        chassis::pause(rand::random_range(Duration::ZERO..=longest)).await;
                        longest = (longest * 2).min(LONGEST_PAUSE);
                    }
                    outcome => return outcome.map_err(StoreFailure::from),
                }
            }
        };
        in_time(tries).await
    }
}

/// An attempt that failed, or whose caller stopped waiting.
///
/// Its connection goes back into the pool with the transaction open and its locks held, until somebody happens to take it: only
/// then does the driver reset it, or close it. So every connection that lies idle is taken once, at once.
struct Unfinished<'a>(&'a Link);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let Link { graph, sweeps, .. } = self.0.clone();
        if tokio::runtime::Handle::try_current().is_err() || sweeps.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        drop(chassis::spawn("recommendations.sweep", async move {
            loop {
                let asked = sweeps.load(Ordering::SeqCst);
                sweep(&graph).await;
                if sweeps.compare_exchange(asked, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    return;
                }
            }
        }));
    }
}

async fn sweep(graph: &Graph) {
    let mut taken = Vec::new();
    for _ in 0..CONNECTIONS {
        match timeout(SWEEP, graph.execute_read(neo4rs::query("RETURN 1"))).await {
            Ok(Ok(one)) => taken.push(one),
            Ok(Err(_)) => return,
            // A dead one, which is gone now; or all are busy, and may have those that were tested.
            Err(_) => taken.clear(),
        }
    }
}

/// The rows of a statement within a transaction.
pub async fn rows(tx: &mut Txn, query: Query) -> Result<Vec<Row>, Trouble> {
    let mut stream = tx.execute(query).await?;
    let mut rows = Vec::new();
    while let Some(row) = stream.next(tx.handle()).await? {
        rows.push(row);
    }
    Ok(rows)
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// What the driver or the server says.
    #[error(transparent)]
    Driver(#[from] neo4rs::Error),
    /// A row that holds something else than what was written.
    #[error(transparent)]
    Row(#[from] neo4rs::DeError),
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The transaction stood in another's way: the same again may work at once.
    Again,
    /// The server is away, or does not know yet what it is.
    Away,
    /// Somebody has to look.
    Broken,
}

impl Trouble {
    fn passes(&self) -> bool {
        self.meaning() == Meaning::Again
    }

    fn meaning(&self) -> Meaning {
        use neo4rs::Error;
        match self {
            Trouble::Driver(Error::Neo4j(said)) => meaning(said.kind(), said.code()),
            // A login that is refused lost its code in the driver. It was right when the service started; a server that
            // starts or changes its password must not cost any message.
            Trouble::Driver(
                Error::IOError { .. }
                | Error::ConnectionError
                | Error::ConnectionTimedOut
                | Error::IncompleteBoltExchange
                | Error::ProtocolMismatch(_)
                | Error::UnexpectedMessage(_)
                | Error::Ignored(_)
                | Error::RequestIgnoredError
                | Error::ServerUnavailableError(_)
                | Error::AuthenticationError(_),
            ) => Meaning::Away,
            _ => Meaning::Broken,
        }
    }
}

/// What the server's code means; its texts are for people.
fn meaning(kind: Neo4jErrorKind, code: &str) -> Meaning {
    match (kind, code) {
        (Neo4jErrorKind::Transient, _) if code.starts_with("Neo.TransientError.Transaction.") => Meaning::Again,
        // A node that this transaction had found was deleted before it was locked.
        (_, "Neo.ClientError.Statement.EntityNotFound") => Meaning::Again,
        // Another replica made the same constraint at the same moment, in spite of `if not exists`; the next try finds it.
        (
            _,
            "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists"
            | "Neo.ClientError.Schema.ConstraintAlreadyExists"
            | "Neo.ClientError.Schema.IndexAlreadyExists",
        ) => Meaning::Again,
        (Neo4jErrorKind::Transient, _)
        | (
            Neo4jErrorKind::Client(
                Neo4jClientErrorKind::TransactionTerminated
                | Neo4jClientErrorKind::SessionExpired
                | Neo4jClientErrorKind::Security(_),
            ),
            _,
        )
        // The server stops, or the statement's time is over.
        | (
            _,
            "Neo.ClientError.Transaction.LockClientStopped"
            | "Neo.ClientError.Transaction.TransactionTimedOut"
            | "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration"
            // What the driver makes of an answer that came in place of one that was lost.
            | "Neo.ServerError.Ignored",
        ) => Meaning::Away,
        _ => Meaning::Broken,
    }
}

impl From<Trouble> for StoreFailure {
    fn from(trouble: Trouble) -> Self {
        match trouble.meaning() {
            Meaning::Again | Meaning::Away => StoreFailure::Unavailable(trouble.into()),
            Meaning::Broken => StoreFailure::broken(trouble),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_what_passes_what_is_away_and_what_is_broken() {
        let told = |code: &str| meaning(Neo4jErrorKind::from(code), code);
        assert_eq!(told("Neo.TransientError.Transaction.DeadlockDetected"), Meaning::Again);
        assert_eq!(told("Neo.TransientError.Transaction.LockAcquisitionTimeout"), Meaning::Again);
        assert_eq!(told("Neo.TransientError.General.DatabaseUnavailable"), Meaning::Away);
        assert_eq!(told("Neo.ClientError.Security.Unauthorized"), Meaning::Away);
        assert_eq!(told("Neo.ClientError.Transaction.TransactionTimedOut"), Meaning::Away);
        assert_eq!(told("Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists"), Meaning::Again);
        assert_eq!(told("Neo.ClientError.Statement.SyntaxError"), Meaning::Broken);
        assert_eq!(told("Neo.ClientError.Schema.ConstraintValidationFailed"), Meaning::Broken);
        assert_eq!(told("Neo.DatabaseError.General.UnknownError"), Meaning::Broken);
    }

    #[test]
    fn a_refused_connection_is_away() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let failure = StoreFailure::from(Trouble::from(neo4rs::Error::from(refused)));
        assert!(matches!(failure, StoreFailure::Unavailable(_)));
    }
}
