use std::sync::Arc;
use std::time::Duration;

use super::servers::Keys;
use super::{NOW, account, id};
use crate::domain::User;
use crate::ports::UserCache;
use crate::store::memory::MemoryUserCache;
use crate::store::redis::RedisUserCache;

const LIFE: Duration = Duration::from_secs(60);
/// Long enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

struct Fixture {
    cache: Arc<dyn UserCache>,
    _place: Option<Keys>,
}

macro_rules! every_case {
    ($open:path $(, ignore = $reason:literal)?) => {
        testkit::cases! { [$open $(, ignore = $reason)?]
            in (super) {
                an_unknown_id_is_a_miss,
                a_cached_account_is_found_unchanged,
                of_two_versions_the_newer_stays,
                a_forgotten_account_is_not_found_and_a_late_put_does_not_bring_it_back,
                counts_in_one_bucket_are_exact_even_when_many_are_made_in_parallel,
                buckets_are_counted_separately,
                a_bucket_whose_window_has_ended_begins_again_at_1,
                reading_a_bucket_counts_nothing_and_a_bucket_whose_window_has_ended_has_the_count_0,
                a_cache_answers_when_asked,
            }
        }
    };
}

mod memory {
    use super::*;

    async fn open() -> Fixture {
        Fixture { cache: Arc::new(MemoryUserCache::new(1000, LIFE)), _place: None }
    }

    every_case!(open);
}

mod redis {
    use super::*;

    async fn open() -> Fixture {
        let keys = Keys::of_cache();
        let cache = RedisUserCache::new(&keys.url(), LIFE, PATIENCE).expect("opens");
        Fixture { cache: Arc::new(cache), _place: Some(keys) }
    }

    every_case!(open, ignore = "needs redis");

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs redis"]
    async fn replicas_share_cached_accounts_and_a_forgotten_account_stays_forgotten_for_all() {
        let keys = Keys::of_cache();
        let [one, other] = [(); 2].map(|()| RedisUserCache::new(&keys.url(), LIFE, PATIENCE).expect("opens"));
        one.put(&user(2)).await;
        other.put(&user(1)).await;
        assert_eq!(other.get(id(1)).await, Some(user(2)));
        other.forget(id(1)).await;
        one.put(&user(3)).await;
        assert_eq!(one.get(id(1)).await, None);
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs redis"]
    async fn accounts_forgotten_accounts_and_counts_all_expire() {
        let keys = Keys::of_cache();
        let cache = RedisUserCache::new(&keys.url(), LIFE, PATIENCE).expect("opens");
        cache.put(&user(1)).await;
        cache.forget(id(2)).await;
        cache.count("login", LIFE, NOW).await;
        let accounts = [1, 2].map(|number| format!("cache:{}", id(number).uuid()));
        for key in accounts.iter().map(String::as_str).chain(["count:login"]) {
            let left = keys.command("PTTL", key, &[]);
            let ::redis::Value::Int(left) = left else { panic!("{left:?}") };
            assert!(left > 0 && left <= 60_000, "{left}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs redis"]
    async fn replicas_count_together_and_without_the_server_each_for_itself() {
        let keys = Keys::of_cache();
        let [one, other] = [(); 2].map(|()| RedisUserCache::new(&keys.url(), LIFE, PATIENCE).expect("opens"));
        assert_eq!(one.count("login", LIFE, NOW).await.times, 1);
        assert_eq!(other.count("login", LIFE, NOW).await.times, 2);
        assert_eq!(one.current_count("login", LIFE, NOW).await, 2);
        let alone = RedisUserCache::new("redis://127.0.0.1:1", LIFE, PATIENCE).expect("opens");
        for times in 1..=10 {
            assert_eq!(alone.count("login", LIFE, NOW).await.times, times);
            assert_eq!(alone.current_count("login", LIFE, NOW).await, times);
        }
    }
}

fn user(version: u32) -> User {
    User { version: kernel::Version::new(version), ..account(1, "ann@example.org").user }
}

async fn an_unknown_id_is_a_miss(fixture: Fixture) {
    fixture.cache.put(&user(1)).await;
    assert_eq!(fixture.cache.get(id(2)).await, None);
}

async fn a_cached_account_is_found_unchanged(fixture: Fixture) {
    fixture.cache.put(&user(1)).await;
    assert_eq!(fixture.cache.get(id(1)).await, Some(user(1)));
}

async fn of_two_versions_the_newer_stays(fixture: Fixture) {
    for (first, second) in [(1, 2), (2, 1)] {
        fixture.cache.put(&user(first)).await;
        fixture.cache.put(&user(second)).await;
        assert_eq!(fixture.cache.get(id(1)).await, Some(user(2)));
    }
}

async fn a_forgotten_account_is_not_found_and_a_late_put_does_not_bring_it_back(fixture: Fixture) {
    fixture.cache.put(&user(1)).await;
    fixture.cache.forget(id(1)).await;
    assert_eq!(fixture.cache.get(id(1)).await, None);
    fixture.cache.put(&user(9)).await;
    assert_eq!(fixture.cache.get(id(1)).await, None);
}

async fn counts_in_one_bucket_are_exact_even_when_many_are_made_in_parallel(fixture: Fixture) {
    let counts = (0..50).map(|_| fixture.cache.count("login", LIFE, NOW));
    let mut times: Vec<u64> =
        futures::future::join_all(counts).await.into_iter().map(|count| count.times).collect();
    times.sort_unstable();
    assert_eq!(times, (1..=50).collect::<Vec<_>>());
}

async fn buckets_are_counted_separately(fixture: Fixture) {
    for times in 1..4 {
        for bucket in ["login", "register", "login:1"] {
            assert_eq!(fixture.cache.count(bucket, LIFE, NOW).await.times, times);
        }
    }
}

async fn a_bucket_whose_window_has_ended_begins_again_at_1(fixture: Fixture) {
    let count = async |seconds: u64| {
        let count = fixture.cache.count("login", LIFE, NOW.plus(Duration::from_secs(seconds))).await;
        (count.times, count.left.as_secs())
    };
    assert_eq!(count(0).await, (1, 60));
    assert_eq!(count(20).await, (2, 40));
    assert_eq!(count(59).await, (3, 1));
    assert_eq!(count(60).await, (1, 60));
    assert_eq!(count(119).await, (2, 1));
    assert_eq!(count(300).await, (1, 60));
}

async fn reading_a_bucket_counts_nothing_and_a_bucket_whose_window_has_ended_has_the_count_0(
    fixture: Fixture,
) {
    let look = async |bucket: &str, seconds: u64| {
        fixture.cache.current_count(bucket, LIFE, NOW.plus(Duration::from_secs(seconds))).await
    };
    assert_eq!(look("login", 0).await, 0);
    for times in 1..4 {
        fixture.cache.count("login", LIFE, NOW).await;
        assert_eq!(
            (look("login", 0).await, look("login", 59).await, look("register", 0).await),
            (times, times, 0)
        );
    }
    assert_eq!(look("login", 60).await, 0);
}

async fn a_cache_answers_when_asked(fixture: Fixture) {
    assert!(fixture.cache.ping().await.is_ok());
}
