//! The queries that return rows, and the conversion of rows from and to values.

use std::collections::HashMap;

use kernel::{ArticleId, Label, MessageId, Timestamp, UserId};
use neo4rs::{BoltType, Row};
use uuid::Uuid;

use super::pool::AttemptError;
use crate::domain::{Consent, ConsentRecord, ReaderStatus, Reading, Taste, Visit, VisitKey, minute_of};

/// The query for the labels that a reader likes.
pub const LABELS: &str = "
    MATCH (:Reader {tenant: $tenant, id: $reader})-[likes:LIKES]->(label:Label) WHERE likes.reads > 0
    RETURN coalesce(likes.shown, label.name) AS shown, label.name AS name, likes.weight AS weight,
           likes.reads AS reads, likes.last_read_at AS last_read_at
    ORDER BY likes.heft DESC, name LIMIT $limit";

/// The query for a page of the visits of a reader. Ids as text sort like their bytes.
pub const VISITS: &str = "
    MATCH (visit:Visit {tenant: $tenant, reader: $reader})
    WHERE visit.article >= $article AND visit.minute IS NOT NULL
      AND (visit.article > $article OR visit.minute > $minute)
    RETURN visit.article AS article, visit.first_at AS first_at, visit.last_at AS last_at,
           visit.message AS message, visit.labels AS labels, visit.counted AS counted, visit.minute AS minute
    ORDER BY article, minute LIMIT $limit";

/// The query for the readers who like a label.
pub const READERS: &str = "
    MATCH (reader:Reader)-[likes:LIKES]->(:Label {tenant: $tenant, name: $label}) WHERE likes.reads > 0
    RETURN reader.id AS reader
    ORDER BY likes.heft DESC, reader LIMIT $limit";

/// The query for the status of a reader.
pub const STATUS: &str = "
    MATCH (reader:Reader {tenant: $tenant, id: $reader})
    RETURN reader.erased_at IS NOT NULL AS erased, reader.version AS version,
           coalesce(reader.personalisation, false) AS personalisation, coalesce(reader.history, false) AS history,
           coalesce(reader.since, 0) AS since";

/// Converts the rows of [`STATUS`].
pub fn status(rows: &[Row]) -> Result<Option<ReaderStatus>, AttemptError> {
    let Some(row) = rows.first() else { return Ok(None) };
    if row.get("erased")? {
        return Ok(Some(ReaderStatus::Erased));
    }
    // A node that was created a moment ago has no consent yet.
    let Some(version) = row.get("version")? else { return Ok(None) };
    let consent = Consent { personalisation: row.get("personalisation")?, history: row.get("history")? };
    let since = Timestamp::from_millis(row.get("since")?);
    Ok(Some(ReaderStatus::Known(ConsentRecord { consent, version, since })))
}

/// Converts a row of [`READERS`].
pub fn reader(row: &Row) -> Result<UserId, AttemptError> {
    Ok(UserId::new(row.get("reader")?))
}

/// Converts a row of shown, weight, reads and last_read_at.
pub fn taste(row: &Row) -> Result<Taste, AttemptError> {
    let last_read_at = Timestamp::from_millis(row.get("last_read_at")?);
    let label = Label::stored(row.get("shown")?).into();
    Ok(Taste::from_store(label, row.get("weight")?, row.get("reads")?, last_read_at))
}

/// Converts a row of article, first_at, last_at, message, labels and counted.
pub fn visit(row: &Row) -> Result<Visit, AttemptError> {
    let labels: Vec<String> = row.get("labels")?;
    Ok(Visit {
        first_at: Timestamp::from_millis(row.get("first_at")?),
        last_at: Timestamp::from_millis(row.get("last_at")?),
        message: MessageId::new(row.get::<Uuid>("message")?),
        labels: labels.into_iter().map(|label| Label::stored(label).into()).collect(),
        counted: row.get("counted")?,
    })
}

/// Converts a row of [`VISITS`].
pub fn keyed_visit(row: &Row) -> Result<(VisitKey, Visit), AttemptError> {
    let article = ArticleId::new(row.get::<Uuid>("article")?);
    Ok((VisitKey { article, minute: row.get("minute")? }, visit(row)?))
}

/// Returns the first reading of the minute, and the last if it is a different one.
pub fn readings(row: &Row, reader: UserId) -> Result<Vec<Reading>, AttemptError> {
    Ok(visit(row)?.readings(reader, ArticleId::new(row.get::<Uuid>("article")?)))
}

/// Converts a visit to a map of the names that the statements read.
pub fn visit_map(visit: &Visit) -> BoltType {
    map([
        ("minute", minute_of(visit.first_at).into()),
        ("first_at", visit.first_at.millis().into()),
        ("last_at", visit.last_at.millis().into()),
        ("message", visit.message.to_string().into()),
        ("labels", visit.labels.iter().map(|label| label.typed().as_str()).collect()),
        ("counted", visit.counted.into()),
    ])
}

/// Converts a taste to a map of the names that the statements read.
pub fn taste_map(taste: &Taste) -> BoltType {
    map([
        ("name", taste.label().key().into()),
        ("shown", taste.label().typed().as_str().into()),
        ("weight", taste.stored_weight().into()),
        ("reads", taste.reads().into()),
        ("last_read_at", taste.last_read_at().millis().into()),
        ("heft", taste.weight_rank().into()),
    ])
}

fn map<const N: usize>(entries: [(&str, BoltType); N]) -> BoltType {
    HashMap::from(entries).into()
}
