use kernel::{Kind, Refusal, Role, Section};
use proto::news::v1::GetArticleRequest;

use crate::fake_section::{Behaviour, article};
use crate::service::{TestService, token};

#[tokio::test]
async fn a_published_article_has_an_entity_tag_and_any_cache_may_keep_it() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let answer = service.get(&format!("/sports/{id}")).send().await;
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
async fn an_article_that_the_client_already_has_is_a_304_without_a_body() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    for tag in ["\"v7\"", "W/\"v7\"", "\"v6\", \"v7\"", "*"] {
        let answer = service.get(&format!("/sports/{id}")).header("if-none-match", tag).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (304, "\"v7\""), "{tag}");
        assert_eq!(answer.json, serde_json::Value::Null);
    }
    let answer = service.get(&format!("/sports/{id}")).header("if-none-match", "\"v6\"").send().await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn answers_to_signed_in_callers_and_unpublished_articles_stay_out_of_shared_caches() {
    let service = TestService::new().await;
    let public = service.section(Section::Sports).add_published(1, 10);
    let draft = service.section(Section::Sports).put(article(Section::Sports, 2, 0, "draft"));
    for id in [public, draft] {
        let answer = service.get(&format!("/sports/{id}")).bearer(&token(Role::Author)).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "private, no-cache"));
    }
    // Even if a section showed a draft to an anonymous caller, no cache may keep it.
    let answer = service.get(&format!("/sports/{draft}")).send().await;
    assert_eq!(answer.header("cache-control"), "private, no-cache");
}

#[tokio::test]
async fn the_verified_token_is_passed_on_and_an_anonymous_caller_has_none() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let token = token(Role::Editor);
    service.get(&format!("/sports/{id}")).bearer(&token).send().await;
    service.get(&format!("/sports/{id}")).send().await;
    let tokens: Vec<_> =
        service.section(Section::Sports).calls().into_iter().map(|call| call.token).collect();
    assert_eq!(tokens, [Some(token), None]);
}

#[tokio::test]
async fn an_invalid_token_is_refused_before_a_section_is_called() {
    let service = TestService::new().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    let answer = service.get(&format!("/sports/{id}")).bearer("forged.token.here").send().await;
    assert_eq!(answer.problem(), (401, "invalid_token"));
    assert!(service.section(Section::Sports).calls().is_empty());
}

#[tokio::test]
async fn a_refusal_of_a_section_is_passed_on_unchanged() {
    let service = TestService::new().await;
    let id = service.section(Section::Politics).add_published(1, 10);
    let refusal = Refusal::new(Kind::Gone, "retracted", "The figures were wrong.").with("reason", "figures");
    service.section(Section::Politics).behave(Behaviour::Refuse(refusal));
    let answer = service.get(&format!("/politics/{id}")).send().await;
    assert_eq!(answer.problem(), (410, "retracted"));
    assert_eq!(
        (&answer.json["detail"], &answer.json["reason"]),
        (&"The figures were wrong.".into(), &"figures".into())
    );
}

#[tokio::test]
async fn an_unknown_article_and_an_invalid_id_are_the_same_404() {
    let service = TestService::new().await;
    for id in ["00000000-0000-0000-0000-00000000ffff", "1", "not-an-id", "%00"] {
        let answer = service.get(&format!("/sports/{id}")).send().await;
        assert_eq!(answer.problem(), (404, "not_found"), "{id}");
    }
}

#[tokio::test]
async fn min_version_is_passed_to_the_section_and_a_wait_without_success_is_a_503() {
    let service = TestService::new().await;
    let section = service.section(Section::Sports);
    let id = section.add_published(1, 10);
    let answer = service.get(&format!("/sports/{id}?min_version=8")).send().await;
    assert_eq!(answer.status, 200);
    let request = section.last::<GetArticleRequest>("GetArticle");
    assert_eq!((request.id, request.min_version), (id.to_string(), Some(8)));

    let refusal = Refusal::new(Kind::Unavailable, "not_yet_projected", "Version 9 is not here yet.");
    section.behave(Behaviour::Refuse(refusal));
    // Far more often than the number of failures that open a breaker: the section is healthy, it only has no
    // such version.
    for _ in 0..30 {
        let answer = service.get(&format!("/sports/{id}?min_version=9")).send().await;
        assert_eq!(answer.problem(), (503, "not_yet_projected"));
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(section.calls().len(), 31, "each was called once, because the section has waited already");
    section.behave(Behaviour::Answer);
    assert_eq!(service.get(&format!("/sports/{id}")).send().await.status, 200);

    let answer = service.get(&format!("/sports/{id}?min_version=soon&at=now")).send().await;
    assert_eq!(
        (answer.problem(), answer.errors()),
        ((422, "invalid"), vec![("/min_version", "not_a_number")])
    );
    let answer = service.get(&format!("/sports/{id}?at=now&version=2")).send().await;
    assert_eq!(answer.errors(), [("/at", "not_a_time"), ("/at", "excluded")]);
    let answer = service.get(&format!("/sports/{id}?version=99999999999")).send().await;
    assert_eq!(answer.errors(), [("/version", "out_of_range")]);
    let answer = service.get(&format!("/sports/{id}?label=%FF")).send().await;
    assert_eq!(answer.problem(), (400, "malformed_query"));
}

#[tokio::test]
async fn an_unavailable_section_is_a_503_for_its_own_articles_only() {
    let mut service = TestService::new().await;
    let id = service.section(Section::Sports).add_published(1, 10);
    service.stop(Section::Politics);
    let answer = service.get(&format!("/politics/{id}")).send().await;
    assert_eq!(answer.problem().0, 503);
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(service.get(&format!("/sports/{id}")).send().await.status, 200);
}
