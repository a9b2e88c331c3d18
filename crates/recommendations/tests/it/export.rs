//! The parts of an export that this service has.

use bus::{Bus, Call};
use kernel::{Kind, Refusal, Role, UserId};
use prost::Message;
use proto::exports::v1::{ExportReply, ExportRequest};
use serde_json::{Value, json};

use crate::service::{TestService, user};

async fn ask(
    service: &TestService,
    token: Option<String>,
    part: &str,
    after: &str,
) -> Result<ExportReply, Refusal> {
    let body = ExportRequest { part: part.to_owned(), after: after.to_owned() }.encode_to_vec().into();
    let call = Call { method: "Export".to_owned(), body, token, idempotency_key: None };
    let reply = service.bus.call("exports.recommendations", call).await?;
    Ok(ExportReply::decode(reply).expect("a reply"))
}

/// Returns the items of all pages, and the number of pages.
async fn walk(service: &TestService, reader: UserId, part: &str) -> (Vec<Value>, u32) {
    let token = service.token(reader, Role::Reader);
    let (mut items, mut pages, mut after) = (Vec::new(), 0, String::new());
    loop {
        let reply = ask(service, Some(token.clone()), part, &after).await.expect("a page");
        assert!(!reply.cut);
        items.extend(reply.items.iter().map(|item| serde_json::from_str::<Value>(item).expect("JSON")));
        pages += 1;
        match reply.next {
            Some(next) => after = next,
            None => return (items, pages),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_the_readings_the_labels_and_the_consent_of_its_caller_and_nothing_of_other_accounts() {
    let service = TestService::new().await;
    let (anna, ben) = (user(1), user(2));
    for reader in [anna, ben] {
        service.deliver(vec![service.consent_event(reader, true, 1, 0)]).await;
    }
    service.deliver(vec![service.reading_event(anna, 7, 1, &["budget", "tax"])]).await;
    service.deliver(vec![service.reading_event(anna, 7, 2, &["budget", "tax"])]).await;
    service.deliver(vec![service.reading_event(ben, 8, 3, &["tennis"])]).await;

    let (readings, _) = walk(&service, anna, "readings").await;
    let article = "00000000-0000-0000-0000-000000000007";
    let reading = |at: &str, counted: bool| json!({"article": article, "first_at": at, "last_at": at, "labels": ["budget", "tax"], "counted": counted});
    assert_eq!(
        readings,
        [reading("2026-11-21T08:01:00.000Z", true), reading("2026-11-21T08:02:00.000Z", false)]
    );
    let (labels, _) = walk(&service, anna, "labels").await;
    let label = |id: &str| json!({"id": id, "weight": labels[0]["weight"], "reads": 1, "last_read_at": "2026-11-21T08:02:00.000Z"});
    assert_eq!(labels, [label("budget"), label("tax")]);
    let (settings, _) = walk(&service, anna, "settings").await;
    let consent = json!({"personalisation": true, "history": true, "since": "2026-11-21T08:00:00.000Z"});
    assert_eq!(settings, [consent]);
    for part in ["readings", "labels", "settings"] {
        assert_eq!(walk(&service, user(3), part).await, (vec![], 1), "{part} of a person who never read");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_readings_join_without_a_gap() {
    let service = TestService::new().await;
    let anna = user(1);
    service.deliver(vec![service.consent_event(anna, true, 1, 0)]).await;
    let readings = (1..=401).map(|article| service.reading_event(anna, article, 1, &["budget"])).collect();
    service.deliver(readings).await;
    let (readings, pages) = walk(&service, anna, "readings").await;
    assert_eq!((readings.len(), pages), (401, 2));
    let mut articles: Vec<&str> =
        readings.iter().map(|reading| reading["article"].as_str().expect("an id")).collect();
    articles.dedup();
    assert!(articles.is_sorted());
    assert_eq!(articles.len(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_verified_token_says_whose_readings_are_exported() {
    let service = TestService::new().await;
    let refused = async |token: Option<String>, part: &str, after: &str| {
        let refusal = ask(&service, token, part, after).await.expect_err("it is refused");
        (refusal.kind, refusal.code.as_str().to_owned())
    };
    let unauthenticated = |code: &str| (Kind::Unauthenticated, code.to_owned());
    assert_eq!(refused(None, "readings", "").await, unauthenticated("unauthenticated"));
    assert_eq!(refused(Some("nonsense".to_owned()), "readings", "").await, unauthenticated("invalid_token"));
    let token = service.token(user(1), Role::Admin);
    for (part, after) in [("articles", ""), ("readings", "nowhere"), ("readings", "1:2"), ("readings", "x:y")]
    {
        let malformed = (Kind::Malformed, "malformed_call".to_owned());
        assert_eq!(refused(Some(token.clone()), part, after).await, malformed, "{part} {after}");
    }
}
