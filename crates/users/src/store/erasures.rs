//! Erasures and their receipts as rows, and the statements that both databases understand.

use chassis::StoredTime;
use kernel::UserId;

use crate::domain::{Erasure, Receipt};

/// Inserts the tombstone of an erased account.
pub const INSERT: &str = "insert into erasures (user_id, erased_at, announced_at) values ($1, $2, $2)";

/// Selects an erasure.
pub const BY_PERSON: &str = "select erased_at, completed_at from erasures where user_id = $1";

/// Selects the receipts of an erasure.
pub const RECEIPTS: &str = "select service, at from erasure_receipts where user_id = $1 order by at, service";

/// Inserts a receipt.
pub const INSERT_RECEIPT: &str = "insert into erasure_receipts (user_id, service, at) values ($1, $2, $3)
     on conflict (user_id, service) do nothing";

/// Notes that an erasure is complete if it has `$3` receipts.
pub const COMPLETE: &str = "update erasures set completed_at = $2
     where user_id = $1 and completed_at is null
       and (select count(*) from erasure_receipts where user_id = $1) >= $3";

/// Selects the open erasures that were announced before a time.
pub const OPEN: &str = "select user_id from erasures
     where completed_at is null and coalesce(announced_at, erased_at) < $1 order by erased_at limit $2";

/// Notes that an open erasure is announced again.
pub const ANNOUNCE: &str =
    "update erasures set announced_at = $2 where user_id = $1 and completed_at is null returning erased_at";

/// Counts the open erasures from before a time, up to a limit.
pub const COUNT_OPEN: &str = "select count(*) from
     (select 1 from erasures where completed_at is null and erased_at < $1 limit $2) as open_erasures";

/// A row of `erasures`.
#[derive(sqlx::FromRow)]
pub struct ErasureRow {
    erased_at: StoredTime,
    completed_at: Option<StoredTime>,
}

/// A row of `erasure_receipts`.
#[derive(sqlx::FromRow)]
pub struct ReceiptRow {
    service: String,
    at: StoredTime,
}

impl ErasureRow {
    /// Returns the erasure of this row with its receipts.
    pub fn with_receipts(self, person: UserId, receipts: Vec<ReceiptRow>) -> Erasure {
        let receipts = receipts.into_iter().map(|row| Receipt { service: row.service, at: row.at.0 });
        Erasure {
            person,
            erased_at: self.erased_at.0,
            completed_at: self.completed_at.map(|time| time.0),
            receipts: receipts.collect(),
        }
    }
}
