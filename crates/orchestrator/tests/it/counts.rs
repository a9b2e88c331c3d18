//! What the service counts about itself.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::{Role, Section};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::cache::{away, world};
use crate::desk::Mood;
use crate::world::{World, config, consenting};

/// The lines of these metrics.
fn counted(text: &str) -> BTreeSet<&str> {
    let ours = ["cache_requests_total{", "article_read_dropped_total "];
    text.lines().filter(|line| ours.iter().any(|name| line.starts_with(name))).collect()
}

#[tokio::test]
async fn every_request_to_the_cache_is_a_hit_a_renewal_a_miss_or_stale() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let paths = [format!("/sports/{id}"), "/sports/1/10".to_owned(), "/home".to_owned()];
    for path in &paths {
        for _ in 0..3 {
            world.get(path).send().await;
        }
    }
    // What is made anew is not there before the next reader.
    world.desks.iter().for_each(|desk| desk.set(Mood::Silent));
    world.clock.advance(Duration::from_secs(6));
    for path in paths.iter().chain(&paths) {
        assert_eq!(world.get(path).send().await.status, 200, "{path}");
    }
    world.desks.iter().for_each(|desk| desk.set(Mood::Refusing(away())));
    world.clock.advance(Duration::from_secs(30));
    for path in &paths {
        assert_eq!(world.get(path).send().await.status, 200, "{path}");
    }
    assert_eq!(world.get("/sports/2/10").send().await.status, 503);
    let text = recorder.handle().render();
    let expected = [
        r#"cache_requests_total{cache="article",outcome="hit"} 3"#,
        r#"cache_requests_total{cache="article",outcome="miss"} 1"#,
        r#"cache_requests_total{cache="article",outcome="renewal"} 1"#,
        r#"cache_requests_total{cache="article",outcome="stale"} 1"#,
        r#"cache_requests_total{cache="home",outcome="hit"} 3"#,
        r#"cache_requests_total{cache="home",outcome="miss"} 1"#,
        r#"cache_requests_total{cache="home",outcome="renewal"} 1"#,
        r#"cache_requests_total{cache="home",outcome="stale"} 1"#,
        r#"cache_requests_total{cache="list",outcome="hit"} 3"#,
        r#"cache_requests_total{cache="list",outcome="miss"} 2"#,
        r#"cache_requests_total{cache="list",outcome="renewal"} 1"#,
        r#"cache_requests_total{cache="list",outcome="stale"} 1"#,
    ];
    assert_eq!(counted(&text), BTreeSet::from(expected));
}

#[tokio::test]
async fn what_is_asked_again_and_how_the_breakers_stand_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let world = world().await;
    assert_eq!(world.get("/famous/1/10").send().await.status, 200);
    world.desks.iter().for_each(|desk| desk.set(Mood::Refusing(away())));
    for _ in 0..5 {
        assert_eq!(world.get("/sports/1/10").send().await.status, 503);
    }
    let text = recorder.handle().render();
    assert!(text.contains(r#"retry_total{dependency="sports-news"} "#), "{text}");
    assert!(!text.contains(r#"retry_total{dependency="famous-news"}"#), "{text}");
    assert!(text.contains(r#"breaker_state{dependency="sports-news:reads"} 2"#), "{text}");
    assert!(text.contains(r#"breaker_state{dependency="famous-news:reads"} 0"#), "{text}");
    assert!(!text.contains(":writes"), "nobody wrote: {text}");
}

#[tokio::test]
async fn readings_that_find_no_room_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let mut small = config();
    small.readings.queue = 2;
    let world = World::with(small, |bus| bus).await;
    let id = world.desk(Section::Sports).published(1, 10);
    for _ in 0..5 {
        world.get(&format!("/sports/{id}")).by(&consenting(Role::Reader)).send().await;
    }
    let text = recorder.handle().render();
    assert!(counted(&text).contains("article_read_dropped_total 3"), "{text}");
}
