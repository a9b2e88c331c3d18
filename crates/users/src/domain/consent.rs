use kernel::Timestamp;

/// What a person allows, as they say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choice {
    /// News may be chosen by what the person likes.
    pub personalisation: bool,
    /// It may be stored what the person reads.
    pub history: bool,
}

/// What a person allows, and since which change. Everything is off until the person turns it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Consent {
    /// What is allowed.
    pub choice: Choice,
    /// Counts the changes; 0 for somebody who never said anything.
    pub version: u32,
    /// When it was last changed.
    pub changed_at: Option<Timestamp>,
}

impl Consent {
    /// The consent after the person has chosen at `now`; `None` where they chose what held already.
    pub fn changed_to(&self, choice: Choice, now: Timestamp) -> Option<Self> {
        (choice != self.choice).then_some(Self { choice, version: self.version + 1, changed_at: Some(now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_off_until_the_person_turns_it_on() {
        let nothing = Consent::default();
        assert_eq!(nothing.choice, Choice { personalisation: false, history: false });
        let now = Timestamp::from_millis(1);
        let changed =
            nothing.changed_to(Choice { personalisation: false, history: true }, now).expect("a change");
        assert_eq!((changed.version, changed.changed_at), (1, Some(now)));
        assert_eq!(changed.changed_to(changed.choice, now), None);
    }
}
