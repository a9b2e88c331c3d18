//! The background work of a section, besides the relay of its messages.

use std::sync::Arc;
use std::time::Duration;

use chassis::Cleanup;
use kernel::Clock;

use crate::app::App;

/// The interval in which answers whose time is over are removed. Nothing waits for it: such an answer no
/// longer counts.
const ANSWERS: Duration = Duration::from_secs(60);

/// Returns the worker that removes the answers to commands under keys when their time is over.
pub fn forget_answers(app: Arc<App>, clock: Arc<dyn Clock>) -> Cleanup {
    Cleanup::new("news.answers", ANSWERS, clock, move |most| {
        let app = app.clone();
        async move { app.forget_answers(most).await }
    })
}
