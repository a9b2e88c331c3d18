use serde_json::json;

use crate::people::{Person, Users};

fn history_of(person: &Person) -> bool {
    person.claims()["history"].as_bool().expect("a boolean")
}

#[tokio::test]
async fn consent_is_off_until_the_person_turns_it_on_and_is_in_the_next_token() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let path = format!("/{}/consent", ann.id);
    let off = json!({"personalisation": false, "history": false});
    assert_eq!(users.ask("GET", &path).by(&ann).send().await.is(200).json, off);
    assert!(!history_of(&ann));
    let on = json!({"personalisation": true, "history": true});
    assert_eq!(users.ask("PUT", &path).by(&ann).json(&on).send().await.is(200).json, on);
    assert_eq!(users.ask("GET", &path).by(&ann).send().await.is(200).json, on);
    assert!(history_of(&users.person("ann@example.org").await));
    // An older login gets it with its next refresh.
    let ann = Person::of(&users.refresh(&ann.cookie).await.is(200));
    assert!(history_of(&ann));
    let off = json!({"personalisation": false, "history": false});
    users.ask("PUT", &path).by(&ann).json(&off).send().await.is(200);
    assert!(!history_of(&Person::of(&users.refresh(&ann.cookie).await.is(200))));
}

#[tokio::test]
async fn consent_is_sent_whole_and_by_its_person_only() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let path = format!("/{}/consent", ann.id);
    users.ask("PUT", &path).by(&ann).json(&json!({"history": true})).send().await.refused(422, "invalid");
    let on = json!({"personalisation": true, "history": true});
    for other in [users.admin().await, users.reader("bob@example.org").await] {
        users.ask("GET", &path).by(&other).send().await.refused(403, "role_required");
        users.ask("PUT", &path).by(&other).json(&on).send().await.refused(403, "role_required");
    }
}
