//! The view can always be rebuilt, and the history be proved.

use std::sync::Arc;

use kernel::{ArticleId, Expected, Identity, Version};
use news::{Action, App, Article, BrokenChain, ChainError, Command, NewArticle, Part, StoryInput, Target};
use sqlx::Connection;
use tokio::task::JoinSet;

use crate::people::{author, editor};
use crate::world::{Place, World, fields, shut};

pub type Row = (Vec<u8>, i64, String, Option<i64>, Vec<u8>, String, String, String);

/// Every byte of the view.
pub async fn dump(place: &Place) -> Vec<Row> {
    let mut connection = place.connection("sports-news-view.db").await;
    let rows = sqlx::query_as(
        "select id, version, state, published_at, author_id, byline, document, content from articles order by id",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the view is read");
    // Dropped, it would close later, in a thread of its own.
    connection.close().await.expect("it closes");
    rows
}

type Label = (String, i64, Vec<u8>);

/// The rows by which lists are read, beside the articles.
async fn lists(place: &Place) -> (Vec<Label>, Vec<(String, i64)>) {
    let mut connection = place.connection("sports-news-view.db").await;
    let labels = sqlx::query_as("select label, placed_at, article from article_labels order by 1, 2, 3");
    let labels = labels.fetch_all(&mut connection).await.expect("the labels are read");
    let totals = sqlx::query_as("select state, articles from totals where articles > 0 order by 1");
    let totals = totals.fetch_all(&mut connection).await.expect("the totals are read");
    connection.close().await.expect("it closes");
    (labels, totals)
}

async fn run(place: &Place, name: &str, statement: &'static str) {
    let mut connection = place.connection(name).await;
    sqlx::query(statement).execute(&mut connection).await.expect("it is done");
    connection.close().await.expect("it closes");
}

/// A section with published, revised, deleted and drafted articles.
async fn lived_in(place: &Place) -> Vec<ArticleId> {
    let world = World::start(place).await;
    let mut ids = Vec::new();
    for number in 0..3 {
        let published = world.published(&format!("Article {number}")).await;
        let updated = world
            .revise(&editor(), &published, fields("Changed \u{202b}שלום\u{202c}"))
            .await
            .expect("updated");
        world.get_since(None, &updated).await.expect("it is projected");
        ids.push(published.id.parse().expect("an id"));
    }
    let draft = world.create(&author(), fields("A draft")).await.expect("a draft");
    world.get_since(Some(&author()), &draft).await.expect("it is projected");
    let other = world.create(&author(), fields("Put away")).await.expect("a draft");
    world.delete(&author(), &other).await.expect("it is put away");
    // Stopping steps the relay until it is idle; starting again lets the projection take the rest.
    world.stop().await;
    let world = World::start(place).await;
    let last = world.create(&author(), fields("The last")).await.expect("a draft");
    world.get_since(Some(&author()), &last).await.expect("it is projected, and all before it");
    world.stop().await;
    ids
}

#[tokio::test]
async fn a_corrupt_view_is_rebuilt_byte_for_byte() {
    let place = Place::new();
    lived_in(&place).await;
    let (before, lists_before) = (dump(&place).await, lists(&place).await);
    assert_eq!((before.len(), lists_before.1.len()), (6, 3));
    for statement in [
        "update articles set version = version + 7, document = replace(document, 'Changed', 'Forged')",
        "delete from articles where state = 'draft'",
        "insert into articles
            (id, version, state, published_at, placed_at, updated_at, author_id, byline, document, content)
         select randomblob(16), version, state, published_at, placed_at, updated_at, author_id, byline, document, content
         from articles limit 1",
        "update totals set articles = articles + 5",
        "update article_labels set label = 'forged'",
    ] {
        run(&place, "sports-news-view.db", statement).await;
    }
    assert_ne!(dump(&place).await, before);
    assert_ne!(lists(&place).await, lists_before);
    let app = place.open().await;
    let replayed = app.replay(|_| ()).await.expect("the view is rebuilt");
    shut(app).await;
    assert_eq!(replayed.articles, 6);
    assert_eq!(dump(&place).await, before);
    assert_eq!(lists(&place).await, lists_before);
}

#[tokio::test]
async fn a_view_that_was_thrown_away_is_rebuilt_too() {
    let place = Place::new();
    lived_in(&place).await;
    let before = dump(&place).await;
    for end in ["", "-wal", "-shm"] {
        let file = place.file(&format!("sports-news-view.db{end}"));
        if file.exists() {
            std::fs::remove_file(file).expect("the file is removed");
        }
    }
    let view = format!("sqlite:{}", place.file("sports-news-view.db").display());
    chassis::sqlite::forget_if_missing(&view).expect("the view may be built again");
    let app = place.open().await;
    app.replay(|_| ()).await.expect("the view is rebuilt");
    shut(app).await;
    assert_eq!(dump(&place).await, before);
}

#[tokio::test]
async fn an_untouched_history_is_verified_and_a_tampered_event_is_found() {
    let place = Place::new();
    let ids = lived_in(&place).await;
    let app = place.open().await;
    for id in &ids {
        assert_eq!(app.verify(*id).await.expect("the chain is whole").versions, 3);
    }
    shut(app).await;

    run(
        &place,
        "sports-news.db",
        "update events set record = replace(record, 'Article 1', 'Article X') where version = 2",
    )
    .await;
    let app = place.open().await;
    app.verify(ids[0]).await.expect("another article is as it was");
    let found = app.verify(ids[1]).await;
    assert!(
        matches!(found, Err(ChainError::Broken(BrokenChain::Tampered { version })) if version == Version::new(2))
    );
    shut(app).await;
}

#[tokio::test]
async fn a_history_that_was_moved_under_another_article_is_found() {
    let place = Place::new();
    let ids = lived_in(&place).await;
    for statement in [
        "delete from bylines",
        "delete from events where article = (select min(article) from events where version = 3)",
        "update events set article = zeroblob(16)
         where article = (select min(article) from events where version = 3)",
    ] {
        run(&place, "sports-news.db", statement).await;
    }
    let app = place.open().await;
    let moved = app.verify(ArticleId::new(uuid::Uuid::nil())).await;
    assert!(matches!(moved, Err(ChainError::Broken(BrokenChain::Tampered { version: Version::FIRST }))));
    assert_eq!(app.verify(ids[2]).await.expect("it is untouched").versions, 3);
    shut(app).await;
}

/// Writes as a busy newsroom does, each change delivered to the view at once.
async fn newsroom(app: Arc<App>, admin: Identity) -> Vec<Article> {
    let command = async |target: Target| {
        let command = Command { caller: Some(admin.clone()), key: None, target };
        let article = app.command(command).await.expect("it is done").article;
        app.project(&article).await.expect("it is projected");
        article
    };
    let mut newest = Vec::new();
    for number in 0..40 {
        let story = StoryInput {
            title: format!("Number {number}"),
            content: "text".to_owned(),
            ..Default::default()
        };
        let draft = command(Target::New(NewArticle { story, publish: false })).await;
        let (expected, action) = (Expected::Any, Action::Publish);
        newest.push(command(Target::Existing { id: draft.id, expected, action }).await);
    }
    newest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_in_the_middle_of_work_loses_nothing() {
    replays_in_the_middle_of_work(&Place::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and mongodb"]
async fn a_replay_in_the_middle_of_work_loses_nothing_on_the_servers() {
    replays_in_the_middle_of_work(&Place::on_servers().await).await;
}

async fn replays_in_the_middle_of_work(place: &Place) {
    let app = place.open().await;
    let admin = crate::people::admin().identity();
    let mut busy = JoinSet::new();
    for _ in 0..2 {
        busy.spawn(newsroom(app.clone(), admin.clone()));
    }
    let mut newest = Vec::new();
    while newest.len() < 80 {
        app.replay(|_| ()).await.expect("the view is rebuilt");
        if let Some(done) = busy.try_join_next() {
            newest.extend(done.expect("the newsroom works"));
        }
    }
    for article in newest {
        assert_eq!(app.get(None, article.id, None).await.expect("it is public"), article);
    }
    let listing = app.list(None, Part::newest(0, 100)).await.expect("a list");
    assert_eq!(listing.total, 80);
    shut(app).await;
}
