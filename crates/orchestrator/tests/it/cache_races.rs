//! The read cache: races of filling and invalidating, and concurrent requests for the same answer.

use std::sync::Arc;

use kernel::{ArticleId, Section};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::cache::{newer, service, settle, title, updated};
use crate::fake_section::Behaviour;

#[tokio::test]
async fn an_answer_whose_making_began_before_an_event_is_not_stored() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let barrier = Arc::new(Barrier::new(2));
    service.section(Section::Sports).behave(Behaviour::HoldAnswers(barrier.clone()));
    let path = format!("/sports/{id}");
    let (slow, ()) = tokio::join!(service.get(&path).send(), async {
        // The section has read version 7 and is about to answer; then version 8 is published.
        barrier.wait().await;
        service.section(Section::Sports).replace(newer(id, 8, "Another title"));
        updated(&service, id, 8).await;
        service.section(Section::Sports).behave(Behaviour::Answer);
        // A request after the event does not wait for the answer that began before it.
        assert_eq!(title(&service.get(&path).send().await), "Another title");
        barrier.wait().await;
    });
    assert_eq!(title(&slow), "Article 1", "it was requested before");
    let after = service.get(&path).send().await;
    assert_eq!((title(&after), after.header("cache-status")), ("Another title", "orchestrator; hit"));
}

#[tokio::test]
async fn an_older_version_than_an_event_named_is_never_stored() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    updated(&service, id, 8).await;
    settle(&service);
    // The section's view is still at version 7.
    for path in [format!("/sports/{id}"), "/all/1/10".to_owned()] {
        for _ in 0..2 {
            assert_eq!(
                service.get(&path).send().await.header("cache-status"),
                "orchestrator; fwd=miss",
                "{path}"
            );
        }
    }
    service.section(Section::Sports).replace(newer(id, 8, "Another title"));
    for path in [format!("/sports/{id}"), "/all/1/10".to_owned()] {
        service.get(&path).send().await;
        assert_eq!(service.get(&path).send().await.header("cache-status"), "orchestrator; hit", "{path}");
    }
    // Events may arrive late and in any order.
    updated(&service, id, 5).await;
    service.get(&format!("/sports/{id}")).send().await;
    assert_eq!(
        service.get(&format!("/sports/{id}")).send().await.header("cache-status"),
        "orchestrator; hit"
    );
}

#[tokio::test]
async fn lists_are_not_stored_until_the_view_of_their_section_has_caught_up() {
    let service = service().await;
    service.section(Section::Sports).add_published(1, 10);
    updated(&service, ArticleId::new(Uuid::from_u128(99)), 2).await;
    for _ in 0..2 {
        assert_eq!(service.get("/all/1/10").send().await.header("cache-status"), "orchestrator; fwd=miss");
    }
    settle(&service);
    service.get("/all/1/10").send().await;
    assert_eq!(service.get("/all/1/10").send().await.header("cache-status"), "orchestrator; hit");
}

#[tokio::test]
async fn concurrent_requests_for_one_answer_share_one_call() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    for path in [format!("/sports/{id}"), "/sports/1/10".to_owned()] {
        service.section(Section::Sports).clear_calls();
        let barrier = Arc::new(Barrier::new(2));
        service.section(Section::Sports).behave(Behaviour::HoldAnswers(barrier.clone()));
        let readers = futures::future::join_all((0..20).map(|_| service.get(&path).send()));
        let (answers, ()) = tokio::join!(readers, async {
            barrier.wait().await;
            barrier.wait().await;
        });
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(service.section(Section::Sports).calls().len(), 1, "{path}");
        service.section(Section::Sports).behave(Behaviour::Answer);
    }
}

#[tokio::test]
async fn a_client_that_disconnects_does_not_take_the_answer_from_the_others() {
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let barrier = Arc::new(Barrier::new(2));
    service.section(Section::Sports).behave(Behaviour::HoldAnswers(barrier.clone()));
    let path = format!("/sports/{id}");
    let mut first = Box::pin(service.get(&path).send());
    let mut second = Box::pin(service.get(&path).send());
    tokio::select! {
        biased;
        _ = &mut first => panic!("the section waits"),
        _ = &mut second => panic!("the section waits"),
        _ = barrier.wait() => {}
    }
    drop(first);
    let (answer, _) = tokio::join!(second, barrier.wait());
    assert_eq!((answer.status.as_u16(), service.section(Section::Sports).calls().len()), (200, 1));
}
