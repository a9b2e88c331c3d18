use kernel::Timestamp;

/// What a person lets the portal do with what they read. Both are off until the person turns them on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Consent {
    /// Recommendations may follow what they like.
    pub personalisation: bool,
    /// The portal may remember what they read.
    pub history: bool,
}

impl Consent {
    /// True where reading may be counted. A taste is both a memory and a personalisation, so it takes both.
    pub const fn permits_counting(self) -> bool {
        self.personalisation && self.history
    }
}

/// A consent as users states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsentRecord {
    /// What the person said.
    pub consent: Consent,
    /// Counts the changes of this person's consent, from 0 for one who never said anything.
    pub version: u32,
    /// When the person said so: what they read before does not count under this consent. The epoch where the source did
    /// not say when (the answer over gRPC does not, the event does).
    pub since: Timestamp,
}

impl ConsentRecord {
    /// True where something read at `at` may be counted under this consent.
    pub fn permits(&self, at: Timestamp) -> bool {
        self.consent.permits_counting() && at >= self.since
    }

    /// True where `known` must give way to this record: it is of a higher version, or of the same and knows since when.
    pub fn replaces(&self, known: &ConsentRecord) -> bool {
        (self.version, self.since) > (known.version, known.since)
    }
}

/// What is on record about a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// What they said last, as far as it has come here.
    Said(ConsentRecord),
    /// The account was erased. Nothing is ever kept about it again.
    Erased,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_takes_consent_to_personalisation_and_to_history() {
        let permits = |personalisation, history| Consent { personalisation, history }.permits_counting();
        assert!(permits(true, true));
        assert!(!permits(true, false) && !permits(false, true) && !permits(false, false));
        assert!(!Consent::default().permits_counting());
    }

    #[test]
    fn what_was_read_before_a_consent_does_not_count_under_it() {
        let since = Timestamp::from_millis(1000);
        let record =
            ConsentRecord { consent: Consent { personalisation: true, history: true }, version: 1, since };
        assert!(record.permits(since) && !record.permits(Timestamp::from_millis(999)));
    }
}
