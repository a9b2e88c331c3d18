use kernel::UserId;

use super::{App, TasteError};
use crate::domain::{Reading, ReadingFault, Standing};
use crate::ports::Recorded;

/// What became of a reading, for the log and for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is part of the reader's taste.
    Taken,
    /// Consent does not permit it, the reader is erased or there is no such reader. Nothing was kept.
    Refused,
    /// It came so late that it can't be told any more whether it counted before. Nothing was kept.
    Late,
}

impl App {
    /// Counts a reading where the reader consents to it.
    ///
    /// The consent on record decides. Where there is none, or it refuses something that was read after it was given (the
    /// orchestrator saw a consent that we may not have heard of yet), users is asked, and the answer is kept.
    ///
    /// # Errors
    /// Transient where users can't be asked about a reader never heard of: the message has to come again. Where a refusal
    /// is on record and users is away, the refusal stands: a reading is not worth keeping for later.
    pub async fn count_reading(&self, reading: &Reading) -> Result<Outcome, TasteError> {
        let now = self.clock.now();
        if reading.is_ahead(now) {
            return Err(ReadingFault::Future.into());
        }
        if reading.is_late(now) {
            return Ok(Outcome::Late);
        }
        match self.graph.record_read(reading).await? {
            Recorded::Taken => Ok(Outcome::Taken),
            Recorded::Unheard => {
                self.ask_for_consent(reading.reader).await?;
                self.record_again(reading).await
            }
            Recorded::Refused if self.may_be_outdated(reading).await? => {
                match self.ask_for_consent(reading.reader).await {
                    Ok(()) => self.record_again(reading).await,
                    Err(TasteError::Users(_)) => Ok(Outcome::Refused),
                    Err(fault) => Err(fault),
                }
            }
            Recorded::Refused => Ok(Outcome::Refused),
        }
    }

    async fn record_again(&self, reading: &Reading) -> Result<Outcome, TasteError> {
        // Still unheard of after asking: there is no such account.
        let recorded = self.graph.record_read(reading).await?;
        Ok(if recorded == Recorded::Taken { Outcome::Taken } else { Outcome::Refused })
    }

    async fn ask_for_consent(&self, reader: UserId) -> Result<(), TasteError> {
        if let Some(consent) = self.users.consent_of(reader).await? {
            self.graph.set_consent(reader, &consent).await?;
        }
        Ok(())
    }

    async fn may_be_outdated(&self, reading: &Reading) -> Result<bool, TasteError> {
        let standing = self.graph.consent_of(reading.reader).await?;
        Ok(matches!(standing, Some(Standing::Said(consent)) if reading.at > consent.since))
    }
}
