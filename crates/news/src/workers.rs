//! What a section does by itself, beside sending its messages.

use std::sync::Arc;
use std::time::Duration;

use chassis::Forgetting;
use kernel::Clock;

use crate::app::App;

/// How often it is looked for answers whose time is over. Nothing waits for it: such an answer counts as none.
const ANSWERS: Duration = Duration::from_secs(60);

/// Forgets answers to commands under keys once their time is over.
pub fn forget_answers(app: Arc<App>, clock: Arc<dyn Clock>) -> Forgetting {
    Forgetting::new("news.answers", ANSWERS, clock, move |most| {
        let app = app.clone();
        async move { app.forget_answers(most).await }
    })
}
