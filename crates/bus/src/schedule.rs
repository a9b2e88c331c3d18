use std::time::Duration;

use kernel::{Kind, Refusal};

/// After how long a message comes again that could not be handled for a passing reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

impl Default for Schedule {
    /// 1 s, 5 s, 30 s, 2 min, 10 min: six deliveries in all.
    fn default() -> Self {
        Self([1, 5, 30, 120, 600].map(Duration::from_secs).to_vec())
    }
}

/// What becomes of a message that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It comes again after so long.
    Again(Duration),
    /// It goes to the dead letters.
    Dead,
}

impl Schedule {
    /// One delivery more than there are pauses.
    pub fn new(pauses: impl IntoIterator<Item = Duration>) -> Self {
        Self(pauses.into_iter().collect())
    }

    /// The pauses before the second delivery, the third and so on.
    pub fn pauses(&self) -> &[Duration] {
        &self.0
    }

    /// The longest of them.
    pub(crate) fn longest(&self) -> Duration {
        self.0.iter().copied().max().unwrap_or_default()
    }

    /// How often a message is delivered at most.
    pub fn deliveries(&self) -> usize {
        self.0.len() + 1
    }

    /// The fate of a message after its delivery number `attempts` (from 1) was refused; `was_stale` if one before it
    /// was refused as `Stale`.
    pub(crate) fn fate(&self, refusal: &Refusal, attempts: u32, was_stale: bool) -> Fate {
        let again = refusal.kind.is_transient() || (refusal.kind == Kind::Stale && !was_stale);
        let pause =
            usize::try_from(attempts).ok().and_then(|attempts| self.0.get(attempts.saturating_sub(1)));
        match pause {
            Some(pause) if again => Fate::Again(*pause),
            _ => Fate::Dead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: Kind) -> Refusal {
        Refusal::new(kind, "test", "refused by a test")
    }

    #[test]
    fn what_is_transient_comes_again_five_times() {
        let schedule = Schedule::default();
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_transient()) {
            let fates: Vec<Fate> = (1..=6).map(|n| schedule.fate(&refused(kind), n, false)).collect();
            let again = |seconds| Fate::Again(Duration::from_secs(seconds));
            assert_eq!(
                fates,
                [again(1), again(5), again(30), again(120), again(600), Fate::Dead],
                "{kind:?}"
            );
        }
        assert_eq!(schedule.deliveries(), 6);
    }

    #[test]
    fn what_is_stale_comes_once_more_and_the_rest_never() {
        let schedule = Schedule::default();
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_transient()) {
            let first = schedule.fate(&refused(kind), 1, false);
            assert_eq!(first != Fate::Dead, kind == Kind::Stale, "{kind:?}");
            assert_eq!(schedule.fate(&refused(kind), 2, true), Fate::Dead, "{kind:?}");
        }
    }
}
