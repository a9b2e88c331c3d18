//! Filling and purging at the same moment, and many who ask for the same.

use std::sync::Arc;

use kernel::{ArticleId, Section};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::cache::{newer, settle, title, updated, world};
use crate::desk::Mood;

#[tokio::test]
async fn an_answer_whose_making_began_before_an_announcement_is_not_kept() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let barrier = Arc::new(Barrier::new(2));
    world.desk(Section::Sports).set(Mood::Held(barrier.clone()));
    let path = format!("/sports/{id}");
    let (slow, ()) = tokio::join!(world.get(&path).send(), async {
        // The section has read version 7 and is about to answer; then version 8 comes.
        barrier.wait().await;
        world.desk(Section::Sports).replace(newer(id, 8, "Another title"));
        updated(&world, id, 8).await;
        world.desk(Section::Sports).set(Mood::Well);
        // Whoever comes after the announcement does not wait for what was read before it.
        assert_eq!(title(&world.get(&path).send().await), "Another title");
        barrier.wait().await;
    });
    assert_eq!(title(&slow), "Article 1", "it was asked before");
    let after = world.get(&path).send().await;
    assert_eq!((title(&after), after.header("cache-status")), ("Another title", "orchestrator; hit"));
}

#[tokio::test]
async fn a_version_older_than_one_that_was_announced_is_never_kept() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    updated(&world, id, 8).await;
    settle(&world);
    // The section's view is still at version 7.
    for path in [format!("/sports/{id}"), "/all/1/10".to_owned()] {
        for _ in 0..2 {
            assert_eq!(
                world.get(&path).send().await.header("cache-status"),
                "orchestrator; fwd=miss",
                "{path}"
            );
        }
    }
    world.desk(Section::Sports).replace(newer(id, 8, "Another title"));
    for path in [format!("/sports/{id}"), "/all/1/10".to_owned()] {
        world.get(&path).send().await;
        assert_eq!(world.get(&path).send().await.header("cache-status"), "orchestrator; hit", "{path}");
    }
    // Announcements may come late and in any order.
    updated(&world, id, 5).await;
    world.get(&format!("/sports/{id}")).send().await;
    assert_eq!(world.get(&format!("/sports/{id}")).send().await.header("cache-status"), "orchestrator; hit");
}

#[tokio::test]
async fn lists_are_not_kept_until_a_section_has_caught_up_with_its_announcement() {
    let world = world().await;
    world.desk(Section::Sports).published(1, 10);
    updated(&world, ArticleId::new(Uuid::from_u128(99)), 2).await;
    for _ in 0..2 {
        assert_eq!(world.get("/all/1/10").send().await.header("cache-status"), "orchestrator; fwd=miss");
    }
    settle(&world);
    world.get("/all/1/10").send().await;
    assert_eq!(world.get("/all/1/10").send().await.header("cache-status"), "orchestrator; hit");
}

#[tokio::test]
async fn of_readers_at_the_same_moment_one_asks_the_section() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    for path in [format!("/sports/{id}"), "/sports/1/10".to_owned()] {
        world.desk(Section::Sports).forget();
        let barrier = Arc::new(Barrier::new(2));
        world.desk(Section::Sports).set(Mood::Held(barrier.clone()));
        let readers = futures::future::join_all((0..20).map(|_| world.get(&path).send()));
        let (answers, ()) = tokio::join!(readers, async {
            barrier.wait().await;
            barrier.wait().await;
        });
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(world.desk(Section::Sports).calls().len(), 1, "{path}");
        world.desk(Section::Sports).set(Mood::Well);
    }
}

#[tokio::test]
async fn a_reader_who_goes_away_leaves_the_others_their_answer() {
    let world = world().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let barrier = Arc::new(Barrier::new(2));
    world.desk(Section::Sports).set(Mood::Held(barrier.clone()));
    let path = format!("/sports/{id}");
    let mut first = Box::pin(world.get(&path).send());
    let mut second = Box::pin(world.get(&path).send());
    tokio::select! {
        biased;
        _ = &mut first => panic!("the section waits"),
        _ = &mut second => panic!("the section waits"),
        _ = barrier.wait() => {}
    }
    drop(first);
    let (answer, _) = tokio::join!(second, barrier.wait());
    assert_eq!((answer.status.as_u16(), world.desk(Section::Sports).calls().len()), (200, 1));
}
