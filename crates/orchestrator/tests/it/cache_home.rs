//! The front page that everybody gets is kept as a list of all sections is.

use std::time::Duration;

use kernel::{ArticleId, Role, Section};
use uuid::Uuid;

use crate::cache::{away, calls, settle, updated, world};
use crate::desk::Mood;
use crate::world::token;

#[tokio::test]
async fn the_page_of_everybody_is_kept_and_a_readers_own_never_is() {
    let world = world().await;
    world.desk(Section::Sports).published(1, 10);
    let first = world.get("/home").send().await;
    assert_eq!(
        first.header("cache-control"),
        "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600"
    );
    let asked = calls(&world);
    for role in [Role::Reader, Role::Editor] {
        let own = world.get("/home").by(&token(role)).send().await;
        assert_eq!((own.header("cache-control"), own.header("cache-status")), ("private, no-cache", ""));
        assert_eq!(own.json["for_you_status"], "ready");
    }
    assert!(calls(&world) > asked, "the sections are asked for a reader's page");
    let asked = calls(&world);
    let again = world.get("/home").send().await;
    assert_eq!((again.header("cache-status"), calls(&world)), ("orchestrator; hit", asked));
    assert_eq!((&again.json, again.header("etag")), (&first.json, first.header("etag")));
    assert_eq!(again.json["for_you_status"], "anonymous");
}

#[tokio::test]
async fn any_announcement_of_any_section_makes_the_page_outdated() {
    let world = world().await;
    world.get("/home").send().await;
    // In no block yet.
    let new = world.desk(Section::Sports).published(2, 20);
    updated(&world, new, 2).await;
    settle(&world);
    let answer = world.get("/home").send().await;
    assert_eq!(answer.header("cache-status"), "orchestrator; fwd=miss");
    assert_eq!(answer.json["top"][0]["id"], new.to_string());
    assert_eq!(world.get("/home").send().await.header("cache-status"), "orchestrator; hit");
}

#[tokio::test]
async fn while_all_sections_are_away_the_last_page_serves_and_says_so_and_one_of_them_is_better_than_that() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    world.get("/home").send().await;
    for desk in &world.desks {
        desk.set(Mood::Refusing(away()));
    }
    world.clock.advance(Duration::from_secs(3600));
    let stale = world.get("/home").send().await;
    assert_eq!((stale.status.as_u16(), stale.header("age")), (200, "3600"));
    assert_eq!(stale.header("cache-status"), "orchestrator; hit; detail=stale");
    assert_eq!(
        (&stale.json["top"][0]["id"], &stale.json["partial"]),
        (&id.to_string().into(), &false.into())
    );
    world.desk(Section::Famous).set(Mood::Well);
    let part = world.get("/home").send().await;
    assert_eq!(
        (part.header("cache-status"), part.header("cache-control")),
        ("orchestrator; fwd=miss", "no-store")
    );
    assert_eq!(part.json["missing"], serde_json::json!(["politics", "sports"]));
    // The incomplete one has not taken the place of the last good one; what was announced since does.
    world.desk(Section::Famous).set(Mood::Refusing(away()));
    assert_eq!(world.get("/home").send().await.header("cache-status"), "orchestrator; hit; detail=stale");
    updated(&world, ArticleId::new(Uuid::from_u128(99)), 2).await;
    assert_eq!(world.get("/home").send().await.status, 200, "something new may be missing in it");
    updated(&world, id, 8).await;
    assert_eq!(world.get("/home").send().await.problem(), (503, "section_unavailable"));
}
