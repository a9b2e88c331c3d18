//! The clock and the ids of a seed. Both are set before each step.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::{Clock, Ids, TimeOrderedIds, Timestamp};
use uuid::Uuid;

/// A clock that is set to each moment of the plan and never goes back.
#[derive(Debug, Default)]
pub struct WalkingClock(AtomicI64);

impl WalkingClock {
    /// Sets the clock to `at`, unless it is past that already.
    pub fn advance_to(&self, at: Timestamp) {
        self.0.fetch_max(at.millis(), Ordering::SeqCst);
    }
}

impl Clock for WalkingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// Ids that carry the time of a walking clock. The next id can be planned, so that a later run finds it
/// again.
pub struct PlannedIds {
    planned: Mutex<Option<Uuid>>,
    otherwise: TimeOrderedIds,
}

impl PlannedIds {
    /// Creates ids of this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { planned: Mutex::default(), otherwise: TimeOrderedIds::new(clock) }
    }

    /// Sets the next id.
    pub fn plan(&self, id: Uuid) {
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    }
}

impl Ids for PlannedIds {
    fn next(&self) -> Uuid {
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner).take();
        planned.unwrap_or_else(|| self.otherwise.next())
    }
}
