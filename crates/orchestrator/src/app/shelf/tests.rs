use kernel::{ManualClock, Timestamp};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn shelf(bytes: u64) -> (Arc<Shelf>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_712_000_000)));
    let times = Times { fresh: 5 * SECOND, renewing: Duration::ZERO, stale: 60 * SECOND, settling: SECOND };
    (Arc::new(Shelf::new(bytes, times, clock.clone())), clock)
}

fn list(link: Option<String>) -> Rendered {
    Rendered {
        body: Bytes::from_static(b"{}"),
        etag: "\"x\"".to_owned(),
        link,
        total: Some(0),
        article: None,
        shown: Vec::new(),
        lists: vec![Section::Sports],
        keep: true,
    }
}

async fn served(shelf: &Arc<Shelf>, key: &str) -> Source {
    let made = async { Ok(list(None)) };
    shelf.serve(Key::List(key.into()), made).await.expect("an answer").source
}

#[tokio::test]
async fn lists_with_long_labels_and_links_take_no_more_than_the_cache_may() {
    const BYTES: u64 = 1 << 20;
    const LONG: usize = 2_000;
    let (shelf, _) = shelf(BYTES);
    for number in 0..3_000 {
        let label = format!("{number:x>LONG$}");
        let made = list(Some(label.clone()));
        shelf.serve(Key::List(label.into()), async { Ok(made) }).await.expect("an answer");
    }
    assert!(shelf.bytes() <= BYTES);
    let kept = shelf.kept.as_ref().expect("a cache").iter().count();
    assert!(
        kept > 0 && kept * 2 * LONG <= 1 << 20,
        "{kept} lists, whose keys and links take {LONG} bytes each"
    );
}

#[tokio::test]
async fn a_clock_that_goes_back_an_hour_keeps_no_answer_fresh_and_no_list_unsettled_for_an_hour() {
    let (shelf, clock) = shelf(1 << 20);
    assert_eq!(served(&shelf, "a").await, Source::Made);
    shelf.announced(Section::Famous, ArticleId::new(uuid::Uuid::from_u128(1)), Version::FIRST);
    shelf.announced(Section::Sports, ArticleId::new(uuid::Uuid::from_u128(2)), Version::FIRST);
    clock.set(clock.now().minus(3_600 * SECOND));
    clock.advance(2 * SECOND);
    assert_eq!(served(&shelf, "a").await, Source::Made, "something was announced");
    assert_eq!(served(&shelf, "a").await, Source::Kept(Duration::ZERO), "the lists have settled");
    clock.advance(6 * SECOND);
    assert_eq!(served(&shelf, "a").await, Source::Made, "it is six seconds old");
}
