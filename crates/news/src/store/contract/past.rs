//! Cases of the event store that look back.

use kernel::{ArticleId, Timestamp, Version};

use super::events::Fixture;
use super::sample::{author, by_another, drafted, id, revised};
use crate::domain::{Change, Event, Step};

/// Every kind of step that an article can take, in its order.
fn a_life(number: u128) -> Vec<Change> {
    let later = |change: &Change| change.article.updated_at.plus(std::time::Duration::from_millis(7));
    let drafted = drafted(number);
    let edited = revised(&drafted.article, "Second");
    let published = by_another(edited.article.publish(author(), later(&edited)).expect("a legal step"));
    let updated = revised(&published.article, "Third");
    let unpublished = updated.article.unpublish(author(), later(&updated)).expect("a legal step");
    let deleted = unpublished.article.delete(author(), later(&unpublished)).expect("a legal step");
    let state = unpublished.article.state;
    let back = deleted.article.undelete(state, author(), later(&deleted)).expect("a legal step");
    let restored = back.article.restore(&drafted.article, author(), later(&back)).expect("a legal step");
    vec![drafted, edited, published, updated, unpublished, deleted, back, restored]
}

async fn steps(given: &Fixture, before: Option<u32>, limit: u32) -> Vec<Step> {
    let steps = given.store.steps(id(1), before.map(Version::new), limit).await;
    steps.expect("the steps are read")
}

pub(super) async fn every_version_is_read_back_exactly(given: Fixture) {
    let life = a_life(1);
    for change in &life {
        given.append(change).await;
    }
    for change in life {
        let version = change.article.version;
        let found = given.store.version(id(1), version).await.expect("it is read");
        assert_eq!(found, Some(change.article));
    }
    for unknown in [0, 9, u32::MAX] {
        let found = given.store.version(id(1), Version::new(unknown)).await.expect("it is read");
        assert_eq!(found, None);
    }
}

pub(super) async fn a_history_says_who_did_what_and_which_fields_changed(given: Fixture) {
    let life = a_life(1);
    for change in &life {
        given.append(change).await;
    }
    let expected: Vec<Step> = life
        .iter()
        .enumerate()
        .map(|(index, change)| {
            let before = index.checked_sub(1).and_then(|before| life.get(before));
            Step::of(change, before.map(|before| &before.article))
        })
        .rev()
        .collect();
    let told = steps(&given, None, 100).await;
    assert_eq!(told, expected);
    assert_eq!((told[0].event, told[0].from), (Event::Restored, Some(Version::FIRST)));
    assert_eq!(told[0].changed, ["title"]);
    assert_eq!((told[5].by, told[5].at), (life[2].by, Timestamp::from_millis(1_763_700_000_007)));
    // An erased person is an id here, as before.
    given.store.erase(author()).await.expect("it is erased");
    let erased = steps(&given, None, 100).await;
    assert_eq!((erased[0].by, erased.len()), (author(), told.len()));
}

pub(super) async fn pages_of_a_history_join_without_a_gap(given: Fixture) {
    for change in a_life(1) {
        given.append(&change).await;
    }
    given.append(&drafted(2)).await;
    let all = steps(&given, None, 100).await;
    assert_eq!(all.len(), 8);
    for limit in 1..=9 {
        let mut joined: Vec<Step> = Vec::new();
        loop {
            let before = joined.last().map(|step| step.version.number());
            let page = steps(&given, before, limit).await;
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            joined.extend(page);
        }
        assert_eq!(joined, all, "pages of {limit}");
    }
    let unknown = given.store.steps(id(9), None, 10).await.expect("the steps are read");
    assert!(unknown.is_empty());
}

pub(super) async fn pages_of_a_chain_join_without_a_gap(given: Fixture) {
    for change in a_life(1) {
        given.append(&change).await;
    }
    let all = given.history(id(1)).await;
    for limit in 1..=9 {
        let mut joined = Vec::new();
        loop {
            let after = joined.last().map(|link: &crate::domain::Link| link.version);
            let page = given.store.history(id(1), after, limit).await.expect("the chain is read");
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            joined.extend(page);
        }
        assert_eq!(joined, all, "pages of {limit}");
    }
}

pub(super) async fn ids_are_walked_also_where_a_record_cannot_be_read(given: Fixture) {
    for number in 1..=5 {
        given.append(&drafted(number)).await;
    }
    given.append(&revised(&drafted(3).article, "Later")).await;
    given.tamperer.rewrite(id(3), Version::new(2), "{").await;
    let mut met: Vec<ArticleId> = Vec::new();
    loop {
        let batch = given.store.ids(met.last().copied(), 2).await.expect("a walk");
        assert!(batch.len() <= 2);
        if batch.is_empty() {
            break;
        }
        met.extend(batch);
    }
    assert_eq!(met, [id(1), id(2), id(3), id(4), id(5)]);
}
