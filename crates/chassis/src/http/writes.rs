//! Writes are done to their end, also when nobody waits for it any more.

use std::any::Any;
use std::time::Duration;

use axum::response::Response;
use kernel::Deadline;
use tokio::time::error::Elapsed;
use tokio_util::task::TaskTracker;

use super::problem::Problem;
use crate::{Context, spawn};

/// What became of a handler: its answer, or what its panic said.
pub(super) type Outcome = Result<Response, Box<dyn Any + Send>>;

/// A write goes on without its client for no longer than so many times its budget.
const PATIENCE: u32 = 3;

/// A write that has begun is done to its end, also when the client leaves or the time is over: dropped between two stores, it
/// would leave the second one (a cache, say) with what the first one has changed. `budget` is that of a write.
pub(super) async fn to_the_end(
    work: impl Future<Output = Outcome> + Send + 'static,
    deadline: Deadline,
    budget: Duration,
    writes: &TaskTracker,
) -> Result<Outcome, Elapsed> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let context = Context::current();
    let task = async move {
        let Ok(outcome) = tokio::time::timeout(budget * PATIENCE, work).await else {
            tracing::error!("a write was given up: it took three times its budget");
            return;
        };
        if let Err(unheard) = tell.send(outcome) {
            log_unheard(&unheard);
        }
    };
    spawn("edge.write", writes.track_future(context.scope(task)));
    let heard = tokio::time::timeout(deadline.left(), told).await?;
    // The task ends without telling only where it was given up, and that is after the deadline.
    Ok(heard.unwrap_or_else(|lost| Err(Box::new(lost.to_string()))))
}

/// The end of a write that nobody waited for.
fn log_unheard(outcome: &Outcome) {
    let problem = outcome.as_ref().ok().and_then(|response| response.extensions().get::<Problem>());
    match (outcome, problem.and_then(Problem::cause)) {
        (Err(panic), _) => tracing::error!(cause = said(&**panic), "a write that nobody waited for panicked"),
        (Ok(_), Some(cause)) => tracing::error!(cause, "a write that nobody waited for failed"),
        (Ok(response), None) => {
            let status = response.status().as_u16();
            tracing::info!(status, "a write that nobody waited for was done to its end");
        }
    }
}

/// What a panic said.
pub(super) fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("")
}
