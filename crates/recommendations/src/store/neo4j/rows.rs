//! What the graph's rows say, and the rows of what is told to it.

use std::collections::HashMap;

use kernel::{ArticleId, Label, MessageId, Timestamp, UserId};
use neo4rs::{BoltType, Row};
use uuid::Uuid;

use super::link::Trouble;
use crate::domain::{Consent, ConsentRecord, Reading, Standing, Taste, Visit, minute_of};

/// What a reader likes.
pub const LABELS: &str = "
    MATCH (:Reader {tenant: $tenant, id: $reader})-[likes:LIKES]->(label:Label) WHERE likes.reads > 0
    RETURN coalesce(likes.shown, label.name) AS shown, label.name AS name, likes.weight AS weight,
           likes.reads AS reads, likes.last_read_at AS last_read_at
    ORDER BY likes.heft DESC, name LIMIT $limit";

/// Who likes a label.
pub const READERS: &str = "
    MATCH (reader:Reader)-[likes:LIKES]->(:Label {tenant: $tenant, name: $label}) WHERE likes.reads > 0
    RETURN reader.id AS reader
    ORDER BY likes.heft DESC, reader LIMIT $limit";

/// What is on record about a reader.
pub const STANDING: &str = "
    MATCH (reader:Reader {tenant: $tenant, id: $reader})
    RETURN reader.erased_at IS NOT NULL AS erased, reader.version AS version,
           coalesce(reader.personalisation, false) AS personalisation, coalesce(reader.history, false) AS history,
           coalesce(reader.since, 0) AS since";

/// The answer to [`STANDING`].
pub fn standing(rows: &[Row]) -> Result<Option<Standing>, Trouble> {
    let Some(row) = rows.first() else { return Ok(None) };
    if row.get("erased")? {
        return Ok(Some(Standing::Erased));
    }
    // A node that was made a moment ago says nothing yet.
    let Some(version) = row.get("version")? else { return Ok(None) };
    let consent = Consent { personalisation: row.get("personalisation")?, history: row.get("history")? };
    let since = Timestamp::from_millis(row.get("since")?);
    Ok(Some(Standing::Said(ConsentRecord { consent, version, since })))
}

/// A row of [`READERS`].
pub fn reader(row: &Row) -> Result<UserId, Trouble> {
    Ok(UserId::new(row.get("reader")?))
}

/// A row of shown, weight, reads and last_read_at.
pub fn taste(row: &Row) -> Result<Taste, Trouble> {
    let last_read_at = Timestamp::from_millis(row.get("last_read_at")?);
    let label = Label::stored(row.get("shown")?).into();
    Ok(Taste::kept(label, row.get("weight")?, row.get("reads")?, last_read_at))
}

/// A row of article, first_at, last_at, message, labels and counted.
pub fn visit(row: &Row) -> Result<Visit, Trouble> {
    let labels: Vec<String> = row.get("labels")?;
    Ok(Visit {
        first_at: Timestamp::from_millis(row.get("first_at")?),
        last_at: Timestamp::from_millis(row.get("last_at")?),
        message: MessageId::new(row.get::<Uuid>("message")?),
        labels: labels.into_iter().map(|label| Label::stored(label).into()).collect(),
        counted: row.get("counted")?,
    })
}

/// The first reading of the minute, and the last where it was another.
pub fn readings(row: &Row, reader: UserId) -> Result<Vec<Reading>, Trouble> {
    Ok(visit(row)?.readings(reader, ArticleId::new(row.get::<Uuid>("article")?)))
}

/// A visit as a map of the names that the statements read.
pub fn of_visit(visit: &Visit) -> BoltType {
    map([
        ("minute", minute_of(visit.first_at).into()),
        ("first_at", visit.first_at.millis().into()),
        ("last_at", visit.last_at.millis().into()),
        ("message", visit.message.to_string().into()),
        ("labels", visit.labels.iter().map(|label| label.typed().as_str()).collect()),
        ("counted", visit.counted.into()),
    ])
}

/// A taste as a map of the names that the statements read.
pub fn of_taste(taste: &Taste) -> BoltType {
    map([
        ("name", taste.label().key().into()),
        ("shown", taste.label().typed().as_str().into()),
        ("weight", taste.kept_weight().into()),
        ("reads", taste.reads().into()),
        ("last_read_at", taste.last_read_at().millis().into()),
        ("heft", taste.heft().into()),
    ])
}

fn map<const N: usize>(entries: [(&str, BoltType); N]) -> BoltType {
    HashMap::from(entries).into()
}
