//! Races of several callers on the stores on servers.

use testkit::at_once;

use super::contract::engines;
use super::contract::sample::{author, by_another, drafted, id, published, revised, with_message};
use super::{open_events, open_view};
use crate::domain::Part;

const ROUNDS: u128 = 10;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn replicas_that_open_an_empty_database_at_the_same_time_all_succeed() {
    for _ in 0..ROUNDS {
        let url = engines::mongodb();
        let views = at_once(4, |_| {
            let url = url.clone();
            async move { open_view(&url, "test").await.map_err(|error| error.to_string()) }
        })
        .await;
        for view in views {
            view.expect("the view opens").close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn of_deliveries_at_the_same_time_the_newest_version_stays() {
    let opened = open_view(&engines::mongodb(), "test").await.expect("the view opens");
    let view = opened.port.clone();
    for number in 1..=ROUNDS {
        let mut versions = vec![published(number, 0)];
        for turn in 0..5 {
            versions.push(revised(&versions[versions.len() - 1], &format!("Title {turn}")).article);
        }
        at_once(versions.len(), |place| {
            let (view, article) = (view.clone(), versions[place].clone());
            async move { view.apply(&article).await.expect("it is applied") }
        })
        .await;
        assert_eq!(view.get(id(number)).await.expect("it is read").as_ref(), versions.last());
    }
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn an_erasure_during_deliveries_leaves_no_byline_in_the_view() {
    for _ in 0..ROUNDS {
        let opened = open_view(&engines::mongodb(), "test").await.expect("the view opens");
        let view = opened.port.clone();
        at_once(8, |place| {
            let view = view.clone();
            async move {
                match place {
                    4 => view.erase(author()).await.expect("it is erased"),
                    _ => drop(view.apply(&published(place as u128 + 1, 0)).await.expect("it is applied")),
                }
            }
        })
        .await;
        let all = view.list(&Part::newest(0, 10)).await.expect("a list").articles;
        assert_eq!(all.len(), 7);
        assert!(all.iter().all(|article| article.byline.as_str().is_empty()));
        opened.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn an_erasure_during_appends_leaves_no_byline_in_the_events() {
    for _ in 0..ROUNDS {
        let opened = open_events(&engines::postgres().await, "test").await.expect("the store opens");
        let store = opened.port.clone();
        at_once(8, |place| {
            let store = store.clone();
            async move {
                match place {
                    4 => store.erase(author()).await.expect("it is erased"),
                    _ => store
                        .append(&[with_message(by_another(drafted(place as u128 + 1)))], None)
                        .await
                        .expect("it is appended"),
                }
            }
        })
        .await;
        let all = store.walk(None, 10).await.expect("a walk");
        assert_eq!(all.len(), 7);
        assert!(all.iter().all(|article| article.byline.as_str().is_empty()));
        opened.close().await;
    }
}
