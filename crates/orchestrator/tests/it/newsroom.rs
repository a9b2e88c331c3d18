//! The commands of the newsroom over HTTP: each becomes its message, and its answer the article.

use kernel::{Kind, Refusal, Role, Section};
use proto::news::v1::command_request::Action;
use proto::news::v1::*;
use serde_json::{Value, json};

use crate::fake_section::{Behaviour, article};
use crate::service::{TestService, token};

#[tokio::test]
async fn every_command_of_the_newsroom_becomes_its_message() {
    let service = TestService::new().await;
    let section = service.section(Section::Sports);
    let id = section.put(article(Section::Sports, 1, 5, "published"));
    let patch = ArticlePatch { title: Some("Tuesday".to_owned()), ..ArticlePatch::default() };
    let correct = |patch| CorrectArticle { kind: "note".to_owned(), text: "It rained.".to_owned(), patch };
    let commands: [(&str, Value, Action); 9] = [
        ("submit", Value::Null, Action::Submit(SubmitArticle {})),
        ("return", json!({"note": "Who?"}), Action::Return(ReturnArticle { note: "Who?".to_owned() })),
        ("approve", Value::Null, Action::Approve(ApproveArticle {})),
        (
            "schedule",
            json!({"at": "1970-01-01T01:00:01+01:00"}),
            Action::Schedule(ScheduleArticle { at_ms: 1_000 }),
        ),
        ("unschedule", Value::Null, Action::Unschedule(UnscheduleArticle {})),
        ("correct", json!({"kind": "note", "text": "It rained."}), Action::Correct(correct(None))),
        (
            "correct",
            json!({"kind": "note", "text": "It rained.", "patch": {"title": "Tuesday"}}),
            Action::Correct(correct(Some(patch))),
        ),
        (
            "retract",
            json!({"reason": "Wrong."}),
            Action::Retract(RetractArticle { reason: "Wrong.".to_owned() }),
        ),
        ("reinstate", Value::Null, Action::Reinstate(ReinstateArticle {})),
    ];
    for (name, body, action) in commands {
        let path = format!("/sports/{id}/{name}");
        let token = token(Role::Editor);
        let request = service.request("POST", &path).bearer(&token).header("if-match", "\"v7\"");
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.json);
        assert_eq!(answer.header("etag"), "\"v8\"", "{name}");
        let command = section.last_command();
        assert_eq!((command.id, command.action), (id.to_string(), Some(action)), "{name}");
        assert_eq!(command.expected, Some(Expected { any: false, versions: vec![7] }));
        // The version may stand in the body, and one of the two is required.
        let mut body = if body.is_null() { json!({}) } else { body };
        let missing = service.request("POST", &path).bearer(&token).json(&body).send().await;
        assert_eq!(missing.problem(), (428, "precondition_required"), "{name}");
        body["version"] = json!(7);
        let answer = service.request("POST", &path).bearer(&token).json(&body).send().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.json);
    }
}

#[tokio::test]
async fn a_time_without_an_offset_and_a_member_that_is_unknown_are_refused_before_the_section_is_asked() {
    let service = TestService::new().await;
    let section = service.section(Section::Sports);
    let id = section.put(article(Section::Sports, 1, 5, "draft"));
    let refused = async |name: &str, body: Value| {
        let token = token(Role::Editor);
        let path = format!("/sports/{id}/{name}");
        let answer = service
            .request("POST", &path)
            .bearer(&token)
            .header("if-match", "\"v7\"")
            .json(&body)
            .send()
            .await;
        assert_eq!(answer.status, 422, "{name} {body}: {}", answer.json);
        let error = &answer.json["errors"][0];
        (
            error["pointer"].as_str().unwrap_or_default().to_owned(),
            error["code"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let pair = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
    for at in ["2026-12-01T07:00:00", "2026-12-01", "soon", ""] {
        assert_eq!(refused("schedule", json!({"at": at})).await, pair("/at", "not_a_time"), "{at}");
    }
    let body = json!({"kind": "note", "text": "It rained.", "patch": {"version": 5}});
    assert_eq!(refused("correct", body).await, pair("/patch/version", "unknown_field"));
    let body = json!({"reason": "Wrong.", "silently": true});
    assert_eq!(refused("retract", body).await, pair("/silently", "unknown_field"));
    assert!(section.calls().is_empty());
}

#[tokio::test]
async fn a_retracted_article_is_410_with_its_reason_on_every_route_that_shows_it() {
    let service = TestService::new().await;
    let mut retracted = Refusal::new(Kind::Gone, "retracted", "The article was retracted.");
    retracted.extra.insert("reason".to_owned(), json!("It was invented."));
    retracted.extra.insert("retracted_at".to_owned(), json!("2026-11-28T08:00:00.000Z"));
    service.section(Section::Sports).behave(Behaviour::Refuse(retracted));
    let id = "00000000-0000-0000-0000-000000000001";
    for path in [
        "",
        "?version=2",
        "?min_version=2",
        "/history",
        "/versions/2",
        "/diff?from=1&to=2",
        "/corrections",
        "/proof",
    ] {
        let answer = service.get(&format!("/sports/{id}{path}")).send().await;
        assert_eq!(answer.problem(), (410, "retracted"), "{path}");
        assert_eq!(answer.json["reason"], "It was invented.");
        assert_eq!(answer.json["retracted_at"], "2026-11-28T08:00:00.000Z");
    }
}

#[tokio::test]
async fn what_only_staff_may_see_of_an_article_is_in_their_answers() {
    let service = TestService::new().await;
    let section = service.section(Section::Sports);
    let mut scheduled = article(Section::Sports, 1, 5, "scheduled");
    scheduled.scheduled_at_ms = Some(1_000);
    let mut returned = article(Section::Sports, 2, 5, "draft");
    returned.review_note = Some("Who?".to_owned());
    let mut retracted = article(Section::Sports, 3, 5, "retracted");
    retracted.retraction = Some(Retraction { reason: "Wrong.".to_owned(), at_ms: 2_000 });
    for (article, field, value) in [
        (scheduled, "scheduled_at", json!("1970-01-01T00:00:01.000Z")),
        (returned, "review_note", json!("Who?")),
        (retracted, "retraction", json!({"reason": "Wrong.", "at": "1970-01-01T00:00:02.000Z"})),
    ] {
        let id = section.put(article);
        let answer = service.get(&format!("/sports/{id}")).bearer(&token(Role::Editor)).send().await;
        assert_eq!(answer.json["news"][field], value);
        assert_eq!(answer.header("cache-control"), "private, no-cache");
    }
}
