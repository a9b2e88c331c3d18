use chassis::causes;
use kernel::{FieldFault, MAX_LIMIT, MAX_REACH};

use super::{App, BATCH, UserError};
use crate::ports::Listing;

/// Which accounts of all: `count` after the first `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// How many come before it.
    pub start: u32,
    /// How many it has at the most.
    pub count: u32,
}

impl Slice {
    /// How many accounts a list has where nobody says.
    pub const DEFAULT_COUNT: i64 = 10;

    /// Checks the range; nothing is clamped in silence.
    ///
    /// # Errors
    /// `out_of_range` for each parameter.
    pub fn new(start: i64, count: i64) -> Result<Self, UserError> {
        let mut faults = Vec::new();
        let fault =
            |name: &str, sentence: String| FieldFault::new(format!("/{name}"), "out_of_range", sentence);
        let count = u32::try_from(count).ok().filter(|count| (1..=MAX_LIMIT).contains(count));
        if count.is_none() {
            faults.push(fault("count", format!("must be 1 to {MAX_LIMIT}")));
        }
        let reach = MAX_REACH - count.unwrap_or(1);
        let start = u32::try_from(start).ok().filter(|start| *start <= reach);
        if start.is_none() {
            faults.push(fault(
                "start",
                format!("must be 0 to {reach}: lists reach as far as the {MAX_REACH}th account"),
            ));
        }
        match (start, count) {
            (Some(start), Some(count)) => Ok(Self { start, count }),
            _ => Err(UserError::Invalid(faults)),
        }
    }
}

impl App {
    /// A slice of all accounts, the first registered first.
    pub async fn list(&self, slice: Slice) -> Result<Listing, UserError> {
        // Whoever was just told that an account exists finds it in the list, too; of a long backlog, what came first. One that
        // can't be stored is the worker's affair: it must not hide the list.
        for id in self.intake.waiting(BATCH).await? {
            if let Err(error) = self.settle(id).await {
                tracing::debug!(user = %id, cause = causes(&error), "a registration was left to the worker");
            }
        }
        Ok(self.store.list(slice.start, slice.count).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_refused_by_name_and_never_clamped() {
        assert_eq!(Slice::new(0, 10).expect("good"), Slice { start: 0, count: 10 });
        assert_eq!(Slice::new(9_900, 100).expect("the last").start, 9_900);
        let names = |start, count| match Slice::new(start, count) {
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
