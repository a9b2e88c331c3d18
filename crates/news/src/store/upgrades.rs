//! Updates of views that an older program has written: their lists contain the same articles.

use chassis::sqlite::Database;
use kernel::{Label, Timestamp};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::Folder;

use super::contract::engines;
use super::contract::sample::{at, author, drafted, id, published, revised};
use super::mongo_view::MongoNewsView;
use super::open_view;
use super::record::write_document;
use super::sqlite_view::first_form;
use crate::domain::{Article, Byline, Filter, Order, Part, Position, State};
use crate::ports::NewsView;

/// A returned draft, and two published articles of which the older one was revised last.
fn articles() -> [Article; 3] {
    let mut late = revised(&published(2, 10), "Revised").article;
    late.updated_at = at(50);
    late.story.tags.extend(["Budget ", "ZU\u{308}RICH"].map(|tag| Label::parse(tag).expect("a label")));
    late.byline = Byline::of("Zoe\u{308}", author());
    let returned = Article { review_note: Some("Who?".to_owned()), ..drafted(1).article };
    [returned, late, published(3, 20)]
}

async fn check_lists(view: &dyn NewsView) {
    let [_, second, third] = articles();
    let part = |order, label: Option<&str>| Part {
        filter: Filter { label: label.map(str::to_owned), ..Filter::default() },
        order,
        ..Part::newest(0, 10)
    };
    let expected = |order, articles: [&Article; 2]| articles.map(|article| Position::of(article, order));
    for (order, sorted) in [
        (Order::Newest, [&third, &second]),
        (Order::Oldest, [&second, &third]),
        (Order::Updated, [&second, &third]),
    ] {
        for label in [None, Some("o'neill"), Some("budget")] {
            let found = view.positions(&part(order, label)).await.expect("a list");
            assert_eq!(
                (found.positions, found.total),
                (expected(order, sorted).to_vec(), 2),
                "{order:?} {label:?}"
            );
        }
    }
    check_lists_of_work(view).await;
    // Labels and bylines are found in any spelling.
    for (spelled, filter) in [
        ("label", Filter { label: Some(" zürich".to_owned()), ..Filter::default() }),
        ("byline", Filter { byline: Some("Zoë".to_owned()), ..Filter::default() }),
    ] {
        let found = view.positions(&Part { filter, ..Part::newest(0, 10) }).await.expect("a list");
        assert_eq!(found.positions, [Position::of(&second, Order::Newest)], "{spelled}");
    }
    // And it goes on from there.
    view.apply(&published(4, 30)).await.expect("it is applied");
    let listing = view.list(&Part::newest(0, 1)).await.expect("a list");
    assert_eq!((listing.articles[0].id, listing.total), (id(4), 3));
    // An old byline has no owner, so it is the author's.
    view.erase(author()).await.expect("it is erased");
    let listing = view.list(&Part::newest(0, 10)).await.expect("a list");
    assert!(listing.articles.iter().all(|article| article.byline.as_str().is_empty()));
}

/// The articles also get the members by which lists of work filter and sort.
async fn check_lists_of_work(view: &dyn NewsView) {
    for order in [Order::Waiting, Order::Due] {
        let mut expected = articles().map(|article| Position::of(&article, order)).to_vec();
        expected.sort();
        let filter = Filter { states: State::ALL.to_vec(), ..Filter::default() };
        let found = view.positions(&Part { filter, order, ..Part::newest(0, 10) }).await.expect("a list");
        assert_eq!(found.positions, expected, "{order:?}");
    }
    let filter = Filter { states: vec![State::Draft], returned: true, ..Filter::default() };
    let found = view.list(&Part { filter, ..Part::newest(0, 10) }).await.expect("a list");
    assert_eq!(found.articles.iter().map(|article| article.id).collect::<Vec<_>>(), [id(1)]);
}

#[tokio::test]
async fn an_embedded_view_of_the_first_form_gets_its_lists_from_its_documents() {
    let folder = Folder::new();
    let url = format!("sqlite:{}", folder.join("view.db").display());
    let old = Database::open(&url, &first_form()).await.expect("it opens");
    let mut tx = old.write().await.expect("a transaction");
    for article in articles() {
        sqlx::query(
            "insert into articles (id, version, state, published_at, author_id, byline, document, content)
             values (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(article.id.uuid())
        .bind(article.version.number())
        .bind(article.state.as_str())
        .bind(article.published_at.map(Timestamp::millis))
        .bind(article.author.uuid())
        .bind(article.byline.as_str())
        .bind(write_document(&article).expect("a document"))
        .bind(article.story.content.as_str())
        .execute(&mut *tx)
        .await
        .expect("it is written");
    }
    tx.commit().await.expect("it is written");
    old.close().await;
    let opened = open_view(&url, "test").await.expect("it opens");
    check_lists(&*opened.port).await;
    opened.close().await;
}

/// Makes a view in MongoDB whose articles lack the fields of this document, as an older program has left it.
async fn view_without(lacking: Document, labels_as_typed: bool) -> String {
    let url = engines::mongodb();
    let first = MongoNewsView::open(&url, "test").await.expect("it opens");
    for article in articles() {
        first.apply(&article).await.expect("it is applied");
    }
    first.closer().await;
    let client = Client::with_uri_str(&url).await.expect("a client");
    let database = client.default_database().expect("the URL names a database");
    let view = database.collection::<Document>("articles_1");
    for article in articles() {
        let mut as_it_was = doc! { "$unset": lacking.clone() };
        if labels_as_typed {
            let typed: Vec<&str> = article.story.tags.iter().map(Label::as_str).collect();
            as_it_was.insert("$set", doc! { "labels": typed });
        }
        let this = doc! { "_id": article.id.to_string() };
        view.update_one(this, as_it_was).await.expect("it is as it was");
    }
    database.collection::<Document>("marks").delete_one(doc! { "_id": "form" }).await.expect("it is gone");
    url
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn a_view_of_the_first_form_in_mongodb_gets_its_lists_from_its_documents() {
    let lacking = doc! {
        "placed_at": "", "updated_at": "", "byline_of": "", "byline_key": "", "content_bytes": "",
        "state_since": "", "scheduled_at": "", "returned": "",
    };
    let opened = open_view(&view_without(lacking, true).await, "test").await.expect("it opens");
    check_lists(&*opened.port).await;
    opened.close().await;
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn a_view_of_the_fourth_form_in_mongodb_gets_its_lists_of_work_and_keeps_its_bylines() {
    let lacking = doc! { "state_since": "", "scheduled_at": "", "returned": "" };
    let url = view_without(lacking, false).await;
    let client = Client::with_uri_str(&url).await.expect("a client");
    let database = client.default_database().expect("the URL names a database");
    let articles = database.collection::<Document>("articles_1");
    // A byline that is text, which the erasure of the author must leave.
    let third = doc! { "_id": id(3).to_string() };
    let text = doc! { "$set": { "byline": "An agency", "byline_of": "", "byline_key": "An agency" } };
    articles.update_one(third, text).await.expect("it is changed");
    let opened = open_view(&url, "test").await.expect("it opens");
    check_lists_of_work(&*opened.port).await;
    opened.port.erase(author()).await.expect("it is erased");
    let third = opened.port.get(id(3)).await.expect("it is read").expect("an article");
    assert_eq!((third.byline.as_str(), third.byline.owner()), ("An agency", None));
    opened.close().await;
}
