//! What each commanding method of `NewsDesks` promises; `desks` asks it of every adapter.

use kernel::{Expected, Version};
use orchestrator::domain::{Change, Fields, Patch};
use orchestrator::ports::Giver;
use proto::news::v1 as wire;

use crate::desk::{Mood, article};
use crate::desks::{Given, SPORTS, fields, nobody, seen};

pub async fn a_new_draft_is_what_the_author_said(given: Given) {
    for publish in [false, true] {
        let done = given.port.create(SPORTS, fields("New"), publish, nobody()).await.expect("a draft");
        assert!(!done.replayed);
        let asked: wire::CreateArticleRequest = given.desk(SPORTS).last("CreateArticle");
        assert_eq!((asked.fields, asked.publish), (Some(wire_fields("New")), publish));
    }
}

pub async fn a_new_version_is_of_what_the_writer_has_seen_in_all_fields_or_in_some(given: Given) {
    use wire::revise_article_request::Change as Asked;
    let id = given.desk(SPORTS).published(1, 10);
    let revised = given.port.revise(SPORTS, id, &seen(7), Change::Full(fields("All")), nobody()).await;
    assert_eq!(revised.expect("a version").value.version.number(), 8);
    let asked: wire::ReviseArticleRequest = given.desk(SPORTS).last("ReviseArticle");
    assert_eq!(asked.expected, version_7());
    assert_eq!(asked.change, Some(Asked::Full(wire_fields("All"))));
    let some = Patch { title: Some("Some".to_owned()), image: Some(String::new()), ..Patch::default() };
    let revised = given.port.revise(SPORTS, id, &Expected::Any, Change::Some(some), nobody()).await;
    revised.expect("a version");
    let asked: wire::ReviseArticleRequest = given.desk(SPORTS).last("ReviseArticle");
    assert_eq!(asked.expected, Some(wire::Expected { any: true, versions: Vec::new() }));
    let patch = wire::ArticlePatch {
        title: Some("Some".to_owned()),
        image: Some(String::new()),
        ..wire::ArticlePatch::default()
    };
    assert_eq!(asked.change, Some(Asked::Patch(patch)));
}

pub async fn an_article_is_made_public_at_the_version_that_was_seen(given: Given) {
    let id = given.desk(SPORTS).put(article(SPORTS, 1, 0, "draft"));
    let published = given.port.publish(SPORTS, id, &seen(7), nobody()).await.expect("it is public");
    assert!(published.value.state.is_public());
    let asked: wire::PublishArticleRequest = given.desk(SPORTS).last("PublishArticle");
    assert_eq!((asked.id, asked.expected), (id.to_string(), version_7()));
}

pub async fn the_answer_to_putting_away_is_the_version_in_which_it_was_put_away(given: Given) {
    let id = given.desk(SPORTS).put(article(SPORTS, 1, 0, "draft"));
    let version = given.port.delete(SPORTS, id, &seen(7), nobody()).await.expect("it is put away");
    assert_eq!((version.value.number(), version.replayed), (8, false));
    let asked: wire::DeleteArticleRequest = given.desk(SPORTS).last("DeleteArticle");
    assert_eq!(asked.expected, version_7());
}

pub async fn a_published_article_is_taken_back_at_the_version_that_was_seen(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    let done = given.port.unpublish(SPORTS, id, &seen(7), nobody()).await.expect("it is taken back");
    assert_eq!((done.value.state.as_str(), done.value.version.number()), ("unpublished", 8));
    let asked: wire::UnpublishArticleRequest = given.desk(SPORTS).last("UnpublishArticle");
    assert_eq!((asked.id, asked.expected), (id.to_string(), version_7()));
}

pub async fn a_restored_article_says_what_the_old_version_said(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    let old = Version::new(3);
    let done = given.port.restore(SPORTS, id, &seen(7), old, nobody()).await.expect("a version");
    assert_eq!(done.value.version.number(), 8);
    let asked: wire::RestoreArticleRequest = given.desk(SPORTS).last("RestoreArticle");
    assert_eq!((asked.id, asked.expected, asked.version), (id.to_string(), version_7(), 3));
}

pub async fn what_was_put_away_is_brought_back_at_the_version_that_was_seen(given: Given) {
    let id = given.desk(SPORTS).put(article(SPORTS, 1, 0, "deleted"));
    let done = given.port.undelete(SPORTS, id, &seen(7), nobody()).await.expect("it is back");
    assert_eq!((done.value.state.as_str(), done.value.version.number()), ("draft", 8));
    let asked: wire::UndeleteArticleRequest = given.desk(SPORTS).last("UndeleteArticle");
    assert_eq!((asked.id, asked.expected), (id.to_string(), version_7()));
}

pub async fn what_was_done_before_under_the_same_key_says_so(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    let giver = Giver { token: None, key: Some("a-key") };
    for replayed in [false, true] {
        if replayed {
            given.desk(SPORTS).set(Mood::Replaying);
        }
        let port = &given.port;
        let any = Expected::Any;
        let change = || Change::Full(fields("All"));
        let told = [
            port.create(SPORTS, fields("New"), false, giver).await.expect("done").replayed,
            port.revise(SPORTS, id, &any, change(), giver).await.expect("done").replayed,
            port.publish(SPORTS, id, &any, giver).await.expect("done").replayed,
            port.delete(SPORTS, id, &any, giver).await.expect("done").replayed,
            port.unpublish(SPORTS, id, &any, giver).await.expect("done").replayed,
            port.restore(SPORTS, id, &any, Version::new(1), giver).await.expect("done").replayed,
            port.undelete(SPORTS, id, &any, giver).await.expect("done").replayed,
        ];
        assert_eq!(told, [replayed; 7]);
    }
    let keys = given.desk(SPORTS).calls().into_iter().map(|call| call.idempotency_key);
    assert!(keys.into_iter().all(|key| key.as_deref() == Some("a-key")));
}

fn version_7() -> Option<wire::Expected> {
    Some(wire::Expected { any: false, versions: vec![7] })
}

fn wire_fields(title: &str) -> wire::ArticleFields {
    let Fields { title, content, tags, author, .. } = fields(title);
    wire::ArticleFields { title, content, tags, author, ..Default::default() }
}
