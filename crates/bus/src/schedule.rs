use std::time::Duration;

use kernel::{Kind, Refusal};

/// The pauses before the retries of a message that was refused for a transient reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

impl Default for Schedule {
    /// Returns the pauses 1 s, 5 s, 30 s, 2 min and 10 min, which make six deliveries in total.
    fn default() -> Self {
        Self([1, 5, 30, 120, 600].map(Duration::from_secs).to_vec())
    }
}

/// The next step for a message that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is delivered again after this pause.
    Retry(Duration),
    /// It goes to the dead letters.
    Dead,
}

impl Schedule {
    /// Creates a schedule with these pauses. A message is delivered once more often than there are pauses.
    pub fn new(pauses: impl IntoIterator<Item = Duration>) -> Self {
        Self(pauses.into_iter().collect())
    }

    /// Returns the pauses before the second delivery, the third and so on.
    pub fn pauses(&self) -> &[Duration] {
        &self.0
    }

    /// Returns the longest pause.
    pub(crate) fn longest(&self) -> Duration {
        self.0.iter().copied().max().unwrap_or_default()
    }

    /// Returns the largest number of deliveries of one message.
    pub fn deliveries(&self) -> usize {
        self.0.len() + 1
    }

    /// Returns the fate of a message whose delivery number `attempts` (from 1) was refused. `was_stale` says
    /// that an earlier one was refused as `Stale`.
    pub(crate) fn fate(&self, refusal: &Refusal, attempts: u32, was_stale: bool) -> Fate {
        let is_retried = refusal.kind.is_transient() || (refusal.kind == Kind::Stale && !was_stale);
        let pause =
            usize::try_from(attempts).ok().and_then(|attempts| self.0.get(attempts.saturating_sub(1)));
        match pause {
            Some(pause) if is_retried => Fate::Retry(*pause),
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
    fn a_transient_refusal_is_retried_five_times() {
        let schedule = Schedule::default();
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_transient()) {
            let fates: Vec<Fate> = (1..=6).map(|n| schedule.fate(&refused(kind), n, false)).collect();
            let retry = |seconds| Fate::Retry(Duration::from_secs(seconds));
            assert_eq!(
                fates,
                [retry(1), retry(5), retry(30), retry(120), retry(600), Fate::Dead],
                "{kind:?}"
            );
        }
        assert_eq!(schedule.deliveries(), 6);
    }

    #[test]
    fn a_stale_message_is_retried_once_and_any_other_never() {
        let schedule = Schedule::default();
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_transient()) {
            let first = schedule.fate(&refused(kind), 1, false);
            assert_eq!(first != Fate::Dead, kind == Kind::Stale, "{kind:?}");
            assert_eq!(schedule.fate(&refused(kind), 2, true), Fate::Dead, "{kind:?}");
        }
    }
}
