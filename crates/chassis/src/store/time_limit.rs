use std::future::Future;
use std::time::Duration;

use crate::{Context, StoreFailure};

/// The longest that a store is waited for, whoever asks.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for a store's answer no longer than the work in hand is worth doing, and five seconds at most: a network that
/// has gone silent gives no error by itself.
///
/// # Errors
/// What the work says; [`StoreFailure::Unavailable`] when the time is over. Whether a commit was done that was not answered,
/// nobody knows.
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
    async fn a_store_that_never_answers_is_away_when_the_deadline_is_over() {
        let context = Context::for_work("test", Duration::from_millis(20));
        let silent = context.scope(in_time(pending::<Result<(), StoreFailure>>())).await;
        assert!(matches!(silent, Err(StoreFailure::Unavailable(_))));
    }
}
