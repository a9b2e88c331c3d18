//! The lists of work that staff requests: what waits longest, and what is the caller's own.

use kernel::{Role, Section};
use proto::news::v1::{Article, ListArticlesRequest, ListOrder};

use crate::fake_section::article;
use crate::service::{Answer, TestService, config, token, user_of};

/// Returns a service whose sections may take so long that none is missing on a slow machine.
async fn patient() -> TestService {
    let mut config = config();
    config.sections.section_deadline_ms = 60_000;
    TestService::with(config, |bus| bus).await
}

fn ids(answer: &Answer) -> Vec<&str> {
    let news = answer.json["news"].as_array().expect("news");
    news.iter().map(|article| article["id"].as_str().expect("an id")).collect()
}

/// Adds an article that is in review since this second.
fn add_waiting(service: &TestService, section: Section, number: u32, second: i64) -> String {
    let article = article(section, number, 0, "in_review");
    let id = article.id.clone();
    service.section(section).put(Article { state_since_ms: Some(second * 1_000), ..article });
    id
}

#[tokio::test]
async fn what_waits_longest_comes_first_over_all_sections_and_pages_join_in_both_directions() {
    let service = patient().await;
    let late = add_waiting(&service, Section::Famous, 1, 30);
    let early = add_waiting(&service, Section::Sports, 2, 10);
    let middle = add_waiting(&service, Section::Politics, 3, 20);
    // Of the same moment: the ids decide. And one that is in its state since its version.
    let same = add_waiting(&service, Section::Sports, 4, 20);
    let since_version = article(Section::Famous, 5, 0, "in_review");
    let first = since_version.id.clone();
    service.section(Section::Famous).put(since_version);
    let expected = [&first, &early, &middle, &same, &late];
    let editor = token(Role::Editor);
    let path = "/all?state=in_review&order=waiting";
    let answer = service.get(path).bearer(&editor).send().await;
    assert_eq!(ids(&answer), expected, "{:?}", answer.json);
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert_eq!(answer.json["news"][1]["state_since"], "1970-01-01T00:00:10.000Z");
    let request: ListArticlesRequest = service.section(Section::Sports).last("ListArticles");
    assert_eq!(request.order(), ListOrder::Waiting);
    for limit in 1..=5 {
        let mut page = service.get(&format!("{path}&limit={limit}")).bearer(&editor).send().await;
        let mut joined: Vec<String> = ids(&page).into_iter().map(str::to_owned).collect();
        while let Some(cursor) = page.json["page"]["next_cursor"].as_str().map(str::to_owned) {
            page = service.get(&format!("{path}&limit={limit}&cursor={cursor}")).bearer(&editor).send().await;
            joined.extend(ids(&page).into_iter().map(str::to_owned));
        }
        assert_eq!(joined.iter().collect::<Vec<_>>(), expected, "pages of {limit}");
        let mut back: Vec<String> = ids(&page).into_iter().map(str::to_owned).collect();
        while let Some(cursor) = page.json["page"]["prev_cursor"].as_str().map(str::to_owned) {
            page = service.get(&format!("{path}&limit={limit}&cursor={cursor}")).bearer(&editor).send().await;
            back.splice(0..0, ids(&page).into_iter().map(str::to_owned));
        }
        assert_eq!(back.iter().collect::<Vec<_>>(), expected, "pages of {limit}, back");
    }
    // The cursor belongs to this order.
    let later = service.get(&format!("{path}&limit=2")).bearer(&editor).send().await;
    let cursor = later.json["page"]["next_cursor"].as_str().expect("a cursor");
    let other = format!("/all?state=in_review&order=updated&cursor={cursor}");
    assert_eq!(service.get(&other).bearer(&editor).send().await.problem(), (422, "bad_cursor"));
}

#[tokio::test]
async fn mine_asks_for_the_articles_of_the_caller_and_stays_in_the_links() {
    let service = patient().await;
    for number in 1..=3 {
        let own = article(Section::Sports, number, 0, "draft");
        let author_id = user_of(Role::Author).to_string();
        service.section(Section::Sports).put(Article { author_id, ..own });
    }
    service.section(Section::Sports).put(article(Section::Sports, 9, 0, "draft"));
    let author = token(Role::Author);
    let answer = service.get("/sports?mine=true&state=draft&limit=2").bearer(&author).send().await;
    assert_eq!((ids(&answer).len(), &answer.json["page"]["total"]), (2, &3.into()));
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let request: ListArticlesRequest = service.section(Section::Sports).last("ListArticles");
    assert_eq!(request.author_id, Some(user_of(Role::Author).to_string()));
    let link = answer.header("link");
    assert!(link.contains("mine=true&state=draft") && !link.contains("author_id"), "{link}");
    // Without a state it lists what the caller has published, and `false` is the same as nothing.
    let answer = service.get("/sports?mine=true").bearer(&author).send().await;
    assert_eq!((answer.status.as_u16(), ids(&answer).len()), (200, 0));
    let request: ListArticlesRequest = service.section(Section::Sports).last("ListArticles");
    assert_eq!((request.author_id.is_some(), request.states.is_empty()), (true, true));
    let answer = service.get("/sports?mine=false").send().await;
    assert_eq!(answer.header("cache-control").split(',').next(), Some("public"));
}

#[tokio::test]
async fn lists_of_work_are_for_staff_and_only_what_is_not_published_waits() {
    let service = patient().await;
    for query in ["order=waiting", "order=waiting&state=in_review", "mine=true", "mine=true&order=waiting"] {
        for list in ["all", "sports"] {
            let path = format!("/{list}?{query}");
            assert_eq!(service.get(&path).send().await.problem(), (401, "unauthenticated"), "{path}");
            let reader = service.get(&path).bearer(&token(Role::Reader)).send().await;
            assert_eq!(reader.problem(), (403, "role_required"), "{path}");
        }
    }
    for query in ["order=waiting", "order=waiting&state=published", "order=waiting&mine=true"] {
        let answer = service.get(&format!("/all?{query}")).bearer(&token(Role::Admin)).send().await;
        assert_eq!(answer.problem(), (422, "invalid"), "{query}");
        assert_eq!(answer.errors(), [("/state", "required")], "{query}");
    }
    assert!(service.sections.iter().all(|section| section.calls().is_empty()), "no section was called");
}
