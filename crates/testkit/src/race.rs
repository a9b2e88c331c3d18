use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// Runs `count` futures as tasks that a barrier releases at the same moment, and returns their results in the
/// order of their numbers. Races need several threads: use `#[tokio::test(flavor = "multi_thread")]`.
///
/// Prepare everything that must be ready before the start (a request, a connection) in `contender`, not in
/// its future.
pub async fn at_once<T, F>(count: usize, mut contender: impl FnMut(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(count));
    let mut racers = JoinSet::new();
    for number in 0..count {
        let (start, run) = (Arc::clone(&start), contender(number));
        racers.spawn(async move {
            start.wait().await;
            (number, run.await)
        });
    }
    let mut results = Vec::with_capacity(count);
    while let Some(result) = racers.join_next().await {
        match result {
            Ok(result) => results.push(result),
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Returns a generator of random numbers. The same seed gives the same numbers. A test names its seeds in the
/// source, so that a failure can be repeated.
pub fn random(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test(flavor = "multi_thread")]
    async fn no_future_finishes_before_all_have_started() {
        let started = Arc::new(AtomicUsize::new(0));
        let seen = at_once(8, |number| {
            let started = Arc::clone(&started);
            started.fetch_add(1, Ordering::SeqCst);
            async move { (number, started.load(Ordering::SeqCst)) }
        });
        assert_eq!(seen.await, (0..8).map(|number| (number, 8)).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let numbers = |seed| -> Vec<u32> { random(seed).random_iter().take(4).collect() };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }
}
