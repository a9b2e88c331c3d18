use serde_json::json;

use crate::people::{ADMIN, PASSWORD, Person, Users};

#[tokio::test]
async fn an_admin_gives_roles_in_sections_and_all_readers_see_them() {
    let users = Users::new().await;
    let (ann, admin) = (users.reader("ann@example.org").await, users.admin().await);
    let path = format!("/{}/roles", ann.id);
    let put = async |body: serde_json::Value| users.ask("PUT", &path).by(&admin).json(&body).send().await;
    let editor = put(json!({"role": "editor", "sections": ["sports"]})).await.is(200);
    assert_eq!((&editor.json["role"], &editor.json["sections"]), (&json!("editor"), &json!(["sports"])));
    assert_eq!(editor.header("etag"), "\"v2\"");
    assert_eq!(users.ask("GET", &format!("/{}", ann.id)).send().await.json["role"], "editor");
    let token = users.person("ann@example.org").await;
    assert_eq!(
        (&token.claims()["role"], &token.claims()["sections"]),
        (&json!("editor"), &json!(["sports"]))
    );
    assert_eq!(put(json!({"role": "editor"})).await.is(200).json["sections"], json!(null));
    put(json!({"role": "king"})).await.refused(422, "invalid");
    put(json!({"role": "editor", "sections": ["weather"]})).await.refused(422, "invalid");
    for (body, code) in [
        (json!({"role": "editor", "sections": []}), "empty"),
        (json!({"role": "admin", "sections": ["sports"]}), "not_limited"),
    ] {
        let answer = put(body).await.refused(422, "invalid");
        assert_eq!(answer.faults(), [("/sections".to_owned(), code.to_owned())]);
    }
}

#[tokio::test]
async fn a_lost_role_takes_effect_immediately_and_a_new_one_at_the_next_login_or_refresh() {
    let users = Users::new().await;
    let (ann, admin) = (users.with_role("ann@example.org", "admin").await, users.admin().await);
    users.ask("GET", "/all").by(&ann).send().await.is(200);
    let path = format!("/{}/roles", ann.id);
    users.ask("PUT", &path).by(&admin).json(&json!({"role": "reader"})).send().await.is(200);
    users.ask("GET", "/all").by(&ann).send().await.refused(401, "invalid_token");
    let refreshed = Person::of(&users.refresh(&ann.cookie).await.is(200));
    assert_eq!(refreshed.claims()["role"], "reader");
    users.ask("GET", "/me").by(&refreshed).send().await.is(200);
    let promoted = json!({"role": "author", "sections": ["famous"]});
    users.ask("PUT", &path).by(&admin).json(&promoted).send().await.is(200);
    let refreshed = Person::of(&users.refresh(&refreshed.cookie).await.is(200));
    assert_eq!(refreshed.claims()["sections"], json!(["famous"]));
    users.ask("PUT", &path).by(&admin).json(&json!({"role": "author"})).send().await.is(200);
    let refreshed = Person::of(&users.refresh(&refreshed.cookie).await.is(200));
    assert_eq!(refreshed.claims().get("sections"), None, "all sections, future ones included");
    users.ask("PUT", &path).by(&admin).json(&json!({"role": "reader"})).send().await.is(200);
    let ann = users.person("ann@example.org").await;
    users.ask("GET", "/all").by(&ann).send().await.refused(403, "role_required");
    users.ask("GET", "/me").by(&ann).send().await.is(200);
}

#[tokio::test]
async fn the_last_admin_can_neither_be_demoted_nor_erased() {
    let users = Users::new().await;
    let admin = users.admin().await;
    let demote =
        users.ask("PUT", &format!("/{}/roles", admin.id)).by(&admin).json(&json!({"role": "editor"}));
    demote.send().await.refused(409, "last_admin");
    users.ask("DELETE", &format!("/{}", admin.id)).by(&admin).send().await.refused(409, "last_admin");
    let second = users.with_role("ann@example.org", "admin").await;
    users.ask("DELETE", &format!("/{}", admin.id)).by(&admin).send().await.is(202);
    users.ask("DELETE", &format!("/{}", second.id)).by(&second).send().await.refused(409, "last_admin");
}

#[tokio::test]
async fn the_first_admin_is_created_once_and_never_again() {
    let users = Users::new().await;
    let admin = users.admin().await;
    let change = json!({"password": "another battery", "current_password": PASSWORD});
    let path = format!("/{}", admin.id);
    users.ask("PATCH", &path).by(&admin).header("if-match", "*").json(&change).send().await.is(200);
    let users = users.crash().await;
    users.log_in(ADMIN, PASSWORD).await.is(401);
    let again = users.log_in(ADMIN, "another battery").await.is(201);
    assert_eq!(again.json["user"]["id"], admin.id);
}
