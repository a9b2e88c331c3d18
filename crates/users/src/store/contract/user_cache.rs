use std::sync::Arc;
use std::time::Duration;

use super::{account, cases, id};
use crate::domain::User;
use crate::ports::UserCache;
use crate::store::memory::MemoryUserCache;

type Fixture = Arc<dyn UserCache>;

macro_rules! every_case {
    ($open:path $(, ignore = $reason:literal)?) => {
        cases! {
            $open, [$(#[ignore = $reason])?];
            an_unknown_id_is_a_miss,
            a_cached_account_is_found_as_it_was_put,
            of_two_versions_the_newer_stays,
            an_erased_account_is_not_found_and_no_late_put_brings_it_back,
            a_cache_answers_when_asked,
        }
    };
}

mod memory {
    use super::*;

    async fn open() -> Fixture {
        Arc::new(MemoryUserCache::new(1000, Duration::from_secs(60)))
    }

    every_case!(open);
}

fn user(version: u32) -> User {
    User { version: kernel::Version::new(version), ..account(1, "ann@example.org").user }
}

async fn an_unknown_id_is_a_miss(cache: Fixture) {
    cache.put(&user(1)).await;
    assert_eq!(cache.get(id(2)).await, None);
}

async fn a_cached_account_is_found_as_it_was_put(cache: Fixture) {
    cache.put(&user(1)).await;
    assert_eq!(cache.get(id(1)).await, Some(user(1)));
}

async fn of_two_versions_the_newer_stays(cache: Fixture) {
    for (first, second) in [(1, 2), (2, 1)] {
        cache.put(&user(first)).await;
        cache.put(&user(second)).await;
        assert_eq!(cache.get(id(1)).await, Some(user(2)));
    }
}

async fn an_erased_account_is_not_found_and_no_late_put_brings_it_back(cache: Fixture) {
    cache.put(&user(1)).await;
    cache.erase(id(1)).await;
    assert_eq!(cache.get(id(1)).await, None);
    cache.put(&user(9)).await;
    assert_eq!(cache.get(id(1)).await, None);
}

async fn a_cache_answers_when_asked(cache: Fixture) {
    assert!(cache.ping().await.is_ok());
}
