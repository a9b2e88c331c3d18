use std::time::{Duration, Instant};

/// How long a test waits for what should happen at once. Long, because it is only ever used up by a failure.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Polls `condition` until it gives something, and returns that.
///
/// The one place where a test sleeps: 5 ms between two looks. After `deadline` it panics and names `what` it was waiting
/// for, a noun phrase such as `"the label in the reader's list"`.
#[track_caller]
pub fn wait_until<T, F>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> F,
) -> impl Future<Output = T>
where
    F: Future<Output = Option<T>>,
{
    let caller = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            assert!(start.elapsed() < deadline, "{caller}: waited {deadline:?} in vain for {what}");
            nap().await;
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place where tests sleep, between two looks at a condition"
)]
async fn nap() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_gives_its_value() {
        let mut looks = 0;
        let found = wait_until("the third look", PATIENCE, || {
            looks += 1;
            std::future::ready((looks == 3).then_some("here"))
        });
        assert_eq!(found.await, "here");
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for a miracle")]
    async fn a_condition_that_never_comes_true_is_named() {
        wait_until::<(), _>("a miracle", Duration::from_millis(20), || std::future::ready(None)).await;
    }
}
