use kernel::UserId;

use super::{App, TasteError};
use crate::domain::{ReaderStatus, Reading, ReadingFault};
use crate::ports::RecordedReading;

/// The outcome of a reading, for the log and for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadingOutcome {
    /// The reading is part of the reader's taste.
    Accepted,
    /// Consent does not permit it, the reader is erased, or the account does not exist. Nothing was stored.
    NotPermitted,
    /// It arrived so late that it is no longer known if it counted before. Nothing was stored.
    TooLate,
}

impl App {
    /// Counts a reading if the reader consents to it.
    ///
    /// The consent on record decides. This asks users, and stores the answer, in two cases: there is no
    /// consent on record, or it refuses a reading that is newer than the refusal. The orchestrator may have
    /// seen a consent that has not arrived here yet.
    ///
    /// # Errors
    /// Fails for a passing reason if the reader is unknown and users does not answer: the message must come
    /// again. If a refusal is on record and users does not answer, the refusal holds; a reading is not worth
    /// keeping for later.
    pub async fn count_reading(&self, reading: &Reading) -> Result<ReadingOutcome, TasteError> {
        let now = self.clock.now();
        if reading.is_in_the_future(now) {
            return Err(ReadingFault::Future.into());
        }
        if reading.is_late(now) {
            return Ok(ReadingOutcome::TooLate);
        }
        match self.graph.record_read(reading).await? {
            RecordedReading::Accepted => Ok(ReadingOutcome::Accepted),
            RecordedReading::ConsentUnknown => {
                self.update_consent(reading.reader).await?;
                self.record_again(reading).await
            }
            RecordedReading::NotPermitted if self.may_be_outdated(reading).await? => {
                match self.update_consent(reading.reader).await {
                    Ok(()) => self.record_again(reading).await,
                    Err(TasteError::Users(_)) => Ok(ReadingOutcome::NotPermitted),
                    Err(error) => Err(error),
                }
            }
            RecordedReading::NotPermitted => Ok(ReadingOutcome::NotPermitted),
        }
    }

    async fn record_again(&self, reading: &Reading) -> Result<ReadingOutcome, TasteError> {
        Ok(match self.graph.record_read(reading).await? {
            RecordedReading::Accepted => ReadingOutcome::Accepted,
            // If the consent is still unknown after users was asked, the account does not exist.
            RecordedReading::NotPermitted | RecordedReading::ConsentUnknown => ReadingOutcome::NotPermitted,
        })
    }

    /// Asks users for a reader's consent and stores the answer, if there is one.
    async fn update_consent(&self, reader: UserId) -> Result<(), TasteError> {
        if let Some(consent) = self.users.consent_of(reader).await? {
            self.graph.set_consent(reader, &consent).await?;
        }
        Ok(())
    }

    async fn may_be_outdated(&self, reading: &Reading) -> Result<bool, TasteError> {
        let status = self.graph.reader_status(reading.reader).await?;
        Ok(matches!(status, Some(ReaderStatus::Known(consent)) if reading.at > consent.since))
    }
}
