use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chassis::{Context, Retry, RetryRule, StoreFailure, in_time};
use neo4rs::{ConfigBuilder, Graph, Neo4jClientErrorKind, Neo4jErrorKind, Query, Row, Txn};
use tokio::time::timeout;

use super::address::Neo4jAddress;

/// The number of connections of one process.
const CONNECTIONS: usize = 10;
/// The time that the driver waits for a connection or an answer. Callers wait less; this ends work that was
/// abandoned.
const DRIVER_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for testing a connection that was idle. Behind a dead route it never answers.
const IDLE_TEST: Duration = Duration::from_secs(1);
/// Deadlocks are retried until the deadline.
const RETRY_RULE: RetryRule =
    RetryRule { retries: u32::MAX, pause: Duration::from_millis(5), longest: Duration::from_millis(200) };
/// The time that a sweep waits for each connection.
const SWEEP_TIMEOUT: Duration = Duration::from_millis(250);

/// The connections to the server, with retries.
#[derive(Clone)]
pub struct Pool {
    graph: Graph,
    tenant: String,
    /// The longest time for a query that a client waits for.
    budget: Duration,
    retry: Arc<Retry>,
    /// The number of requested sweeps. If it is not 0, a sweep is running.
    sweeps: Arc<AtomicU32>,
}

impl Pool {
    /// Creates a pool, which does not connect yet.
    pub fn new(address: &Neo4jAddress, budget: Duration) -> Result<Self, StoreFailure> {
        let config = ConfigBuilder::default()
            .uri(&address.server)
            .user(&address.user)
            .password(&address.password)
            .max_connections(CONNECTIONS)
            .connection_timeout(DRIVER_TIMEOUT)
            // The driver's name for the time in which an idle connection is tested before use.
            .idle_timeout(IDLE_TEST)
            .tcp_keepalive(Duration::from_secs(10))
            .build()
            .and_then(Graph::connect);
        let graph = config.map_err(AttemptError::from)?;
        Ok(Self {
            graph,
            tenant: address.tenant.clone(),
            budget,
            retry: Arc::new(Retry::without_budget(RETRY_RULE)),
            sweeps: Arc::default(),
        })
    }

    /// Creates a statement about the nodes of this tenant.
    pub fn query(&self, text: &str) -> Query {
        neo4rs::query(text).param("tenant", self.tenant.as_str())
    }

    /// Returns the rows of a statement that only reads, within the budget for queries.
    pub async fn read(&self, query: Query) -> Result<Vec<Row>, StoreFailure> {
        Context::current().within(self.budget).scope(self.with_retries(|| self.rows(query.clone()))).await
    }

    /// Runs a transaction that may write: `attempt`, from its beginning to its commit. Only consumers and
    /// workers call this, so it has as much time as their work.
    ///
    /// If the server aborted the transaction in favour of another (deadlocks are normal), it is tried again
    /// from the beginning after a random pause, until the deadline.
    pub async fn write<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, StoreFailure>
    where
        F: Future<Output = Result<T, AttemptError>>,
    {
        self.with_retries(|| async {
            let guard = SweepGuard(self);
            let result = attempt().await;
            if result.is_ok() {
                std::mem::forget(guard);
            }
            result
        })
        .await
    }

    /// Begins a transaction. If it is dropped without a commit, it has no effect.
    pub async fn begin(&self) -> Result<Txn, AttemptError> {
        Ok(self.graph.start_txn().await?)
    }

    async fn rows(&self, query: Query) -> Result<Vec<Row>, AttemptError> {
        // The server stops the statement when the caller's time is over.
        let left = i64::try_from(Context::current().deadline.left().as_millis()).unwrap_or(i64::MAX);
        let mut stream = self.graph.execute_read(query.extra("tx_timeout", left.max(1))).await?;
        let mut rows = Vec::new();
        while let Some(row) = stream.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }

    async fn with_retries<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, StoreFailure>
    where
        F: Future<Output = Result<T, AttemptError>>,
    {
        in_time(async {
            let result = self.retry.run("neo4j", AttemptError::is_retryable, |_| attempt()).await;
            result.map_err(StoreFailure::from)
        })
        .await
    }
}

/// A guard that tests all idle connections if an attempt failed or was cancelled.
///
/// The driver returns the connection of such an attempt to the pool with the transaction open and its locks
/// held. It resets or closes the connection only when it is used next. So every idle connection is used once,
/// immediately.
struct SweepGuard<'a>(&'a Pool);

impl Drop for SweepGuard<'_> {
    fn drop(&mut self) {
        let Pool { graph, sweeps, .. } = self.0.clone();
        if tokio::runtime::Handle::try_current().is_err() || sweeps.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        drop(chassis::spawn("recommendations.sweep", async move {
            loop {
                let requested = sweeps.load(Ordering::SeqCst);
                sweep(&graph).await;
                if sweeps.compare_exchange(requested, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    return;
                }
            }
        }));
    }
}

/// Uses every idle connection once.
async fn sweep(graph: &Graph) {
    let mut tested = Vec::new();
    for _ in 0..CONNECTIONS {
        match timeout(SWEEP_TIMEOUT, graph.execute_read(neo4rs::query("RETURN 1"))).await {
            Ok(Ok(stream)) => tested.push(stream),
            Ok(Err(_)) => return,
            // The connection was dead and is gone now; or all are busy, and the tested ones are released.
            Err(_) => tested.clear(),
        }
    }
}

/// Returns the rows of a statement within a transaction.
pub async fn rows(tx: &mut Txn, query: Query) -> Result<Vec<Row>, AttemptError> {
    let mut stream = tx.execute(query).await?;
    let mut rows = Vec::new();
    while let Some(row) = stream.next(tx.handle()).await? {
        rows.push(row);
    }
    Ok(rows)
}

/// The failure of one attempt.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// An error of the driver or the server.
    #[error(transparent)]
    Driver(#[from] neo4rs::Error),
    /// A row with unexpected content.
    #[error(transparent)]
    Row(#[from] neo4rs::DeError),
}

/// The meaning of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureClass {
    /// The transaction conflicted with another; the same attempt may succeed immediately.
    Retryable,
    /// The server is unavailable or still starting.
    Unavailable,
    /// A defect that an operator must look at.
    Broken,
}

impl AttemptError {
    fn is_retryable(&self) -> bool {
        self.class() == FailureClass::Retryable
    }

    fn class(&self) -> FailureClass {
        use neo4rs::Error;
        match self {
            AttemptError::Driver(Error::Neo4j(error)) => class_of(error.kind(), error.code()),
            // The driver drops the code of a refused login. The login was right when the service started, and
            // a server that starts or changes its password must not cost any message.
            AttemptError::Driver(
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
            ) => FailureClass::Unavailable,
            _ => FailureClass::Broken,
        }
    }
}

/// Returns the meaning of a code of the server. The texts of the server are for people only.
fn class_of(kind: Neo4jErrorKind, code: &str) -> FailureClass {
    match (kind, code) {
        (Neo4jErrorKind::Transient, _) if code.starts_with("Neo.TransientError.Transaction.") => FailureClass::Retryable,
        // A node that this transaction had found was deleted before it was locked.
        (_, "Neo.ClientError.Statement.EntityNotFound") => FailureClass::Retryable,
        // Another replica created the same constraint at the same moment, in spite of `if not exists`; the
        // next attempt finds it.
        (
            _,
            "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists"
            | "Neo.ClientError.Schema.ConstraintAlreadyExists"
            | "Neo.ClientError.Schema.IndexAlreadyExists",
        ) => FailureClass::Retryable,
        (Neo4jErrorKind::Transient, _)
        | (
            Neo4jErrorKind::Client(
                Neo4jClientErrorKind::TransactionTerminated
                | Neo4jClientErrorKind::SessionExpired
                | Neo4jClientErrorKind::Security(_),
            ),
            _,
        )
        // The server is stopping, or the statement's time is over.
        | (
            _,
            "Neo.ClientError.Transaction.LockClientStopped"
            | "Neo.ClientError.Transaction.TransactionTimedOut"
            | "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration"
            // The driver's error for an answer that arrived in place of a lost one.
            | "Neo.ServerError.Ignored",
        ) => FailureClass::Unavailable,
        _ => FailureClass::Broken,
    }
}

impl From<AttemptError> for StoreFailure {
    fn from(error: AttemptError) -> Self {
        match error.class() {
            FailureClass::Retryable | FailureClass::Unavailable => StoreFailure::Unavailable(error.into()),
            FailureClass::Broken => StoreFailure::broken(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_if_a_failure_is_retryable_unavailable_or_broken() {
        let class = |code: &str| class_of(Neo4jErrorKind::from(code), code);
        assert_eq!(class("Neo.TransientError.Transaction.DeadlockDetected"), FailureClass::Retryable);
        assert_eq!(class("Neo.TransientError.Transaction.LockAcquisitionTimeout"), FailureClass::Retryable);
        assert_eq!(class("Neo.TransientError.General.DatabaseUnavailable"), FailureClass::Unavailable);
        assert_eq!(class("Neo.ClientError.Security.Unauthorized"), FailureClass::Unavailable);
        assert_eq!(class("Neo.ClientError.Transaction.TransactionTimedOut"), FailureClass::Unavailable);
        assert_eq!(
            class("Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists"),
            FailureClass::Retryable
        );
        assert_eq!(class("Neo.ClientError.Statement.SyntaxError"), FailureClass::Broken);
        assert_eq!(class("Neo.ClientError.Schema.ConstraintValidationFailed"), FailureClass::Broken);
        assert_eq!(class("Neo.DatabaseError.General.UnknownError"), FailureClass::Broken);
    }

    #[test]
    fn a_refused_connection_is_unavailable() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let failure = StoreFailure::from(AttemptError::from(neo4rs::Error::from(refused)));
        assert!(matches!(failure, StoreFailure::Unavailable(_)));
    }
}
