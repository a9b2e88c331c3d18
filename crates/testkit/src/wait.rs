use std::time::{Duration, Instant};

/// The time that a test waits for something that should happen immediately. It is long, because only a
/// failure uses it up.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Polls `condition` until it returns a value, and returns that.
///
/// This is the only place where a test sleeps: 5 ms between two polls. After `deadline` it panics and names
/// `what` it has waited for, a noun phrase such as `"the label in the reader's list"`.
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
            pause().await;
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only place where tests sleep, between two polls of a condition"
)]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_becomes_true_returns_its_value() {
        let mut looks = 0;
        let found = wait_until("the third look", PATIENCE, || {
            looks += 1;
            std::future::ready((looks == 3).then_some("here"))
        });
        assert_eq!(found.await, "here");
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for a miracle")]
    async fn a_condition_that_never_becomes_true_is_named() {
        wait_until::<(), _>("a miracle", Duration::from_millis(20), || std::future::ready(None)).await;
    }
}
