//! Races on several threads, released by a barrier.

use serde_json::json;
use testkit::at_once;

use crate::people::{Answer, PASSWORD, Users};

fn count(answers: &[Answer], status: u16, code: &str) -> usize {
    let matches = |answer: &&Answer| {
        answer.status.as_u16() == status && answer.json["code"].as_str().unwrap_or("") == code
    };
    answers.iter().filter(matches).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_16_parallel_registrations_of_one_email_is_201_and_15_are_409() {
    let users = Users::new().await;
    let answers = at_once(16, |number| {
        let email = if number % 2 == 0 { "ann@example.org" } else { "Ann@Example.org" };
        let body = json!({"name": format!("Ann {number}"), "email": email, "password": PASSWORD});
        let ask = users.ask("POST", "/").json(&body);
        async move { ask.send().await }
    });
    let answers = answers.await;
    assert_eq!((count(&answers, 201, ""), count(&answers, 409, "email_taken")), (1, 15));
    users.settle().await;
    let list = users.ask("GET", "/all").by(&users.admin().await).send().await;
    assert_eq!(list.header("x-total-count"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_12_parallel_writes_of_one_version_is_200_and_11_are_412() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let answers = at_once(12, |number| {
        let body = json!({"name": format!("Ann {number}")});
        let ask = users.ask("PATCH", &format!("/{}", ann.id)).by(&ann).seen(1).json(&body);
        async move { ask.send().await }
    });
    let answers = answers.await;
    assert_eq!((count(&answers, 200, ""), count(&answers, 412, "stale_version")), (1, 11));
    let winner = answers.iter().find(|answer| answer.status == 200).expect("one succeeds");
    assert_eq!(users.ask("GET", "/me").by(&ann).send().await.json, winner.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_parallel_changes_to_one_free_email_is_200() {
    let users = Users::new().await;
    let mut people = Vec::new();
    for number in 0..4 {
        people.push(users.reader(&format!("reader{number}@example.org")).await);
    }
    let answers = at_once(8, |number| {
        let ask = match people.get(number) {
            Some(person) => {
                let body = json!({"email": "Wanted@example.org", "current_password": PASSWORD});
                users.ask("PATCH", &format!("/{}", person.id)).by(person).seen(1).json(&body)
            }
            None => {
                let body = json!({"name": "Eve", "email": "wanted@example.org", "password": PASSWORD});
                users.ask("POST", "/").json(&body)
            }
        };
        async move { ask.send().await }
    });
    let answers = answers.await;
    let succeeded = count(&answers, 200, "") + count(&answers, 201, "");
    assert_eq!((succeeded, count(&answers, 409, "email_taken")), (1, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_who_demote_each_other_leave_one() {
    let users = Users::new().await;
    let admins = [users.admin().await, users.with_role("ann@example.org", "admin").await];
    let answers = at_once(2, |number| {
        let path = format!("/{}/roles", admins[1 - number].id);
        let ask = users.ask("PUT", &path).by(&admins[number]).json(&json!({"role": "reader"}));
        async move { ask.send().await }
    });
    let answers = answers.await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    // The other request either would have demoted the last admin, or came from a caller who had lost the
    // role.
    assert_eq!(count(&answers, 409, "last_admin") + count(&answers, 401, "invalid_token"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_visible_while_it_moves_from_the_intake_to_the_store() {
    let users = Users::with(|config| config.cache.capacity = 1).await;
    for round in 0..10 {
        let email = format!("reader{round}@example.org");
        let id =
            users.register("Reader", &email).await.is(201).json["id"].as_str().expect("an id").to_owned();
        // The cache has room for one account only, so intake and store are asked.
        let settled = at_once(4, |number| {
            let ask = users.ask("GET", &format!("/{id}"));
            let worker = (number == 0).then(|| users.service.workers[0].clone());
            async move {
                match worker {
                    Some(worker) => worker.step().await.map(|_| 200).unwrap_or(0),
                    None => ask.send().await.status.as_u16(),
                }
            }
        });
        assert_eq!(settled.await, [200; 4]);
    }
}
