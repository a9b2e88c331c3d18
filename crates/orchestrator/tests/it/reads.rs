use kernel::{Kind, Refusal, Role, Section};
use proto::news::v1::GetArticleRequest;

use crate::desk::{Mood, article};
use crate::world::{World, token};

#[tokio::test]
async fn a_published_article_is_answered_with_its_tag_and_anybody_may_cache_it() {
    let world = World::new().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let answer = world.get(&format!("/sports/{id}")).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("etag"), "\"v7\"");
    assert_eq!(
        answer.header("cache-control"),
        "public, max-age=5, stale-while-revalidate=30, stale-if-error=3600"
    );
    let expected = serde_json::json!({"status": "success", "news": {
        "id": id.to_string(), "type": "sports", "version": 7, "state": "published", "slug": "article-1",
        "title": "Article 1", "description": null, "content": "The text of article 1.", "author": "Ada Byron",
        "author_id": "00000000-0000-0000-0000-000000000001", "tags": ["budget", "tax"], "lang": null, "image": null,
        "region": null, "created_at": "1970-01-01T00:00:01.000Z", "updated_at": "1970-01-01T00:00:02.000Z",
        "published_at": "1970-01-01T00:00:10.000Z", "corrections": [],
    }});
    assert_eq!(answer.json, expected);
}

#[tokio::test]
async fn an_article_that_the_client_has_is_a_304_without_a_body() {
    let world = World::new().await;
    let id = world.desk(Section::Sports).published(1, 10);
    for tag in ["\"v7\"", "W/\"v7\"", "\"v6\", \"v7\"", "*"] {
        let answer = world.get(&format!("/sports/{id}")).header("if-none-match", tag).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (304, "\"v7\""), "{tag}");
        assert_eq!(answer.json, serde_json::Value::Null);
    }
    let answer = world.get(&format!("/sports/{id}")).header("if-none-match", "\"v6\"").send().await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn what_a_signed_in_caller_gets_and_what_is_not_public_stays_out_of_shared_caches() {
    let world = World::new().await;
    let public = world.desk(Section::Sports).published(1, 10);
    let draft = world.desk(Section::Sports).put(article(Section::Sports, 2, 0, "draft"));
    for id in [public, draft] {
        let answer = world.get(&format!("/sports/{id}")).by(&token(Role::Author)).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "private, no-cache"));
    }
    // Should a section ever show a draft to somebody without a token, no cache may keep it either.
    let answer = world.get(&format!("/sports/{draft}")).send().await;
    assert_eq!(answer.header("cache-control"), "private, no-cache");
}

#[tokio::test]
async fn the_verified_token_is_passed_on_and_nobody_has_none() {
    let world = World::new().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let token = token(Role::Editor);
    world.get(&format!("/sports/{id}")).by(&token).send().await;
    world.get(&format!("/sports/{id}")).send().await;
    let tokens: Vec<_> = world.desk(Section::Sports).calls().into_iter().map(|call| call.token).collect();
    assert_eq!(tokens, [Some(token), None]);
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_refused_before_anybody_is_asked() {
    let world = World::new().await;
    let id = world.desk(Section::Sports).published(1, 10);
    let answer = world.get(&format!("/sports/{id}")).by("forged.token.here").send().await;
    assert_eq!(answer.problem(), (401, "invalid_token"));
    assert!(world.desk(Section::Sports).calls().is_empty());
}

#[tokio::test]
async fn what_a_section_refuses_is_passed_on_as_it_said_it() {
    let world = World::new().await;
    let id = world.desk(Section::Politics).published(1, 10);
    let refusal = Refusal::new(Kind::Gone, "retracted", "The figures were wrong.").with("reason", "figures");
    world.desk(Section::Politics).set(Mood::Refusing(refusal));
    let answer = world.get(&format!("/politics/{id}")).send().await;
    assert_eq!(answer.problem(), (410, "retracted"));
    assert_eq!(
        (&answer.json["detail"], &answer.json["reason"]),
        (&"The figures were wrong.".into(), &"figures".into())
    );
}

#[tokio::test]
async fn an_article_that_is_not_there_and_an_id_that_is_none_are_the_same_404() {
    let world = World::new().await;
    for id in ["00000000-0000-0000-0000-00000000ffff", "1", "not-an-id", "%00"] {
        let answer = world.get(&format!("/sports/{id}")).send().await;
        assert_eq!(answer.problem(), (404, "not_found"), "{id}");
    }
}

#[tokio::test]
async fn min_version_is_asked_of_the_section_and_waiting_in_vain_is_a_503() {
    let world = World::new().await;
    let desk = world.desk(Section::Sports);
    let id = desk.published(1, 10);
    let answer = world.get(&format!("/sports/{id}?min_version=8")).send().await;
    assert_eq!(answer.status, 200);
    let asked = desk.last::<GetArticleRequest>("GetArticle");
    assert_eq!((asked.id, asked.min_version), (id.to_string(), Some(8)));

    let refusal = Refusal::new(Kind::Unavailable, "not_yet_projected", "Version 9 is not here yet.");
    desk.set(Mood::Refusing(refusal));
    // Far more often than a breaker stands failures: the section works well, it only has no such version.
    for _ in 0..30 {
        let answer = world.get(&format!("/sports/{id}?min_version=9")).send().await;
        assert_eq!(answer.problem(), (503, "not_yet_projected"));
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(desk.calls().len(), 31, "each was asked once: the section has waited already");
    desk.set(Mood::Well);
    assert_eq!(world.get(&format!("/sports/{id}")).send().await.status, 200);

    let answer = world.get(&format!("/sports/{id}?min_version=soon&at=now")).send().await;
    assert_eq!(
        (answer.problem(), answer.errors()),
        ((422, "invalid"), vec![("/min_version", "not_a_number")])
    );
    let answer = world.get(&format!("/sports/{id}?at=now&version=2")).send().await;
    assert_eq!(answer.errors(), [("/at", "not_a_time"), ("/at", "excluded")]);
    let answer = world.get(&format!("/sports/{id}?version=99999999999")).send().await;
    assert_eq!(answer.errors(), [("/version", "out_of_range")]);
    let answer = world.get(&format!("/sports/{id}?label=%FF")).send().await;
    assert_eq!(answer.problem(), (400, "malformed_query"));
}

#[tokio::test]
async fn a_section_that_is_away_is_a_503_for_its_own_articles_only() {
    let mut world = World::new().await;
    let id = world.desk(Section::Sports).published(1, 10);
    world.stop(Section::Politics);
    let answer = world.get(&format!("/politics/{id}")).send().await;
    assert_eq!(answer.problem().0, 503);
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(world.get(&format!("/sports/{id}")).send().await.status, 200);
}
