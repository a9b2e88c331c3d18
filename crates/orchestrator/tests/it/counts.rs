//! The metrics of the service.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::{Role, Section};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::cache::{service, unavailable};
use crate::fake_section::Behaviour;
use crate::service::{TestService, config, consenting_token};

/// Returns the lines of these metrics.
fn counted(text: &str) -> BTreeSet<&str> {
    let ours = ["cache_requests_total{", "article_read_dropped_total "];
    text.lines().filter(|line| ours.iter().any(|name| line.starts_with(name))).collect()
}

#[tokio::test]
async fn every_request_to_the_cache_is_a_hit_a_renewal_a_miss_or_stale() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let paths = [format!("/sports/{id}"), "/sports/1/10".to_owned(), "/home".to_owned()];
    for path in &paths {
        for _ in 0..3 {
            service.get(path).send().await;
        }
    }
    // The renewed answer is not there before the next request.
    service.sections.iter().for_each(|section| section.behave(Behaviour::Hang));
    service.clock.advance(Duration::from_secs(6));
    for path in paths.iter().chain(&paths) {
        assert_eq!(service.get(path).send().await.status, 200, "{path}");
    }
    service.sections.iter().for_each(|section| section.behave(Behaviour::Refuse(unavailable())));
    service.clock.advance(Duration::from_secs(30));
    for path in &paths {
        assert_eq!(service.get(path).send().await.status, 200, "{path}");
    }
    assert_eq!(service.get("/sports/2/10").send().await.status, 503);
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
async fn retries_and_the_states_of_breakers_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let service = service().await;
    assert_eq!(service.get("/famous/1/10").send().await.status, 200);
    service.sections.iter().for_each(|section| section.behave(Behaviour::Refuse(unavailable())));
    for _ in 0..5 {
        assert_eq!(service.get("/sports/1/10").send().await.status, 503);
    }
    let text = recorder.handle().render();
    assert!(text.contains(r#"retry_total{dependency="sports-news"} "#), "{text}");
    assert!(!text.contains(r#"retry_total{dependency="famous-news"}"#), "{text}");
    assert!(text.contains(r#"breaker_state{dependency="sports-news:reads"} 2"#), "{text}");
    assert!(text.contains(r#"breaker_state{dependency="famous-news:reads"} 0"#), "{text}");
    assert!(!text.contains(":writes"), "no command was sent: {text}");
}

#[tokio::test]
async fn readings_that_a_full_queue_drops_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let mut small = config();
    small.readings.queue = 2;
    let service = TestService::with(small, |bus| bus).await;
    let id = service.section(Section::Sports).add_published(1, 10);
    for _ in 0..5 {
        service.get(&format!("/sports/{id}")).bearer(&consenting_token(Role::Reader)).send().await;
    }
    let text = recorder.handle().render();
    assert!(counted(&text).contains("article_read_dropped_total 3"), "{text}");
}
