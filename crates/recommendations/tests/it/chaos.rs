//! At-least-once delivery in any order ends the same.

use bus::Envelope;
use kernel::UserId;
use serde_json::Value;

use crate::service::{MINUTE, TestService, user};

/// Returns the events of one reader, who withdraws and consents again. If `erased` is set, the account is
/// erased at the end.
fn story(service: &TestService, of: UserId, erased: bool) -> Vec<Envelope> {
    let mut events = vec![
        service.consent_event(of, true, 1, 0),
        service.consent_event(of, false, 2, 100),
        service.consent_event(of, true, 3, 200),
    ];
    for minutes in (1..400_i64).step_by(13) {
        let article = 1 + u128::from(minutes.unsigned_abs() % 3);
        let labels: &[&str] = if minutes % 2 == 0 { &["budget", "tax"] } else { &["budget"] };
        // While the reader refuses, the orchestrator publishes no readings.
        if !(100..200).contains(&minutes) {
            events.push(service.reading_event(of, article, minutes, labels));
        }
    }
    events.extend(erased.then(|| service.erasure_event(of, 500)));
    events
}

/// Returns all answers of the service about four readers, one of whom is erased.
async fn answers(service: &TestService) -> Vec<Value> {
    let mut all = Vec::new();
    for number in 1..=4 {
        all.push(service.get_as_admin(&format!("/user/{}", user(number))).await.body);
    }
    for label in ["budget", "tax"] {
        let mut readers = service.get_as_admin(&format!("/label/{label}")).await.body;
        readers.as_array_mut().expect("a list").sort_by_key(Value::to_string);
        all.push(readers);
    }
    all
}

/// Returns a service at minute 600 whose users knows the final consents, and the events.
async fn service_and_events() -> (TestService, Vec<Envelope>) {
    let service = TestService::new().await;
    service.advance(MINUTE * 600);
    let events = (1..=4).flat_map(|number| story(&service, user(number), number == 4)).collect();
    (1..=3).for_each(|number| service.users.set_consent(user(number), true, 3));
    (service, events)
}

fn shuffled(mut messages: Vec<Envelope>, seed: u64) -> Vec<Envelope> {
    use rand::seq::SliceRandom;
    messages.shuffle(&mut testkit::random(seed));
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn shuffled_and_tripled_readings_consents_and_erasures_end_the_same() {
    let (orderly, events) = service_and_events().await;
    for event in events {
        orderly.deliver(vec![event]).await;
    }
    let expected = answers(&orderly).await;
    assert_eq!(expected[0], expected[1]);
    assert_eq!(expected[3], serde_json::json!([]));
    assert_eq!(expected[4].as_array().map(Vec::len), Some(3));
    for seed in 1..=5 {
        let (chaotic, events) = service_and_events().await;
        let thrice = events.iter().cycle().take(events.len() * 3).cloned().collect();
        chaotic.deliver(shuffled(thrice, seed)).await;
        assert_eq!(answers(&chaotic).await, expected, "seed {seed}");
        assert_eq!(chaotic.queue_depths().await, (0, 0));
    }
}
