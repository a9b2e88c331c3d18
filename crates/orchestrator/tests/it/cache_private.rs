//! The read cache: requests that bypass it, and answers that are never stored.

use std::time::Duration;

use kernel::{Role, Section};
use rand::RngExt;
use rand::seq::IndexedRandom;

use crate::cache::{caching, calls, service};
use crate::fake_section::{Behaviour, article};
use crate::service::{TestService, token};

#[tokio::test]
async fn requests_of_staff_and_for_a_version_bypass_the_cache() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let path = format!("/sports/{id}");
    service.get(&path).send().await;
    for ask in [
        service.get(&path).bearer(&token(Role::Author)),
        service.get(&path).bearer(&token(Role::Admin)),
        service.get(&format!("{path}?min_version=7")),
    ] {
        let before = calls(&service);
        let answer = ask.send().await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-status")), (200, ""));
        assert_eq!(calls(&service), before + 1);
    }
    // A signed-in reader gets the public answer, marked as private.
    let reader = service.get(&path).bearer(&token(Role::Reader)).send().await;
    assert_eq!(
        (reader.header("cache-status"), reader.header("cache-control")),
        ("orchestrator; hit", "private, no-cache")
    );
}

#[tokio::test]
async fn no_private_answer_is_ever_stored() {
    let mut config = caching();
    config.cache.settling_ms = 0;
    let service = TestService::with(config, |bus| bus).await;
    let mut chance: rand::rngs::StdRng = rand::SeedableRng::seed_from_u64(7);
    let mut ids = Vec::new();
    for n in 0..12 {
        let section = Section::ALL[n as usize % 3];
        let state = *["published", "draft", "in_review", "unpublished"].choose(&mut chance).expect("one");
        let mut article = article(section, n, i64::from(n), state);
        article.title = format!("{state} article");
        ids.push((section, service.section(section).put(article)));
    }
    // A section shows everything to a token of staff, and published articles to every other caller.
    service.sections.iter().for_each(|section| section.behave(Behaviour::HideDrafts));
    let callers = [None, Some(Role::Reader), Some(Role::Author), Some(Role::Editor), Some(Role::Admin)];
    let (mut hits, mut private) = (0, 0);
    for turn in 0..1_500 {
        let (section, id) = ids.choose(&mut chance).expect("one");
        let mut path = match chance.random_range(0..5) {
            0 | 1 => format!("/{section}/{id}"),
            2 => format!("/{section}/1/5"),
            3 => "/all/1/5".to_owned(),
            _ => format!("/{}?limit=5", if chance.random_bool(0.5) { "all" } else { section.as_str() }),
        };
        let more = ["state=draft", "state=draft,published", "include=content", "min_version=1", "label=tax"];
        if chance.random_bool(0.5) {
            let mark = if path.contains('?') { '&' } else { '?' };
            path = format!("{path}{mark}{}", more.choose(&mut chance).expect("one"));
        }
        let caller = *callers.choose(&mut chance).expect("one");
        let mut ask = service.get(&path);
        if let Some(role) = caller {
            ask = ask.bearer(&token(role));
        }
        let answer = ask.send().await;
        let secret = ["draft article", "in_review article", "unpublished article"];
        let shows_secrets = secret.iter().any(|title| answer.json.to_string().contains(title));
        let staff = caller.is_some_and(|role| role > Role::Reader);
        let seen = format!("turn {turn}: {path} as {caller:?}: {answer:?}");
        assert!(staff || !shows_secrets, "{seen}");
        let control = answer.header("cache-control");
        assert!(!(shows_secrets || caller.is_some()) || !control.contains("public"), "{seen}");
        assert!(!staff || answer.header("cache-status").is_empty(), "{seen}");
        hits += usize::from(answer.header("cache-status") == "orchestrator; hit");
        private += usize::from(shows_secrets);
        if chance.random_bool(0.05) {
            service.clock.advance(Duration::from_secs(6));
        }
    }
    assert!(hits > 100 && private > 50, "{hits} hits and {private} private answers are no test");
}
