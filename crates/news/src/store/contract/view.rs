use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kernel::{ArticleId, UserId};
use testkit::Folder;

use super::sample::{at, author, drafted, id, published, revised};
use crate::domain::{Article, Byline, Filter, MAX_CONTENT_BYTES, Part, State};
use crate::ports::{Listing, NewsView};

/// A connection that damages the view without the store.
#[async_trait]
trait Vandal: Send + Sync {
    /// Gives every article a wrong title and a version that no event has, and adds an article that was never
    /// written.
    async fn corrupt(&self);
}

struct Fixture {
    view: Arc<dyn NewsView>,
    vandal: Arc<dyn Vandal>,
    // Present if the view is a file.
    _folder: Option<Folder>,
}

impl Fixture {
    async fn apply(&self, article: &Article) -> bool {
        self.view.apply(article).await.expect("it is applied")
    }

    async fn get(&self, number: u128) -> Option<Article> {
        self.view.get(id(number)).await.expect("it is read")
    }

    async fn list(&self, offset: u32, limit: u32) -> Listing {
        let Listing { articles, total } =
            self.view.list(&Part::newest(offset, limit)).await.expect("it is listed");
        let ids: Vec<ArticleId> = articles.iter().map(|article| article.id).collect();
        let whole = self.view.pick(&ids, &Filter::default(), true).await.expect("they are picked");
        assert_eq!(whole.len(), articles.len(), "a list and its articles are of one moment");
        Listing { articles: whole, total }
    }
}

fn ids(listing: &Listing) -> Vec<ArticleId> {
    listing.articles.iter().map(|article| article.id).collect()
}

async fn an_older_version_never_overwrites_a_newer_one(given: Fixture) {
    let first = drafted(1).article;
    let second = revised(&first, "Second").article;
    assert!(given.apply(&second).await);
    assert!(!given.apply(&first).await);
    assert_eq!(given.get(1).await, Some(second));
}

async fn applying_twice_is_applying_once(given: Fixture) {
    let article = published(1, 0);
    assert!(given.apply(&article).await);
    assert!(!given.apply(&article).await);
    assert_eq!(given.list(0, 10).await, Listing { articles: vec![article], total: 1 });
}

async fn shuffled_and_tripled_deliveries_give_the_same_view(given: Fixture) {
    let mut versions = Vec::new();
    for number in 1..=4 {
        let mut article = drafted(number).article;
        for step in 0..6 {
            versions.push(article.clone());
            let later = article.updated_at.plus(Duration::from_millis(7));
            article = match step {
                2 => article.publish(author(), later).expect("a draft can be published").article,
                _ => revised(&article, &format!("Version {step}")).article,
            };
        }
        versions.push(article);
    }
    // A fixed disorder: 11 and the number of deliveries have no common factor, so each comes exactly three
    // times.
    let count = versions.len() * 3;
    for turn in 0..count {
        let place = (turn * 11 + 5) % count;
        given.apply(&versions[place % versions.len()]).await;
    }
    for newest in versions.chunks(7).filter_map(|chunk| chunk.last()) {
        assert_eq!(given.view.get(newest.id).await.expect("it is read").as_ref(), Some(newest));
    }
    assert_eq!(given.list(0, 10).await.total, 4);
}

async fn an_article_comes_back_exactly_as_it_was_applied(given: Fixture) {
    for article in [drafted(1).article, published(2, 5)] {
        given.apply(&article).await;
        assert_eq!(given.view.get(article.id).await.expect("it is read"), Some(article));
    }
}

async fn an_article_that_was_never_applied_is_absent(given: Fixture) {
    given.apply(&published(1, 0)).await;
    assert_eq!(given.get(2).await, None);
}

async fn picked_articles_pass_the_filter_and_keep_the_order_of_the_ids(given: Fixture) {
    let (first, second, third) = (published(1, 0), drafted(2).article, published(3, 5));
    for article in [&first, &second, &third] {
        given.apply(article).await;
    }
    let ids = [id(3), id(2), id(9), id(1)];
    let pick = |filter: Filter| {
        let view = given.view.clone();
        async move { view.pick(&ids, &filter, true).await.expect("they are picked") }
    };
    assert_eq!(pick(Filter::default()).await, [third.clone(), first.clone()]);
    let drafts = Filter { states: vec![State::Draft], ..Filter::default() };
    assert_eq!(pick(drafts).await, [second]);
    let early = Filter { to: Some(at(0)), label: Some("budget".to_owned()), ..Filter::default() };
    assert_eq!(pick(early).await, [first]);
    assert!(given.view.pick(&[], &Filter::default(), true).await.expect("none").is_empty());
}

async fn a_list_contains_published_articles_in_one_order_with_their_total(given: Fixture) {
    given.apply(&drafted(1).article).await;
    given.apply(&drafted(2).article.delete(author(), at(9)).expect("a draft can be deleted").article).await;
    for (number, millis) in [(3, 20), (4, 10), (6, 10), (5, 10), (7, 30)] {
        given.apply(&published(number, millis)).await;
    }
    let listing = given.list(0, 10).await;
    assert_eq!(ids(&listing), [id(7), id(3), id(6), id(5), id(4)]);
    assert_eq!(listing.total, 5);
}

async fn pages_of_a_list_are_slices_of_one_order(given: Fixture) {
    for number in 1..=7 {
        given.apply(&published(number, i64::try_from(number % 3).expect("small"))).await;
    }
    let all = ids(&given.list(0, 100).await);
    for (offset, limit) in [(0, 3), (3, 3), (6, 3), (7, 3), (2, 1)] {
        let page = given.list(offset, limit).await;
        let (from, to) = (all.len().min(offset as usize), all.len().min((offset + limit) as usize));
        assert_eq!(ids(&page), all[from..to]);
        assert_eq!(page.total, 7);
    }
}

async fn a_list_carries_no_content(given: Fixture) {
    given.apply(&published(1, 0)).await;
    let listing = given.view.list(&Part::newest(0, 10)).await.expect("it is listed");
    assert_eq!(listing.articles[0].story.content, "");
}

async fn sizes_are_of_the_articles_that_pass_the_filter(given: Fixture) {
    let mut long = published(1, 0);
    long.story.content = "ü".repeat(MAX_CONTENT_BYTES / 2);
    let (short, draft) = (published(2, 5), drafted(3).article);
    for article in [&long, &short, &draft] {
        given.apply(article).await;
    }
    let ids = [id(1), id(2), id(3), id(9)];
    let sizes = given.view.sizes(&ids, &Filter::default()).await.expect("they are counted");
    let size = |article: &Article| (article.id, article.story.content.len() as u64);
    assert_eq!(sizes, [size(&long), size(&short)].into());
    assert!(given.view.sizes(&[], &Filter::default()).await.expect("none").is_empty());
    let mut later = revised(&short, "Later").article;
    later.story.content.push('…');
    given.apply(&later).await;
    let sizes = given.view.sizes(&ids[1..2], &Filter::default()).await.expect("it is counted");
    assert_eq!(sizes, [size(&later)].into());
}

async fn articles_are_picked_with_content_only_on_request(given: Fixture) {
    let article = published(1, 0);
    given.apply(&article).await;
    let with = given.view.pick(&[id(1)], &Filter::default(), true).await.expect("it is picked");
    assert_eq!(with[0].story.content, article.story.content);
    let without = given.view.pick(&[id(1)], &Filter::default(), false).await.expect("it is picked");
    assert_eq!((without[0].id, without[0].story.content.as_str()), (id(1), ""));
}

async fn an_erased_person_has_no_byline_in_the_view(given: Fixture) {
    let mut other = published(2, 0);
    other.author = UserId::new(uuid::Uuid::from_u128(0xb));
    other.byline = Byline::of("Ada O'Neill", other.author);
    given.apply(&published(1, 0)).await;
    given.apply(&other).await;
    given.view.erase(author()).await.expect("it is erased");
    assert_eq!(given.get(1).await.expect("it is there").byline.as_str(), "");
    assert_eq!(given.get(2).await, Some(other));
    assert!(
        given
            .list(0, 10)
            .await
            .articles
            .iter()
            .all(|each| each.author != author() || each.byline.as_str().is_empty())
    );
}

async fn an_article_that_comes_after_its_author_was_erased_has_no_byline(given: Fixture) {
    given.view.erase(author()).await.expect("it is erased");
    given.apply(&published(1, 0)).await;
    assert_eq!(given.get(1).await.expect("it is there").byline.as_str(), "");
    given.view.begin_rebuild().await.expect("it begins");
    given.view.load(&[published(1, 0)]).await.expect("it is loaded");
    given.view.finish_rebuild().await.expect("it ends");
    assert_eq!(given.get(1).await.expect("it is there").byline.as_str(), "");
}

async fn a_byline_that_is_not_the_erased_person_s_name_stays_in_the_view(given: Fixture) {
    let (mut text, mut other, mut late) = (published(1, 0), published(2, 0), published(3, 0));
    text.byline = Byline::parse("Newsroom").expect("a byline");
    other.byline = Byline::of("Ben", UserId::new(uuid::Uuid::from_u128(0xb)));
    late.byline = text.byline.clone();
    given.apply(&text).await;
    given.apply(&other).await;
    given.view.erase(author()).await.expect("it is erased");
    given.apply(&late).await;
    for (number, article) in [(1, &text), (2, &other), (3, &late)] {
        assert_eq!(given.get(number).await.as_ref(), Some(article));
    }
    given.view.begin_rebuild().await.expect("it begins");
    given.view.load(&[text.clone(), other.clone(), late.clone()]).await.expect("it is loaded");
    given.view.finish_rebuild().await.expect("it ends");
    for (number, article) in [(1, &text), (2, &other), (3, &late)] {
        assert_eq!(given.get(number).await.as_ref(), Some(article));
    }
    // The other person is erased, although another account wrote the article.
    given.view.erase(UserId::new(uuid::Uuid::from_u128(0xb))).await.expect("it is erased");
    assert_eq!(given.get(2).await.expect("it is there").byline.as_str(), "");
}

async fn readers_see_the_old_view_until_the_new_one_is_complete(given: Fixture) {
    let (old, new) = (published(1, 0), published(2, 0));
    given.apply(&old).await;
    given.view.begin_rebuild().await.expect("it begins");
    assert_eq!(given.get(1).await, Some(old.clone()));
    given.view.load(std::slice::from_ref(&new)).await.expect("it is loaded");
    assert_eq!(given.list(0, 10).await, Listing { articles: vec![old], total: 1 });
    given.view.finish_rebuild().await.expect("it ends");
    assert_eq!(given.list(0, 10).await, Listing { articles: vec![new], total: 1 });
}

async fn an_article_applied_during_a_rebuild_is_in_the_new_view(given: Fixture) {
    let first = published(1, 0);
    let second = revised(&first, "Second").article;
    given.view.begin_rebuild().await.expect("it begins");
    given.apply(&second).await;
    given.apply(&published(2, 0)).await;
    // The walk over the events met an older version than the bus.
    given.view.load(&[first]).await.expect("it is loaded");
    given.view.finish_rebuild().await.expect("it ends");
    assert_eq!(given.get(1).await, Some(second));
    assert_eq!(given.list(0, 10).await.total, 2);
}

async fn a_rebuild_that_was_never_finished_leaves_no_trace(given: Fixture) {
    given.view.begin_rebuild().await.expect("it begins");
    given.view.load(&[published(1, 0)]).await.expect("it is loaded");
    given.view.begin_rebuild().await.expect("it begins again");
    given.view.load(&[published(2, 0)]).await.expect("it is loaded");
    given.view.finish_rebuild().await.expect("it ends");
    assert_eq!(ids(&given.list(0, 10).await), [id(2)]);
}

async fn a_rebuild_repairs_a_wrong_view(given: Fixture) {
    let articles = [published(1, 0), published(2, 5), drafted(3).article];
    for article in &articles {
        given.apply(article).await;
    }
    let before = given.list(0, 10).await;
    given.vandal.corrupt().await;
    assert_ne!(given.list(0, 10).await, before);
    given.view.begin_rebuild().await.expect("it begins");
    given.view.load(&articles).await.expect("it is loaded");
    given.view.finish_rebuild().await.expect("it ends");
    assert_eq!(given.list(0, 10).await, before);
    // The guard works with the true versions again.
    assert!(given.apply(&revised(&articles[0], "Later").article).await);
}

async fn a_view_that_answers_accepts_writes(given: Fixture) {
    given.view.ping().await.expect("it answers");
    given.view.try_write().await.expect("it is neither full nor read-only");
}

macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super) {
                an_older_version_never_overwrites_a_newer_one,
                applying_twice_is_applying_once,
                shuffled_and_tripled_deliveries_give_the_same_view,
                an_article_comes_back_exactly_as_it_was_applied,
                an_article_that_was_never_applied_is_absent,
                picked_articles_pass_the_filter_and_keep_the_order_of_the_ids,
                a_list_contains_published_articles_in_one_order_with_their_total,
                pages_of_a_list_are_slices_of_one_order,
                a_list_carries_no_content,
                sizes_are_of_the_articles_that_pass_the_filter,
                articles_are_picked_with_content_only_on_request,
                an_erased_person_has_no_byline_in_the_view,
                an_article_that_comes_after_its_author_was_erased_has_no_byline,
                a_byline_that_is_not_the_erased_person_s_name_stays_in_the_view,
                readers_see_the_old_view_until_the_new_one_is_complete,
                an_article_applied_during_a_rebuild_is_in_the_new_view,
                a_rebuild_that_was_never_finished_leaves_no_trace,
                a_rebuild_repairs_a_wrong_view,
                a_view_that_answers_accepts_writes,
            }
        }
    };
}

mod sqlite {
    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;
    use crate::store::sqlite_view::SqliteNewsView;

    struct OtherConnection(PathBuf);

    #[async_trait]
    impl Vandal for OtherConnection {
        async fn corrupt(&self) {
            let options = SqliteConnectOptions::new().filename(&self.0);
            let mut connection = options.connect().await.expect("a second connection");
            for statement in [
                "update articles set version = 999, document = replace(document, 'Article', 'Wrong')",
                "insert into articles
                    (id, version, state, published_at, placed_at, updated_at, author_id, byline, document, content)
                 select randomblob(16), version, state, published_at, placed_at, updated_at, author_id, byline, document,
                    content from articles limit 1",
            ] {
                sqlx::query(statement).execute(&mut connection).await.expect("the view is damaged");
            }
        }
    }

    async fn fixture() -> Fixture {
        let folder = Folder::new();
        let path = folder.join("view.db");
        let view = SqliteNewsView::open(&format!("sqlite:{}", path.display())).await.expect("the view opens");
        Fixture { view: Arc::new(view), vandal: Arc::new(OtherConnection(path)), _folder: Some(folder) }
    }

    every_case!(fixture);
}

mod mongodb {
    use ::mongodb::bson::{Document, doc};
    use ::mongodb::{Client, Database};
    use futures::TryStreamExt;

    use super::*;
    use crate::store::contract::engines;
    use crate::store::mongo_view::MongoNewsView;

    struct OtherConnection(Database);

    #[async_trait]
    impl Vandal for OtherConnection {
        async fn corrupt(&self) {
            let articles = self.0.collection::<Document>("articles_1");
            let all = articles.find(doc! {}).await.expect("they are read");
            let mut all: Vec<Document> = all.try_collect().await.expect("they are read");
            for article in &all {
                let document =
                    article.get_str("document").expect("it has a document").replace("Article", "Wrong");
                let damage = doc! { "$set": { "version": 999_i64, "document": document } };
                let id = article.get("_id").expect("it has an id");
                articles.update_one(doc! { "_id": id }, damage).await.expect("it is damaged");
            }
            let mut added = all.swap_remove(0);
            added.insert("_id", uuid::Uuid::new_v4().to_string());
            articles.insert_one(added).await.expect("one is added");
        }
    }

    async fn fixture() -> Fixture {
        let url = engines::mongodb();
        let view = MongoNewsView::open(&url, "test").await.expect("the view opens");
        let client = Client::with_uri_str(&url).await.expect("a second client");
        let database = client.default_database().expect("the URL names a database");
        Fixture { view: Arc::new(view), vandal: Arc::new(OtherConnection(database)), _folder: None }
    }

    every_case!(fixture, ignore = "needs mongodb");
}
