use kernel::Timestamp;

/// A person's consent to the use of what they read. Both parts are off until the person turns them on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Consent {
    /// Recommendations may follow what the person likes.
    pub personalisation: bool,
    /// The portal may remember what the person read.
    pub history: bool,
}

impl Consent {
    /// Returns true if readings may be counted. A taste is both a memory and a personalisation, so it needs
    /// both.
    pub const fn permits_counting(self) -> bool {
        self.personalisation && self.history
    }
}

/// A consent as the service users states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsentRecord {
    /// The person's choice.
    pub consent: Consent,
    /// The number of times that this person has changed their consent; 0 if they never chose.
    pub version: u32,
    /// The moment of the choice. Earlier readings do not count under this consent. It is the epoch if the
    /// source did not state the moment: the answer over gRPC does not, the event does.
    pub since: Timestamp,
}

impl ConsentRecord {
    /// Returns true if a reading at `at` may be counted under this consent.
    pub fn permits(&self, at: Timestamp) -> bool {
        self.consent.permits_counting() && at >= self.since
    }

    /// Returns true if this record must replace `known`: its version is higher, or the version is the same
    /// and only this record states its moment.
    pub fn replaces(&self, known: &ConsentRecord) -> bool {
        (self.version, self.since) > (known.version, known.since)
    }
}

/// The state of a reader in this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderStatus {
    /// The newest consent that has arrived here.
    Known(ConsentRecord),
    /// The account was erased. Nothing about it is ever kept again.
    Erased,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_needs_consent_to_personalisation_and_to_history() {
        let permits = |personalisation, history| Consent { personalisation, history }.permits_counting();
        assert!(permits(true, true));
        assert!(!permits(true, false) && !permits(false, true) && !permits(false, false));
        assert!(!Consent::default().permits_counting());
    }

    #[test]
    fn a_reading_before_a_consent_does_not_count_under_it() {
        let since = Timestamp::from_millis(1000);
        let record =
            ConsentRecord { consent: Consent { personalisation: true, history: true }, version: 1, since };
        assert!(record.permits(since) && !record.permits(Timestamp::from_millis(999)));
    }
}
