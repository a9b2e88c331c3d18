//! The parts of exports as rows, and the statements that both databases understand.

use chassis::StoredTime;

use crate::domain::{ExportPart, PartSource};

/// Selects the parts of an account that began at `$2` or later.
pub const BY_PERSON: &str = "select part, service, items, next, is_complete, is_cut, begun_at, at
     from export_parts where user_id = $1 and begun_at >= $2";

/// Inserts a part of an account that exists. A part that is there stays if more of it has arrived and it
/// began at `$10` or later.
pub const KEEP: &str =
    "insert into export_parts (user_id, part, service, items, next, is_complete, is_cut, begun_at, at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     on conflict (user_id, part, service) do update set
         items = excluded.items, next = excluded.next, is_complete = excluded.is_complete,
         is_cut = excluded.is_cut, begun_at = excluded.begun_at, at = excluded.at
     where export_parts.begun_at < $10
        or not export_parts.is_complete
           and (excluded.is_complete or length(excluded.items) > length(export_parts.items))";

/// Deletes the parts of an account.
pub const DELETE: &str = "delete from export_parts where user_id = $1";

/// Deletes parts that began before a time, at most `$2`.
pub const DELETE_BEFORE: &str = "delete from export_parts where (user_id, part, service) in
     (select user_id, part, service from export_parts where begun_at < $1 order by begun_at limit $2)";

/// A row of `export_parts`.
#[derive(sqlx::FromRow)]
pub struct PartRow {
    part: String,
    service: String,
    items: String,
    next: String,
    is_complete: bool,
    is_cut: bool,
    begun_at: StoredTime,
    at: StoredTime,
}

impl PartRow {
    /// Returns the part; `None` if only a newer program knows it.
    pub fn into_part(self) -> Option<ExportPart> {
        let Self { part, service, items, next, is_complete, is_cut, begun_at, at } = self;
        let source = PartSource::named(&part, &service)?;
        Some(ExportPart { source, items, next, is_complete, is_cut, begun_at: begun_at.0, at: at.0 })
    }
}
