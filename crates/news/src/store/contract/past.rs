//! The cases of the event store about the past.

use kernel::{ArticleId, Timestamp, Version};

use super::Fixture;
use super::sample::{author, by_another, drafted, id, revised};
use crate::domain::{Article, Change, Event, HistoryEntry, HistoryPage, State, VisibleVersions};

/// Returns changes of every kind, in order.
fn a_life(number: u128) -> Vec<Change> {
    let later = |change: &Change| change.article.updated_at.plus(std::time::Duration::from_millis(7));
    let drafted = drafted(number);
    let edited = revised(&drafted.article, "Second");
    let published = by_another(edited.article.publish(author(), later(&edited)).expect("a legal transition"));
    let updated = revised(&published.article, "Third");
    let unpublished = updated.article.unpublish(author(), later(&updated)).expect("a legal transition");
    let deleted = unpublished.article.delete(author(), later(&unpublished)).expect("a legal transition");
    let state = unpublished.article.state;
    let back = deleted.article.undelete(state, author(), later(&deleted)).expect("a legal transition");
    let restored =
        back.article.restore(&drafted.article, author(), later(&back)).expect("a legal transition");
    vec![drafted, edited, published, updated, unpublished, deleted, back, restored]
}

async fn page(given: &Fixture, visible: VisibleVersions, before: Option<Version>, limit: u32) -> HistoryPage {
    given.store.history(id(1), visible, before, limit).await.expect("the history is read")
}

async fn history(given: &Fixture, before: Option<u32>, limit: u32) -> Vec<HistoryEntry> {
    page(given, VisibleVersions::All, before.map(Version::new), limit).await.entries
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

pub(super) async fn a_history_names_accounts_events_and_changed_fields(given: Fixture) {
    let life = a_life(1);
    for change in &life {
        given.append(change).await;
    }
    let expected: Vec<HistoryEntry> = life
        .iter()
        .enumerate()
        .map(|(index, change)| {
            let before = index.checked_sub(1).and_then(|before| life.get(before));
            HistoryEntry::of(change, before.map(|before| &before.article))
        })
        .rev()
        .collect();
    let entries = history(&given, None, 100).await;
    assert_eq!(entries, expected);
    assert_eq!((entries[0].event, entries[0].from), (Event::Restored, Some(Version::FIRST)));
    assert_eq!(entries[0].changed, ["title"]);
    assert_eq!((entries[5].by, entries[5].at), (life[2].by, Timestamp::from_millis(1_763_700_000_007)));
    // An erased person is an id here, as before.
    given.store.erase(author()).await.expect("it is erased");
    let erased = history(&given, None, 100).await;
    assert_eq!((erased[0].by, erased.len()), (author(), entries.len()));
}

pub(super) async fn pages_of_a_history_join_without_a_gap(given: Fixture) {
    for change in a_life(1) {
        given.append(&change).await;
    }
    given.append(&drafted(2)).await;
    let all = history(&given, None, 100).await;
    assert_eq!(all.len(), 8);
    for limit in 1..=9 {
        let mut joined: Vec<HistoryEntry> = Vec::new();
        loop {
            let before = joined.last().map(|step| step.version.number());
            let page = history(&given, before, limit).await;
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            joined.extend(page);
        }
        assert_eq!(joined, all, "pages of {limit}");
    }
    let unknown =
        given.store.history(id(9), VisibleVersions::All, None, 10).await.expect("the history is read");
    assert_eq!(unknown, HistoryPage::default());
}

pub(super) async fn a_history_for_readers_compares_the_versions_that_they_saw(given: Fixture) {
    let mut life = a_life(1);
    let hidden = life.last().expect("a change").article.clone();
    let public = hidden.publish(author(), hidden.updated_at).expect("a legal transition");
    life.push(revised(&public.article, "Seventh"));
    life.insert(life.len() - 1, public);
    for change in &life {
        given.append(change).await;
    }
    let shown: Vec<&Change> = life.iter().filter(|change| change.article.state == State::Published).collect();
    let entry = |index: usize| {
        let before: Option<&Article> = index.checked_sub(1).map(|before| &shown[before].article);
        HistoryEntry::of(shown[index], before)
    };
    let expected: Vec<HistoryEntry> = (0..shown.len()).rev().map(entry).collect();
    assert_eq!(expected[1].changed, ["title"], "what changed while no reader saw it is named");
    for limit in 1..=11 {
        let (mut joined, mut before) = (Vec::new(), None);
        loop {
            let HistoryPage { entries, next } = page(&given, VisibleVersions::Public, before, limit).await;
            joined.extend(entries);
            before = next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(joined, expected, "pages of {limit}");
    }
}

pub(super) async fn pages_of_a_chain_join_without_a_gap(given: Fixture) {
    for change in a_life(1) {
        given.append(&change).await;
    }
    let all = given.links(id(1)).await;
    for limit in 1..=9 {
        let mut joined = Vec::new();
        loop {
            let after = joined.last().map(|link: &crate::domain::ChainLink| link.version);
            let page = given.store.links(id(1), after, limit).await.expect("the chain is read");
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            joined.extend(page);
        }
        assert_eq!(joined, all, "pages of {limit}");
    }
}

pub(super) async fn ids_are_listed_even_if_a_record_cannot_be_read(given: Fixture) {
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
