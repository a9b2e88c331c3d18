//! Erasures with the receipts of the services.

use std::sync::Arc;

use bus::{Bus, Envelope, LocalBus};
use chassis::Step;
use kernel::{MessageId, Timestamp, Trace};
use prost::Message;
use proto::erasures::v1::ErasureReceipt;
use serde_json::{Value, json};
use testkit::{PATIENCE, wait_until};
use tokio_util::sync::CancellationToken;

use crate::people::{Person, Users};

/// The other services that send receipts.
const OTHERS: [&str; 4] = ["famous-news", "politics-news", "sports-news", "recommendations"];

/// Runs the consumers of the service, and returns its bus.
async fn run_consumers(users: &mut Users) -> Arc<LocalBus> {
    for consumer in std::mem::take(&mut users.service.consumers) {
        chassis::spawn("test.consumer", consumer.run(CancellationToken::new()));
    }
    let url = format!("local:{}", users.folder.join("bus.db").display());
    bus::open_local(&url, &users.surroundings).await.expect("the bus is open")
}

fn receipt(person: &str, service: &str, key: &str) -> Envelope {
    let at = Timestamp::from_millis(1_763_712_001_000);
    let body = ErasureReceipt { user_id: person.to_owned(), service: service.to_owned(), at: at.millis() };
    Envelope {
        id: MessageId::new(uuid::Uuid::new_v4()),
        kind: "portal.erasures.v1.ErasureReceipt".to_owned(),
        key: key.to_owned(),
        source: service.to_owned(),
        subject: person.to_owned(),
        version: 0,
        time: at,
        trace: Trace::start(),
        body: body.encode_to_vec().into(),
    }
}

async fn erasure(users: &Users, person: &Person) -> Value {
    users.ask("GET", &format!("/erasures/{}", person.id)).by(person).send().await.is(200).json
}

fn services(erasure: &Value) -> Vec<&str> {
    let receipts = erasure["receipts"].as_array().expect("receipts");
    receipts.iter().map(|receipt| receipt["service"].as_str().expect("a service")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_shows_the_receipt_of_each_service_and_is_done_with_the_last_one() {
    let mut users = Users::new().await;
    let bus = run_consumers(&mut users).await;
    let ann = users.reader("ann@example.org").await;
    let path = format!("/{}", ann.id);
    let begun = users.ask("DELETE", &path).by(&ann).send().await.is(202);
    assert_eq!(begun.json["erasure"], json!({"id": ann.id, "state": "pending"}));
    assert_eq!(begun.header("location"), format!("/users/v1/erasures/{}", ann.id));
    let at_first = erasure(&users, &ann).await;
    assert_eq!((&at_first["state"], &at_first["completed_at"]), (&json!("pending"), &Value::Null));
    // The part of this service: its worker wipes the files, and sends a receipt like the others.
    wait_until("the receipt of users", PATIENCE, async || {
        users.settle().await;
        (services(&erasure(&users, &ann).await) == ["users"]).then_some(())
    })
    .await;
    for service in OTHERS {
        assert_eq!(erasure(&users, &ann).await["state"], "pending");
        let key = format!("erasures.{service}");
        // Twice, as a bus may deliver it.
        for _ in 0..2 {
            bus.publish(vec![receipt(&ann.id, service, &key)]).await.expect("is published");
        }
        wait_until("the receipt", PATIENCE, async || {
            services(&erasure(&users, &ann).await).contains(&service).then_some(())
        })
        .await;
    }
    let done = erasure(&users, &ann).await;
    assert_eq!((&done["state"], &done["missing"]), (&json!("done"), &json!([])));
    assert!(done["completed_at"].is_string());
    assert_eq!(services(&done).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_under_another_key_or_of_an_unknown_service_or_about_a_living_account_counts_for_nothing() {
    let mut users = Users::new().await;
    let bus = run_consumers(&mut users).await;
    let (ann, bob) = (users.reader("ann@example.org").await, users.reader("bob@example.org").await);
    users.ask("DELETE", &format!("/{}", ann.id)).by(&ann).send().await.is(202);
    bus.publish(vec![
        receipt(&ann.id, "sports-news", "erasures.famous-news"),
        receipt(&ann.id, "weather-news", "erasures.weather-news"),
        receipt(&bob.id, "sports-news", "erasures.sports-news"),
        receipt("no id", "sports-news", "erasures.sports-news"),
    ])
    .await
    .expect("are published");
    wait_until("the dead letters", PATIENCE, async || {
        let dead = bus.dead_letters("users.erasures", 10).await.expect("lists");
        (dead.len() == 4).then_some(())
    })
    .await;
    assert!(services(&erasure(&users, &ann).await).is_empty());
    let living = users.ask("GET", &format!("/erasures/{}", bob.id)).by(&bob).send().await;
    assert_eq!(living.refused(404, "not_found").json["detail"], "This account was not erased.");
}

#[tokio::test]
async fn an_erasure_is_seen_by_the_erased_person_and_by_admins_only() {
    let users = Users::new().await;
    let admin = users.admin().await;
    let (ann, bob) = (users.reader("ann@example.org").await, users.reader("bob@example.org").await);
    let former = users.with_role("former@example.org", "admin").await;
    let roles = format!("/{}/roles", former.id);
    users.ask("PUT", &roles).by(&admin).json(&json!({"role": "reader"})).send().await.is(200);
    users.ask("DELETE", &format!("/{}", ann.id)).by(&ann).send().await.is(202);
    let get =
        async |caller: &Person| users.ask("GET", &format!("/erasures/{}", ann.id)).by(caller).send().await;
    get(&ann).await.is(200);
    get(&admin).await.is(200);
    get(&bob).await.refused(403, "role_required");
    get(&former).await.refused(401, "invalid_token");
    // The token of the erased person ends like any other.
    users.pass(16 * 60);
    get(&ann).await.refused(401, "invalid_token");
}

#[tokio::test]
async fn an_erasure_that_takes_too_long_is_counted_and_the_services_are_notified_again() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    users.ask("DELETE", &format!("/{}", ann.id)).by(&ann).send().await.is(202);
    users.settle().await;
    let watch = users.service.workers.iter().find(|worker| worker.name() == "users.erasure_watch");
    let watch = watch.expect("the worker").clone();
    let announced = async || {
        let count = "select count(*) from outbox where kind = 'portal.users.v1.UserErased'";
        users.rows("users.db", count).await
    };
    for (seconds, times) in [(61, 0), (60, 0), (240, 1), (10, 1), (301, 2)] {
        users.pass(seconds);
        assert_eq!(watch.step().await.expect("looks"), Step::Idle);
        assert_eq!(announced().await, times, "after {seconds} more seconds");
    }
}
