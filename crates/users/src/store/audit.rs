//! The audit as rows, and the statements that both databases understand.

use chassis::{StoreFailure, StoredTime};
use kernel::{Timestamp, UserId};
use uuid::Uuid;

use crate::domain::{AuditCursor, AuditEntry, AuditFilter, Network, Origin};

/// Appends an entry. If it names an erased person, the network is left out: the entry may arrive after the
/// erasure.
pub const APPEND: &str = "insert into audit (actor, subject, kind, at, network)
     values ($1, $2, $3, $4,
             case when exists (select 1 from erasures where user_id = $1 or user_id = $2) then null else $5 end)";

/// Removes the networks from the entries that name a person, for their erasure.
pub const REMOVE_NETWORKS: &str =
    "update audit set network = null where (actor = $1 or subject = $1) and network is not null";

/// Deletes the oldest entries before a time, at most `$2`.
pub const DELETE_BEFORE: &str = "delete from audit where position in
     (select position from audit where at < $1 order by at, position limit $2)";

/// Selects a page of entries. The first condition decides which index is used.
macro_rules! select_entries {
    ($condition:literal) => {
        concat!(
            "select position, actor, subject, kind, at, network from audit where ",
            $condition,
            " and ($3 is null or kind = $3) and at >= $4 and at <= $5
              and ($6 is null or at < $5 or position < $6)
              order by at desc, position desc limit $7"
        )
    };
}

const BY_SUBJECT: &str = select_entries!("($1 is null or actor = $1) and subject = $2");
const BY_ACTOR: &str = select_entries!("actor = $1 and $2 is null");
const BY_TIME: &str = select_entries!("$1 is null and $2 is null");

/// The end of the times that are compared: the year 9999.
const END_OF_TIME: Timestamp = Timestamp::from_millis(253_402_300_799_999);
/// The beginning of the times that are compared: 1970.
const BEGINNING_OF_TIME: Timestamp = Timestamp::from_millis(0);

/// A page of the audit as the parameters of its statement.
pub struct EntriesQuery {
    /// The statement.
    pub statement: &'static str,
    /// `$1`: the actor.
    pub actor: Option<Uuid>,
    /// `$2`: the subject.
    pub subject: Option<Uuid>,
    /// `$3`: the kind.
    pub kind: Option<&'static str>,
    /// `$4`: the earliest time.
    pub from: StoredTime,
    /// `$5`: the latest time; after a cursor, the cursor's time.
    pub to: StoredTime,
    /// `$6`: the position of the cursor among the entries of the latest time.
    pub before: Option<i64>,
}

impl EntriesQuery {
    /// Returns the parameters of the page of `filter` after `cursor`.
    pub fn new(filter: &AuditFilter, cursor: Option<AuditCursor>) -> Self {
        let statement = match (filter.subject, filter.actor) {
            (Some(_), _) => BY_SUBJECT,
            (None, Some(_)) => BY_ACTOR,
            (None, None) => BY_TIME,
        };
        let to = filter.to.unwrap_or(END_OF_TIME).min(END_OF_TIME);
        let from = filter.from.unwrap_or(BEGINNING_OF_TIME).max(BEGINNING_OF_TIME);
        Self {
            statement,
            actor: filter.actor.map(|id| id.uuid()),
            subject: filter.subject.map(|id| id.uuid()),
            kind: filter.kind.map(|kind| kind.as_str()),
            from: StoredTime(from.min(END_OF_TIME)),
            to: StoredTime(cursor.map_or(to, |cursor| cursor.at.min(to))),
            before: cursor.map(|cursor| cursor.position),
        }
    }
}

/// A row of `audit`.
#[derive(sqlx::FromRow)]
pub struct AuditRow {
    position: i64,
    actor: Option<Uuid>,
    subject: Uuid,
    kind: String,
    at: StoredTime,
    network: Option<String>,
}

impl TryFrom<AuditRow> for AuditEntry {
    type Error = StoreFailure;

    fn try_from(row: AuditRow) -> Result<Self, StoreFailure> {
        let network = row.network.as_deref().map(Network::stored);
        let network = network.map(|network| network.ok_or(StoreFailure::broken("a stored network")));
        Ok(AuditEntry {
            position: row.position,
            origin: Origin { actor: row.actor.map(UserId::new), network: network.transpose()?, at: row.at.0 },
            subject: UserId::new(row.subject),
            kind: row
                .kind
                .parse()
                .map_err(|error: crate::domain::UnknownKind| StoreFailure::broken(error))?,
        })
    }
}
