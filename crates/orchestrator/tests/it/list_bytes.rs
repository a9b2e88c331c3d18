//! Lists with content, and their bound in bytes.

use std::net::{IpAddr, Ipv4Addr};

use chassis::http::{EdgeConfig, ThrottleConfig};
use kernel::{MAX_PAGE_TEXT, Section};
use proto::news::v1::{Article, GetArticlesRequest};

use crate::cache::{caching, settle};
use crate::fake_section::article;
use crate::service::{Answer, TestService, config};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
/// The longest allowed text.
const LONG: usize = 500_000;

/// Returns a service with eighteen articles with the longest texts, six in each section, and a short one
/// after every fourth.
async fn service() -> TestService {
    let mut config = caching();
    config.cache.bytes = 16 << 20;
    let service = TestService::with(config, |bus| bus).await;
    for number in 0..18 {
        let section = Section::ALL[number as usize % 3];
        service.section(section).put(long(section, number));
        if number % 4 == 3 {
            service.section(section).add_published(100 + number, i64::from(number));
        }
    }
    settle(&service);
    service
}

fn long(section: Section, number: u32) -> Article {
    let content = Some("x".repeat(LONG));
    Article { content, ..article(section, number, i64::from(number), "published") }
}

fn ids(answer: &Answer) -> Vec<String> {
    let news = answer.json["news"].as_array().unwrap_or_else(|| panic!("no news: {answer:?}"));
    news.iter().map(|article| article["id"].as_str().expect("an id").to_owned()).collect()
}

fn text(answer: &Answer) -> usize {
    let news = answer.json["news"].as_array().expect("news");
    news.iter().map(|article| article["content"].as_str().expect("a text").len()).sum()
}

/// Returns the pages from `path` on, as far as the cursors lead.
async fn walk(service: &TestService, path: &str, cursor: &str) -> Vec<Vec<String>> {
    let (mut pages, mut at) = (Vec::new(), path.to_owned());
    let list = path.split("&cursor=").next().expect("a list");
    loop {
        let answer = service.get(&at).send().await;
        assert_eq!(answer.status, 200, "{at}: {}", answer.json);
        let bytes = text(&answer);
        assert!(bytes as u64 <= MAX_PAGE_TEXT, "{bytes} bytes in {} articles", ids(&answer).len());
        pages.push(ids(&answer));
        let Some(next) = answer.json["page"][cursor].as_str() else { return pages };
        at = format!("{list}&cursor={next}");
    }
}

/// Returns the pages from the end of the list back to its beginning, in the order of the list. The last page
/// is that of the walk forward.
async fn back_from_the_end(service: &TestService, path: &str) -> Vec<Vec<String>> {
    let mut last = service.get(path).send().await;
    while let Some(next) = last.json["page"]["next_cursor"].as_str() {
        last = service.get(&format!("{path}&cursor={next}")).send().await;
    }
    let previous = last.json["page"]["prev_cursor"].as_str().expect("a way back").to_owned();
    let mut pages = walk(service, &format!("{path}&cursor={previous}"), "prev_cursor").await;
    pages.reverse();
    pages.push(ids(&last));
    pages
}

#[tokio::test]
async fn a_list_with_content_ends_at_two_mebibytes_of_text_and_its_cursors_continue_both_ways() {
    let service = service().await;
    for (list, expected) in [("all", 22), ("sports", 7)] {
        let whole = ids(&service.get(&format!("/{list}?limit=100")).send().await);
        assert_eq!(whole.len(), expected);
        let path = format!("/{list}?include=content&limit=100");
        let pages = walk(&service, &path, "next_cursor").await;
        assert!(pages.len() > 1 && pages.iter().all(|page| !page.is_empty()), "{pages:?}");
        assert_eq!(pages.concat(), whole, "{list}: no article is skipped and none repeated");
        let back = back_from_the_end(&service, &path).await;
        assert_eq!(back.concat(), whole, "{list}: and the same on the way back");
    }
}

#[tokio::test]
async fn no_section_sends_more_text_than_the_page_shows() {
    let service = service().await;
    for path in ["/all?include=content&limit=100", "/all?fields=id,content&order=oldest&limit=100"] {
        let shown = ids(&service.get(path).send().await).len();
        let mut requested = 0;
        for section in &service.sections {
            for call in section.calls().into_iter().filter(|call| call.method == "GetArticles") {
                let request: GetArticlesRequest = prost::Message::decode(call.body).expect("a request");
                requested += if request.sizes_only { 0 } else { request.ids.len() };
            }
            section.clear_calls();
        }
        assert!((1..=6).contains(&shown), "{shown} articles");
        assert_eq!(requested, shown, "{path}");
    }
}

#[tokio::test]
async fn only_a_page_by_number_whose_texts_exceed_the_bound_is_422_page_too_large() {
    let service = service().await;
    for path in ["/all/1/10", "/all/2/6", "/famous/1/7"] {
        let answer = service.get(&format!("{path}?include=content")).send().await;
        assert_eq!(answer.problem(), (422, "page_too_large"), "{path}");
        assert_eq!(answer.errors(), [("/limit", "page_too_large")], "{path}");
        let detail = answer.json["detail"].as_str().expect("a detail");
        assert!(detail.contains("2097152 bytes") && detail.contains("cursor"), "{detail}");
        assert_eq!(service.get(path).send().await.status, 200, "{path} without texts");
    }
    for path in ["/all/1/4", "/all/3/4", "/famous/1/4", "/sports/5/1"] {
        let answer = service.get(&format!("{path}?include=content")).send().await;
        assert_eq!((answer.status.as_u16(), ids(&answer).is_empty()), (200, false), "{path}");
    }
}

#[tokio::test]
async fn a_text_that_has_grown_since_its_size_was_requested_also_ends_the_page() {
    let service = TestService::with(config(), |bus| bus).await;
    let section = service.section(Section::Sports);
    let held: Vec<Article> = (0..6).map(|number| long(Section::Sports, number)).collect();
    for article in &held {
        section.put(Article { content: Some("short".to_owned()), ..article.clone() });
    }
    // The second call is the one for sizes. The texts grow before they are requested.
    let grow = async {
        while section.calls().len() < 2 {
            tokio::task::yield_now().await;
        }
        held.iter().for_each(|article| section.replace(article.clone()));
    };
    let (answer, ()) = tokio::join!(service.get("/sports?include=content&limit=6").send(), grow);
    assert_eq!(answer.status, 200);
    assert!(text(&answer) as u64 <= MAX_PAGE_TEXT);
    // Either the texts grew in time and the page is short, or too late and the page has all of the short
    // texts.
    let pages = walk(&service, "/sports?include=content&limit=6", "next_cursor").await;
    assert_eq!(pages.concat().len(), 6);
}

#[tokio::test]
async fn lists_with_content_are_costly_and_lists_without_are_not() {
    let costly = vec!["2/day".parse().expect("a limit")];
    let throttle = ThrottleConfig { costly, ..ThrottleConfig::default() };
    let service =
        TestService::behind(EdgeConfig { throttle, ..EdgeConfig::default() }, caching(), |bus| bus).await;
    service.section(Section::Sports).add_published(1, 1);
    let get = |path: &str| service.get(path).from(CLIENT).send();
    assert_eq!(get("/sports?include=content").await.status, 200);
    assert_eq!(get("/all/1/10?fields=id,content").await.status, 200);
    for path in [
        "/all?include=content",
        "/all?%69nclude=%63ontent",
        "/sports/1/1?include=content",
        "/sports?fields=title%2Ccontent",
        "/all/1/10?include=content",
    ] {
        let refused = get(path).await;
        assert_eq!(refused.problem(), (429, "too_many_requests"), "{path}");
        assert!(refused.header("ratelimit").starts_with("\"costly-day\""), "{path}");
    }
    for path in ["/all", "/sports?fields=title", "/all/1/10", "/home"] {
        assert_eq!(get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn if_the_memory_for_lists_with_content_is_used_up_they_are_busy_and_other_requests_are_served() {
    let mut config = caching();
    config.lists.content_bytes = 8 * 1024 * 1024;
    let service = TestService::with(config, |bus| bus).await;
    for number in 0..5 {
        service.section(Section::Sports).put(long(Section::Sports, number));
    }
    // A client that reads nothing of the answer.
    let unread = service.get("/sports?include=content&limit=4").send_unread().await;
    assert_eq!(unread.status(), 200);
    let busy = service.get("/sports?include=content&limit=3").send().await;
    assert_eq!(busy.problem(), (503, "busy"));
    assert_eq!(busy.header("retry-after"), "1");
    assert_eq!(service.get("/sports?limit=4").send().await.status, 200);
    assert_eq!(service.get("/home").send().await.status, 200);
    drop(unread);
    assert_eq!(service.get("/sports?include=content&limit=3").send().await.status, 200);
}

/// Returns a service whose budget for lists with content is its default, with five of the longest texts.
async fn service_for_two_clients() -> TestService {
    let service = TestService::behind(EdgeConfig::default(), caching(), |bus| bus).await;
    for number in 0..5 {
        service.section(Section::Sports).put(long(Section::Sports, number));
    }
    settle(&service);
    service
}

#[tokio::test]
async fn sixty_stalled_readers_at_one_address_leave_lists_with_content_to_other_addresses() {
    let service = service_for_two_clients().await;
    let path = |number| format!("/sports?include=content&limit=4&to=2099-01-01T00:00:{number:02}Z");
    let stalled = (0..60).map(|number| {
        let path = path(number);
        let service = &service;
        async move { service.get(&path).from(CLIENT).send_unread().await }
    });
    let stalled = futures::future::join_all(stalled).await;
    let held = stalled.iter().filter(|answer| answer.status() == 200).count();
    assert!((2..60).contains(&held), "{held} of 60 lists are held");
    for number in [0, 59] {
        let answer = service.get(&path(number)).from(OTHER).send().await;
        assert_eq!((answer.status.as_u16(), ids(&answer).len()), (200, 4), "{}", answer.json);
    }
    assert_eq!(service.get(&path(0)).from(CLIENT).send().await.problem(), (503, "busy"));
    drop(stalled);
    assert_eq!(service.get(&path(0)).from(CLIENT).send().await.status, 200);
}

#[tokio::test]
async fn no_client_waits_with_another_one_whose_share_of_the_memory_is_used_up() {
    let service = service_for_two_clients().await;
    let mut stalled = Vec::new();
    while let limit @ 4..100 = 4 + stalled.len() {
        let path = format!("/sports?include=content&limit={limit}");
        let answer = service.get(&path).from(CLIENT).send_unread().await;
        if answer.status() == 503 {
            break;
        }
        stalled.push(answer);
    }
    assert!((2..90).contains(&stalled.len()), "{} lists are held", stalled.len());
    // Both request the same list, the client without a share first.
    let path = "/sports?include=content&limit=2";
    let waiting = service.get(path).from(CLIENT).send();
    let served = service.get(path).from(OTHER).send();
    tokio::select! {
        biased;
        answer = waiting => panic!("it has no share: {}", answer.json),
        answer = served => assert_eq!((answer.status.as_u16(), ids(&answer).len()), (200, 2)),
    }
}
