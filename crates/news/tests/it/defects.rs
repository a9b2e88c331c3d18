//! The defects of the system that this one re-does, each a regression test (`product.md` §9).

use std::sync::Arc;

use bus::Handler;
use kernel::{Kind, MessageId, Trace, UserId};
use news::{Byline, Change, Event, Projection, State, decode, event_message};
use proto::news::v1::*;

use crate::people::{author, editor};
use crate::world::{Place, World, fields, refusal, refusal_of, shut};

#[tokio::test]
async fn a_stale_version_is_stale_and_says_which_is_current() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("First")).await.expect("a draft");
    world.revise(&author(), &draft, fields("Second")).await.expect("a new version");
    let stale =
        world.revise(&author(), &draft, fields("Third")).await.expect_err("another writer was faster");
    assert_eq!((stale.kind, stale.code.as_str()), (Kind::Stale, "stale_version"));
    assert_eq!(stale.extra["current_version"], 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twelve_parallel_writes_on_one_version_one_wins_and_eleven_are_stale() {
    let place = Place::new();
    let world = Arc::new(World::start(&place).await);
    let draft = world.create(&author(), fields("First")).await.expect("a draft");
    let outcomes = testkit::at_once(12, |number| {
        let (world, draft) = (world.clone(), draft.clone());
        async move { world.revise(&author(), &draft, fields(&format!("Title {number}"))).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 11));
    for outcome in lost {
        assert_eq!(refusal_of(outcome), refusal(Kind::Stale, "stale_version"));
    }
    let won = won.into_iter().next().and_then(Result::ok).expect("the winner");
    assert_eq!(world.get_since(Some(&author()), &won).await.expect("it is projected"), won);
    Arc::into_inner(world).expect("it is the last reference").stop().await;
}

#[tokio::test]
async fn published_at_survives_the_first_projection() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("News")).await.expect("a draft");
    let published = world.publish(&editor(), &draft).await.expect("it is published");
    assert!(published.published_at_ms.is_some());
    let seen = world.get_since(None, &published).await.expect("it is projected");
    assert_eq!(seen.published_at_ms, published.published_at_ms);
    assert_eq!(
        world.list(0, 10, false).await.expect("a list").articles[0].published_at_ms,
        published.published_at_ms
    );
    world.stop().await;
}

/// Every message of a small life, as the section would send it.
fn life(draft: &Article) -> Vec<bus::Envelope> {
    let by = UserId::new(uuid::Uuid::from_u128(4));
    let mut article = decode(draft.clone()).expect("an article");
    let mut changes =
        vec![Change { event: Event::Drafted, article: article.clone(), by, from: None, nonce: None }];
    for step in 0..5 {
        let at = article.updated_at.plus(std::time::Duration::from_secs(1));
        let change = if step == 2 {
            article.publish(by, at)
        } else {
            let mut story = article.story.clone();
            story.title = format!("HistoryEntry {step}");
            article.revise(story, Byline::of("Ada", article.author), by, at)
        };
        let change = change.expect("a legal step");
        article = change.article.clone();
        changes.push(change);
    }
    assert_eq!(article.state, State::Published);
    let message =
        |change: &Change| event_message(change, MessageId::new(uuid::Uuid::new_v4()), Trace::start());
    changes.iter().map(message).collect()
}

#[tokio::test]
async fn an_older_event_never_overwrites_a_newer_version_however_often_and_in_whatever_order_they_come() {
    let place = Place::new();
    let world = World::start_without_relay(&place).await;
    let draft = world.create(&author(), fields("HistoryEntry")).await.expect("a draft");
    world.stop().await;
    let app = place.open().await;
    let messages = life(&draft);
    let projection = Projection(app.clone());
    // 5 and 18 have no common factor: each message comes three times, none in its place.
    for turn in 0..messages.len() * 3 {
        let message = &messages[(turn * 5 + 4) % messages.len()];
        projection.handle(message).await.expect("it is applied or old");
    }
    let id = draft.id.parse().expect("an id");
    let seen = app.get(None, id, None).await.expect("it is published");
    assert_eq!((seen.version.number(), seen.story.title.as_str()), (6, "HistoryEntry 4"));
    shut(app).await;
}

#[tokio::test]
async fn lists_have_an_order_a_total_and_a_cap_and_hide_drafts() {
    let place = Place::new();
    let world = World::start(&place).await;
    let mut published = Vec::new();
    for number in 0..5 {
        published.push(world.published(&format!("Number {number}")).await);
    }
    let draft = world.create(&author(), fields("A draft")).await.expect("a draft");
    world.get_since(Some(&author()), &draft).await.expect("it is projected");
    published.sort_by(|a, b| (b.published_at_ms, &b.id).cmp(&(a.published_at_ms, &a.id)));

    let all = world.list(0, 10_000, false).await.expect("a list");
    let ids = |articles: &[Article]| articles.iter().map(|article| article.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&all.articles), ids(&published));
    assert_eq!(all.total, 5);
    assert!(all.articles.iter().all(|article| article.content.is_none()));
    let page = world.list(2, 2, true).await.expect("a page");
    assert_eq!((page.articles, page.total), (published[2..4].to_vec(), 5));

    for (offset, limit, content) in [(0, 0, false), (0, 10_001, false), (1, 10_000, false), (0, 101, true)] {
        let refused = world.list(offset, limit, content).await;
        assert_eq!(refusal_of(refused), refusal(Kind::Invalid, "invalid"), "{offset} {limit} {content}");
    }
    world.stop().await;
}

#[tokio::test]
async fn what_is_committed_is_published_even_when_the_process_ends_in_between() {
    let place = Place::new();
    // The relay does not run, as if the process had ended between commit and publication.
    let world = World::start_without_relay(&place).await;
    let draft = world.create(&author(), fields("Lost?")).await.expect("a draft");
    let published = world.publish(&editor(), &draft).await.expect("it is published");
    assert_eq!(refusal_of(world.get(None, &draft.id).await), refusal(Kind::NotFound, "not_found"));
    world.stop().await;

    let world = World::start(&place).await;
    assert_eq!(world.get_since(None, &published).await.expect("nothing was lost"), published);
    world.stop().await;
}

#[tokio::test]
async fn a_batch_that_is_sent_again_after_a_crash_changes_nothing() {
    let place = Place::new();
    let world = World::start(&place).await;
    let published = world.published("CommandKey").await;
    let app_messages =
        life(&Article { version: 1, state: "draft".to_owned(), published_at_ms: None, ..published.clone() });
    // The first two versions come again, as from a relay that died before it could tick them off.
    for message in app_messages.into_iter().take(2) {
        world.deliver(message).await;
    }
    let updated = world.revise(&editor(), &published, fields("Twice")).await.expect("a new version");
    assert_eq!(world.get_since(None, &updated).await.expect("it is projected"), updated);
    assert_eq!(world.list(0, 10, false).await.expect("a list").total, 1);
    world.stop().await;
}
