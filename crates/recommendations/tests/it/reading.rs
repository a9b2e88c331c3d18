//! The way of a reading to a label.

use ::http::Method;
use kernel::Role;
use testkit::{PATIENCE, wait_until};

use crate::fake_users::Behaviour;
use crate::service::{DAY, MINUTE, TestService, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_consenting_readers_readings_appear_in_their_labels_and_fade() {
    let service = TestService::new().await;
    let anna = user(1);
    service.deliver(vec![service.consent_event(anna, true, 1, 0)]).await;
    service
        .deliver(vec![
            service.reading_event(anna, 1, 0, &["budget", "tax"]),
            service.reading_event(anna, 2, 0, &["budget"]),
        ])
        .await;
    let path = format!("/user/{anna}");
    let answer = service.request(Method::GET, &path, Some(&service.token(anna, Role::Reader))).await;
    let at = "2026-11-21T08:00:00.000Z";
    let expected = serde_json::json!([
        {"id": "budget", "weight": 2.0, "reads": 2, "last_read_at": at},
        {"id": "tax", "weight": 1.0, "reads": 1, "last_read_at": at},
    ]);
    assert_eq!((answer.status.as_u16(), answer.body), (200, expected));
    assert!(answer.headers["cache-control"].to_str().expect("text").starts_with("private"));
    service.advance(DAY * 14);
    assert_eq!(service.get_as_admin(&path).await.body[0]["weight"], 1.0);
    assert_eq!(service.users.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_and_an_article_count_once_in_30_minutes() {
    let service = TestService::new().await;
    let anna = user(1);
    service.advance(MINUTE * 60);
    service.deliver(vec![service.consent_event(anna, true, 1, 0)]).await;
    for minutes in [0, 29, 30, 59] {
        service.deliver(vec![service.reading_event(anna, 1, minutes, &["budget"])]).await;
    }
    assert_eq!(service.labels(anna).await, [("budget".to_owned(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_is_called_once_about_an_unknown_reader() {
    let service = TestService::new().await;
    let (anna, ben) = (user(1), user(2));
    service.users.set_consent(anna, true, 3);
    service.users.set_consent(ben, false, 0);
    service
        .deliver(vec![
            service.reading_event(anna, 1, 0, &["budget"]),
            service.reading_event(ben, 1, 0, &["budget"]),
        ])
        .await;
    let calls = service.users.calls();
    assert_eq!(calls, 2);
    service.deliver(vec![service.reading_event(anna, 2, 0, &["budget"])]).await;
    assert_eq!(service.users.calls(), calls);
    assert_eq!(service.labels(anna).await, [("budget".to_owned(), 2)]);
    assert!(service.labels(ben).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_of_an_unknown_reader_waits_while_users_is_unavailable() {
    let service = TestService::new().await;
    let (anna, ben) = (user(1), user(2));
    service.users.set_consent(anna, true, 1);
    service.users.behave(Behaviour::Unavailable);
    // Ben is known, so users is not called about him, and he does not wait behind Anna.
    service.deliver(vec![service.consent_event(ben, true, 1, 0)]).await;
    service
        .publish(vec![
            service.reading_event(anna, 1, 0, &["budget"]),
            service.reading_event(ben, 1, 0, &["budget"]),
        ])
        .await;
    wait_until("Ben's reading to be counted and Anna's to wait", PATIENCE, || async {
        (service.queue_depths().await == (1, 0) && service.users.calls() > 0).then_some(())
    })
    .await;
    assert_eq!(service.labels(ben).await, [("budget".to_owned(), 1)]);
    assert!(service.labels(anna).await.is_empty());
    service.users.behave(Behaviour::Answer);
    wait_until("Anna's label", PATIENCE, || async {
        service.advance(MINUTE);
        (service.labels(anna).await == [("budget".to_owned(), 1)]).then_some(())
    })
    .await;
    service.wait_until_idle().await;
    assert_eq!(service.queue_depths().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_on_record_that_may_be_outdated_is_checked_with_users() {
    let service = TestService::new().await;
    let anna = user(1);
    service.advance(MINUTE * 60);
    service.deliver(vec![service.consent_event(anna, false, 1, 0)]).await;
    // Users knows a permission whose event has not arrived yet; the reading was made under it.
    service.users.set_consent(anna, true, 2);
    service.deliver(vec![service.reading_event(anna, 1, 11, &["budget"])]).await;
    assert_eq!(service.labels(anna).await, [("budget".to_owned(), 1)]);
    service.deliver(vec![service.consent_event(anna, true, 2, 10)]).await;
    assert_eq!(service.labels(anna).await, [("budget".to_owned(), 1)]);
    // A refusal holds while users is unavailable: a reading is not worth keeping for later.
    let ben = user(2);
    service.deliver(vec![service.consent_event(ben, false, 1, 0)]).await;
    service.users.behave(Behaviour::Unavailable);
    service.deliver(vec![service.reading_event(ben, 1, 11, &["budget"])]).await;
    assert!(service.labels(ben).await.is_empty());
    assert_eq!(service.queue_depths().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_deletes_stored_readings_and_later_ones_do_not_count() {
    let service = TestService::new().await;
    let anna = user(1);
    service.advance(MINUTE * 60);
    service.users.set_consent(anna, false, 2);
    service.deliver(vec![service.consent_event(anna, true, 1, 0)]).await;
    service.deliver(vec![service.reading_event(anna, 1, 5, &["budget"])]).await;
    service.deliver(vec![service.consent_event(anna, false, 2, 10)]).await;
    assert!(service.labels(anna).await.is_empty());
    // The token still carries the consent for up to 15 minutes.
    service
        .deliver(vec![
            service.reading_event(anna, 2, 12, &["budget"]),
            service.reading_event(anna, 3, 6, &["budget"]),
        ])
        .await;
    assert!(service.labels(anna).await.is_empty());
    assert_eq!(service.get_as_admin("/label/budget").await.body, serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_of_an_account_that_does_not_exist_is_dropped() {
    let service = TestService::new().await;
    service.deliver(vec![service.reading_event(user(404), 1, 0, &["budget"])]).await;
    assert!(service.labels(user(404)).await.is_empty());
    assert_eq!(service.queue_depths().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_message_becomes_a_dead_letter_and_blocks_no_other() {
    let service = TestService::new().await;
    let anna = user(1);
    service.deliver(vec![service.consent_event(anna, true, 1, 0)]).await;
    let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let invalid = vec![
        service.reading_with(vec![0xff; 7]),
        service.reading_with(Vec::new()),
        service.reading_event(anna, 1, 0, &["a\u{0}b"]),
        service.reading_event(anna, 1, 0, &many),
        service.reading_event(anna, 1, 60, &["from the future"]),
    ];
    let count = invalid.len() as u64;
    let mut unknown = service.reading_with(vec![0xff; 7]);
    unknown.kind = "portal.events.v1.OfALaterRelease".to_owned();
    let mut all = invalid;
    all.extend([unknown, service.reading_event(anna, 2, 0, &["budget"])]);
    service.deliver(all).await;
    assert_eq!(service.queue_depths().await, (0, count));
    assert_eq!(service.labels(anna).await, [("budget".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_arrives_more_than_a_week_late_is_neither_counted_nor_stored() {
    let service = TestService::new().await;
    let anna = user(1);
    service.deliver(vec![service.consent_event(anna, true, 1, 0)]).await;
    let late = service.reading_event(anna, 1, 0, &["late"]);
    service.deliver(vec![service.reading_event(anna, 2, 1, &["budget"])]).await;
    service.advance(DAY * 8);
    // The worker deletes Anna's visits; her tastes stay.
    for worker in &service.workers {
        while worker.step().await.expect("a step") == chassis::Step::Worked {}
    }
    service.deliver(vec![late, service.reading_event(anna, 2, 1, &["budget"])]).await;
    assert_eq!(service.labels(anna).await, [("budget".to_owned(), 1)]);
}
