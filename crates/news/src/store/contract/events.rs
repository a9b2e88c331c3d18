//! The cases of the event store.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::{ArticleId, UserId, Version};
use testkit::Folder;
use uuid::Uuid;

use super::answers::*;
use super::newsroom::*;
use super::past::*;
use super::sample::{at, author, by_another, drafted, id, revised, story, with_message};
use super::{Fixture, Tamperer};
use crate::domain::{BrokenChain, Byline, GENESIS, Slug, verify_chain};
use crate::ports::{AppendError, CommandKey};

async fn an_appended_version_is_stored_with_its_message_in_the_outbox(given: Fixture) {
    let change = drafted(1);
    let appended = with_message(change.clone());
    given.store.append(std::slice::from_ref(&appended), None).await.expect("it is appended");
    assert_eq!(given.store.latest(id(1)).await.expect("it is read"), Some(change.article));
    let unsent = given.outbox.unsent(10).await.expect("the outbox answers");
    assert_eq!(unsent.into_iter().map(|(_, message)| message).collect::<Vec<_>>(), [appended.message]);
}

async fn of_parallel_appends_on_one_version_one_wins(given: Fixture) {
    let draft = drafted(1);
    given.append(&draft).await;
    let outcomes = testkit::at_once(12, |number| {
        let (store, change) = (given.store.clone(), revised(&draft.article, &format!("Title {number}")));
        async move { store.append(&[with_message(change)], None).await }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let stale = |outcome: &&Result<(), AppendError>| matches!(outcome, Err(AppendError::Stale { current: Some(version) }) if *version == Version::new(2));
    assert_eq!(outcomes.iter().filter(stale).count(), 11);
    assert_eq!(given.waiting().await, ["news.sports.drafted v1", "news.sports.edited v2"]);
}

async fn an_append_that_skips_a_version_is_stale(given: Fixture) {
    let draft = drafted(1);
    let second = revised(&draft.article, "Second");
    let third = revised(&second.article, "Third");
    let unknown = given.store.append(&[with_message(second)], None).await;
    assert!(matches!(unknown, Err(AppendError::Stale { current: None })));
    given.append(&draft).await;
    let skipping = given.store.append(&[with_message(third)], None).await;
    assert!(matches!(skipping, Err(AppendError::Stale { current: Some(Version::FIRST) })));
    assert_eq!(given.links(id(1)).await.len(), 1);
}

async fn of_two_changes_both_are_stored_or_none(given: Fixture) {
    let draft = drafted(1);
    let published =
        draft.article.publish(author(), draft.article.updated_at).expect("a draft can be published");
    let mut gap = published.clone();
    gap.article.version = Version::new(3);
    let outcome = given.store.append(&[with_message(draft.clone()), with_message(gap)], None).await;
    assert!(matches!(outcome, Err(AppendError::Stale { .. })));
    assert_eq!(given.store.latest(id(1)).await.expect("it is read"), None);
    assert!(given.waiting().await.is_empty());
    given
        .store
        .append(&[with_message(draft), with_message(published.clone())], None)
        .await
        .expect("both are appended");
    assert_eq!(given.store.latest(id(1)).await.expect("it is read"), Some(published.article));
    assert_eq!(given.waiting().await, ["news.sports.drafted v1", "news.sports.published v2"]);
}

async fn a_slug_belongs_to_one_article(given: Fixture) {
    let first = drafted(1);
    let mut second = drafted(2);
    second.article.slug = first.article.slug.clone();
    given.append(&first).await;
    let taken = given.store.append(&[with_message(second.clone())], None).await;
    assert!(matches!(taken, Err(AppendError::SlugTaken)));
    assert_eq!(given.store.latest(id(2)).await.expect("it is read"), None);
    assert_eq!(given.waiting().await.len(), 1);
    second.article.slug = Slug::stored("another".to_owned());
    given.append(&second).await;
    // The article keeps its own slug through every version.
    given.append(&revised(&first.article, "Later")).await;
}

async fn the_records_of_an_article_form_a_chain(given: Fixture) {
    let first = drafted(1);
    let second = revised(&first.article, "Second");
    let third = revised(&second.article, "Third");
    for change in [&first, &drafted(2), &second, &third] {
        given.append(change).await;
    }
    let links = given.links(id(1)).await;
    assert_eq!(links.len(), 3);
    assert_eq!(links[0].prev_hash, GENESIS);
    assert_eq!(links[1].prev_hash, links[0].hash);
    assert_eq!(verify_chain(&links), Ok(()));
    assert!(given.links(id(9)).await.is_empty());
}

async fn a_tampered_record_is_returned_as_it_is(given: Fixture) {
    let first = drafted(1);
    given.append(&first).await;
    given.append(&revised(&first.article, "Second")).await;
    let record = given.links(id(1)).await[0].record.replace("Article 1", "Another");
    given.tamperer.rewrite(id(1), Version::FIRST, &record).await;
    let links = given.links(id(1)).await;
    assert_eq!(links[0].record, record);
    assert_eq!(verify_chain(&links), Err(BrokenChain::Tampered { version: Version::FIRST }));
}

async fn no_record_contains_a_byline(given: Fixture) {
    given.append(&drafted(1)).await;
    let record = &given.links(id(1)).await[0].record;
    assert!(!record.contains("Ada"), "{record}");
    assert!(record.contains(&author().to_string()), "{record}");
}

async fn the_newest_version_is_read_back_exactly(given: Fixture) {
    let first = drafted(1);
    let second = revised(&first.article, "Second \u{202b}שלום\u{202c} \"quoted\" \\ 'single'");
    given.append(&first).await;
    given.append(&second).await;
    assert_eq!(given.store.latest(id(1)).await.expect("it is read"), Some(second.article));
}

async fn an_unknown_article_is_absent(given: Fixture) {
    given.append(&drafted(1)).await;
    assert_eq!(given.store.latest(id(2)).await.expect("it is read"), None);
}

async fn a_walk_meets_every_article_once_at_its_newest_version(given: Fixture) {
    for number in 1..=5 {
        given.append(&drafted(number)).await;
    }
    given.append(&revised(&drafted(3).article, "Later")).await;
    let mut met = Vec::new();
    let mut after = None;
    loop {
        let batch = given.store.walk(after, 2).await.expect("a walk");
        let Some(last) = batch.last() else { break };
        after = Some(last.id);
        met.extend(batch);
    }
    let numbers: Vec<_> = met.iter().map(|article| (article.id, article.version.number())).collect();
    assert_eq!(numbers, [(id(1), 1), (id(2), 1), (id(3), 2), (id(4), 1), (id(5), 1)]);
    assert_eq!(met[2].story.title, "Later");
}

async fn an_erased_person_has_no_byline_in_any_version(given: Fixture) {
    let first = drafted(1);
    let mut others = drafted(2);
    others.article.author = UserId::new(Uuid::from_u128(0xb));
    others.article.byline = Byline::of("Ada O'Neill", others.article.author);
    given.append(&first).await;
    given.append(&others).await;
    given.store.erase(author()).await.expect("it is erased");
    let latest = given.store.latest(id(1)).await.expect("it is read").expect("it is there");
    assert_eq!(latest.byline, Byline::stored(String::new(), Some(author())));
    assert_eq!(latest.author, author());
    let other = given.store.latest(id(2)).await.expect("it is read").expect("it is there");
    assert_eq!(other.byline, others.article.byline);
    assert_eq!(given.store.walk(None, 1).await.expect("a walk")[0].byline.as_str(), "");
}

async fn an_erased_person_gets_no_byline_afterwards(given: Fixture) {
    given.append(&drafted(1)).await;
    given.store.erase(author()).await.expect("it is erased");
    // An editor goes on with what they wrote, and the editor's page still has the name.
    given.append(&by_another(revised(&drafted(1).article, "Later"))).await;
    let latest = given.store.latest(id(1)).await.expect("it is read").expect("it is there");
    assert_eq!((latest.version, latest.byline.as_str()), (Version::new(2), ""));
}

async fn a_byline_that_is_not_the_erased_person_s_name_stays(given: Fixture) {
    let other = UserId::new(Uuid::from_u128(0xb));
    let bylines = [Byline::parse("Newsroom").expect("a byline"), Byline::of("Ben", other)];
    let (before, mut after) = (drafted(1).article, Vec::new());
    given.append(&drafted(1)).await;
    for (number, byline) in (2..).zip(&bylines) {
        let mut change = drafted(number);
        change.article.byline = byline.clone();
        given.append(&change).await;
        after.push((id(number), byline.clone()));
    }
    given.store.erase(author()).await.expect("it is erased");
    // An editor writes another byline over what the person wrote.
    let change = before.revise(story("Later"), bylines[0].clone(), other, at(1)).expect("it can be revised");
    given.append(&change).await;
    after.push((id(1), bylines[0].clone()));
    for (id, byline) in after {
        let latest = given.store.latest(id).await.expect("it is read").expect("it is there");
        assert_eq!(latest.byline, byline);
    }
}

async fn an_erased_person_writes_nothing(given: Fixture) {
    let others = by_another(drafted(2));
    given.append(&drafted(1)).await;
    given.append(&others).await;
    given.store.erase(author()).await.expect("it is erased");
    for change in [drafted(3), revised(&drafted(1).article, "Mine"), revised(&others.article, "Another's")] {
        let refused = given.store.append(&[with_message(change)], None).await;
        assert!(matches!(refused, Err(AppendError::Erased)));
    }
    assert_eq!(given.waiting().await.len(), 2);
    assert_eq!(given.links(id(1)).await.len(), 1);
}

async fn erasing_twice_is_erasing_once(given: Fixture) {
    given.append(&drafted(1)).await;
    for _ in 0..2 {
        given.store.erase(author()).await.expect("it is erased");
    }
    let latest = given.store.latest(id(1)).await.expect("it is read").expect("it is there");
    assert_eq!((latest.byline.as_str(), latest.story), ("", story("Article 1")));
}

async fn erasing_leaves_the_chain_as_it_is(given: Fixture) {
    let first = drafted(1);
    given.append(&first).await;
    given.append(&revised(&first.article, "Second")).await;
    let before = given.links(id(1)).await;
    given.store.erase(author()).await.expect("it is erased");
    let after = given.links(id(1)).await;
    assert_eq!(after, before);
    assert_eq!(verify_chain(&after), Ok(()));
}

async fn a_store_that_answers_accepts_writes(given: Fixture) {
    given.store.ping().await.expect("it answers");
    given.store.try_write().await.expect("it is neither full nor read-only");
}

macro_rules! every_case {
    ($($adapter:tt)*) => {
        testkit::cases! { [$($adapter)*]
            in (super) {
                an_appended_version_is_stored_with_its_message_in_the_outbox,
                of_parallel_appends_on_one_version_one_wins,
                an_append_that_skips_a_version_is_stale,
                of_two_changes_both_are_stored_or_none,
                a_slug_belongs_to_one_article,
                the_records_of_an_article_form_a_chain,
                a_tampered_record_is_returned_as_it_is,
                no_record_contains_a_byline,
                the_newest_version_is_read_back_exactly,
                an_unknown_article_is_absent,
                a_walk_meets_every_article_once_at_its_newest_version,
                an_erased_person_has_no_byline_in_any_version,
                an_erased_person_gets_no_byline_afterwards,
                a_byline_that_is_not_the_erased_person_s_name_stays,
                an_erased_person_writes_nothing,
                erasing_twice_is_erasing_once,
                erasing_leaves_the_chain_as_it_is,
                every_version_is_read_back_exactly,
                a_history_names_accounts_events_and_changed_fields,
                pages_of_a_history_join_without_a_gap,
                a_history_for_readers_compares_the_versions_that_they_saw,
                scheduled_articles_come_in_the_order_of_their_times,
                corrections_are_listed_as_long_as_their_article_is_public,
                pages_of_corrections_join_without_a_gap,
                pages_of_a_chain_join_without_a_gap,
                ids_are_listed_even_if_a_record_cannot_be_read,
                under_one_key_one_append_of_many_is_stored,
                an_answer_is_kept_with_its_effect_or_not_at_all,
                a_key_belongs_to_one_account_and_one_command,
                an_expired_answer_does_not_count,
                a_refusal_that_an_older_release_kept_does_not_count,
                expired_answers_are_removed_in_bounded_steps,
                no_answer_of_an_erased_person_is_kept,
                a_store_that_answers_accepts_writes,
            }
        }
    };
}

mod sqlite {
    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;
    use crate::store::sqlite_events::SqliteEventStore;

    struct OtherConnection(PathBuf);

    #[async_trait]
    impl Tamperer for OtherConnection {
        async fn rewrite(&self, article: ArticleId, version: Version, record: &str) {
            let options = SqliteConnectOptions::new().filename(&self.0);
            let mut connection = options.connect().await.expect("a second connection");
            sqlx::query("update events set record = ? where article = ? and version = ?")
                .bind(record)
                .bind(article.uuid())
                .bind(version.number())
                .execute(&mut connection)
                .await
                .expect("the record is rewritten");
        }

        async fn keep_refusal(&self, once: &CommandKey, refusal: &str) {
            let options = SqliteConnectOptions::new().filename(&self.0);
            let mut connection = options.connect().await.expect("a second connection");
            sqlx::query(
                "insert into answers (owner, command, idempotency_key, fingerprint, refusal, kept_until)
                 values (?, ?, ?, ?, ?, ?)",
            )
            .bind(once.owner.uuid())
            .bind(&once.command)
            .bind(&once.key)
            .bind(&once.fingerprint)
            .bind(refusal)
            .bind(once.until.millis())
            .execute(&mut connection)
            .await
            .expect("the refusal is kept");
        }
    }

    async fn fixture() -> Fixture {
        let folder = Folder::new();
        let path = folder.join("events.db");
        let store =
            SqliteEventStore::open(&format!("sqlite:{}", path.display())).await.expect("the store opens");
        let (outbox, tamperer) = (store.outbox(), Arc::new(OtherConnection(path)));
        Fixture { store: Arc::new(store), outbox, tamperer, _folder: Some(folder) }
    }

    every_case!(fixture);
}

mod postgres {
    use sqlx::postgres::PgPool;

    use super::*;
    use crate::store::contract::engines;
    use crate::store::postgres_events::PostgresEventStore;

    struct OtherConnection(PgPool);

    #[async_trait]
    impl Tamperer for OtherConnection {
        async fn rewrite(&self, article: ArticleId, version: Version, record: &str) {
            sqlx::query("update events set record = $1 where article = $2 and version = $3")
                .bind(record)
                .bind(article.uuid())
                .bind(i32::try_from(version.number()).expect("a small number"))
                .execute(&self.0)
                .await
                .expect("the record is rewritten");
        }

        async fn keep_refusal(&self, once: &CommandKey, refusal: &str) {
            sqlx::query(
                "insert into answers (owner, command, idempotency_key, fingerprint, refusal, kept_until)
                 values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(once.owner.uuid())
            .bind(&once.command)
            .bind(&once.key)
            .bind(&once.fingerprint)
            .bind(refusal)
            .bind(chassis::postgres::timestamptz(once.until))
            .execute(&self.0)
            .await
            .expect("the refusal is kept");
        }
    }

    async fn fixture() -> Fixture {
        let url = engines::postgres().await;
        let store = PostgresEventStore::open(&url, "test").await.expect("the store opens");
        let other = PgPool::connect_lazy(&url).expect("a good URL");
        let (outbox, tamperer) = (store.outbox(), Arc::new(OtherConnection(other)));
        Fixture { store: Arc::new(store), outbox, tamperer, _folder: None }
    }

    every_case!(fixture, ignore = "needs postgres");
}
