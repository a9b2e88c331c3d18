//! From `article read` to a label.

use ::http::Method;
use kernel::Role;
use testkit::{PATIENCE, wait_until};

use crate::neighbour::Mood;
use crate::world::{DAY, MINUTE, World, user};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_consenting_reader_read_shows_in_their_labels_and_fades() {
    let world = World::new().await;
    let anna = user(1);
    world.hears(vec![world.said(anna, true, 1, 0)]).await;
    world.hears(vec![world.read(anna, 1, 0, &["budget", "tax"]), world.read(anna, 2, 0, &["budget"])]).await;
    let path = format!("/user/{anna}");
    let answer = world.ask(Method::GET, &path, Some(&world.token(anna, Role::Reader))).await;
    let at = "2026-11-21T08:00:00.000Z";
    let expected = serde_json::json!([
        {"id": "budget", "weight": 2.0, "reads": 2, "last_read_at": at},
        {"id": "tax", "weight": 1.0, "reads": 1, "last_read_at": at},
    ]);
    assert_eq!((answer.status.as_u16(), answer.body), (200, expected));
    assert!(answer.headers["cache-control"].to_str().expect("text").starts_with("private"));
    world.later(DAY * 14);
    assert_eq!(world.admin_gets(&path).await.body[0]["weight"], 1.0);
    assert_eq!(world.users.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_and_an_article_count_once_in_30_minutes() {
    let world = World::new().await;
    let anna = user(1);
    world.later(MINUTE * 60);
    world.hears(vec![world.said(anna, true, 1, 0)]).await;
    for minutes in [0, 29, 30, 59] {
        world.hears(vec![world.read(anna, 1, minutes, &["budget"])]).await;
    }
    assert_eq!(world.labels(anna).await, [("budget".to_owned(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_is_asked_once_about_a_reader_never_heard_of() {
    let world = World::new().await;
    let (anna, ben) = (user(1), user(2));
    world.users.knows(anna, true, 3);
    world.users.knows(ben, false, 0);
    world.hears(vec![world.read(anna, 1, 0, &["budget"]), world.read(ben, 1, 0, &["budget"])]).await;
    let asked = world.users.asked();
    assert_eq!(asked, 2);
    world.hears(vec![world.read(anna, 2, 0, &["budget"])]).await;
    assert_eq!(world.users.asked(), asked);
    assert_eq!(world.labels(anna).await, [("budget".to_owned(), 2)]);
    assert!(world.labels(ben).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_users_is_away_a_reading_of_an_unknown_reader_waits() {
    let world = World::new().await;
    let (anna, ben) = (user(1), user(2));
    world.users.knows(anna, true, 1);
    world.users.is(Mood::Away);
    // Ben is known: nobody has to be asked, and he does not wait behind Anna.
    world.hears(vec![world.said(ben, true, 1, 0)]).await;
    world.publish(vec![world.read(anna, 1, 0, &["budget"]), world.read(ben, 1, 0, &["budget"])]).await;
    wait_until("Ben's reading counted and Anna's put off", PATIENCE, || async {
        (world.depth().await == (1, 0) && world.users.asked() > 0).then_some(())
    })
    .await;
    assert_eq!(world.labels(ben).await, [("budget".to_owned(), 1)]);
    assert!(world.labels(anna).await.is_empty());
    world.users.is(Mood::Well);
    wait_until("Anna's label", PATIENCE, || async {
        world.later(MINUTE);
        (world.labels(anna).await == [("budget".to_owned(), 1)]).then_some(())
    })
    .await;
    world.settled().await;
    assert_eq!(world.depth().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_on_record_that_may_be_outdated_is_checked_with_users() {
    let world = World::new().await;
    let anna = user(1);
    world.later(MINUTE * 60);
    world.hears(vec![world.said(anna, false, 1, 0)]).await;
    // Users knows of a permission whose event has not come yet; the reading was made under it.
    world.users.knows(anna, true, 2);
    world.hears(vec![world.read(anna, 1, 11, &["budget"])]).await;
    assert_eq!(world.labels(anna).await, [("budget".to_owned(), 1)]);
    world.hears(vec![world.said(anna, true, 2, 10)]).await;
    assert_eq!(world.labels(anna).await, [("budget".to_owned(), 1)]);
    // A refusal stands while users is away: a reading is not worth keeping for later.
    let ben = user(2);
    world.hears(vec![world.said(ben, false, 1, 0)]).await;
    world.users.is(Mood::Away);
    world.hears(vec![world.read(ben, 1, 11, &["budget"])]).await;
    assert!(world.labels(ben).await.is_empty());
    assert_eq!(world.depth().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_deletes_what_is_stored_and_nothing_more_is_counted() {
    let world = World::new().await;
    let anna = user(1);
    world.later(MINUTE * 60);
    world.users.knows(anna, false, 2);
    world.hears(vec![world.said(anna, true, 1, 0)]).await;
    world.hears(vec![world.read(anna, 1, 5, &["budget"])]).await;
    world.hears(vec![world.said(anna, false, 2, 10)]).await;
    assert!(world.labels(anna).await.is_empty());
    // The token still says yes for up to 15 minutes.
    world.hears(vec![world.read(anna, 2, 12, &["budget"]), world.read(anna, 3, 6, &["budget"])]).await;
    assert!(world.labels(anna).await.is_empty());
    assert_eq!(world.admin_gets("/label/budget").await.body, serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_of_nobody_is_dropped() {
    let world = World::new().await;
    world.hears(vec![world.read(user(404), 1, 0, &["budget"])]).await;
    assert!(world.labels(user(404)).await.is_empty());
    assert_eq!(world.depth().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_can_not_be_true_is_put_aside_and_blocks_nobody() {
    let world = World::new().await;
    let anna = user(1);
    world.hears(vec![world.said(anna, true, 1, 0)]).await;
    let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let poison = vec![
        world.read_message(vec![0xff; 7]),
        world.read_message(Vec::new()),
        world.read(anna, 1, 0, &["a\u{0}b"]),
        world.read(anna, 1, 0, &many),
        world.read(anna, 1, 60, &["from the future"]),
    ];
    let count = poison.len() as u64;
    let mut unknown = world.read_message(vec![0xff; 7]);
    unknown.kind = "portal.events.v1.OfALaterRelease".to_owned();
    let mut all = poison;
    all.extend([unknown, world.read(anna, 2, 0, &["budget"])]);
    world.hears(all).await;
    assert_eq!(world.depth().await, (0, count));
    assert_eq!(world.labels(anna).await, [("budget".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_comes_more_than_a_week_late_is_not_counted_and_not_kept() {
    let world = World::new().await;
    let anna = user(1);
    world.hears(vec![world.said(anna, true, 1, 0)]).await;
    let late = world.read(anna, 1, 0, &["late"]);
    world.hears(vec![world.read(anna, 2, 1, &["budget"])]).await;
    world.later(DAY * 8);
    // The worker has forgotten when Anna read; what she likes stays.
    for worker in &world.workers {
        while worker.step().await.expect("a step") == chassis::Step::Worked {}
    }
    world.hears(vec![late, world.read(anna, 2, 1, &["budget"])]).await;
    assert_eq!(world.labels(anna).await, [("budget".to_owned(), 1)]);
}
