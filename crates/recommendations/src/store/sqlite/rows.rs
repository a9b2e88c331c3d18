//! The rows of the tables, one type for each.

use kernel::{ArticleId, Label, MessageId, Timestamp, UserId};
use uuid::Uuid;

use crate::domain::{Consent, ConsentRecord, Reading, Taste, Visit, VisitKey, minute_of};
use chassis::StoreFailure;

/// A row of `tastes`.
#[derive(sqlx::FromRow)]
pub(super) struct TasteRow {
    shown: String,
    weight: f64,
    reads: u32,
    last_read_at: i64,
}

impl TasteRow {
    pub(super) fn into_taste(self) -> Taste {
        let label = Label::stored(self.shown).into();
        Taste::from_store(label, self.weight, self.reads, Timestamp::from_millis(self.last_read_at))
    }
}

/// A row of `visits`.
#[derive(sqlx::FromRow)]
pub(super) struct VisitRow {
    article: Uuid,
    first_at: i64,
    last_at: i64,
    message: Uuid,
    labels: String,
    counted: bool,
}

impl VisitRow {
    pub(super) fn into_visit(self) -> Result<Visit, StoreFailure> {
        Ok(Visit {
            first_at: Timestamp::from_millis(self.first_at),
            last_at: Timestamp::from_millis(self.last_at),
            message: MessageId::new(self.message),
            labels: serde_json::from_str(&self.labels)?,
            counted: self.counted,
        })
    }

    pub(super) fn into_keyed_visit(self) -> Result<(VisitKey, Visit), StoreFailure> {
        let article = ArticleId::new(self.article);
        let visit = self.into_visit()?;
        Ok((VisitKey { article, minute: minute_of(visit.first_at) }, visit))
    }

    /// Returns the first reading of the minute, and the last if it is a different one.
    pub(super) fn into_readings(self, reader: UserId) -> Result<Vec<Reading>, StoreFailure> {
        let article = ArticleId::new(self.article);
        Ok(self.into_visit()?.readings(reader, article))
    }
}

/// A row of `consents`.
#[derive(sqlx::FromRow)]
pub(super) struct ConsentRow {
    personalisation: bool,
    history: bool,
    version: u32,
    since: i64,
}

impl ConsentRow {
    pub(super) fn into_record(self) -> ConsentRecord {
        let consent = Consent { personalisation: self.personalisation, history: self.history };
        ConsentRecord { consent, version: self.version, since: Timestamp::from_millis(self.since) }
    }
}
