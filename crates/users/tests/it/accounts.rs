use serde_json::json;

use crate::people::{PASSWORD, Person, Users};

fn of(person: &Person) -> String {
    format!("/{}", person.id)
}

#[tokio::test]
async fn others_see_the_public_profile_and_only_staff_with_a_role() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let bob = users.with_role("bob@example.org", "author").await;
    let profile = users.ask("GET", &of(&ann)).send().await.is(200);
    assert_eq!(profile.json, json!({"id": ann.id, "name": "Reader"}));
    assert_eq!(profile.header("cache-control"), "private, no-cache", "a name is personal data");
    assert_eq!(profile.header("vary"), "Authorization");
    let profile = users.ask("GET", &of(&bob)).by(&ann).send().await.is(200);
    assert_eq!(profile.json, json!({"id": bob.id, "name": "Reader", "role": "author"}));
    assert!(profile.header("cache-control").starts_with("private"));
}

#[tokio::test]
async fn owner_and_admin_see_all_of_an_account() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    for person in [&ann, &users.admin().await] {
        let answer = users.ask("GET", &of(&ann)).by(person).send().await.is(200);
        assert_eq!(answer.json["email"], "ann@example.org");
        assert_eq!(answer.header("etag"), "\"v1\"");
        assert!(answer.header("cache-control").starts_with("private"));
    }
}

#[tokio::test]
async fn a_version_that_the_client_has_is_not_sent_again() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let etag = users.ask("GET", &of(&ann)).send().await.header("etag").to_owned();
    users.ask("GET", &of(&ann)).header("if-none-match", &etag).send().await.is(304);
    // The whole account and the profile are different answers, so their tags differ.
    users.ask("GET", &of(&ann)).by(&ann).header("if-none-match", &etag).send().await.is(200);
    users.ask("GET", &of(&ann)).by(&ann).header("if-none-match", "W/\"v1\"").send().await.is(304);
}

#[tokio::test]
async fn an_unknown_id_is_404_in_every_form() {
    let users = Users::new().await;
    for id in ["01901640-0000-7000-8000-000000000000", "17", "'%20or%201=1", "null"] {
        users.ask("GET", &format!("/{id}")).send().await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn put_replaces_all_fields_and_patch_changes_the_named_ones() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let body = json!({"name": "Ann", "email": "ann@example.org"});
    let put = users.ask("PUT", &of(&ann)).by(&ann).seen(1).json(&body).send().await.is(200);
    assert_eq!((&put.json["name"], put.header("etag")), (&json!("Ann"), "\"v2\""));
    let patch =
        users.ask("PATCH", &of(&ann)).by(&ann).seen(2).json(&json!({"name": "Anna"})).send().await.is(200);
    assert_eq!((&patch.json["email"], &patch.json["version"]), (&json!("ann@example.org"), &json!(3)));
    assert_eq!(users.ask("GET", &of(&ann)).by(&ann).send().await.json, patch.json);
    users
        .ask("PUT", &of(&ann))
        .by(&ann)
        .seen(3)
        .json(&json!({"name": "Ann"}))
        .send()
        .await
        .refused(422, "invalid");
    users
        .ask("PATCH", &of(&ann))
        .by(&ann)
        .seen(3)
        .json(&json!({"role": "admin"}))
        .send()
        .await
        .refused(422, "invalid");
}

#[tokio::test]
async fn a_write_must_name_the_version_that_it_has_seen() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let patch = |version: Option<&str>| {
        let ask = users.ask("PATCH", &of(&ann)).by(&ann).json(&json!({"name": "Anna"}));
        version.map_or_else(
            || users.ask("PATCH", &of(&ann)).by(&ann).json(&json!({"name": "Anna"})),
            |tag| ask.header("if-match", tag),
        )
    };
    patch(None).send().await.refused(428, "precondition_required");
    patch(Some("\"v1\"")).send().await.is(200);
    let stale = patch(Some("\"v1\"")).send().await.refused(412, "stale_version");
    assert_eq!((&stale.json["current_version"], stale.header("etag")), (&json!(2), "\"v2\""));
    patch(Some("W/\"v2\"")).send().await.is(200);
    patch(Some("*")).send().await.is(200);
    patch(Some("\"foreign\"")).send().await.refused(412, "stale_version");
    let in_body = users.ask("PATCH", &of(&ann)).by(&ann).json(&json!({"name": "Ann", "version": 4}));
    assert_eq!(in_body.send().await.is(200).json["version"], 5);
}

#[tokio::test]
async fn a_new_email_or_password_requires_the_current_password_of_the_owner() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let patch = async |body: serde_json::Value| {
        users.ask("PATCH", &of(&ann)).by(&ann).header("if-match", "*").json(&body).send().await
    };
    let missing = patch(json!({"email": "anna@example.org"})).await.refused(422, "invalid");
    assert_eq!(missing.faults(), [("/current_password".to_owned(), "required".to_owned())]);
    let wrong = json!({"password": "another battery", "current_password": "wrong"});
    patch(wrong).await.refused(403, "wrong_password");
    patch(json!({"email": "ANN@example.org"})).await.is(200);
    let right =
        json!({"email": "anna@example.org", "password": "another battery", "current_password": PASSWORD});
    patch(right).await.is(200);
    users.log_in("ann@example.org", PASSWORD).await.is(401);
    users.log_in("anna@example.org", PASSWORD).await.is(401);
    users.log_in("anna@example.org", "another battery").await.is(201);
    // An admin, who can't know it, does not need it.
    let by_admin = users.ask("PATCH", &of(&ann)).by(&users.admin().await).header("if-match", "*");
    by_admin.json(&json!({"email": "ann2@example.org"})).send().await.is(200);
}

#[tokio::test]
async fn a_new_email_is_unique_over_store_and_intake() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    users.register("Bob", "bob@example.org").await.is(201);
    let wish = json!({"email": "Bob@example.org", "current_password": PASSWORD});
    for _ in 0..2 {
        let patch = users.ask("PATCH", &of(&ann)).by(&ann).header("if-match", "*").json(&wish);
        patch.send().await.refused(409, "email_taken");
        users.settle().await;
    }
    let wish = json!({"email": "anna@example.org", "current_password": PASSWORD});
    users.ask("PATCH", &of(&ann)).by(&ann).header("if-match", "*").json(&wish).send().await.is(200);
    users.register("Eve", "anna@example.org").await.refused(409, "email_taken");
    users.register("Eve", "ann@example.org").await.is(201);
}

#[tokio::test]
async fn an_erasure_is_accepted_and_the_account_is_gone_from_every_read() {
    let users = Users::new().await;
    let (ann, admin) = (users.reader("ann@example.org").await, users.admin().await);
    users.ask("GET", &of(&ann)).send().await.is(200);
    let answer = users.ask("DELETE", &of(&ann)).by(&ann).send().await.is(202);
    assert_eq!(
        (&answer.json["result"], &answer.json["erasure"]["state"]),
        (&json!("success"), &json!("pending"))
    );
    assert!(answer.json["erasure"]["id"].is_string());
    users.ask("GET", &of(&ann)).send().await.refused(404, "not_found");
    users.ask("GET", &of(&ann)).by(&admin).send().await.refused(404, "not_found");
    users.log_in("ann@example.org", PASSWORD).await.refused(401, "wrong_credentials");
    // The token has not expired, but its account is gone.
    users.ask("GET", "/me").by(&ann).send().await.refused(401, "invalid_token");
    users.ask("DELETE", &of(&ann)).by(&admin).send().await.refused(404, "not_found");
    users.settle().await;
    users.register("Ann", "ann@example.org").await.is(201);
}

#[tokio::test]
async fn a_list_is_ordered_counted_and_capped() {
    let users = Users::new().await;
    let admin = users.admin().await;
    for number in 0..12 {
        users.pass(1);
        users.register("Reader", &format!("reader{number}@example.org")).await.is(201);
    }
    let list = async |query: &str| users.ask("GET", &format!("/all{query}")).by(&admin).send().await;
    let first = list("").await.is(200);
    let emails = |answer: &crate::people::Answer| -> Vec<String> {
        let users = answer.json.as_array().expect("a bare array").iter();
        users.map(|user| user["email"].as_str().expect("an e-mail").to_owned()).collect()
    };
    assert_eq!((emails(&first).len(), first.header("x-total-count")), (10, "13"));
    assert_eq!(emails(&first)[..2], ["admin@example.org", "reader0@example.org"]);
    assert!(first.header("link").contains("</users/v1/all?start=10&count=10>; rel=\"next\""));
    assert_eq!(emails(&list("?start=12&count=100").await), ["reader11@example.org"]);
    for query in ["?count=0", "?count=101", "?start=-1", "?start=9999&count=100"] {
        list(query).await.refused(422, "invalid");
    }
    list("?count=ten").await.refused(422, "invalid");
}

#[tokio::test]
async fn readiness_names_every_dependency_and_the_bus_among_them() {
    let users = Users::new().await;
    let names: Vec<_> = users.service.health.iter().map(|dependency| dependency.name()).collect();
    assert_eq!(names, ["store", "intake", "cache", "bus"]);
    for dependency in &users.service.health {
        assert_eq!(dependency.check().await.1, Ok(()), "{}", dependency.name());
    }
}

#[tokio::test]
async fn a_health_check_is_ok() {
    let users = Users::new().await;
    assert_eq!(users.ask("GET", "/healthcheck").send().await.is(200).text, "OK");
}
