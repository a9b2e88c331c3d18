//! Writes run to completion, even if the client no longer waits for the response.

use std::any::Any;
use std::time::Duration;

use axum::response::Response;
use kernel::Deadline;
use tokio::time::error::Elapsed;
use tokio_util::task::TaskTracker;

use super::problem::Problem;
use crate::{Context, spawn};

/// The result of a handler: its response, or its panic.
pub(super) type HandlerResult = Result<Response, Box<dyn Any + Send>>;

/// The maximum duration of a write, as a multiple of its budget.
const MAX_BUDGETS: u32 = 3;

/// Runs a write to completion, even if the client disconnects or the deadline passes. If it were dropped
/// between two stores, the second one (a cache, for example) would lack the change of the first. `budget` is
/// the budget of a write.
pub(super) async fn run_to_completion(
    work: impl Future<Output = HandlerResult> + Send + 'static,
    deadline: Deadline,
    budget: Duration,
    writes: &TaskTracker,
) -> Result<HandlerResult, Elapsed> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let context = Context::current();
    let task = async move {
        let Ok(result) = tokio::time::timeout(budget * MAX_BUDGETS, work).await else {
            tracing::error!("a write was cancelled: it took three times its budget");
            return;
        };
        if let Err(result) = sender.send(result) {
            log_abandoned(&result);
        }
    };
    spawn("edge.write", writes.track_future(context.scope(task)));
    let received = tokio::time::timeout(deadline.left(), receiver).await?;
    // The task ends without a result only if it was cancelled, and that is after the deadline.
    Ok(received.unwrap_or_else(|error| Err(Box::new(error.to_string()))))
}

/// Logs the result of a write whose client no longer waited.
fn log_abandoned(result: &HandlerResult) {
    let problem = result.as_ref().ok().and_then(|response| response.extensions().get::<Problem>());
    match (result, problem.and_then(Problem::cause)) {
        (Err(panic), _) => tracing::error!(
            cause = panic_text(&**panic),
            "a write panicked after its client had stopped waiting"
        ),
        (Ok(_), Some(cause)) => tracing::error!(cause, "a write failed after its client had stopped waiting"),
        (Ok(response), None) => {
            let status = response.status().as_u16();
            tracing::info!(status, "a write was completed after its client had stopped waiting");
        }
    }
}

/// Returns the message of a panic.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("")
}
