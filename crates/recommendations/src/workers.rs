//! The background work: old visits are deleted.

use std::sync::Arc;
use std::time::Duration;

use chassis::Cleanup;
use kernel::Clock;

use crate::app::App;

/// The interval at which the worker looks for visits to delete.
const VISITS_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Returns the worker that deletes visits which are no longer needed. When a reader read an article is not
/// stored for longer than the rule of 30 minutes and late deliveries need it.
pub fn forget_visits(app: App, clock: Arc<dyn Clock>) -> Cleanup {
    Cleanup::new("recommendations.forgetting", VISITS_INTERVAL, clock, move |limit| {
        let app = app.clone();
        async move { app.forget_visits(limit).await }
    })
}
