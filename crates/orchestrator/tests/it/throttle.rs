//! The requests that count against the limits of a client.

use std::net::{IpAddr, Ipv4Addr};

use chassis::http::{EdgeConfig, ThrottleConfig};
use kernel::{Role, Section};

use crate::cache::caching;
use crate::fake_section::article;
use crate::service::{TestService, config, token};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The default limits, except that the limit of one address does not recover during a slow test.
async fn service() -> TestService {
    let same_address = vec!["20/day".parse().expect("a limit")];
    let throttle = ThrottleConfig { same_address, ..ThrottleConfig::default() };
    TestService::behind(EdgeConfig { throttle, ..EdgeConfig::default() }, caching(), |bus| bus).await
}

#[tokio::test]
async fn comparisons_are_limited_like_other_costly_routes_before_the_section_is_called() {
    let costly = vec!["2/day".parse().expect("a limit")];
    let throttle = ThrottleConfig { costly, ..ThrottleConfig::default() };
    let edge = EdgeConfig { throttle, ..EdgeConfig::default() };
    let service = TestService::behind(edge, config(), |bus| bus).await;
    let section = service.section(Section::Sports);
    let id = section.put(article(Section::Sports, 1, 5, "published"));
    let path = format!("/sports/{id}/diff?from=1&to=3");
    let first = service.get(&path).from(CLIENT).send().await;
    // Any cache may keep the answer, so it contains only the policy.
    assert_eq!((first.status.as_u16(), first.header("ratelimit")), (200, ""));
    assert_ne!(first.header("ratelimit-policy"), "");
    // A client that already has the answer causes the work nevertheless.
    let known = service.get(&path).from(CLIENT).header("if-none-match", first.header("etag"));
    assert_eq!(known.send().await.status, 304);
    section.clear_calls();
    for method in ["GET", "HEAD"] {
        let refused = service.request(method, &path).from(CLIENT).bearer(&token(Role::Editor)).send().await;
        assert_eq!((refused.status.as_u16(), refused.header("cache-control")), (429, "no-store"));
        assert_eq!(
            (refused.header("retry-after"), refused.header("ratelimit")),
            ("43200", "\"costly-day\";r=0;t=43200")
        );
        assert!(refused.header("ratelimit-policy").starts_with("\"costly-day\";q=2;"), "{refused:?}");
    }
    assert!(section.calls().is_empty());
    // Refused callers, other routes and other clients are not counted.
    assert_eq!(
        service.get(&path).from(CLIENT).bearer("no token").send().await.problem(),
        (401, "invalid_token")
    );
    assert_eq!(service.request("OPTIONS", &path).from(CLIENT).send().await.status, 204);
    assert_eq!(service.get(&format!("/sports/{id}/history")).from(CLIENT).send().await.status, 200);
    let neighbour = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    assert_eq!(service.get(&path).from(neighbour).send().await.status, 200);
}

#[tokio::test]
async fn a_hundred_cache_hits_pass_and_requests_without_a_hit_are_refused_after_the_burst() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    for (path, turns) in [(format!("/sports/{id}"), 50), ("/home".to_owned(), 12)] {
        for turn in 0..turns {
            let answer = service.get(&path).from(CLIENT).send().await;
            assert_eq!(answer.status, 200, "{path}: {turn}");
            let known = service.get(&path).from(CLIENT).header("if-none-match", answer.header("etag"));
            assert_eq!(known.send().await.status, 304, "{path}: {turn}");
        }
    }
    let fresh = format!("/sports/{id}?min_version=7");
    for turn in 0..20 {
        assert_eq!(service.get(&fresh).from(CLIENT).send().await.status, 200, "{turn}");
    }
    let refused = service.get(&fresh).from(CLIENT).send().await;
    assert_eq!(refused.problem(), (429, "too_many_requests"));
    assert_ne!(refused.header("retry-after"), "");
    // Other addresses and other clients have separate limits.
    assert_eq!(service.get(&format!("/sports/{id}")).from(CLIENT).send().await.status, 200);
    let neighbour = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    assert_eq!(service.get(&fresh).from(neighbour).send().await.status, 200);
}
