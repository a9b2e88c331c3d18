//! Lists by filter and cursor.

use kernel::{Kind, Refusal, Role, Section};
use proto::news::v1::{Article, ListArticlesRequest, ListOrder};
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::Value;

use crate::cache::caching;
use crate::desk::{Mood, article};
use crate::world::{Answer, World, config, token, user_of};

/// A world whose sections may take so long that no slow machine makes one of them go missing.
async fn patient() -> World {
    let mut config = config();
    config.desks.section_deadline_ms = 60_000;
    World::with(config, |bus| bus).await
}

fn ids(answer: &Answer) -> Vec<String> {
    let news = answer.json["news"].as_array().unwrap_or_else(|| panic!("no news: {answer:?}"));
    news.iter().map(|article| article["id"].as_str().expect("an id").to_owned()).collect()
}

fn cursor<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.json["page"][name].as_str()
}

/// The path of a link, below the service.
fn link(answer: &Answer, relation: &str) -> Option<String> {
    let relation = format!("rel=\"{relation}\"");
    let link = answer.header("link").split(", ").find(|link| link.ends_with(&relation))?;
    let path = link.split_once('>').expect("an address").0.trim_start_matches('<');
    Some(path.strip_prefix("/news/v1").expect("a path of news").to_owned())
}

/// Every page from `path` on along the links of this relation.
async fn walk(world: &World, path: &str, relation: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let answer = world.get(&path).send().await;
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
async fn a_walk_over_sections_of_0_3_and_500_articles_meets_each_once_there_and_back() {
    let world = patient().await;
    let mut all = Vec::new();
    for n in 0..3 {
        all.push((30 * i64::from(n), world.desk(Section::Politics).published(n, 30 * i64::from(n))));
    }
    for n in 0..500 {
        let second = i64::from(n % 50);
        all.push((second, world.desk(Section::Sports).published(n, second)));
    }
    all.sort();
    for (order, down) in [("newest", true), ("oldest", false)] {
        let mut expected: Vec<String> = all.iter().map(|(_, id)| id.to_string()).collect();
        if down {
            expected.reverse();
        }
        for limit in [7, 100] {
            let path = format!("/all?order={order}&limit={limit}");
            let pages = walk(&world, &path, "next").await;
            assert!(pages[..pages.len() - 1].iter().all(|page| page.len() == limit));
            assert_eq!(pages.concat(), expected, "{path}");
            // From the last page back.
            let mut last = world.get(&path).send().await;
            while let Some(next) = link(&last, "next") {
                last = world.get(&next).send().await;
            }
            let back = walk(&world, &link(&last, "prev").expect("a page before"), "prev").await;
            let mut back: Vec<String> = back.into_iter().rev().flatten().collect();
            back.extend(ids(&last));
            assert_eq!(back, expected, "{path}, back");
        }
    }
    let answer = world.get("/all?limit=100").send().await;
    assert_eq!((answer.header("x-total-count"), &answer.json["page"]["total"]), ("503", &503.into()));
    assert!(answer.json["page"].get("number").is_none() && answer.json["page"].get("pages").is_none());
}

#[tokio::test]
async fn a_walk_neither_skips_nor_repeats_while_others_publish_and_revise() {
    let world = patient().await;
    for seed in 0..12 {
        let mut chance = testkit_random(seed);
        world.desks.iter().for_each(|desk| desk.clear());
        let sections = Section::ALL;
        let mut there = Vec::new();
        for n in 0..60 {
            let section = *sections.choose(&mut chance).expect("one");
            there.push(world.desk(section).published(n, chance.random_range(0..12)).to_string());
        }
        let limit = chance.random_range(1..12);
        let (mut next, mut met, mut coming) = (Some(format!("/all?limit={limit}")), Vec::new(), 1_000);
        while let Some(path) = next {
            let answer = world.get(&path).send().await;
            met.extend(ids(&answer));
            next = link(&answer, "next");
            for _ in 0..chance.random_range(0..3) {
                // Before, at and after the place that was reached; an end to it, so that the walk has one too.
                if coming < 1_040 {
                    let section = *sections.choose(&mut chance).expect("one");
                    world.desk(section).published(coming, chance.random_range(0..12));
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
async fn filters_reach_the_sections_as_they_were_asked_for_and_stay_in_the_links() {
    let world = patient().await;
    world.desk(Section::Sports).published(1, 10);
    let path = "/sports?label=tax%20%26%20more&author=Ada%20Byron&author_id=00000000-0000-0000-0000-000000000001\
                &from=1970-01-01T00:00:01Z&to=1970-01-01T01:00:02%2B01:00&order=updated&limit=3";
    let answer = world.get(path).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let asked = world.desk(Section::Sports).last::<ListArticlesRequest>("ListArticles");
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
    assert_eq!(asked, expected);
    let first = link(&answer, "first").expect("a link");
    world.desk(Section::Sports).forget();
    world.get(&first).send().await;
    assert_eq!(world.desk(Section::Sports).last::<ListArticlesRequest>("ListArticles"), expected);
}

#[tokio::test]
async fn spellings_of_one_label_are_one_list_with_one_cursor() {
    let world = World::with(caching(), |bus| bus).await;
    for number in 0..3 {
        let tags = vec![["Zürich", "ZU\u{308}RICH", "zürich "][number as usize].to_owned()];
        world
            .desk(Section::Sports)
            .put(Article { tags, ..article(Section::Sports, number, i64::from(number), "published") });
    }
    let first = world.get("/sports?label=Z%C3%BCrich&limit=1").send().await;
    assert_eq!(first.json["page"]["total"], 3);
    let again = world.get("/sports?label=%20ZU%CC%88RICH&limit=1").send().await;
    assert_eq!(again.header("cache-status"), "orchestrator; hit");
    let cursor = first.json["page"]["next_cursor"].as_str().expect("a cursor");
    let next = world.get(&format!("/sports?label=z%C3%BCrich&limit=5&cursor={cursor}")).send().await;
    assert_eq!(next.json["news"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_list_by_label_and_time_holds_what_passes_in_every_section() {
    let world = patient().await;
    let tagged = |section: Section, number: u32, second: i64, tag: &str| Article {
        tags: vec![tag.to_owned()],
        ..article(section, number, second, "published")
    };
    let early = world.desk(Section::Sports).put(tagged(Section::Sports, 1, 10, "tax"));
    let late = world.desk(Section::Famous).put(tagged(Section::Famous, 2, 20, "tax"));
    world.desk(Section::Famous).put(tagged(Section::Famous, 3, 15, "taxes"));
    let answer = world.get("/all?label=tax").send().await;
    assert_eq!(ids(&answer), [late.to_string(), early.to_string()]);
    assert_eq!(answer.json["page"]["total"], 2);
    let answer = world.get("/all?label=tax&to=1970-01-01T00:00:10Z").send().await;
    assert_eq!(ids(&answer), [early.to_string()]);
    assert_eq!(ids(&world.get("/all?from=1970-01-01T00:00:20Z").send().await), [late.to_string()]);
}

#[tokio::test]
async fn a_bad_cursor_and_one_of_another_list_are_refused() {
    let world = patient().await;
    for n in 0..5 {
        world.desk(Section::Sports).published(n, i64::from(n));
    }
    let answer = world.get("/sports?limit=2").send().await;
    let good = cursor(&answer, "next_cursor").expect("a cursor").to_owned();
    assert_eq!(world.get(&format!("/sports?limit=4&fields=id&cursor={good}")).send().await.status, 200);
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
        let answer = world.get(&path).send().await;
        assert_eq!(answer.problem(), (422, "bad_cursor"), "{path}");
        assert_eq!(answer.errors(), [("/cursor", "bad_cursor")], "{path}");
    }
}

#[tokio::test]
async fn whatever_breaks_a_rule_is_named_and_nobody_is_asked() {
    let world = World::new().await;
    let long = "x".repeat(51);
    for (query, pointer, code) in [
        ("limit=0", "/limit", "out_of_range"),
        ("limit=101", "/limit", "out_of_range"),
        ("limit=-1", "/limit", "out_of_range"),
        ("order=best", "/order", "unknown_name"),
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
            let answer = world.get(&format!("/{list}?{query}")).send().await;
            assert_eq!(answer.problem(), (422, "invalid"), "{query}");
            assert_eq!(answer.errors(), [(pointer, code)], "{query}");
        }
    }
    let answer = world.get("/all?limit=0&order=best&from=now&fields=nothing").send().await;
    assert_eq!(answer.errors().len(), 4, "all at once");
    let answer = world.get("/all?limit=ten&from=now").send().await;
    assert_eq!(answer.errors(), [("/limit", "not_a_number"), ("/from", "not_a_time")]);
    let answer = world.get("/all?lable=x&q=y").send().await;
    assert_eq!(answer.problem(), (422, "unknown_parameter"));
    assert_eq!(answer.errors(), [("/lable", "unknown_parameter"), ("/q", "unknown_parameter")]);
    assert!(
        answer.json["errors"][0]["detail"].as_str().is_some_and(|it| it.ends_with("did you mean label?"))
    );
    assert_eq!(world.get("/all?label=%FF").send().await.problem(), (400, "malformed_query"));
    assert_eq!(world.get("/home?limit=5").send().await.problem(), (422, "unknown_parameter"));
    assert_eq!(world.get("/weather?limit=1").send().await.problem(), (404, "unknown_type"));
    assert!(world.desks.iter().all(|desk| desk.calls().is_empty()), "nobody was asked");
}

#[tokio::test]
async fn fields_and_include_decide_what_is_told_of_each_article() {
    let world = patient().await;
    world.desk(Section::Sports).published(1, 10);
    for list in ["/sports", "/all", "/all/1/10", "/sports/1/10"] {
        let names = |answer: &Answer| {
            let first = answer.json["news"][0].as_object().expect("an article");
            first.keys().cloned().collect::<Vec<_>>().join(",")
        };
        let answer = world.get(&format!("{list}?fields=title,id,type")).send().await;
        assert_eq!(names(&answer), "id,title,type", "{list}");
        assert!(link(&answer, "first").expect("a link").contains("fields=id%2Ctype%2Ctitle"), "{list}");
        let answer = world.get(&format!("{list}?fields=content")).send().await;
        assert_eq!(answer.json["news"][0]["content"], "The text of article 1.", "{list}");
        assert!(world.get(list).send().await.json["news"][0].get("content").is_none(), "{list}");
        let answer = world.get(&format!("{list}?include=content")).send().await;
        assert_eq!(answer.json["news"][0]["content"], "The text of article 1.", "{list}");
    }
}

#[tokio::test]
async fn what_is_not_published_is_listed_for_staff_alone_and_never_for_a_shared_cache() {
    let world = patient().await;
    let draft = world.desk(Section::Sports).put(article(Section::Sports, 1, 0, "draft"));
    assert_eq!(world.get("/all?state=draft").send().await.problem(), (401, "unauthenticated"));
    let reader = world.get("/all?state=draft").by(&token(Role::Reader)).send().await;
    assert_eq!(reader.problem(), (403, "role_required"));
    assert!(world.desks.iter().all(|desk| desk.calls().is_empty()), "nobody was asked");
    for role in [Role::Author, Role::Editor, Role::Admin] {
        let answer = world.get("/all?state=draft,in_review").by(&token(role)).send().await;
        assert_eq!(ids(&answer), [draft.to_string()]);
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        let call = world.desk(Section::Sports).calls().pop().expect("a call");
        assert_eq!(call.token, Some(token(role)), "the section decides what {} sees", user_of(role));
        let asked: ListArticlesRequest = prost::Message::decode(call.body).expect("a request");
        assert_eq!(asked.states, ["draft", "in_review"]);
    }
    let texts = world.get("/all?state=draft&include=content").by(&token(Role::Editor)).send().await;
    assert_eq!(texts.json["news"][0]["content"], "The text of article 1.");
    let public = world.get("/all?state=published").send().await;
    assert_eq!(
        (public.status.as_u16(), ids(&public).len()),
        (200, 0),
        "published is what everybody may ask for"
    );
}

#[tokio::test]
async fn a_walk_that_began_without_a_section_says_so_on_every_page_and_never_skips_in_silence() {
    let world = patient().await;
    let mut famous = Vec::new();
    for n in 0..6 {
        famous.push(world.desk(Section::Famous).published(n, i64::from(n)).to_string());
        world.desk(Section::Sports).published(n, i64::from(n));
    }
    famous.reverse();
    let away = Refusal::new(Kind::Unavailable, "store_unavailable", "The store is away.");
    world.desk(Section::Sports).set(Mood::Refusing(away));
    let first = world.get("/all?limit=2").send().await;
    assert_eq!((&first.json["partial"], first.header("cache-control")), (&true.into(), "no-store"));
    // It is back; but its articles up to here were not shown, and nobody would notice.
    world.desk(Section::Sports).set(Mood::Well);
    let (mut met, mut next) = (ids(&first), link(&first, "next"));
    while let Some(path) = next {
        let answer = world.get(&path).send().await;
        assert_eq!(answer.json["missing"], serde_json::json!(["sports"]));
        assert_eq!(answer.header("cache-control"), "no-store");
        met.extend(ids(&answer));
        next = link(&answer, "next");
    }
    assert_eq!(met, famous);
    let anew = world.get("/all?limit=100").send().await;
    assert_eq!((ids(&anew).len(), &anew.json["missing"]), (12, &serde_json::json!([])));
}

#[tokio::test]
async fn a_section_that_goes_away_in_the_middle_of_a_walk_is_missing_from_there_on() {
    let world = patient().await;
    for n in 0..6 {
        world.desk(Section::Famous).published(n, i64::from(n));
        world.desk(Section::Sports).published(n, i64::from(n));
    }
    let first = world.get("/all?limit=4").send().await;
    assert_eq!(first.json["missing"], serde_json::json!([]));
    let away = Refusal::new(Kind::Unavailable, "store_unavailable", "The store is away.");
    world.desk(Section::Famous).set(Mood::Refusing(away));
    let second = world.get(&link(&first, "next").expect("more")).send().await;
    assert_eq!(second.json["missing"], serde_json::json!(["famous"]));
    world.desk(Section::Famous).set(Mood::Well);
    // The page that was asked for before is whole again; the way on from the incomplete one stays without.
    let again = world.get(&link(&first, "next").expect("more")).send().await;
    assert_eq!((&again.json["missing"], ids(&again).len()), (&Value::Array(Vec::new()), 4));
    let third = world.get(&link(&second, "prev").expect("a way back")).send().await;
    assert_eq!(third.json["missing"], serde_json::json!(["famous"]));
}

#[tokio::test]
async fn a_list_by_cursor_that_the_client_has_is_a_304() {
    let world = patient().await;
    world.desk(Section::Sports).published(1, 10);
    let tag = world.get("/all?label=tax").send().await.header("etag").to_owned();
    let answer = world.get("/all?label=tax").header("if-none-match", &tag).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (304, tag.as_str()));
    assert_eq!(answer.header("x-total-count"), "1");
    world.desk(Section::Sports).published(2, 20);
    assert_eq!(world.get("/all?label=tax").header("if-none-match", &tag).send().await.status, 200);
    assert_eq!(world.ask("HEAD", "/all?label=tax").send().await.status, 200);
}
