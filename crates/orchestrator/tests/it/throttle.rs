//! What is counted against the limits of a client.

use std::net::{IpAddr, Ipv4Addr};

use chassis::http::{EdgeConfig, ThrottleConfig};
use kernel::{Role, Section};

use crate::cache::caching;
use crate::desk::article;
use crate::world::{World, config, token};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The product's limits, but what was used of the one of the same address does not come back within a test, however slow.
async fn world() -> World {
    let same_address = vec!["20/day".parse().expect("a limit")];
    let throttle = ThrottleConfig { same_address, ..ThrottleConfig::default() };
    World::behind(EdgeConfig { throttle, ..EdgeConfig::default() }, caching(), |bus| bus).await
}

#[tokio::test]
async fn versions_are_compared_for_a_client_as_often_as_costly_routes_allow_and_the_section_is_spared_the_rest()
 {
    let costly = vec!["2/day".parse().expect("a limit")];
    let throttle = ThrottleConfig { costly, ..ThrottleConfig::default() };
    let edge = EdgeConfig { throttle, ..EdgeConfig::default() };
    let world = World::behind(edge, config(), |bus| bus).await;
    let desk = world.desk(Section::Sports);
    let id = desk.put(article(Section::Sports, 1, 5, "published"));
    let path = format!("/sports/{id}/diff?from=1&to=3");
    let first = world.get(&path).from(CLIENT).send().await;
    // Anybody may keep it, so it says the policy alone.
    assert_eq!((first.status.as_u16(), first.header("ratelimit")), (200, ""));
    assert_ne!(first.header("ratelimit-policy"), "");
    // A client that has it asks for the work nevertheless.
    let known = world.get(&path).from(CLIENT).header("if-none-match", first.header("etag"));
    assert_eq!(known.send().await.status, 304);
    desk.forget();
    for method in ["GET", "HEAD"] {
        let refused = world.ask(method, &path).from(CLIENT).by(&token(Role::Editor)).send().await;
        assert_eq!((refused.status.as_u16(), refused.header("cache-control")), (429, "no-store"));
        assert_eq!(
            (refused.header("retry-after"), refused.header("ratelimit")),
            ("43200", "\"costly-day\";r=0;t=43200")
        );
        assert!(refused.header("ratelimit-policy").starts_with("\"costly-day\";q=2;"), "{refused:?}");
    }
    assert!(desk.calls().is_empty());
    // Who may not come in, what else there is, and who else asks: none of it is counted.
    assert_eq!(world.get(&path).from(CLIENT).by("no token").send().await.problem(), (401, "invalid_token"));
    assert_eq!(world.ask("OPTIONS", &path).from(CLIENT).send().await.status, 204);
    assert_eq!(world.get(&format!("/sports/{id}/history")).from(CLIENT).send().await.status, 200);
    let neighbour = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    assert_eq!(world.get(&path).from(neighbour).send().await.status, 200);
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
