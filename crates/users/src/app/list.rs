use chassis::causes;
use kernel::{FieldFault, MAX_LIMIT, MAX_REACH};

use super::settle::BATCH;
use super::{App, UserError};
use crate::ports::Listing;

/// A range of all accounts: `count` accounts after the first `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListRange {
    /// The number of accounts before it.
    pub start: u32,
    /// The most accounts in it.
    pub count: u32,
}

impl ListRange {
    /// The number of accounts if the request does not name one.
    pub const DEFAULT_COUNT: i64 = 10;

    /// Checks the range. A number outside of its bounds is refused and never clamped.
    ///
    /// # Errors
    /// `out_of_range` for each parameter.
    pub fn new(start: i64, count: i64) -> Result<Self, UserError> {
        let mut faults = Vec::new();
        let fault =
            |name: &str, sentence: String| FieldFault::new(format!("/{name}"), "out_of_range", sentence);
        let count = u32::try_from(count).ok().filter(|count| (1..=MAX_LIMIT).contains(count));
        if count.is_none() {
            faults.push(fault("count", format!("must be between 1 and {MAX_LIMIT}")));
        }
        let reach = MAX_REACH - count.unwrap_or(1);
        let start = u32::try_from(start).ok().filter(|start| *start <= reach);
        if start.is_none() {
            faults.push(fault(
                "start",
                format!("must be between 0 and {reach}: lists end at account number {MAX_REACH}"),
            ));
        }
        match (start, count) {
            (Some(start), Some(count)) => Ok(Self { start, count }),
            _ => Err(UserError::Invalid(faults)),
        }
    }
}

impl App {
    /// Returns a range of all accounts, in the order of registration.
    pub async fn list(&self, range: ListRange) -> Result<Listing, UserError> {
        // An account whose registration was just answered is in the list, too; of a long backlog, the oldest
        // ones are. If one can't be stored, the worker handles it: it must not hide the list.
        for id in self.intake.waiting(BATCH).await? {
            if let Err(error) = self.settle(id).await {
                tracing::debug!(user = %id, cause = causes(&error), "a registration could not be settled before a list; the worker tries again");
            }
        }
        Ok(self.store.list(range.start, range.count).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_out_of_bounds_is_refused_by_name_and_never_clamped() {
        assert_eq!(ListRange::new(0, 10).expect("good"), ListRange { start: 0, count: 10 });
        assert_eq!(ListRange::new(9_900, 100).expect("the last").start, 9_900);
        let names = |start, count| match ListRange::new(start, count) {
            Err(UserError::Invalid(faults)) => faults.into_iter().map(|fault| fault.pointer).collect(),
            _ => Vec::new(),
        };
        assert_eq!(names(0, 0), ["/count"]);
        assert_eq!(names(0, 101), ["/count"]);
        assert_eq!(names(-1, 101), ["/count", "/start"]);
        assert_eq!(names(9_901, 100), ["/start"]);
        assert_eq!(names(i64::MAX, 1), ["/start"]);
    }
}
