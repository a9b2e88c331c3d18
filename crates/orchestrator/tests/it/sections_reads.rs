//! The laws of the methods of `NewsSections` that read, which `sections` checks for every adapter.

use kernel::{ArticleId, Kind, Refusal, Timestamp, UserId, Version};
use orchestrator::{
    Article, ArticleBatch, DiffOp, Filter, History, ListSlice, Order, Position, ProofLink, ProofSlice,
    SectionError, Start, State, Which,
};
use proto::news::v1 as messages;

use crate::fake_section::{Behaviour, FakeSection, article};
use crate::sections::{Fixture, SPORTS, article_id};

pub async fn an_article_arrives_as_its_section_sent_it(fixture: Fixture) {
    let sent = messages::Article {
        title: "\u{202b}שלום\u{202c} 🗞️".to_owned(),
        description: Some("In two lines,\nfor lists".to_owned()),
        lang: Some("en".to_owned()),
        image: Some("https://example.org/a.jpg".to_owned()),
        region: Some("GB".to_owned()),
        corrections: vec![messages::Correction {
            kind: "correction".to_owned(),
            text: "It was 40".to_owned(),
            at_ms: 1_500,
            version: 6,
        }],
        ..article(SPORTS, 1, 10, "of-a-later-release")
    };
    let id = fixture.section(SPORTS).put(sent.clone());
    let found = fixture.get(SPORTS, id).await.expect("an article");
    assert_eq!((found.id, found.section, found.version.number()), (id, SPORTS, sent.version));
    assert_eq!((found.state.as_str(), found.slug), (sent.state.as_str(), sent.slug));
    assert_eq!((found.title, found.description, found.content), (sent.title, sent.description, sent.content));
    assert_eq!(
        (found.author, found.author_id.to_string(), found.tags),
        (sent.author, sent.author_id, sent.tags)
    );
    assert_eq!((found.lang, found.image, found.region), (sent.lang, sent.image, sent.region));
    let times =
        (found.created_at.millis(), found.updated_at.millis(), found.published_at.map(|at| at.millis()));
    assert_eq!(times, (sent.created_at_ms, sent.updated_at_ms, sent.published_at_ms));
    let correction = &found.corrections[0];
    assert_eq!((correction.kind.as_str(), correction.text.as_str()), ("correction", "It was 40"));
    assert_eq!((correction.at.millis(), correction.version.number()), (1_500, 6));
}

pub async fn min_version_reaches_the_section(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    fixture.port.get(SPORTS, id, Some(Version::new(7)), None).await.expect("an article");
    let request: messages::GetArticleRequest = fixture.section(SPORTS).last("GetArticle");
    assert_eq!((request.id, request.min_version), (id.to_string(), Some(7)));
    // A wait without success is not a failure of the section, so it is still called, however often that
    // happens.
    let waited = Refusal::new(Kind::Unavailable, "not_yet_projected", "not yet");
    fixture.section(SPORTS).clear_calls();
    fixture.section(SPORTS).behave(Behaviour::Refuse(waited.clone()));
    for _ in 0..20 {
        let fault = fixture.port.get(SPORTS, id, Some(Version::new(8)), None).await.expect_err("not yet");
        assert!(matches!(fault, SectionError::Refused(refusal) if refusal == waited));
    }
    assert_eq!(fixture.section(SPORTS).calls().len(), 20);
}

pub async fn an_article_that_the_caller_may_not_see_is_not_found(fixture: Fixture) {
    let draft = fixture.section(SPORTS).put(article(SPORTS, 1, 0, "draft"));
    fixture.section(SPORTS).behave(Behaviour::HideDrafts);
    let refusal = |fault: SectionError| match fault {
        SectionError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    let hidden = refusal(fixture.get(SPORTS, draft).await.expect_err("a draft is hidden"));
    let absent = refusal(fixture.get(SPORTS, article_id(99)).await.expect_err("it does not exist"));
    assert_eq!((hidden.kind, &hidden), (Kind::NotFound, &absent));
}

pub async fn existing_articles_arrive_in_the_order_of_the_ids(fixture: Fixture) {
    let (old, new) =
        (fixture.section(SPORTS).add_published(1, 10), fixture.section(SPORTS).add_published(2, 20));
    for content in [false, true] {
        let ids = [old, article_id(99), new];
        let ArticleBatch { articles: found, truncated } =
            fixture.port.get_many(SPORTS, &ids, &[], content, None).await.expect("articles");
        assert_eq!((ids_of(&found), truncated), (vec![old, new], false));
        assert!(found.iter().all(|article| article.content.is_some() == content));
    }
}

pub async fn only_articles_in_the_requested_states_arrive(fixture: Fixture) {
    let section = fixture.section(SPORTS);
    let ids = [section.add_published(1, 10), section.put(article(SPORTS, 2, 0, "draft"))];
    let deleted = section.put(article(SPORTS, 3, 0, "deleted"));
    let all = [ids[0], deleted, ids[1]];
    let cases = [
        (vec![], vec![ids[0]]),
        (vec![State::new("draft")], vec![ids[1]]),
        (vec![State::new("draft"), State::published()], vec![ids[0], ids[1]]),
    ];
    for (states, expected) in cases {
        let found =
            fixture.port.get_many(SPORTS, &all, &states, false, Some("a.b.c")).await.expect("articles");
        assert_eq!(ids_of(&found.articles), expected, "{states:?}");
        let sizes = fixture.port.sizes(SPORTS, &all, &states, Some("a.b.c")).await.expect("sizes");
        assert_eq!(sizes.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), expected, "{states:?}");
        assert_eq!(section.calls().pop().expect("a call").token.as_deref(), Some("a.b.c"));
    }
}

pub async fn texts_arrive_up_to_the_bound_of_a_page_and_sizes_without_texts(fixture: Fixture) {
    let section = fixture.section(SPORTS);
    let long = |number| messages::Article {
        content: Some("x".repeat(900_000)),
        ..article(SPORTS, number, 5, "published")
    };
    let ids = [1, 2, 3].map(|number| section.put(long(number)));
    let sizes = fixture.port.sizes(SPORTS, &ids, &[], None).await.expect("sizes");
    assert_eq!(sizes, ids.map(|id| (id, 900_000)));
    let picked = fixture.port.get_many(SPORTS, &ids, &[], true, None).await.expect("articles");
    assert_eq!((ids_of(&picked.articles), picked.truncated), (ids[..2].to_vec(), true));
    let picked = fixture.port.get_many(SPORTS, &ids, &[], false, None).await.expect("articles");
    assert_eq!((ids_of(&picked.articles), picked.truncated), (ids.to_vec(), false));
}

pub async fn a_list_is_a_slice_of_the_matching_articles_with_their_total(fixture: Fixture) {
    let section = fixture.section(SPORTS);
    let ids = five_and_a_draft(section);
    let list = fixture.port.list(SPORTS, &ListSlice::newest(1, 2), None).await.expect("a list");
    assert_eq!((list.total, ids_of(&list.articles)), (5, vec![ids[3], ids[2]]));
    assert!(list.articles.iter().all(|article| article.content.is_none()));
    let at = |second: i64| Timestamp::from_millis(second * 1000);
    let filter = Filter {
        label: Some("budget".to_owned()),
        author: Some("Ada Byron".to_owned()),
        author_id: Some(UserId::new(uuid::Uuid::from_u128(1))),
        from: Some(at(2)),
        to: Some(at(4)),
        states: vec![State::published()],
    };
    let slice = ListSlice { filter, order: Order::Oldest, start: Start::Offset(0), limit: 2 };
    let list = fixture.port.list(SPORTS, &slice, None).await.expect("a list");
    assert_eq!((list.total, ids_of(&list.articles)), (3, vec![ids[1], ids[2]]));
    let none = Filter { label: Some("tennis".to_owned()), ..Filter::default() };
    let list = fixture.port.list(SPORTS, &ListSlice { filter: none, ..slice }, None).await.expect("a list");
    assert_eq!((list.total, list.articles.len()), (0, 0));
}

pub async fn positions_are_those_of_the_same_slice(fixture: Fixture) {
    let ids = five_and_a_draft(fixture.section(SPORTS));
    let place = |index: usize| Position {
        at: Timestamp::from_millis((i64::try_from(index).expect("small") + 1) * 1000),
        id: ids[index],
    };
    let cases = [
        (Order::Newest, Start::Offset(1), [3, 2]),
        (Order::Oldest, Start::After(place(1)), [2, 3]),
        (Order::Newest, Start::Before(place(2)), [4, 3]),
    ];
    for (order, start, expected) in cases {
        let slice = ListSlice { order, start, ..ListSlice::newest(0, 2) };
        let found = fixture.port.positions(SPORTS, &slice, None).await.expect("places");
        assert_eq!((found.total, found.positions), (5, expected.map(place).to_vec()), "{slice:?}");
        let list = fixture.port.list(SPORTS, &slice, None).await.expect("a list");
        assert_eq!(ids_of(&list.articles), expected.map(|index| ids[index]), "{slice:?}");
    }
    // Every version of the fake section has the same moment, so the ids decide.
    let slice = ListSlice { order: Order::Updated, ..ListSlice::newest(0, 1) };
    let found = fixture.port.positions(SPORTS, &slice, None).await.expect("places");
    assert_eq!(found.positions, [Position { at: Timestamp::from_millis(2000), id: ids[4] }]);
}

pub async fn the_work_of_a_section_arrives_in_its_groups(fixture: Fixture) {
    let waiting = |number, second: i64| messages::Article {
        state_since_ms: Some(second * 1_000),
        ..article(SPORTS, number, 0, "in_review")
    };
    let section = fixture.section(SPORTS);
    let (late, early) = (section.put(waiting(1, 20)), section.put(waiting(2, 10)));
    let due =
        section.put(messages::Article { scheduled_at_ms: Some(3_000), ..article(SPORTS, 3, 0, "scheduled") });
    let desk = fixture.port.desk(SPORTS, Some("a.b.c")).await.expect("the work");
    assert_eq!(section.calls()[0].token.as_deref(), Some("a.b.c"));
    let counts: Vec<_> = desk.counts.iter().map(|each| (each.state.as_str(), each.articles)).collect();
    assert_eq!(counts, [("draft", 0), ("in_review", 2), ("scheduled", 1), ("published", 0)]);
    assert_eq!((ids_of(&desk.to_review.articles), desk.to_review.total), (vec![early, late], 2));
    assert_eq!(desk.to_review.articles[0].state_since, Timestamp::from_millis(10_000));
    assert_eq!((ids_of(&desk.scheduled.articles), desk.returned.total), (vec![due], 0));
}

pub async fn a_history_has_the_versions_before_one_newest_first(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    let numbers = |history: &History| -> Vec<u32> {
        history.entries.iter().map(|entry| entry.version.number()).collect()
    };
    let newest = fixture.port.history(SPORTS, id, None, 3, Some("a.b.c")).await.expect("a history");
    assert_eq!((numbers(&newest), newest.next), (vec![7, 6, 5], Some(Version::new(5))));
    assert_eq!(fixture.section(SPORTS).calls()[0].token.as_deref(), Some("a.b.c"));
    let entry = &newest.entries[0];
    assert_eq!((entry.event.as_str(), entry.by), ("restored", UserId::new(uuid::Uuid::from_u128(2))));
    assert_eq!((entry.at.millis(), entry.from), (1000, Some(Version::new(1))));
    assert_eq!(entry.changed, ["title"]);
    let oldest = fixture.port.history(SPORTS, id, Some(Version::new(3)), 3, None).await.expect("a history");
    assert_eq!((numbers(&oldest), oldest.next), (vec![2, 1], None));
    assert_eq!((oldest.entries[1].event.as_str(), oldest.entries[1].from), ("drafted", None));
}

pub async fn an_article_arrives_as_it_was_at_a_version_or_at_a_moment(fixture: Fixture) {
    use messages::get_version_request::Which as RequestedVersion;
    let id = fixture.section(SPORTS).add_published(1, 10);
    let cases = [
        (Which::Version(Version::new(3)), 3, RequestedVersion::Version(3)),
        (Which::At(Timestamp::from_millis(1_500)), 5, RequestedVersion::AtMs(1_500)),
    ];
    for (which, version, expected) in cases {
        let found = fixture.port.version(SPORTS, id, which, None).await.expect("an article");
        assert_eq!((found.id, found.version.number()), (id, version));
        assert!(found.content.is_some());
        let request: messages::GetVersionRequest = fixture.section(SPORTS).last("GetVersion");
        assert_eq!((request.id, request.which), (id.to_string(), Some(expected)));
    }
}

pub async fn a_comparison_has_the_words_of_two_versions(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    let parts = fixture.port.diff(SPORTS, id, Version::new(2), Version::new(4), None).await.expect("parts");
    let words: Vec<_> = parts.iter().map(|part| (part.field.as_str(), part.op, part.text.as_str())).collect();
    let expected = [
        ("content", DiffOp::Equal, "It was "),
        ("content", DiffOp::Delete, "Monday"),
        ("content", DiffOp::Insert, "Tuesday"),
    ];
    assert_eq!(words, expected);
    let request: messages::DiffVersionsRequest = fixture.section(SPORTS).last("DiffVersions");
    assert_eq!((request.id, request.from, request.to), (id.to_string(), 2, 4));
}

fn ids_of(articles: &[Article]) -> Vec<ArticleId> {
    articles.iter().map(|article| article.id).collect()
}

/// Adds five published articles, one each second from the first on, and a draft.
fn five_and_a_draft(section: &FakeSection) -> Vec<ArticleId> {
    let ids = (1..=5u32).map(|n| section.add_published(n, i64::from(n))).collect();
    section.put(article(SPORTS, 6, 0, "draft"));
    ids
}

pub async fn a_proof_has_the_links_after_a_version(fixture: Fixture) {
    let id = fixture.section(SPORTS).add_published(1, 10);
    let slice = ProofSlice { after: Some(Version::new(4)), limit: 2, records: true };
    let page = fixture.port.proof(SPORTS, id, slice, Some("a.b.c")).await.expect("a proof");
    assert_eq!(fixture.section(SPORTS).calls()[0].token.as_deref(), Some("a.b.c"));
    assert_eq!((page.links.len(), page.next), (2, Some(Version::new(6))));
    let digits = |version: u32| Some(format!("{version:064x}"));
    let record = Some("{\"version\":5}".to_owned());
    let expected = ProofLink { version: Version::new(5), hash: digits(5), previous: digits(4), record };
    assert_eq!(page.links[0], expected);
    let last = ProofSlice { after: page.next, records: false, ..slice };
    let last = fixture.port.proof(SPORTS, id, last, None).await.expect("a proof");
    assert_eq!((last.links.len(), last.next, last.links[0].record.as_ref()), (1, None, None));
}
