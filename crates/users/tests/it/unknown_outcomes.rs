//! Changes whose outcome is unknown.

use serde_json::json;

use crate::people::Users;

#[tokio::test]
async fn after_a_change_with_an_unknown_outcome_the_store_is_asked_and_not_the_cache() {
    let users = Users::new().await;
    let admin = users.admin().await;
    let mut people = Vec::new();
    for name in ["ann", "bob", "eve", "joe"] {
        people.push(users.reader(&format!("{name}@example.org")).await);
    }
    let names = async || {
        let mut names = Vec::new();
        for person in &people {
            let read = users.ask("GET", &format!("/{}", person.id)).by(&admin).send().await.is(200);
            names.push(read.json["name"].as_str().expect("a name").to_owned());
        }
        names
    };
    assert_eq!(names().await, ["Reader"; 4]);

    // Another connection holds the only writer of the store, and its change is stored in the end.
    let pool = users.file("users.db").await;
    let mut tx = pool.begin_with("begin immediate").await.expect("begins");
    let change = "update users set name = 'Changed', version = version + 1 where role <> 'admin'";
    sqlx::query(change).execute(&mut *tx).await.expect("is done");
    let path = |number: usize| format!("/{}", people[number].id);
    let patch = users.ask("PATCH", &path(0)).by(&people[0]).seen(1).json(&json!({"name": "Ann"}));
    let roles = users.ask("PUT", &format!("{}/roles", path(1))).by(&admin).json(&json!({"role": "author"}));
    let erase = users.ask("DELETE", &path(2)).by(&people[2]);
    let (patch, roles, erase) = tokio::join!(patch.send(), roles.send(), erase.send());
    for answer in [patch, roles, erase] {
        answer.refused(503, "store_unavailable");
    }
    tx.commit().await.expect("commits");
    pool.close().await;
    assert_eq!(
        names().await,
        ["Changed", "Changed", "Changed", "Reader"],
        "the last account comes from the cache"
    );
}
