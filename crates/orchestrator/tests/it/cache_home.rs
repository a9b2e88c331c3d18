//! The read cache: the public front page, which is stored like a list of all sections.

use std::time::Duration;

use kernel::{ArticleId, Role, Section};
use uuid::Uuid;

use crate::cache::{calls, service, settle, unavailable, updated};
use crate::fake_section::Behaviour;
use crate::service::token;

#[tokio::test]
async fn the_public_page_is_stored_and_a_readers_own_page_never_is() {
    let service = service().await;
    service.section(Section::Sports).add_published(1, 10);
    let first = service.get("/home").send().await;
    assert_eq!(
        first.header("cache-control"),
        "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600"
    );
    let calls_before = calls(&service);
    for role in [Role::Reader, Role::Editor] {
        let own = service.get("/home").bearer(&token(role)).send().await;
        assert_eq!((own.header("cache-control"), own.header("cache-status")), ("private, no-cache", ""));
        assert_eq!(own.json["for_you_status"], "ready");
    }
    assert!(calls(&service) > calls_before, "the sections are called for a reader's page");
    let calls_before = calls(&service);
    let again = service.get("/home").send().await;
    assert_eq!((again.header("cache-status"), calls(&service)), ("orchestrator; hit", calls_before));
    assert_eq!((&again.json, again.header("etag")), (&first.json, first.header("etag")));
    assert_eq!(again.json["for_you_status"], "anonymous");
}

#[tokio::test]
async fn an_event_of_any_section_outdates_the_page() {
    let service = service().await;
    service.get("/home").send().await;
    // The article is in no block yet.
    let new = service.section(Section::Sports).add_published(2, 20);
    updated(&service, new, 2).await;
    settle(&service);
    let answer = service.get("/home").send().await;
    assert_eq!(answer.header("cache-status"), "orchestrator; fwd=miss");
    assert_eq!(answer.json["top"][0]["id"], new.to_string());
    assert_eq!(service.get("/home").send().await.header("cache-status"), "orchestrator; hit");
}

#[tokio::test]
async fn while_all_sections_are_unavailable_the_last_page_is_served_as_stale_and_a_partial_page_is_preferred()
{
    let service = service().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    service.get("/home").send().await;
    for section in &service.sections {
        section.behave(Behaviour::Refuse(unavailable()));
    }
    service.clock.advance(Duration::from_secs(3600));
    let stale = service.get("/home").send().await;
    assert_eq!((stale.status.as_u16(), stale.header("age")), (200, "3600"));
    assert_eq!(stale.header("cache-status"), "orchestrator; hit; detail=stale");
    assert_eq!(
        (&stale.json["top"][0]["id"], &stale.json["partial"]),
        (&id.to_string().into(), &false.into())
    );
    service.section(Section::Famous).behave(Behaviour::Answer);
    let part = service.get("/home").send().await;
    assert_eq!(
        (part.header("cache-status"), part.header("cache-control")),
        ("orchestrator; fwd=miss", "no-store")
    );
    assert_eq!(part.json["missing"], serde_json::json!(["politics", "sports"]));
    // The incomplete page has not replaced the last valid one; an event outdates it.
    service.section(Section::Famous).behave(Behaviour::Refuse(unavailable()));
    assert_eq!(service.get("/home").send().await.header("cache-status"), "orchestrator; hit; detail=stale");
    updated(&service, ArticleId::new(Uuid::from_u128(99)), 2).await;
    assert_eq!(service.get("/home").send().await.status, 200, "something new may be missing in it");
    updated(&service, id, 8).await;
    assert_eq!(service.get("/home").send().await.problem(), (503, "section_unavailable"));
}
