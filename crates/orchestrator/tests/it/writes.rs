use kernel::{FieldFault, Kind, Refusal, Role, Section};
use proto::news::v1::command_request::Action;
use proto::news::v1::{
    ArticleFields, ArticlePatch, CommandRequest, CreateArticle, DeleteArticle, Expected, PublishArticle, Tags,
};
use serde_json::json;

use crate::fake_section::{Behaviour, article};
use crate::service::{TestService, token};

fn version(number: u32) -> Option<Expected> {
    Some(Expected { any: false, versions: vec![number] })
}

#[tokio::test]
async fn a_new_article_is_a_201_with_its_location_and_its_entity_tag() {
    let service = TestService::new().await;
    let author = token(Role::Author);
    let text = "Zeile eins\n<b>&amp; \u{202b}שלום\u{202c}</b>";
    let body = json!({"title": "Steuern & Co", "content": text, "tags": ["tax"], "author": "A. B.", "lang": "de",
        "description": "d", "image": "https://example.org/i.png", "region": "DE"});
    let answer = service.request("POST", "/politics").bearer(&author).json(&body).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (201, "no-store"));
    assert_eq!((&answer.json["status"], &answer.json["news"]["state"]), (&"success".into(), &"draft".into()));
    let id = answer.json["news"]["id"].as_str().expect("an id");
    assert_eq!(answer.header("location"), format!("/news/v1/politics/{id}"));
    assert_eq!(answer.header("etag"), format!("\"v{}\"", answer.json["news"]["version"]));
    let request = service.section(Section::Politics).last_command();
    let fields = ArticleFields {
        title: "Steuern & Co".to_owned(),
        content: text.to_owned(),
        tags: vec!["tax".to_owned()],
        author: Some("A. B.".to_owned()),
        description: Some("d".to_owned()),
        lang: Some("de".to_owned()),
        image: Some("https://example.org/i.png".to_owned()),
        region: Some("DE".to_owned()),
    };
    let create = Action::Create(CreateArticle { fields: Some(fields), publish: false });
    assert_eq!(request, CommandRequest { id: String::new(), expected: None, action: Some(create) });
    assert_eq!(service.section(Section::Politics).calls()[0].token, Some(author));
}

#[tokio::test]
async fn a_query_parameter_publishes_a_new_article_immediately() {
    let service = TestService::new().await;
    let body = json!({"title": "t", "content": "c"});
    service.request("POST", "/sports?publish=true").bearer(&token(Role::Admin)).json(&body).send().await;
    let action = service.section(Section::Sports).last_command().action;
    assert!(matches!(action, Some(Action::Create(CreateArticle { publish: true, .. }))), "{action:?}");
}

#[tokio::test]
async fn unknown_and_missing_fields_are_named_and_the_section_is_not_called() {
    let service = TestService::new().await;
    let author = token(Role::Author);
    let post = |body| service.request("POST", "/sports").bearer(&author).json(&body).send();
    let answer = post(json!({"title": "t", "content": "c", "state": "published", "a/b": 1})).await;
    assert_eq!(answer.problem(), (422, "invalid"));
    assert_eq!(answer.errors(), [("/a~1b", "unknown_field"), ("/state", "unknown_field")]);
    let answer = post(json!({"title": "t", "content": "c", "tags": ["a", 1]})).await;
    assert_eq!(answer.errors(), [("/tags/1", "invalid_value")]);
    assert_eq!(post(json!({"title": "t"})).await.problem(), (422, "invalid"));
    let answer = service
        .request("POST", "/sports")
        .bearer(&author)
        .header("content-type", "application/json")
        .send()
        .await;
    assert_eq!(answer.problem().0, 400);
    let answer =
        service.request("POST", "/sports").bearer(&author).header("content-type", "text/plain").send().await;
    assert_eq!(answer.problem().0, 415);
    assert!(service.section(Section::Sports).calls().is_empty());
}

#[tokio::test]
async fn a_text_of_500_kb_passes_however_it_is_escaped_and_a_body_over_3_mib_does_not() {
    let service = TestService::new().await;
    let author = token(Role::Author);
    let post = |content: String| {
        service
            .request("POST", "/sports")
            .bearer(&author)
            .json(&json!({"title": "t", "content": content}))
            .send()
    };
    assert_eq!(post("x".repeat(500_000)).await.status, 201);
    // With escapes the longest text has up to six times its bytes; it must fit too.
    let escaped = |content: &str, count: usize| {
        let body = format!(r#"{{"title":"t","content":"{}"}}"#, content.repeat(count));
        service.request("POST", "/sports").bearer(&author).text(body).send()
    };
    assert_eq!(escaped("\\u0041", 500_000).await.status, 201);
    assert_eq!(escaped("\\ud83d\\ude00", 90_000).await.status, 201);
    assert_eq!(post("x".repeat(3 * 1024 * 1024)).await.problem(), (413, "body_too_large"));
    // A body without a text keeps its limit.
    let id = service.section(Section::Sports).put(article(Section::Sports, 1, 0, "draft"));
    let publish = service.request("POST", &format!("/sports/{id}/publish")).bearer(&token(Role::Editor));
    let body = format!(r#"{{"version":7{}}}"#, " ".repeat(1024 * 1024));
    assert_eq!(publish.text(body).send().await.problem(), (413, "body_too_large"));
}

#[tokio::test]
async fn a_list_is_not_an_object_in_any_body() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).put(article(Section::Sports, 1, 0, "draft"));
    let list = json!(["t", "c", [], null, null, null, null, null]);
    for (method, path) in [
        ("POST", "/sports".to_owned()),
        ("PUT", "/sports".to_owned()),
        ("PUT", format!("/sports/{id}")),
        ("PATCH", format!("/sports/{id}")),
        ("DELETE", format!("/sports/{id}")),
        ("POST", format!("/sports/{id}/publish")),
        ("POST", format!("/sports/{id}/unpublish")),
        ("POST", format!("/sports/{id}/undelete")),
        ("POST", format!("/sports/{id}/restore")),
    ] {
        let ask = service.request(method, &path).bearer(&token(Role::Admin)).header("if-match", "\"v7\"");
        let answer = ask.json(&list).send().await;
        assert_eq!(
            (answer.problem(), answer.errors()),
            ((422, "invalid"), vec![("", "invalid_value")]),
            "{path}"
        );
        assert_eq!(answer.json["errors"][0]["detail"], "must be an object, got a list");
    }
    assert!(service.section(Section::Sports).calls().is_empty());
}

#[tokio::test]
async fn the_entity_tag_of_a_compressing_proxy_names_the_version_and_a_malformed_one_is_refused() {
    let service = TestService::new().await;
    let editor = token(Role::Editor);
    let id = service.section(Section::Sports).put(article(Section::Sports, 1, 0, "draft"));
    let publish = |tag: &str, body: serde_json::Value| {
        let ask =
            service.request("POST", &format!("/sports/{id}/publish")).bearer(&editor).header("if-match", tag);
        ask.json(&body).send()
    };
    for tag in ["\"v7-gzip\"", "\"v7;br\"", "\"v7--gzip\"", "W/\"v7\"", "\"other\", \"v7\""] {
        assert_eq!(publish(tag, json!({})).await.status, 200, "{tag}");
        assert_eq!(service.section(Section::Sports).last_command().expected, version(7));
    }
    for tag in ["\"v07\"", "v7", "\"v7"] {
        assert_eq!(publish(tag, json!({})).await.problem(), (400, "bad_request"), "{tag}");
    }
    let differ = publish("\"v7\"", json!({"version": 8})).await;
    assert_eq!((differ.problem(), differ.errors()), ((422, "invalid"), vec![("/version", "differs")]));
    let refusal = Refusal::new(Kind::Stale, "stale_version", "The article has changed since it was read.");
    service.section(Section::Sports).behave(Behaviour::Refuse(refusal.with("current_version", 7)));
    let foreign = publish("\"other\"", json!({})).await;
    assert_eq!((foreign.problem(), foreign.header("etag")), ((412, "stale_version"), "\"v7\""));
    let detail = foreign.json["detail"].as_str().expect("a sentence");
    assert!(detail.contains("not ETags of this address") && !detail.contains("changed"), "{detail}");
}

#[tokio::test]
async fn faults_of_fields_that_the_section_finds_reach_the_author() {
    let service = TestService::new().await;
    let refusal = Refusal::new(Kind::Invalid, "invalid", "The article breaks a rule.")
        .with_fields(vec![FieldFault::new("/title", "too_long", "must have at most 200 characters")]);
    service.section(Section::Sports).behave(Behaviour::Refuse(refusal));
    let body = json!({"title": "t".repeat(201), "content": "c"});
    let answer = service.request("POST", "/sports").bearer(&token(Role::Author)).json(&body).send().await;
    assert_eq!((answer.problem(), answer.errors()), ((422, "invalid"), vec![("/title", "too_long")]));
}

#[tokio::test]
async fn a_write_names_the_version_that_its_writer_has_seen() {
    let service = TestService::new().await;
    let editor = token(Role::Editor);
    let section = service.section(Section::Sports);
    let id = section.put(article(Section::Sports, 1, 0, "draft"));
    let any = Some(Expected { any: true, versions: Vec::new() });
    let several = Some(Expected { any: false, versions: vec![6, 7] });
    let command = |action, expected: &Option<Expected>| CommandRequest {
        id: id.to_string(),
        expected: expected.clone(),
        action,
    };
    for (tag, expected) in
        [("\"v7\"", version(7)), ("W/\"v7\"", version(7)), ("*", any), ("\"v6\", \"v7\"", several)]
    {
        let path = format!("/sports/{id}");
        let publish = service
            .request("POST", &format!("{path}/publish"))
            .bearer(&editor)
            .header("if-match", tag)
            .send()
            .await;
        assert_eq!((publish.status.as_u16(), publish.header("etag")), (200, "\"v8\""), "{tag}");
        let publish = Some(Action::Publish(PublishArticle {}));
        assert_eq!(section.last_command(), command(publish, &expected));
        let delete = service.request("DELETE", &path).bearer(&editor).header("if-match", tag).send().await;
        assert_eq!(delete.json, json!({"status": "success", "news_id": id.to_string()}));
        assert_eq!(delete.header("etag"), "\"v8\"");
        let delete = Some(Action::Delete(DeleteArticle {}));
        assert_eq!(section.last_command(), command(delete, &expected));
        let body = json!({"title": "t", "content": "c"});
        let put =
            service.request("PUT", &path).bearer(&editor).header("if-match", tag).json(&body).send().await;
        assert_eq!((put.status.as_u16(), put.header("etag")), (200, "\"v8\""), "{tag}");
        assert_eq!(section.last_command().expected, expected);
    }
}

#[tokio::test]
async fn the_version_may_stand_in_the_body_too_and_without_either_it_is_a_428() {
    let service = TestService::new().await;
    let editor = token(Role::Editor);
    let section = service.section(Section::Sports);
    let id = section.put(article(Section::Sports, 1, 0, "draft"));
    let full = json!({"title": "t", "content": "c"});
    let named = json!({"id": id.to_string(), "title": "t", "content": "c"});
    let writes = [
        ("POST", format!("/sports/{id}/publish"), json!({})),
        ("DELETE", format!("/sports/{id}"), json!({})),
        ("PUT", format!("/sports/{id}"), full),
        ("PUT", "/sports".to_owned(), named),
        ("PATCH", format!("/sports/{id}"), json!({"title": "t"})),
    ];
    for (method, path, mut body) in writes {
        let answer = service.request(method, &path).bearer(&editor).json(&body).send().await;
        assert_eq!(answer.problem().0, 428, "{method} {path}");
        assert!(section.calls().is_empty(), "{method} {path}");
        body["version"] = 7.into();
        let answer = service.request(method, &path).bearer(&editor).json(&body).send().await;
        assert_eq!(answer.status, 200, "{method} {path}");
        assert_eq!(section.last_command().expected, version(7), "{method} {path}");
        section.clear_calls();
    }
    for (method, path) in [("POST", format!("/sports/{id}/publish")), ("DELETE", format!("/sports/{id}"))] {
        let answer = service.request(method, &path).bearer(&editor).send().await;
        assert_eq!(answer.problem().0, 428, "{method} without any body");
    }
}

#[tokio::test]
async fn a_patch_changes_the_named_fields_and_null_removes_an_optional_field() {
    let service = TestService::new().await;
    let author = token(Role::Author);
    let section = service.section(Section::Sports);
    let id = section.put(article(Section::Sports, 1, 0, "draft"));
    let patch = |body| {
        service
            .request("PATCH", &format!("/sports/{id}"))
            .bearer(&author)
            .header("if-match", "*")
            .json(&body)
            .send()
    };
    let answer = patch(json!({"title": "new", "tags": [], "description": null, "region": "FR"})).await;
    assert_eq!(answer.status, 200);
    let request = section.last_command();
    let expected = ArticlePatch {
        title: Some("new".to_owned()),
        tags: Some(Tags { tags: Vec::new() }),
        description: Some(String::new()),
        region: Some("FR".to_owned()),
        ..ArticlePatch::default()
    };
    assert_eq!((request.id, request.action), (id.to_string(), Some(Action::Patch(expected))));
    for field in ["title", "content", "tags", "author", "lang"] {
        let answer = patch(json!({field: null})).await;
        assert_eq!(answer.errors(), [(format!("/{field}").as_str(), "invalid_value")]);
    }
}

#[tokio::test]
async fn a_put_names_its_article_once_in_the_address_or_in_the_body() {
    let service = TestService::new().await;
    let author = token(Role::Author);
    let section = service.section(Section::Sports);
    let id = section.put(article(Section::Sports, 1, 0, "draft"));
    let put = |path: String, body| service.request("PUT", &path).bearer(&author).json(&body).send();
    let body = json!({"version": 7, "title": "t", "content": "c"});
    let answer = put("/sports".to_owned(), body).await;
    assert_eq!((answer.problem(), answer.errors()), ((422, "invalid"), vec![("/id", "missing")]));
    let other = "00000000-0000-0000-0000-00000000ffff";
    let body = json!({"id": other, "version": 7, "title": "t", "content": "c"});
    let answer = put(format!("/sports/{id}"), body).await;
    assert_eq!((answer.problem(), answer.errors()), ((422, "invalid"), vec![("/id", "differs")]));
    let body = json!({"id": id.to_string(), "version": 7, "title": "t", "content": "c"});
    assert_eq!(put(format!("/sports/{id}"), body.clone()).await.status, 200);
    assert_eq!(put("/sports".to_owned(), body).await.status, 200);
    let request = section.last_command();
    let fields = ArticleFields { title: "t".to_owned(), content: "c".to_owned(), ..ArticleFields::default() };
    assert_eq!((request.id, request.action), (id.to_string(), Some(Action::Revise(fields))));
}

#[tokio::test]
async fn a_command_that_no_process_received_is_retried_under_the_same_key() {
    let service = TestService::new().await;
    let section = service.section(Section::Sports);
    let unavailable = || Refusal::new(Kind::Unavailable, "store_unavailable", "The store is unavailable.");
    let running = || Refusal::new(Kind::Conflict, "still_running", "It is being done.");
    let body = json!({"title": "t", "content": "c"});
    let create = || service.request("POST", "/sports").bearer(&token(Role::Author)).json(&body);

    // The scripted answers are fixture last first.
    section.behave(Behaviour::RefuseOnce(vec![running(), unavailable()]));
    assert_eq!(create().send().await.status, 201);
    let keys: Vec<String> = section.calls().into_iter().filter_map(|call| call.idempotency_key).collect();
    assert_eq!((keys.len(), keys[0] == keys[1], keys[1] == keys[2]), (3, true, true));
    // No client's key begins with a space, and each command has its own key.
    assert!(keys[0].starts_with(' '), "{:?}", keys[0]);
    section.clear_calls();
    assert_eq!(create().send().await.status, 201);
    assert_ne!(section.calls()[0].idempotency_key.as_ref(), Some(&keys[0]));

    section.clear_calls();
    section.behave(Behaviour::Refuse(unavailable()));
    assert_eq!(create().send().await.problem(), (503, "store_unavailable"));
    assert_eq!(section.calls().len(), 3);
    // `still_running` about another client's attempt is not a reason to retry.
    section.clear_calls();
    section.behave(Behaviour::Refuse(running()));
    assert_eq!(create().header("idempotency-key", "a").send().await.problem(), (409, "still_running"));
    assert_eq!(section.calls().len(), 1);
    section.clear_calls();
    section.behave(Behaviour::Refuse(Refusal::new(Kind::Stale, "stale_version", "Too late.")));
    assert_eq!(create().send().await.problem(), (412, "stale_version"));
    assert_eq!(section.calls().len(), 1);
}

#[tokio::test]
async fn the_clients_key_reaches_the_section_and_a_replayed_answer_says_so() {
    let service = TestService::new().await;
    let section = service.section(Section::Sports);
    let body = json!({"title": "t", "content": "c"});
    let create = |key: &str| {
        service
            .request("POST", "/sports")
            .bearer(&token(Role::Author))
            .header("idempotency-key", key)
            .json(&body)
    };
    let first = create("a-key").send().await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (201, ""));
    assert_eq!(section.calls()[0].idempotency_key.as_deref(), Some("a-key"));
    section.behave(Behaviour::Replay);
    let again = create("a-key").send().await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(again.json, first.json);
    for header in ["location", "etag"] {
        assert_eq!(again.header(header), first.header(header));
    }
    let refusal = Refusal::new(Kind::Invalid, "invalid", "It breaks a rule.");
    section.behave(Behaviour::Refuse(refusal));
    let refused = create("b").send().await;
    assert_eq!((refused.problem(), refused.header("idempotency-replayed")), ((422, "invalid"), ""));
    section.clear_calls();
    for bad in ["", "two words", &"k".repeat(256)] {
        assert_eq!(create(bad).send().await.problem(), (400, "bad_request"), "{bad:?}");
    }
    assert!(section.calls().is_empty());
}
