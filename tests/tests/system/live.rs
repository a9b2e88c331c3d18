//! Live events from outside.

use serde_json::json;
use system_tests::{Shape, World, scenarios, text_of};
use testkit::{Events, ServerEvent};

scenarios! {
    on both shapes:
        a_reader_who_follows_hears_of_a_publication_and_of_a_retraction,
        a_stop_of_the_portal_ends_every_stream_with_the_time_to_come_back;
}

/// Returns the next event of one article.
async fn next(stream: &mut Events, id: &str) -> ServerEvent {
    loop {
        let event = stream.next().await.expect("the stream goes on");
        if event.data.as_ref().is_some_and(|data| data.contains(id)) {
            return event;
        }
    }
}

async fn a_reader_who_follows_hears_of_a_publication_and_of_a_retraction(shape: Shape) {
    let world = World::new(shape).await;
    let admin = world.admin().await;
    let mut all = world.client().get("/news/v1/live").follow().await;
    let mut sports = world.client().get("/news/v1/sports/live").follow().await;
    let id = world.published("sports", "A match", &["match"], &admin).await;
    let published = next(&mut all, &id).await;
    assert_eq!(published.event.as_deref(), Some("published"));
    assert!(published.data.expect("data").contains("A match"));
    assert_eq!(next(&mut sports, &id).await.id, published.id);

    let path = format!("/news/v1/sports/{id}/retract");
    let retract = world.client().post(&path).token(&admin.token).if_match(2);
    retract.json(&json!({"reason": "There was no match."})).send().await.expect_status(200);
    let retracted = next(&mut all, &id).await;
    assert_eq!(retracted.event.as_deref(), Some("retracted"));
    assert!(!retracted.data.expect("data").contains("A match"));

    // A reader who comes back hears of the retraction, whichever process answers.
    let last = published.id.expect("an id");
    let back = world.client().get("/news/v1/live").header("last-event-id", &*last);
    let mut back = back.follow().await;
    let first = next(&mut back, &id).await;
    assert_eq!(
        (first.event, text_of(&json!(first.id))),
        (Some("retracted".to_owned()), retracted.id.expect("an id"))
    );
}

async fn a_stop_of_the_portal_ends_every_stream_with_the_time_to_come_back(shape: Shape) {
    let mut world = World::new(shape).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(world.client().get("/news/v1/live").follow().await);
    }
    world.stop().await;
    for mut stream in streams {
        let farewell = ServerEvent { retry: Some("1000".to_owned()), ..ServerEvent::default() };
        assert_eq!(stream.next().await, Some(farewell));
        assert_eq!(stream.next().await, None);
    }
}
