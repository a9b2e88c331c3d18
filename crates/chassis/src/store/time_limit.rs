use std::future::Future;
use std::time::Duration;

use super::failure::StoreFailure;
use crate::observe::Context;

/// The longest time that any caller waits for a store.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for a store until the deadline of the current [`Context`], and five seconds at most. A network that
/// has fallen silent reports no error.
///
/// # Errors
/// The error of the work, or [`StoreFailure::Unavailable`] when the time is over. It is then unknown whether
/// an unanswered commit was done.
pub async fn in_time<T, E: From<StoreFailure>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let left = Context::current().deadline.left().min(PATIENCE);
    match tokio::time::timeout(left, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(StoreFailure::Unavailable(format!("no answer within {left:?}").into()).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_store_that_never_answers_is_unavailable_at_the_deadline() {
        let context = Context::for_work("test", Duration::from_millis(20));
        let silent = context.scope(in_time(pending::<Result<(), StoreFailure>>())).await;
        assert!(matches!(silent, Err(StoreFailure::Unavailable(_))));
    }
}
