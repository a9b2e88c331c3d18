//! What is counted against the limits of a client.

use std::net::{IpAddr, Ipv4Addr};

use chassis::http::{EdgeConfig, ThrottleConfig};
use kernel::Section;

use crate::cache::caching;
use crate::world::World;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The product's limits, but what was used of the one of the same address does not come back within a test, however slow.
async fn world() -> World {
    let same_address = vec!["20/day".parse().expect("a limit")];
    let throttle = ThrottleConfig { same_address, ..ThrottleConfig::default() };
    World::behind(EdgeConfig { throttle, ..EdgeConfig::default() }, caching(), |bus| bus).await
}

#[tokio::test]
async fn a_hundred_reads_of_one_kept_answer_pass_and_those_that_no_cache_answers_are_refused_after_the_burst()
{
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    for (path, turns) in [(format!("/sports/{id}"), 50), ("/home".to_owned(), 12)] {
        for turn in 0..turns {
            let answer = world.get(&path).from(CLIENT).send().await;
            assert_eq!(answer.status, 200, "{path}: {turn}");
            let known = world.get(&path).from(CLIENT).header("if-none-match", answer.header("etag"));
            assert_eq!(known.send().await.status, 304, "{path}: {turn}");
        }
    }
    let fresh = format!("/sports/{id}?min_version=7");
    for turn in 0..20 {
        assert_eq!(world.get(&fresh).from(CLIENT).send().await.status, 200, "{turn}");
    }
    let refused = world.get(&fresh).from(CLIENT).send().await;
    assert_eq!(refused.problem(), (429, "too_many_requests"));
    assert_ne!(refused.header("retry-after"), "");
    // Other addresses, and other clients, have limits of their own.
    assert_eq!(world.get(&format!("/sports/{id}")).from(CLIENT).send().await.status, 200);
    let neighbour = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    assert_eq!(world.get(&fresh).from(neighbour).send().await.status, 200);
}
