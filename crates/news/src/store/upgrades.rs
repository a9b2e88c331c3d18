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
use crate::domain::{Article, Byline, Filter, Order, Part, Position};
use crate::ports::NewsView;

/// A draft, and two published articles of which the older one was revised last.
fn articles() -> [Article; 3] {
    let mut late = revised(&published(2, 10), "Revised").article;
    late.updated_at = at(50);
    late.story.tags.extend(["Budget ", "ZU\u{308}RICH"].map(|tag| Label::parse(tag).expect("a label")));
    late.byline = Byline::of("Zoe\u{308}", author());
    [drafted(1).article, late, published(3, 20)]
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

#[tokio::test]
#[ignore = "needs mongodb"]
async fn a_view_of_the_first_form_in_mongodb_gets_its_lists_from_its_documents() {
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
        let typed: Vec<&str> = article.story.tags.iter().map(Label::as_str).collect();
        let as_it_was = doc! {
            "$unset": { "placed_at": "", "updated_at": "", "byline_of": "", "byline_key": "", "content_bytes": "" },
            "$set": { "labels": typed },
        };
        let this = doc! { "_id": article.id.to_string() };
        view.update_one(this, as_it_was).await.expect("it is as it was");
    }
    database.collection::<Document>("marks").delete_one(doc! { "_id": "form" }).await.expect("it is gone");
    let opened = open_view(&url, "test").await.expect("it opens");
    check_lists(&*opened.port).await;
    opened.close().await;
}
