//! Lists by filter and cursor.

use kernel::{Kind, Refusal, Role, Section};
use proto::news::v1::{Article, ListArticlesRequest, ListOrder};
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::Value;

use crate::cache::caching;
use crate::fake_section::{Behaviour, article};
use crate::service::{Answer, TestService, config, token, user_of};

/// Returns a service whose sections may take so long that none is missing on a slow machine.
async fn patient() -> TestService {
    let mut config = config();
    config.sections.section_deadline_ms = 60_000;
    TestService::with(config, |bus| bus).await
}

fn ids(answer: &Answer) -> Vec<String> {
    let news = answer.json["news"].as_array().unwrap_or_else(|| panic!("no news: {answer:?}"));
    news.iter().map(|article| article["id"].as_str().expect("an id").to_owned()).collect()
}

fn cursor<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.json["page"][name].as_str()
}

/// Returns the path of a link, below the service.
fn link(answer: &Answer, relation: &str) -> Option<String> {
    let relation = format!("rel=\"{relation}\"");
    let link = answer.header("link").split(", ").find(|link| link.ends_with(&relation))?;
    let path = link.split_once('>').expect("an address").0.trim_start_matches('<');
    Some(path.strip_prefix("/news/v1").expect("a path of news").to_owned())
}

/// Returns every page from `path` on, along the links of this relation.
async fn walk(service: &TestService, path: &str, relation: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let answer = service.get(&path).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        next = link(&answer, relation);
        let of_body = cursor(&answer, &format!("{relation}_cursor")).map(str::to_owned);
        assert_eq!(
            next.as_ref().map(|path| path.contains(of_body.as_deref().expect("a cursor"))),
            of_body.as_ref().map(|_| true)
        );
        pages.push(ids(&answer));
    }
    pages
}

#[tokio::test]
async fn a_walk_over_sections_of_0_3_and_500_articles_visits_each_once_in_both_directions() {
    let service = patient().await;
    let mut all = Vec::new();
    for n in 0..3 {
        all.push((30 * i64::from(n), service.section(Section::Politics).add_published(n, 30 * i64::from(n))));
    }
    for n in 0..500 {
        let second = i64::from(n % 50);
        all.push((second, service.section(Section::Sports).add_published(n, second)));
    }
    all.sort();
    for (order, down) in [("newest", true), ("oldest", false)] {
        let mut expected: Vec<String> = all.iter().map(|(_, id)| id.to_string()).collect();
        if down {
            expected.reverse();
        }
        for limit in [7, 100] {
            let path = format!("/all?order={order}&limit={limit}");
            let pages = walk(&service, &path, "next").await;
            assert!(pages[..pages.len() - 1].iter().all(|page| page.len() == limit));
            assert_eq!(pages.concat(), expected, "{path}");
            // The walk back starts at the last page.
            let mut last = service.get(&path).send().await;
            while let Some(next) = link(&last, "next") {
                last = service.get(&next).send().await;
            }
            let back = walk(&service, &link(&last, "prev").expect("a page before"), "prev").await;
            let mut back: Vec<String> = back.into_iter().rev().flatten().collect();
            back.extend(ids(&last));
            assert_eq!(back, expected, "{path}, back");
        }
    }
    let answer = service.get("/all?limit=100").send().await;
    assert_eq!((answer.header("x-total-count"), &answer.json["page"]["total"]), ("503", &503.into()));
    assert!(answer.json["page"].get("number").is_none() && answer.json["page"].get("pages").is_none());
}

#[tokio::test]
async fn a_walk_neither_skips_nor_repeats_articles_while_others_publish_and_revise() {
    let service = patient().await;
    for seed in 0..12 {
        let mut chance = testkit_random(seed);
        service.sections.iter().for_each(|section| section.clear());
        let sections = Section::ALL;
        let mut there = Vec::new();
        for n in 0..60 {
            let section = *sections.choose(&mut chance).expect("one");
            there.push(service.section(section).add_published(n, chance.random_range(0..12)).to_string());
        }
        let limit = chance.random_range(1..12);
        let (mut next, mut met, mut coming) = (Some(format!("/all?limit={limit}")), Vec::new(), 1_000);
        while let Some(path) = next {
            let answer = service.get(&path).send().await;
            met.extend(ids(&answer));
            next = link(&answer, "next");
            for _ in 0..chance.random_range(0..3) {
                // Articles appear before, at and after the current position, but not for ever, so that the
                // walk ends.
                if coming < 1_040 {
                    let section = *sections.choose(&mut chance).expect("one");
                    service.section(section).add_published(coming, chance.random_range(0..12));
                    coming += 1;
                }
            }
        }
        let count = met.len();
        met.sort();
        met.dedup();
        assert_eq!(met.len(), count, "seed {seed}: something was repeated");
        assert!(there.iter().all(|id| met.binary_search(id).is_ok()), "seed {seed}: something was skipped");
    }
}

fn testkit_random(seed: u64) -> rand::rngs::StdRng {
    rand::SeedableRng::seed_from_u64(seed)
}

#[tokio::test]
async fn filters_reach_the_sections_unchanged_and_stay_in_the_links() {
    let service = patient().await;
    service.section(Section::Sports).add_published(1, 10);
    let path = "/sports?label=tax%20%26%20more&author=Ada%20Byron&author_id=00000000-0000-0000-0000-000000000001\
                &from=1970-01-01T00:00:01Z&to=1970-01-01T01:00:02%2B01:00&order=updated&limit=3";
    let answer = service.get(path).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let request = service.section(Section::Sports).last::<ListArticlesRequest>("ListArticles");
    let expected = ListArticlesRequest {
        limit: 3,
        label: Some("tax & more".to_owned()),
        author: Some("Ada Byron".to_owned()),
        author_id: Some("00000000-0000-0000-0000-000000000001".to_owned()),
        from_ms: Some(1_000),
        to_ms: Some(2_000),
        order: ListOrder::Updated.into(),
        ..ListArticlesRequest::default()
    };
    assert_eq!(request, expected);
    let first = link(&answer, "first").expect("a link");
    service.section(Section::Sports).clear_calls();
    service.get(&first).send().await;
    assert_eq!(service.section(Section::Sports).last::<ListArticlesRequest>("ListArticles"), expected);
}

#[tokio::test]
async fn spellings_of_one_label_are_one_list_with_one_cursor() {
    let service = TestService::with(caching(), |bus| bus).await;
    for number in 0..3 {
        let tags = vec![["Zürich", "ZU\u{308}RICH", "zürich "][number as usize].to_owned()];
        service
            .section(Section::Sports)
            .put(Article { tags, ..article(Section::Sports, number, i64::from(number), "published") });
    }
    let first = service.get("/sports?label=Z%C3%BCrich&limit=1").send().await;
    assert_eq!(first.json["page"]["total"], 3);
    let again = service.get("/sports?label=%20ZU%CC%88RICH&limit=1").send().await;
    assert_eq!(again.header("cache-status"), "orchestrator; hit");
    let cursor = first.json["page"]["next_cursor"].as_str().expect("a cursor");
    let next = service.get(&format!("/sports?label=z%C3%BCrich&limit=5&cursor={cursor}")).send().await;
    assert_eq!(next.json["news"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_list_by_label_and_time_contains_the_matching_articles_of_every_section() {
    let service = patient().await;
    let tagged = |section: Section, number: u32, second: i64, tag: &str| Article {
        tags: vec![tag.to_owned()],
        ..article(section, number, second, "published")
    };
    let early = service.section(Section::Sports).put(tagged(Section::Sports, 1, 10, "tax"));
    let late = service.section(Section::Famous).put(tagged(Section::Famous, 2, 20, "tax"));
    service.section(Section::Famous).put(tagged(Section::Famous, 3, 15, "taxes"));
    let answer = service.get("/all?label=tax").send().await;
    assert_eq!(ids(&answer), [late.to_string(), early.to_string()]);
    assert_eq!(answer.json["page"]["total"], 2);
    let answer = service.get("/all?label=tax&to=1970-01-01T00:00:10Z").send().await;
    assert_eq!(ids(&answer), [early.to_string()]);
    assert_eq!(ids(&service.get("/all?from=1970-01-01T00:00:20Z").send().await), [late.to_string()]);
}

#[tokio::test]
async fn an_invalid_cursor_and_one_of_another_list_are_refused() {
    let service = patient().await;
    for n in 0..5 {
        service.section(Section::Sports).add_published(n, i64::from(n));
    }
    let answer = service.get("/sports?limit=2").send().await;
    let good = cursor(&answer, "next_cursor").expect("a cursor").to_owned();
    assert_eq!(service.get(&format!("/sports?limit=4&fields=id&cursor={good}")).send().await.status, 200);
    let other = good.replacen(&good[..1], "B", 1);
    for path in [
        "/sports?cursor=".to_owned(),
        "/sports?cursor=nonsense".to_owned(),
        "/sports?cursor=%00".to_owned(),
        format!("/sports?cursor={other}"),
        format!("/sports?cursor={good}A"),
        format!("/all?cursor={good}"),
        format!("/famous?cursor={good}"),
        format!("/sports?order=oldest&cursor={good}"),
        format!("/sports?label=tax&cursor={good}"),
        format!("/sports?to=2026-11-21T08:00:00Z&cursor={good}"),
    ] {
        let answer = service.get(&path).send().await;
        assert_eq!(answer.problem(), (422, "bad_cursor"), "{path}");
        assert_eq!(answer.errors(), [("/cursor", "bad_cursor")], "{path}");
    }
}

#[tokio::test]
async fn every_invalid_parameter_is_named_and_no_section_is_called() {
    let service = TestService::new().await;
    let long = "x".repeat(51);
    for (query, pointer, code) in [
        ("limit=0", "/limit", "out_of_range"),
        ("limit=101", "/limit", "out_of_range"),
        ("limit=-1", "/limit", "out_of_range"),
        ("order=best", "/order", "unknown_name"),
        ("mine=yes", "/mine", "unknown_name"),
        ("mine=true&author_id=00000000-0000-0000-0000-000000000001", "/mine", "excluded"),
        ("fields=id,password", "/fields", "unknown_name"),
        ("fields=", "/fields", "unknown_name"),
        ("include=authors", "/include", "unknown_name"),
        ("label=", "/label", "empty"),
        (&format!("label={long}"), "/label", "too_long"),
        ("label=a%00b", "/label", "control_character"),
        (&format!("author={long}"), "/author", "too_long"),
        ("author_id=7", "/author_id", "not_an_id"),
        ("from=yesterday", "/from", "not_a_time"),
        ("to=2026-11-21", "/to", "not_a_time"),
    ] {
        for list in ["all", "sports"] {
            let answer = service.get(&format!("/{list}?{query}")).send().await;
            assert_eq!(answer.problem(), (422, "invalid"), "{query}");
            assert_eq!(answer.errors(), [(pointer, code)], "{query}");
        }
    }
    let answer = service.get("/all?limit=0&order=best&from=now&fields=nothing").send().await;
    assert_eq!(answer.errors().len(), 4, "all together");
    let answer = service.get("/all?limit=ten&from=now").send().await;
    assert_eq!(answer.errors(), [("/limit", "not_a_number"), ("/from", "not_a_time")]);
    let answer = service.get("/all?lable=x&q=y").send().await;
    assert_eq!(answer.problem(), (422, "unknown_parameter"));
    assert_eq!(answer.errors(), [("/lable", "unknown_parameter"), ("/q", "unknown_parameter")]);
    assert!(
        answer.json["errors"][0]["detail"].as_str().is_some_and(|it| it.ends_with("did you mean label?"))
    );
    assert_eq!(service.get("/all?label=%FF").send().await.problem(), (400, "malformed_query"));
    assert_eq!(service.get("/home?limit=5").send().await.problem(), (422, "unknown_parameter"));
    assert_eq!(service.get("/weather?limit=1").send().await.problem(), (404, "unknown_type"));
    assert!(service.sections.iter().all(|section| section.calls().is_empty()), "no section was called");
}

#[tokio::test]
async fn fields_and_include_select_the_members_of_each_article() {
    let service = patient().await;
    service.section(Section::Sports).add_published(1, 10);
    for list in ["/sports", "/all", "/all/1/10", "/sports/1/10"] {
        let names = |answer: &Answer| {
            let first = answer.json["news"][0].as_object().expect("an article");
            first.keys().cloned().collect::<Vec<_>>().join(",")
        };
        let answer = service.get(&format!("{list}?fields=title,id,type")).send().await;
        assert_eq!(names(&answer), "id,title,type", "{list}");
        assert!(link(&answer, "first").expect("a link").contains("fields=id%2Ctype%2Ctitle"), "{list}");
        let answer = service.get(&format!("{list}?fields=content")).send().await;
        assert_eq!(answer.json["news"][0]["content"], "The text of article 1.", "{list}");
        assert!(service.get(list).send().await.json["news"][0].get("content").is_none(), "{list}");
        let answer = service.get(&format!("{list}?include=content")).send().await;
        assert_eq!(answer.json["news"][0]["content"], "The text of article 1.", "{list}");
    }
}

#[tokio::test]
async fn unpublished_articles_are_listed_for_staff_only_and_never_for_a_shared_cache() {
    let service = patient().await;
    let draft = service.section(Section::Sports).put(article(Section::Sports, 1, 0, "draft"));
    assert_eq!(service.get("/all?state=draft").send().await.problem(), (401, "unauthenticated"));
    let reader = service.get("/all?state=draft").bearer(&token(Role::Reader)).send().await;
    assert_eq!(reader.problem(), (403, "role_required"));
    assert!(service.sections.iter().all(|section| section.calls().is_empty()), "no section was called");
    for role in [Role::Author, Role::Editor, Role::Admin] {
        let answer = service.get("/all?state=draft,in_review").bearer(&token(role)).send().await;
        assert_eq!(ids(&answer), [draft.to_string()]);
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        let call = service.section(Section::Sports).calls().pop().expect("a call");
        assert_eq!(call.token, Some(token(role)), "the section decides what {} sees", user_of(role));
        let request: ListArticlesRequest = prost::Message::decode(call.body).expect("a request");
        assert_eq!(request.states, ["draft", "in_review"]);
    }
    let texts = service.get("/all?state=draft&include=content").bearer(&token(Role::Editor)).send().await;
    assert_eq!(texts.json["news"][0]["content"], "The text of article 1.");
    let public = service.get("/all?state=published").send().await;
    assert_eq!(
        (public.status.as_u16(), ids(&public).len()),
        (200, 0),
        "every caller may use `state=published`"
    );
}

#[tokio::test]
async fn a_walk_that_began_without_a_section_names_it_as_missing_on_every_page() {
    let service = patient().await;
    let mut famous = Vec::new();
    for n in 0..6 {
        famous.push(service.section(Section::Famous).add_published(n, i64::from(n)).to_string());
        service.section(Section::Sports).add_published(n, i64::from(n));
    }
    famous.reverse();
    let unavailable = Refusal::new(Kind::Unavailable, "store_unavailable", "The store is unavailable.");
    service.section(Section::Sports).behave(Behaviour::Refuse(unavailable));
    let first = service.get("/all?limit=2").send().await;
    assert_eq!((&first.json["partial"], first.header("cache-control")), (&true.into(), "no-store"));
    // The section has recovered, but its articles up to here were not shown.
    service.section(Section::Sports).behave(Behaviour::Answer);
    let (mut met, mut next) = (ids(&first), link(&first, "next"));
    while let Some(path) = next {
        let answer = service.get(&path).send().await;
        assert_eq!(answer.json["missing"], serde_json::json!(["sports"]));
        assert_eq!(answer.header("cache-control"), "no-store");
        met.extend(ids(&answer));
        next = link(&answer, "next");
    }
    assert_eq!(met, famous);
    let restarted = service.get("/all?limit=100").send().await;
    assert_eq!((ids(&restarted).len(), &restarted.json["missing"]), (12, &serde_json::json!([])));
}

#[tokio::test]
async fn a_section_that_fails_during_a_walk_is_missing_from_then_on() {
    let service = patient().await;
    for n in 0..6 {
        service.section(Section::Famous).add_published(n, i64::from(n));
        service.section(Section::Sports).add_published(n, i64::from(n));
    }
    let first = service.get("/all?limit=4").send().await;
    assert_eq!(first.json["missing"], serde_json::json!([]));
    let unavailable = Refusal::new(Kind::Unavailable, "store_unavailable", "The store is unavailable.");
    service.section(Section::Famous).behave(Behaviour::Refuse(unavailable));
    let second = service.get(&link(&first, "next").expect("more")).send().await;
    assert_eq!(second.json["missing"], serde_json::json!(["famous"]));
    service.section(Section::Famous).behave(Behaviour::Answer);
    // The same page is complete again; the walk from the incomplete page stays without the section.
    let again = service.get(&link(&first, "next").expect("more")).send().await;
    assert_eq!((&again.json["missing"], ids(&again).len()), (&Value::Array(Vec::new()), 4));
    let third = service.get(&link(&second, "prev").expect("a way back")).send().await;
    assert_eq!(third.json["missing"], serde_json::json!(["famous"]));
}

#[tokio::test]
async fn a_list_by_cursor_that_the_client_already_has_is_a_304() {
    let service = patient().await;
    service.section(Section::Sports).add_published(1, 10);
    let tag = service.get("/all?label=tax").send().await.header("etag").to_owned();
    let answer = service.get("/all?label=tax").header("if-none-match", &tag).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (304, tag.as_str()));
    assert_eq!(answer.header("x-total-count"), "1");
    service.section(Section::Sports).add_published(2, 20);
    assert_eq!(service.get("/all?label=tax").header("if-none-match", &tag).send().await.status, 200);
    assert_eq!(service.request("HEAD", "/all?label=tax").send().await.status, 200);
}
