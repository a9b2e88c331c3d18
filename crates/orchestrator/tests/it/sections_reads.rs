//! What each reading method of `NewsSections` promises; `sections` asks it of every adapter.

use kernel::{ArticleId, Kind, Refusal, Timestamp, UserId, Version};
use orchestrator::domain::{Article, DiffOp, Filter, History, Order, Part, Picked, Position, Start, State};
use orchestrator::ports::{SectionError, Which};
use proto::news::v1 as wire;

use crate::desk::{Desk, Mood, article};
use crate::sections::{Given, SPORTS, article_id};

pub async fn an_article_comes_as_its_section_tells_it(given: Given) {
    let told = wire::Article {
        title: "\u{202b}שלום\u{202c} 🗞️".to_owned(),
        description: Some("In two lines,\nfor lists".to_owned()),
        lang: Some("en".to_owned()),
        image: Some("https://example.org/a.jpg".to_owned()),
        region: Some("GB".to_owned()),
        corrections: vec![wire::Correction {
            kind: "correction".to_owned(),
            text: "It was 40".to_owned(),
            at_ms: 1_500,
            version: 6,
        }],
        ..article(SPORTS, 1, 10, "of-a-later-release")
    };
    let id = given.desk(SPORTS).put(told.clone());
    let found = given.get(SPORTS, id).await.expect("an article");
    assert_eq!((found.id, found.section, found.version.number()), (id, SPORTS, told.version));
    assert_eq!((found.state.as_str(), found.slug), (told.state.as_str(), told.slug));
    assert_eq!((found.title, found.description, found.content), (told.title, told.description, told.content));
    assert_eq!(
        (found.author, found.author_id.to_string(), found.tags),
        (told.author, told.author_id, told.tags)
    );
    assert_eq!((found.lang, found.image, found.region), (told.lang, told.image, told.region));
    let times =
        (found.created_at.millis(), found.updated_at.millis(), found.published_at.map(|at| at.millis()));
    assert_eq!(times, (told.created_at_ms, told.updated_at_ms, told.published_at_ms));
    let correction = &found.corrections[0];
    assert_eq!((correction.kind.as_str(), correction.text.as_str()), ("correction", "It was 40"));
    assert_eq!((correction.at.millis(), correction.version.number()), (1_500, 6));
}

pub async fn with_a_least_version_the_section_is_told_what_to_wait_for(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    given.port.get(SPORTS, id, Some(Version::new(7)), None).await.expect("an article");
    let asked: wire::GetArticleRequest = given.desk(SPORTS).last("GetArticle");
    assert_eq!((asked.id, asked.min_version), (id.to_string(), Some(7)));
    // Waiting in vain says nothing bad about the section: however often, it is asked again.
    let waited = Refusal::new(Kind::Unavailable, "not_yet_projected", "not yet");
    given.desk(SPORTS).forget();
    given.desk(SPORTS).set(Mood::Refusing(waited.clone()));
    for _ in 0..20 {
        let fault = given.port.get(SPORTS, id, Some(Version::new(8)), None).await.expect_err("not yet");
        assert!(matches!(fault, SectionError::Refused(refusal) if refusal == waited));
    }
    assert_eq!(given.desk(SPORTS).calls().len(), 20);
}

pub async fn what_the_caller_may_not_see_is_refused_as_if_it_were_not_there(given: Given) {
    let draft = given.desk(SPORTS).put(article(SPORTS, 1, 0, "draft"));
    given.desk(SPORTS).set(Mood::Discreet);
    let told = |fault: SectionError| match fault {
        SectionError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    let hidden = told(given.get(SPORTS, draft).await.expect_err("not for everybody"));
    let absent = told(given.get(SPORTS, article_id(99)).await.expect_err("there is none"));
    assert_eq!((hidden.kind, &hidden), (Kind::NotFound, &absent));
}

pub async fn of_these_articles_those_that_are_there_come_in_the_order_of_the_ids(given: Given) {
    let (old, new) = (given.desk(SPORTS).published(1, 10), given.desk(SPORTS).published(2, 20));
    for content in [false, true] {
        let ids = [old, article_id(99), new];
        let Picked { articles: found, cut } =
            given.port.get_many(SPORTS, &ids, &[], content, None).await.expect("articles");
        assert_eq!((ids_of(&found), cut), (vec![old, new], false));
        assert!(found.iter().all(|article| article.content.is_some() == content));
    }
}

pub async fn of_these_articles_those_in_the_states_that_were_asked_for_come(given: Given) {
    let desk = given.desk(SPORTS);
    let ids = [desk.published(1, 10), desk.put(article(SPORTS, 2, 0, "draft"))];
    let deleted = desk.put(article(SPORTS, 3, 0, "deleted"));
    let all = [ids[0], deleted, ids[1]];
    let cases = [
        (vec![], vec![ids[0]]),
        (vec![State::new("draft")], vec![ids[1]]),
        (vec![State::new("draft"), State::published()], vec![ids[0], ids[1]]),
    ];
    for (states, expected) in cases {
        let found = given.port.get_many(SPORTS, &all, &states, false, Some("a.b.c")).await.expect("articles");
        assert_eq!(ids_of(&found.articles), expected, "{states:?}");
        let sizes = given.port.sizes(SPORTS, &all, &states, Some("a.b.c")).await.expect("sizes");
        assert_eq!(sizes.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), expected, "{states:?}");
        assert_eq!(desk.calls().pop().expect("a call").token.as_deref(), Some("a.b.c"));
    }
}

pub async fn texts_come_as_far_as_one_page_holds_them_and_their_sizes_without_them(given: Given) {
    let desk = given.desk(SPORTS);
    let long = |number| wire::Article {
        content: Some("x".repeat(900_000)),
        ..article(SPORTS, number, 5, "published")
    };
    let ids = [1, 2, 3].map(|number| desk.put(long(number)));
    let sizes = given.port.sizes(SPORTS, &ids, &[], None).await.expect("sizes");
    assert_eq!(sizes, ids.map(|id| (id, 900_000)));
    let picked = given.port.get_many(SPORTS, &ids, &[], true, None).await.expect("articles");
    assert_eq!((ids_of(&picked.articles), picked.cut), (ids[..2].to_vec(), true));
    let picked = given.port.get_many(SPORTS, &ids, &[], false, None).await.expect("articles");
    assert_eq!((ids_of(&picked.articles), picked.cut), (ids.to_vec(), false));
}

pub async fn a_list_is_a_part_of_what_passes_the_filter_with_its_total(given: Given) {
    let desk = given.desk(SPORTS);
    let ids = five_and_a_draft(desk);
    let list = given.port.list(SPORTS, &Part::newest(1, 2), None).await.expect("a list");
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
    let part = Part { filter, order: Order::Oldest, start: Start::Offset(0), limit: 2 };
    let list = given.port.list(SPORTS, &part, None).await.expect("a list");
    assert_eq!((list.total, ids_of(&list.articles)), (3, vec![ids[1], ids[2]]));
    let none = Filter { label: Some("tennis".to_owned()), ..Filter::default() };
    let list = given.port.list(SPORTS, &Part { filter: none, ..part }, None).await.expect("a list");
    assert_eq!((list.total, list.articles.len()), (0, 0));
}

pub async fn positions_are_the_places_of_the_same_part(given: Given) {
    let ids = five_and_a_draft(given.desk(SPORTS));
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
        let part = Part { order, start, ..Part::newest(0, 2) };
        let found = given.port.positions(SPORTS, &part, None).await.expect("places");
        assert_eq!((found.total, found.positions), (5, expected.map(place).to_vec()), "{part:?}");
        let list = given.port.list(SPORTS, &part, None).await.expect("a list");
        assert_eq!(ids_of(&list.articles), expected.map(|index| ids[index]), "{part:?}");
    }
    // Every version of the played section was made in the same moment; then the ids decide.
    let part = Part { order: Order::Updated, ..Part::newest(0, 1) };
    let found = given.port.positions(SPORTS, &part, None).await.expect("places");
    assert_eq!(found.positions, [Position { at: Timestamp::from_millis(2000), id: ids[4] }]);
}

pub async fn a_history_is_of_the_versions_before_one_the_newest_first(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    let numbers =
        |history: &History| -> Vec<u32> { history.steps.iter().map(|step| step.version.number()).collect() };
    let newest = given.port.history(SPORTS, id, None, 3, Some("a.b.c")).await.expect("a history");
    assert_eq!((numbers(&newest), newest.next), (vec![7, 6, 5], Some(Version::new(5))));
    assert_eq!(given.desk(SPORTS).calls()[0].token.as_deref(), Some("a.b.c"));
    let step = &newest.steps[0];
    assert_eq!((step.event.as_str(), step.by), ("restored", UserId::new(uuid::Uuid::from_u128(2))));
    assert_eq!((step.at.millis(), step.from), (1000, Some(Version::new(1))));
    assert_eq!(step.changed, ["title"]);
    let oldest = given.port.history(SPORTS, id, Some(Version::new(3)), 3, None).await.expect("a history");
    assert_eq!((numbers(&oldest), oldest.next), (vec![2, 1], None));
    assert_eq!((oldest.steps[1].event.as_str(), oldest.steps[1].from), ("drafted", None));
}

pub async fn an_article_comes_as_it_was_at_a_version_or_at_a_moment(given: Given) {
    use wire::get_version_request::Which as Asked;
    let id = given.desk(SPORTS).published(1, 10);
    let cases = [
        (Which::Version(Version::new(3)), 3, Asked::Version(3)),
        (Which::At(Timestamp::from_millis(1_500)), 5, Asked::AtMs(1_500)),
    ];
    for (which, version, asked) in cases {
        let found = given.port.version(SPORTS, id, which, None).await.expect("an article");
        assert_eq!((found.id, found.version.number()), (id, version));
        assert!(found.content.is_some());
        let request: wire::GetVersionRequest = given.desk(SPORTS).last("GetVersion");
        assert_eq!((request.id, request.which), (id.to_string(), Some(asked)));
    }
}

pub async fn a_difference_is_the_words_of_two_versions(given: Given) {
    let id = given.desk(SPORTS).published(1, 10);
    let parts = given.port.diff(SPORTS, id, Version::new(2), Version::new(4), None).await.expect("parts");
    let told: Vec<_> = parts.iter().map(|part| (part.field.as_str(), part.op, part.text.as_str())).collect();
    let expected = [
        ("content", DiffOp::Equal, "It was "),
        ("content", DiffOp::Delete, "Monday"),
        ("content", DiffOp::Insert, "Tuesday"),
    ];
    assert_eq!(told, expected);
    let asked: wire::DiffVersionsRequest = given.desk(SPORTS).last("DiffVersions");
    assert_eq!((asked.id, asked.from, asked.to), (id.to_string(), 2, 4));
}

fn ids_of(articles: &[Article]) -> Vec<ArticleId> {
    articles.iter().map(|article| article.id).collect()
}

/// Five published ones, one each second from the first on, and one that is not.
fn five_and_a_draft(desk: &Desk) -> Vec<ArticleId> {
    let ids = (1..=5u32).map(|n| desk.published(n, i64::from(n))).collect();
    desk.put(article(SPORTS, 6, 0, "draft"));
    ids
}
