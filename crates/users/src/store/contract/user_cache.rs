use std::sync::Arc;
use std::time::Duration;

use super::servers::Keys;
use super::{account, id};
use crate::domain::User;
use crate::ports::UserCache;
use crate::store::memory::MemoryUserCache;
use crate::store::redis_cache::RedisUserCache;

const LIFE: Duration = Duration::from_secs(60);
/// A machine that is busy with other tests is not what is tested.
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
                a_cached_account_is_found_as_it_was_put,
                of_two_versions_the_newer_stays,
                an_erased_account_is_not_found_and_no_late_put_brings_it_back,
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
    async fn what_one_replica_puts_another_finds_and_what_one_erases_no_other_brings_back() {
        let keys = Keys::of_cache();
        let [one, other] = [(); 2].map(|()| RedisUserCache::new(&keys.url(), LIFE, PATIENCE).expect("opens"));
        one.put(&user(2)).await;
        other.put(&user(1)).await;
        assert_eq!(other.get(id(1)).await, Some(user(2)));
        other.erase(id(1)).await;
        one.put(&user(3)).await;
        assert_eq!(one.get(id(1)).await, None);
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs redis"]
    async fn what_it_holds_ages_out_accounts_and_tombstones_alike() {
        let keys = Keys::of_cache();
        let cache = RedisUserCache::new(&keys.url(), LIFE, PATIENCE).expect("opens");
        cache.put(&user(1)).await;
        cache.erase(id(2)).await;
        for number in [1, 2] {
            let left = keys.command("PTTL", &format!("cache:{}", id(number).uuid()), &[]);
            let ::redis::Value::Int(left) = left else { panic!("{left:?}") };
            assert!(left > 0 && left <= 60_000, "{left}");
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

async fn a_cached_account_is_found_as_it_was_put(fixture: Fixture) {
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

async fn an_erased_account_is_not_found_and_no_late_put_brings_it_back(fixture: Fixture) {
    fixture.cache.put(&user(1)).await;
    fixture.cache.erase(id(1)).await;
    assert_eq!(fixture.cache.get(id(1)).await, None);
    fixture.cache.put(&user(9)).await;
    assert_eq!(fixture.cache.get(id(1)).await, None);
}

async fn a_cache_answers_when_asked(fixture: Fixture) {
    assert!(fixture.cache.ping().await.is_ok());
}
