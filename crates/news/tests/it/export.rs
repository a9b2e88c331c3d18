//! The part of an export that a section has.

use bus::Call;
use chassis::Context;
use kernel::{Kind, Refusal};
use prost::Message;
use proto::exports::v1::{ExportReply, ExportRequest};
use proto::news::v1::command_request::Action;
use proto::news::v1::{ArticleFields, RetractArticle};
use serde_json::{Value, json};
use testkit::{PATIENCE, wait_until};

use crate::people::{admin, author, editor, other_author, reader};
use crate::world::{Place, World, fields, on, refusal, refusal_of};

async fn ask(world: &World, token: Option<String>, part: &str, after: &str) -> Result<ExportReply, Refusal> {
    let body = ExportRequest { part: part.to_owned(), after: after.to_owned() }.encode_to_vec().into();
    let call = Call { method: "Export".to_owned(), body, token, idempotency_key: None };
    let context = Context::for_work("test", std::time::Duration::from_secs(10));
    let reply = context.scope(world.bus.call("exports.sports-news", call)).await?;
    Ok(ExportReply::decode(reply).expect("a reply"))
}

/// Returns the items of each page.
async fn walk(world: &World, token: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut after) = (Vec::new(), String::new());
    loop {
        let reply = ask(world, Some(token.to_owned()), "articles", &after).await.expect("a page");
        assert!(!reply.cut);
        let bytes: usize = reply.items.iter().map(String::len).sum();
        assert!(bytes <= 2 * 1024 * 1024 || reply.items.len() == 1, "{bytes} bytes on a page");
        let items = reply.items.iter().map(|item| serde_json::from_str(item).expect("JSON"));
        pages.push(items.collect());
        match reply.next {
            Some(next) => after = next,
            None => return pages,
        }
    }
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn an_export_has_the_articles_of_its_caller_in_every_state_and_nothing_of_other_accounts() {
    let place = Place::new();
    let world = World::start(&place).await;
    let published = world.published("The match").await;
    let draft = world.create(&author(), fields("A draft")).await.expect("a draft");
    let retracted = world.published("A mistake").await;
    let retract = Action::Retract(RetractArticle { reason: "It was not so.".to_owned() });
    let retracted = world.command(&editor(), on(&retracted, retract)).await.expect("it is retracted");
    let deleted = world.create(&author(), fields("Deleted")).await.expect("a draft");
    let deleted = world.delete(&author(), &deleted).await.expect("it is deleted");
    world.create(&other_author(), fields("Another's")).await.expect("a draft");
    for (who, seen) in [(author(), &draft), (editor(), &retracted)] {
        world.get_since(Some(&who), seen).await.expect("it is projected");
    }
    let pages = wait_until("an export after the deletion", PATIENCE, || async {
        let pages = walk(&world, &author().token()).await;
        pages.concat().iter().any(|item| item["state"] == "deleted").then_some(pages)
    })
    .await;
    let [items] = pages.as_slice() else { panic!("one page: {pages:?}") };
    // What was never published comes first.
    let mut hidden = [draft.id.as_str(), &deleted.id];
    hidden.sort_unstable();
    assert_eq!(ids(items), [hidden[0], hidden[1], &published.id, &retracted.id]);
    let item = |id: &str| items.iter().find(|item| item["id"] == id).expect("it is there").clone();
    let mut seen = item(&published.id);
    for name in ["created_at", "updated_at", "published_at"] {
        assert!(seen[name].take().as_str().is_some_and(|at| at.ends_with('Z')), "{name}");
    }
    assert_eq!(
        seen,
        json!({
            "id": published.id, "type": "sports", "version": 2, "state": "published", "slug": published.slug,
            "title": "The match", "description": null, "author": "Ada O'Neill", "tags": ["budget"],
            "lang": null, "image": null, "region": null,
            "created_at": null, "updated_at": null, "published_at": null, "scheduled_at": null,
            "review_note": null, "retraction": null, "corrections": [],
            "content_at": format!("/news/v1/sports/{}", published.id),
        })
    );
    // A text that readers can't request is in the export.
    for (article, state) in [(&draft, "draft"), (&retracted, "retracted"), (&deleted, "deleted")] {
        let item = item(&article.id);
        assert_eq!(
            (&item["state"], &item["content"]),
            (&json!(state), &json!(format!("All about it: {}.", article.title)))
        );
        assert_eq!(item["content_at"], Value::Null);
    }
    assert_eq!(item(&retracted.id)["retraction"]["reason"], "It was not so.");
    assert_eq!(walk(&world, &reader().token()).await, [Vec::<Value>::new()]);
    world.stop().await;
}

#[tokio::test]
async fn pages_of_an_export_are_bounded_in_number_and_bytes_and_join_without_a_gap() {
    let place = Place::new();
    let world = World::start(&place).await;
    let long =
        |number: u32| ArticleFields { content: "x".repeat(490_000), ..fields(&format!("Long {number}")) };
    let mut expected = Vec::new();
    for number in 0..107 {
        // Four long texts fit on a page.
        let is_long = matches!(number, 5 | 35 | 65 | 95 | 101..);
        let fields = if is_long { long(number) } else { fields(&format!("Article {number}")) };
        let article = world.create(&author(), fields).await.expect("a draft");
        expected.push(article);
    }
    let last = expected.last().expect("the last one");
    world.get_since(Some(&author()), last).await.expect("it is projected");
    let pages = walk(&world, &author().token()).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [100, 5, 2]);
    let items = pages.concat();
    let mut expected: Vec<&str> = expected.iter().map(|article| article.id.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(ids(&items), expected);
    assert_eq!(
        items.iter().filter(|item| item["content"].as_str().expect("a text").len() == 490_000).count(),
        10
    );
    world.stop().await;
}

#[tokio::test]
async fn only_the_verified_token_says_whose_articles_are_exported() {
    let place = Place::new();
    let world = World::start(&place).await;
    world.published("The match").await;
    let anonymous = ask(&world, None, "articles", "").await;
    assert_eq!(refusal_of(anonymous), refusal(Kind::Unauthenticated, "unauthenticated"));
    for token in ["nonsense".to_owned(), author().old_token(), author().forged_token()] {
        let refused = ask(&world, Some(token), "articles", "").await;
        assert_eq!(refusal_of(refused), refusal(Kind::Unauthenticated, "invalid_token"));
    }
    // Not even an admin gets the articles of another account.
    assert_eq!(walk(&world, &admin().token()).await, [Vec::<Value>::new()]);
    for (part, after) in [("readings", ""), ("articles", "nowhere"), ("articles", "1:2"), ("articles", "x:y")]
    {
        let refused = ask(&world, Some(author().token()), part, after).await;
        assert_eq!(refusal_of(refused), refusal(Kind::Malformed, "malformed_call"), "{part} {after}");
    }
    let call = Call {
        method: "Command".to_owned(),
        body: Default::default(),
        token: Some(admin().token()),
        idempotency_key: None,
    };
    let refused = world.bus.call("exports.sports-news", call).await;
    assert_eq!(refusal_of(refused), refusal(Kind::Malformed, "malformed_call"));
    world.stop().await;
}
