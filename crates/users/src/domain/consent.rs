use kernel::Timestamp;

/// A choice of what a person allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsentChoice {
    /// The portal may choose news by what the person likes.
    pub personalisation: bool,
    /// The portal may store what the person reads.
    pub history: bool,
}

/// The consent of a person, with its version. Everything is off until the person turns it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Consent {
    /// The choice of the person.
    pub choice: ConsentChoice,
    /// The number of changes; 0 if the person never changed it.
    pub version: u32,
    /// The time of the last change.
    pub changed_at: Option<Timestamp>,
}

impl Consent {
    /// Returns the consent after the person has chosen at `now`, or `None` if the choice changes nothing.
    pub fn changed_to(&self, choice: ConsentChoice, now: Timestamp) -> Option<Self> {
        (choice != self.choice).then_some(Self { choice, version: self.version + 1, changed_at: Some(now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_account_has_consented_to_nothing() {
        let nothing = Consent::default();
        assert_eq!(nothing.choice, ConsentChoice { personalisation: false, history: false });
        let now = Timestamp::from_millis(1);
        let changed = nothing
            .changed_to(ConsentChoice { personalisation: false, history: true }, now)
            .expect("a change");
        assert_eq!((changed.version, changed.changed_at), (1, Some(now)));
        assert_eq!(changed.changed_to(changed.choice, now), None);
    }
}
