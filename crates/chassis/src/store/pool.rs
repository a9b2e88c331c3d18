//! The options that every pool of connections starts from.

use std::time::Duration;

use sqlx::Database;
use sqlx::pool::PoolOptions;

/// Returns options for a pool of at most `connections`, in which work waits at most `patience` for one of
/// them.
///
/// The pool has no time limits of its own, because each of them starts the maintenance task of sqlx 0.9. That
/// task loops once for each idle connection, and the counter of idle connections can pass below zero for a
/// moment: then the loop has 2⁶⁴ turns, never yields, and a worker thread of the runtime is lost. A task that
/// it has woken stays in that thread's queue and may hold the only connection that writes. Limits on the age
/// of a connection belong into `before_acquire` and `after_release`, which need no task.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(super) fn pool_options<DB: Database>(connections: u32, patience: Duration) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        .idle_timeout(None)
        .max_lifetime(None)
}

#[cfg(test)]
mod tests {
    use sqlx::{Postgres, Sqlite};

    use super::*;

    #[test]
    fn no_pool_starts_the_maintenance_task_of_sqlx() {
        let second = Duration::from_secs(1);
        let sqlite = pool_options::<Sqlite>(1, second);
        assert_eq!((sqlite.get_idle_timeout(), sqlite.get_max_lifetime()), (None, None));
        let postgres = pool_options::<Postgres>(1, second);
        assert_eq!((postgres.get_idle_timeout(), postgres.get_max_lifetime()), (None, None));
    }
}
