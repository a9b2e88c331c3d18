//! Malformed and hostile input.

use std::io::Write;

use serde_json::{Value, json};

use crate::people::{Answer, PASSWORD, Person, Users};

fn of(person: &Person) -> String {
    format!("/{}", person.id)
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).expect("packs");
    encoder.finish().expect("packs")
}

fn pair(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

#[tokio::test]
async fn a_small_body_with_many_faults_gets_a_small_answer() {
    let users = Users::new().await;
    let fields = format!(r#""name":"Ann","email":"ann@example.org","password":"{PASSWORD}""#);
    let many = packed(&format!("{{{fields}{}}}", r#","":1"#.repeat(200_000)));
    let long = packed(&format!(r#"{{{fields},"{}":1}}"#, "\\u0001".repeat(150_000)));
    for body in [many, long] {
        assert!(body.len() < 2_500, "{}", body.len());
        for path in ["/", "/sessions"] {
            let ask = users.ask("POST", path).header("content-encoding", "gzip").text(body.clone());
            let answer = ask.send().await.refused(422, "invalid");
            assert!(answer.text.len() < 64 * 1024, "{path}: {}", answer.text.len());
            assert!((1..=64).contains(&answer.faults().len()));
            assert!(answer.faults().iter().all(|(pointer, _)| pointer.chars().count() <= 200));
        }
    }
    let path = format!("/{}", "x/".repeat(10_000));
    let answer = users.ask("GET", &path).send().await.refused(404, "not_found");
    assert_eq!(
        answer.json["instance"].as_str().map(str::len),
        Some(502),
        "500 characters, the last an ellipsis"
    );
}

#[tokio::test]
async fn a_list_is_not_an_object_in_any_body() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let admin = users.admin().await;
    let id = ann.id.clone();
    let bodies = [
        ("POST", "/".to_owned(), json!(["Eve", "eve@example.org", PASSWORD])),
        ("POST", "/sessions".to_owned(), json!(["ann@example.org", PASSWORD])),
        ("PUT", format!("/{id}"), json!(["Eve", "eve@example.org", null, PASSWORD, 1])),
        ("PATCH", format!("/{id}"), json!(["Eve", null, null, null, 1])),
        ("PUT", format!("/{id}/password"), json!([PASSWORD, "another long one"])),
        ("PUT", format!("/{id}/roles"), json!(["admin"])),
        ("PUT", format!("/{id}/consent"), json!([true, true])),
    ];
    for (method, path, list) in bodies {
        for body in [list.clone(), json!([]), json!("text"), json!(7), json!(true), Value::Null] {
            let by = if path.ends_with("roles") { &admin } else { &ann };
            let answer = users.ask(method, &path).by(by).header("if-match", "*").json(&body).send().await;
            let answer = answer.refused(422, "invalid");
            assert_eq!(answer.faults(), [pair("", "invalid_value")], "{method} {path} {body}");
            for rust in ["struct", "Body", "tuple", "sequence", "map"] {
                assert!(!answer.text.contains(rust), "{rust} in {}", answer.text);
            }
        }
    }
    users.log_in("ann@example.org", PASSWORD).await.is(201);
}

#[tokio::test]
async fn a_password_must_be_a_string_and_is_never_quoted_in_an_answer() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let secret = 8_642_975_310_u64;
    let never = |answer: Answer| {
        assert!(!answer.text.contains("8642975310") && !answer.text.contains("hunter2"), "{}", answer.text);
        answer
    };
    let number = json!({"name": "Eve", "email": "eve@example.org", "password": secret});
    let answer = never(users.ask("POST", "/").json(&number).send().await.refused(422, "invalid"));
    assert_eq!(answer.faults(), [pair("/password", "invalid_value")]);
    let login = json!({"email": "ann@example.org", "password": secret});
    never(users.ask("POST", "/sessions").json(&login).send().await.refused(422, "invalid"));
    let change = json!({"current_password": secret, "password": true});
    let path = format!("{}/password", of(&ann));
    let answer = never(users.ask("PUT", &path).by(&ann).json(&change).send().await.refused(422, "invalid"));
    assert_eq!(
        answer.faults(),
        [pair("/current_password", "invalid_value"), pair("/password", "invalid_value")]
    );
    let cut = r#"{"email":"ann@example.org","password":"hunter2hunter2"#;
    for length in (cut.find("password").expect("it is there"))..cut.len() {
        let ask = users.ask("POST", "/sessions").text(cut[..length].to_owned());
        never(ask.send().await.refused(400, "malformed_json"));
    }
    never(users.ask("POST", "/sessions").text("\"hunter2hunter2\"").send().await.refused(422, "invalid"));
}

#[tokio::test]
async fn duplicate_members_byte_order_marks_and_gzip_members_are_handled() {
    let users = Users::new().await;
    users.reader("ann@example.org").await;
    let login = format!(r#"{{"email":"ann@example.org","password":"{PASSWORD}"}}"#);
    let twice = login.replacen('{', r#"{"email":"eve@example.org","#, 1);
    let answer = users.ask("POST", "/sessions").text(twice).send().await.refused(422, "invalid");
    assert_eq!(answer.faults(), [pair("/email", "duplicate_field")]);
    users.ask("POST", "/sessions").text(format!("\u{feff}{login}")).send().await.is(201);
    let gzip = |body: Vec<u8>| users.ask("POST", "/sessions").header("content-encoding", "gzip").text(body);
    let (front, back) = login.split_at(20);
    gzip([packed(front), packed(back)].concat()).send().await.is(201);
    gzip([packed(&login), packed(" ")].concat()).send().await.is(201);
    gzip([packed(&login), packed("{}")].concat()).send().await.refused(400, "malformed_json");
    gzip([packed(&login), b"{}".to_vec()].concat()).send().await.refused(400, "malformed_body");
}

#[tokio::test]
async fn an_empty_patch_changes_nothing_and_makes_no_version() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    for body in
        [json!({}), json!({"version": 1}), json!({"name": null}), json!({"current_password": PASSWORD})]
    {
        let answer = users.ask("PATCH", &of(&ann)).by(&ann).seen(1).json(&body).send().await.is(200);
        assert_eq!((answer.header("etag"), &answer.json["version"]), ("\"v1\"", &json!(1)), "{body}");
    }
    users
        .ask("PATCH", &of(&ann))
        .by(&ann)
        .seen(7)
        .json(&json!({}))
        .send()
        .await
        .refused(412, "stale_version");
    users
        .ask("PATCH", &of(&ann))
        .by(&ann)
        .json(&json!({}))
        .send()
        .await
        .refused(428, "precondition_required");
}

#[tokio::test]
async fn an_entity_tag_of_another_form_is_refused_as_malformed_and_not_as_stale() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let patch = |tag: &str| {
        users.ask("PATCH", &of(&ann)).by(&ann).header("if-match", tag).json(&json!({"name": "Anna"})).send()
    };
    for (version, tag) in
        [(2, "\"v1-gzip\""), (3, "\"v2;br\""), (4, "\"v3--gzip\""), (5, "\"x,y\", W/\"v4-zstd\"")]
    {
        assert_eq!(patch(tag).await.is(200).json["version"], version, "{tag}");
    }
    let foreign = patch("\"v5-public\"").await.refused(412, "stale_version");
    let detail = foreign.json["detail"].as_str().expect("a sentence");
    assert!(detail.contains("not ETags of this address") && !detail.contains("changed"), "{detail}");
    assert_eq!(foreign.json["current_version"], 5);
    for tag in ["\"v05\"", "v5", "5", "\"v5", "\"v0\""] {
        patch(tag).await.refused(400, "bad_request");
    }
    let stale = patch("\"v4\"").await.refused(412, "stale_version");
    assert!(stale.json["detail"].as_str().is_some_and(|detail| detail.contains("changed")), "{}", stale.text);
    let both = json!({"name": "Anna", "version": 4});
    let differ = users.ask("PATCH", &of(&ann)).by(&ann).seen(5).json(&both).send().await;
    assert_eq!(differ.refused(422, "invalid").faults(), [pair("/version", "differs")]);
    for tag in ["\"v5-gzip\"", "\"v5;br\"", "\"v5--gzip\"", "\"a\", \"v5\""] {
        users.ask("GET", &of(&ann)).by(&ann).header("if-none-match", tag).send().await.is(304);
    }
}

#[tokio::test]
async fn an_id_has_one_spelling() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let id = &ann.id;
    let capitals = users.ask("GET", &format!("/{}", id.to_uppercase())).by(&ann).send().await.is(200);
    assert_eq!((&capitals.json["id"], &capitals.json["email"]), (&json!(id), &json!("ann@example.org")));
    for other in [format!("%7B{id}%7D"), format!("urn:uuid:{id}"), id.replace('-', "")] {
        users.ask("GET", &format!("/{other}")).send().await.refused(404, "not_found");
        // Also for its owner: a text that is not an id belongs to no account.
        users.ask("GET", &format!("/{other}/consent")).by(&ann).send().await.refused(403, "role_required");
    }
}

#[tokio::test]
async fn every_fault_of_a_query_is_422_with_the_name_of_its_parameter() {
    let users = Users::new().await;
    let admin = users.admin().await;
    for (query, code, faults) in [
        ("count=many", "invalid", vec![pair("/count", "not_a_number")]),
        ("start=1.5&count=101", "invalid", vec![pair("/start", "not_a_number")]),
        (
            "start=-1&count=101",
            "invalid",
            vec![pair("/count", "out_of_range"), pair("/start", "out_of_range")],
        ),
        ("count=9999999999999999999999", "invalid", vec![pair("/count", "out_of_range")]),
        ("count=1&count=2", "invalid", vec![pair("/count", "duplicate_parameter")]),
        ("cuont=1", "unknown_parameter", vec![pair("/cuont", "unknown_parameter")]),
    ] {
        let answer = users.ask("GET", &format!("/all?{query}")).by(&admin).send().await.refused(422, code);
        assert_eq!(answer.faults(), faults, "{query}");
    }
    let near = users.ask("GET", "/all?cuont=1").by(&admin).send().await;
    assert!(near.text.contains("did you mean count?"), "{}", near.text);
    users.ask("GET", "/all?count=%FF").by(&admin).send().await.refused(400, "malformed_query");
    users.ask("GET", "/all?_=17&utm_source=mail&count=1").by(&admin).send().await.is(200);
    users.ask("GET", "/healthcheck?x=1").send().await.refused(422, "unknown_parameter");
    users.ask("POST", "/sessions?x=1").json(&json!({})).send().await.refused(422, "unknown_parameter");
}
