use kernel::{ManualClock, Timestamp};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn shelf(bytes: u64) -> (Arc<Shelf>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_712_000_000)));
    let times =
        CacheTimes { fresh: 5 * SECOND, renewing: Duration::ZERO, stale: 60 * SECOND, settling: SECOND };
    (Arc::new(Shelf::new(bytes, times, clock.clone())), clock)
}

fn list(link: Option<String>) -> RenderedAnswer {
    RenderedAnswer {
        body: Bytes::from_static(b"{}"),
        etag: "\"x\"".to_owned(),
        link,
        total: Some(0),
        article: None,
        feed: None,
        shown: Vec::new(),
        lists: vec![Section::Sports],
        keep: true,
    }
}

async fn source_of(shelf: &Arc<Shelf>, key: &str) -> Source {
    let make = async { Ok(list(None)) };
    shelf.serve(Key::List(key.into()), make).await.expect("an answer").source
}

#[tokio::test]
async fn lists_with_long_labels_and_links_stay_within_the_bytes_of_the_cache() {
    const BYTES: u64 = 1 << 20;
    const LONG: usize = 2_000;
    let (shelf, _) = shelf(BYTES);
    for number in 0..3_000 {
        let label = format!("{number:x>LONG$}");
        let answer = list(Some(label.clone()));
        shelf.serve(Key::List(label.into()), async { Ok(answer) }).await.expect("an answer");
    }
    assert!(shelf.bytes() <= BYTES);
    let count = shelf.stored.as_ref().expect("a cache").iter().count();
    assert!(
        count > 0 && count * 2 * LONG <= 1 << 20,
        "{count} lists, whose keys and links take {LONG} bytes each"
    );
}

#[tokio::test]
async fn a_clock_that_goes_back_an_hour_changes_no_time_of_the_cache() {
    let (shelf, clock) = shelf(1 << 20);
    assert_eq!(source_of(&shelf, "a").await, Source::Miss);
    shelf.article_changed(Section::Famous, ArticleId::new(uuid::Uuid::from_u128(1)), Version::FIRST);
    shelf.article_changed(Section::Sports, ArticleId::new(uuid::Uuid::from_u128(2)), Version::FIRST);
    clock.set(clock.now().minus(3_600 * SECOND));
    clock.advance(2 * SECOND);
    assert_eq!(source_of(&shelf, "a").await, Source::Miss, "an article has changed");
    assert_eq!(source_of(&shelf, "a").await, Source::Hit(Duration::ZERO), "the lists have settled");
    clock.advance(6 * SECOND);
    assert_eq!(source_of(&shelf, "a").await, Source::Miss, "it is six seconds old");
}
