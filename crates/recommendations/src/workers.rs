//! What this service does by itself: forgetting.

use std::sync::Arc;
use std::time::Duration;

use chassis::Forgetting;
use kernel::Clock;

use crate::app::App;

/// How often it is looked for visits to forget.
const VISITS: Duration = Duration::from_secs(10 * 60);

/// Forgets visits that are not needed any more: what somebody read when is not kept longer than the rule of 30 minutes and
/// late deliveries take.
pub fn forget_visits(app: App, clock: Arc<dyn Clock>) -> Forgetting {
    Forgetting::new("recommendations.forgetting", VISITS, clock, move |most| {
        let app = app.clone();
        async move { app.forget_visits(most).await }
    })
}
