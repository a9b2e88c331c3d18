//! The laws of lists: what passes a filter, in which order, from which place on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kernel::{ArticleId, Label, UserId};
use rand::RngExt;
use rand::rngs::StdRng;
use testkit::{Folder, random};
use uuid::Uuid;

use super::sample::{at, author, drafted, id, published, revised};
use crate::domain::{Article, Byline, Filter, Order, Part, Position, Standing, Start, State, Transition};
use crate::ports::NewsView;

struct Fixture {
    view: Arc<dyn NewsView>,
    // Present if the view is a file.
    _folder: Option<Folder>,
}

impl Fixture {
    async fn apply(&self, article: &Article) {
        self.view.apply(article).await.expect("it is applied");
    }

    async fn places(&self, part: &Part) -> Vec<Position> {
        self.view.positions(part).await.expect("a list").positions
    }
}

const ORDERS: [Order; 5] = [Order::Newest, Order::Oldest, Order::Updated, Order::Waiting, Order::Due];

/// An article that differs from its neighbours in everything that lists ask for; times and labels meet often.
fn varied(chance: &mut StdRng, number: u128) -> Article {
    let mut change = drafted(number);
    change.article.author = UserId::new(Uuid::from_u128(0xa + chance.random_range(0..3)));
    let bylines = ["Ada", "Bob", "ada", "Zoë", "Zoe\u{308}"];
    change.article.byline = Byline::of(bylines[chance.random_range(0..bylines.len())], change.article.author);
    let labels = ["budget", "tax", "o'neill", "Budget", " BUDGET", "Zürich", "ZU\u{308}RICH"];
    change.article.story.tags = (0..chance.random_range(0..4))
        .map(|_| Label::parse(labels[chance.random_range(0..labels.len())]).expect("a label"))
        .collect();
    let by = change.article.author;
    let later = at(chance.random_range(0..6));
    match chance.random_range(0..9) {
        0 => change.article,
        1 => change.article.delete(by, later).expect("a draft can be deleted").article,
        2 => Article { review_note: Some("Who?".to_owned()), ..change.article },
        3 => {
            let scheduled = change.article.step(Transition::Schedule, Standing::Reviewer, by, later);
            let scheduled_at = Some(at(chance.random_range(10..14)));
            Article { scheduled_at, ..scheduled.expect("a draft can be scheduled").article }
        }
        4 => {
            let submitted = change.article.step(Transition::Submit, Standing::Author, by, later);
            let mut article = submitted.expect("a draft can be submitted").article;
            // A version that leaves the state as it is.
            article.updated_at = article.updated_at.plus(Duration::from_millis(chance.random_range(0..4)));
            article
        }
        _ => {
            let public = change.article.publish(by, later).expect("a draft can be published").article;
            let mut later = public.clone();
            if chance.random_bool(0.3) {
                later.version = later.version.next();
                later.updated_at = later.updated_at.plus(Duration::from_millis(chance.random_range(0..4)));
            }
            later
        }
    }
}

fn writer(number: u128) -> UserId {
    UserId::new(Uuid::from_u128(number))
}

fn filters() -> Vec<Filter> {
    let by_label = |label: &str| Filter { label: Some(label.to_owned()), ..Filter::default() };
    let by_byline = |name: &str| Filter { byline: Some(name.to_owned()), ..Filter::default() };
    vec![
        Filter::default(),
        by_label("budget"),
        by_label("o'neill"),
        by_label("unknown"),
        by_label("Budget "),
        by_label("zu\u{308}rich"),
        by_byline("Zoe\u{308}"),
        by_byline("Ada"),
        by_byline("ada"),
        Filter { author: Some(UserId::new(Uuid::from_u128(0xb))), ..Filter::default() },
        Filter { from: Some(at(2)), ..Filter::default() },
        Filter { to: Some(at(2)), ..Filter::default() },
        Filter { from: Some(at(2)), to: Some(at(2)), ..by_label("tax") },
        Filter { states: vec![State::Draft, State::Published], ..Filter::default() },
        Filter { states: vec![State::Deleted], ..Filter::default() },
        Filter { states: State::ALL.to_vec(), from: Some(at(0)), ..Filter::default() },
        Filter { states: vec![State::Draft], ..by_label("tax") },
        Filter { author: Some(author()), states: State::ALL.to_vec(), ..by_byline("Bob") },
        Filter { states: vec![State::InReview, State::Scheduled], ..Filter::default() },
        Filter { states: vec![State::InReview], except_author: Some(writer(0xb)), ..Filter::default() },
        Filter { states: vec![State::InReview], except_author: Some(writer(0xb)), ..by_label("tax") },
        Filter { author: Some(writer(0xb)), except_author: Some(writer(0xb)), ..Filter::default() },
        Filter { states: State::ALL.to_vec(), returned: true, ..Filter::default() },
        Filter { author: Some(writer(0xc)), states: vec![State::Draft], returned: true, ..Filter::default() },
    ]
}

/// The list by the letter of the law.
fn naive(all: &[Article], filter: &Filter, order: Order) -> Vec<Position> {
    let mut places: Vec<Position> =
        all.iter().filter(|article| filter.passes(article)).map(|each| Position::of(each, order)).collect();
    places.sort();
    if matches!(order, Order::Newest | Order::Updated) {
        places.reverse();
    }
    places
}

async fn many(given: &Fixture, seed: u64, count: u128) -> Vec<Article> {
    let mut chance = random(seed);
    let all: Vec<Article> = (1..=count).map(|number| varied(&mut chance, number)).collect();
    for article in &all {
        given.apply(article).await;
    }
    all
}

async fn a_list_contains_the_articles_that_pass_its_filter(given: Fixture) {
    let all = many(&given, 1, 40).await;
    for filter in filters() {
        for order in ORDERS {
            let part = Part { filter: filter.clone(), order, start: Start::Offset(0), limit: 100 };
            let listing = given.view.list(&part).await.expect("a list");
            let places: Vec<_> = listing.articles.iter().map(|each| Position::of(each, order)).collect();
            let expected = naive(&all, &filter, order);
            assert_eq!(places, expected, "{part:?}");
            assert_eq!(listing.total, expected.len() as u64, "{part:?}");
        }
    }
}

async fn the_parts_before_and_after_a_position_are_the_whole_list(given: Fixture) {
    let all = many(&given, 2, 30).await;
    // A position without an article.
    let nowhere = Position { at: at(3), id: id(1_000) };
    for filter in [Filter::default(), filters().remove(1), filters().remove(15), filters().remove(18)] {
        for order in ORDERS {
            let whole = naive(&all, &filter, order);
            let part = |start, limit| Part { filter: filter.clone(), order, start, limit };
            for place in whole.iter().copied().chain([nowhere]) {
                let (after, before) = (Start::After(place), Start::Before(place));
                let mut joined = given.places(&part(before, 100)).await;
                joined.extend(whole.contains(&place).then_some(place));
                joined.extend(given.places(&part(after, 100)).await);
                assert_eq!(joined, whole, "{order:?} around {place:?}");
                // The nearest ones, not the first ones.
                let nearest = given.places(&part(before, 2)).await;
                let all_before = given.places(&part(before, 100)).await;
                assert_eq!(nearest, all_before[all_before.len().saturating_sub(2)..]);
            }
        }
    }
}

async fn the_positions_of_a_part_are_those_of_its_articles(given: Fixture) {
    many(&given, 3, 25).await;
    for filter in filters() {
        for order in ORDERS {
            for start in [Start::Offset(3), Start::After(Position { at: at(2), id: id(9) })] {
                let part = Part { filter: filter.clone(), order, start, limit: 4 };
                let listing = given.view.list(&part).await.expect("a list");
                let positions = given.view.positions(&part).await.expect("a list of places");
                let of = |article: &Article| Position::of(article, order);
                assert_eq!(positions.positions, listing.articles.iter().map(of).collect::<Vec<_>>());
                assert_eq!(positions.total, listing.total, "{part:?}");
            }
        }
    }
}

async fn a_walk_by_positions_neither_skips_nor_repeats_while_articles_come(given: Fixture) {
    for number in 100..120 {
        given.apply(&published(number, i64::try_from(number % 4).expect("small"))).await;
    }
    let there: BTreeSet<ArticleId> = (100..120).map(id).collect();
    let (mut met, mut place, mut turn) = (Vec::new(), None, 0_u128);
    loop {
        let start = place.map_or(Start::Offset(0), Start::After);
        let part = Part { start, ..Part::newest(0, 3) };
        let found = given.places(&part).await;
        let Some(last) = found.last() else { break };
        place = Some(*last);
        met.extend(found.iter().map(|place| place.id));
        // Articles are published meanwhile: before the current position, at its very moment on both sides of
        // it, and after it.
        turn += 1;
        for (number, millis) in
            [(turn, 9), (turn + 200, 2), (turn + 300, -1 - i64::try_from(turn).expect("small"))]
        {
            if turn < 6 {
                given.apply(&published(number, millis)).await;
            }
        }
    }
    let different: BTreeSet<ArticleId> = met.iter().copied().collect();
    assert_eq!(met.len(), different.len(), "nothing is repeated");
    assert!(there.is_subset(&different), "nothing that was there is skipped");
    for turn in 1..6 {
        assert!(!different.contains(&id(turn)), "what came before the place is not seen");
        assert!(different.contains(&id(turn + 300)), "what came after it is");
    }
}

async fn totals_follow_every_change_of_an_article(given: Fixture) {
    let total = |states: Vec<State>| {
        let part = Part { filter: Filter { states, ..Filter::default() }, ..Part::newest(5, 1) };
        let view = given.view.clone();
        async move { view.list(&part).await.expect("a list").total }
    };
    let draft = drafted(1).article;
    given.apply(&draft).await;
    assert_eq!((total(vec![]).await, total(vec![State::Draft]).await), (0, 1));
    let public = draft.publish(author(), at(1)).expect("a draft can be published").article;
    for _ in 0..2 {
        given.apply(&public).await;
        given.apply(&draft).await;
        assert_eq!((total(vec![]).await, total(vec![State::Draft]).await), (1, 0));
    }
    given.apply(&revised(&public, "Later").article).await;
    given.apply(&published(2, 2)).await;
    assert_eq!(total(vec![]).await, 2);
    given.view.begin_rebuild().await.expect("it begins");
    given.view.load(&[published(3, 3), drafted(4).article]).await.expect("it is loaded");
    assert_eq!(total(vec![]).await, 2);
    given.view.finish_rebuild().await.expect("it ends");
    assert_eq!((total(vec![]).await, total(State::ALL.to_vec()).await), (1, 2));
}

async fn articles_are_counted_in_each_state_for_one_author_or_for_all(given: Fixture) {
    let all = many(&given, 4, 40).await;
    let expected = |author: Option<UserId>| -> Vec<(State, u64)> {
        let is_counted = |article: &&Article, state| {
            article.state == state && author.is_none_or(|author| author == article.author)
        };
        let count = |state| all.iter().filter(|article| is_counted(article, state)).count() as u64;
        State::ALL.map(|state| (state, count(state))).to_vec()
    };
    for author in [None, Some(writer(0xa)), Some(writer(0xb)), Some(writer(0xf))] {
        let counted = given.view.count_states(author).await.expect("they are counted");
        assert_eq!(counted, expected(author), "{author:?}");
    }
    assert_eq!(
        expected(None).iter().filter(|(_, count)| *count > 0).count(),
        5,
        "the sample has five states"
    );
    // The counts follow what changes.
    let draft = drafted(100).article;
    given.apply(&draft).await;
    let drafts = async || given.view.count_states(None).await.expect("they are counted")[0];
    let (_, before) = expected(None)[0];
    assert_eq!(drafts().await, (State::Draft, before + 1));
    given.apply(&draft.publish(author(), at(1)).expect("a draft can be published").article).await;
    assert_eq!(drafts().await, (State::Draft, before));
}

macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super) {
                a_list_contains_the_articles_that_pass_its_filter,
                the_parts_before_and_after_a_position_are_the_whole_list,
                the_positions_of_a_part_are_those_of_its_articles,
                a_walk_by_positions_neither_skips_nor_repeats_while_articles_come,
                totals_follow_every_change_of_an_article,
                articles_are_counted_in_each_state_for_one_author_or_for_all,
            }
        }
    };
}

mod sqlite {
    use super::*;
    use crate::store::sqlite_view::SqliteNewsView;

    async fn fixture() -> Fixture {
        let folder = Folder::new();
        let url = format!("sqlite:{}", folder.join("view.db").display());
        let view = SqliteNewsView::open(&url).await.expect("the view opens");
        Fixture { view: Arc::new(view), _folder: Some(folder) }
    }

    every_case!(fixture);
}

mod mongodb {
    use super::*;
    use crate::store::contract::engines;
    use crate::store::mongo_view::MongoNewsView;

    async fn fixture() -> Fixture {
        let view = MongoNewsView::open(&engines::mongodb(), "test").await.expect("the view opens");
        Fixture { view: Arc::new(view), _folder: None }
    }

    every_case!(fixture, ignore = "needs mongodb");
}
