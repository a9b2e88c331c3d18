//! The whole service on real servers: other URLs, equal behaviour.

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testkit::{engine, engine_with};
use uuid::Uuid;

use crate::people::{Answer, PASSWORD, Person, Users};

async fn statement(text: String) {
    let mut connection = PgConnection::connect(&engine("POSTGRES")).await.expect("it answers");
    sqlx::query(AssertSqlSafe(text)).execute(&mut connection).await.expect("it is done");
    connection.close().await.expect("it closes");
}

/// The part of the servers that belongs to one test.
struct Place {
    name: String,
}

impl Place {
    async fn new() -> Self {
        let name = format!("users_{}", Uuid::new_v4().simple());
        statement(format!("create schema {name}")).await;
        Self { name }
    }

    fn name_in(&self, config: &mut users::Config) {
        let schema = format!("options[search_path]={}", self.name);
        let prefix = format!("prefix=users:test-{}:", self.name);
        config.store.url = engine_with("POSTGRES", &schema).into();
        config.intake.url = engine_with("REDIS_INTAKE", &prefix).into();
        config.cache.url = engine_with("REDIS_CACHE", &prefix).into();
    }

    /// Starts a second replica of `one`, with the same stores and the same key.
    async fn replica_of(&self, one: &Users, more: impl FnOnce(&mut users::Config)) -> Users {
        let key_file = one.folder.join("signing-key.pem").display().to_string();
        Users::with(|config| {
            self.name_in(config);
            config.signing.key_file = key_file;
            more(config);
        })
        .await
    }

    async fn clear(self) {
        statement(format!("drop schema {} cascade", self.name)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and redis"]
async fn an_account_behaves_on_servers_as_in_files() {
    let place = Place::new().await;
    let users = Users::with(|config| place.name_in(config)).await;

    // It can log in before it is in the store.
    let ann = users.reader("Ann@example.org").await;
    users.register("Other", "ann@EXAMPLE.org").await.refused(409, "email_taken");
    let on = json!({"personalisation": true, "history": true});
    users.ask("PUT", &format!("/{}/consent", ann.id)).by(&ann).json(&on).send().await.is(200);
    for number in 0..5 {
        users.register("Reader", &format!("reader{number}@example.org")).await.is(201);
    }
    users.settle().await;
    users.register("Other", "ann@EXAMPLE.org").await.refused(409, "email_taken");

    let path = format!("/{}", ann.id);
    let anna = json!({"name": "Anna", "email": "Ann@example.org"});
    assert_eq!(
        users.ask("PUT", &path).by(&ann).seen(1).json(&anna).send().await.is(200).json["name"],
        "Anna"
    );
    assert_eq!(users.ask("GET", &path).by(&ann).send().await.is(200).json["name"], "Anna");
    users.ask("PUT", &path).by(&ann).seen(1).json(&anna).send().await.is(412);
    let listing = users.ask("GET", "/all").by(&users.admin().await).send().await.is(200);
    assert!(listing.text.contains("reader4@example.org"), "{}", listing.text);

    users.ask("DELETE", &path).by(&ann).send().await.is(202);
    users.ask("GET", &path).by(&users.admin().await).send().await.refused(404, "not_found");
    users.register("Ann", "ann@example.org").await.is(201);
    users.settle().await;
    assert_eq!(users.rows("bus.db", "select 1").await, 1, "the events went to the bus");
    drop(users);
    place.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and redis"]
async fn replicas_create_one_account_under_one_key_and_share_its_answer() {
    let place = Place::new().await;
    let one = Users::with(|config| place.name_in(config)).await;
    let other = place.replica_of(&one, |_| ()).await;
    for round in 0..5 {
        let body = json!({"name": "Ann", "email": format!("ann{round}@example.org"), "password": PASSWORD});
        let key = format!("key-{round}");
        let ask = |replica: &Users| replica.ask("POST", "/").header("idempotency-key", &key).json(&body);
        let answers = testkit::at_once(8, |number| {
            let ask = ask([&one, &other][number % 2]);
            async move { ask.send().await }
        });
        let fresh =
            |answer: &&Answer| answer.status == 201 && answer.header("idempotency-replayed").is_empty();
        let answers = answers.await;
        assert_eq!(answers.iter().filter(fresh).count(), 1, "round {round}");
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!(answer.json["code"], "still_running", "{}", answer.text);
        }
        let first = answers.iter().find(fresh).expect("one is fresh");
        for replica in [&one, &other] {
            let again = ask(replica).send().await.is(201);
            assert_eq!((&again.text, again.header("idempotency-replayed")), (&first.text, "true"));
        }
    }
    one.settle().await;
    let list = other.ask("GET", "/all").by(&other.admin().await).send().await.is(200);
    assert_eq!(list.header("x-total-count"), "6");
    drop((one, other));
    place.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and redis"]
async fn replicas_share_sessions_and_count_attempts_together() {
    let place = Place::new().await;
    let one = Users::with(|config| place.name_in(config)).await;
    let other = place.replica_of(&one, |config| config.throttle.logins_per_account_and_address = 10).await;

    let ann = one.reader("ann@example.org").await;
    let ann = Person::of(&other.refresh(&ann.cookie).await.is(200));
    one.ask("GET", "/me").by(&ann).send().await.is(200);
    // Two tabs, one at each replica: both continue with the same token.
    let answers = testkit::at_once(2, |number| {
        let ask = [&one, &other][number].ask("POST", "/sessions/refresh").cookie(&ann.cookie);
        async move { ask.send().await.is(200).cookie().expect("a cookie") }
    });
    let answers = answers.await;
    assert_eq!(answers[0], answers[1]);
    // Later a used one ends the session, whichever replica it comes to.
    other.pass(10);
    other.refresh(&ann.cookie).await.refused(401, "invalid_refresh_token");
    let sessions = format!("/{}/sessions", ann.id);
    assert_eq!(other.ask("GET", &sessions).by(&ann).send().await.is(200).json, json!([]));

    for number in 0..9 {
        let replica = if number % 2 == 0 { &one } else { &other };
        replica.log_in("ann@example.org", "wrong horse").await.is(401);
    }
    // The login at the beginning was the first attempt, ten seconds ago by this replica's clock.
    let refused = other.log_in("ann@example.org", PASSWORD).await.refused(429, "too_many_attempts");
    assert_eq!(refused.header("retry-after"), "50");
    drop((one, other));
    place.clear().await;
}
