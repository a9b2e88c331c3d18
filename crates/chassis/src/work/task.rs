use std::future::Future;
use std::time::Duration;

/// Starts a task under a name and returns its handle. Every task starts here, except for the parts of a
/// [`crate::Host`], which waits for them itself.
#[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
pub fn spawn<F>(name: &'static str, work: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(async move {
        tracing::debug!(task = name, "a task starts");
        work.await
    })
}

/// Waits. It is for back-off only.
#[expect(clippy::disallowed_methods, reason = "back-off is what this is for")]
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Returns the pause after this many failures in a row: `first` after the first one, doubled with each, at
/// most `longest`.
pub fn back_off(failures: u32, first: Duration, longest: Duration) -> Duration {
    first.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1))).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_one() {
        let pause =
            |failures| back_off(failures, Duration::from_millis(100), Duration::from_secs(1)).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 5, 100, u32::MAX].map(pause), [100, 100, 200, 400, 800, 1000, 1000, 1000]);
    }
}
