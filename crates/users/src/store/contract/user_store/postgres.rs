//! The laws on a PostgreSQL server, and further tests of this adapter.

use super::*;

async fn at(schema: Schema) -> Fixture {
    let store = PostgresUserStore::open(&schema.url()).await.expect("opens");
    let outbox = store.outbox();
    Fixture { store: Arc::new(store), outbox: Arc::new(outbox), place: Place::Schema(schema) }
}

async fn open() -> Fixture {
    at(Schema::new().await).await
}

async fn reopen(before: Fixture) -> Fixture {
    let Fixture { store, outbox, place } = before;
    drop((store, outbox));
    let Place::Schema(schema) = place else { unreachable!("the place is a schema") };
    at(schema).await
}

every_case!(open, reopen, ignore = "needs postgres");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn two_admins_who_demote_or_erase_each_other_never_both_succeed() {
    let fixture = open().await;
    let Place::Schema(schema) = &fixture.place else { unreachable!("the place is a schema") };
    let other = PostgresUserStore::open(&schema.url()).await.expect("a second replica opens");
    for round in 0..10 {
        let (one, two) = (round * 2 + 1, round * 2 + 2);
        fixture.admin(one).await;
        fixture.admin(two).await;
        if round > 0 {
            fixture.store.set_role(id(0), Role::Reader, &Sections::All, &BY).await.expect("others are left");
        } else {
            fixture.insert(0, "first@example.org").await;
        }
        let demote = fixture.store.set_role(id(one), Role::Reader, &Sections::All, &BY);
        let erase = other.erase(id(two), message_id(), &BY);
        let (demoted, erased) = tokio::join!(demote, erase);
        assert!(demoted.is_ok() != erased.is_ok(), "{demoted:?} {erased:?}");
        assert!(fixture.store.has_admin().await.expect("looks"));
        // The remaining admin is demoted before the next round.
        fixture.store.set_role(id(0), Role::Admin, &Sections::All, &BY).await.expect("is an admin");
        let _ = fixture.store.set_role(id(one), Role::Reader, &Sections::All, &BY).await;
        let _ = fixture.store.set_role(id(two), Role::Reader, &Sections::All, &BY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn an_insert_that_meets_an_erasure_in_progress_never_brings_the_account_back() {
    let fixture = open().await;
    fixture.warm().await;
    for number in 1..=30 {
        let ann = fixture.insert(number, &format!("reader{number}@example.org")).await;
        let inserts = futures::future::join_all((0..4).map(|_| fixture.store.insert(&ann)));
        let (erased, inserted) = tokio::join!(fixture.store.erase(id(number), message_id(), &BY), inserts);
        erased.expect("is erased");
        assert!(!inserted.into_iter().any(|outcome| matches!(outcome, Ok(InsertOutcome::Stored))));
        assert!(fixture.store.by_id(id(number)).await.expect("looks").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn one_row_that_the_database_refuses_does_not_affect_its_neighbours() {
    let fixture = open().await;
    let accounts: Vec<Account> = (1..=3)
        .map(|number| {
            let mut account = account(number, &format!("reader{number}@example.org"));
            if number == 2 {
                account.user.version = Version::new(0);
            }
            account
        })
        .collect();
    let outcomes = fixture.store.insert_all(&accounts).await.expect("the store is there");
    assert!(matches!(
        outcomes[..],
        [Ok(InsertOutcome::Stored), Err(UserStoreError::Store(_)), Ok(InsertOutcome::Stored)]
    ));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn no_login_with_the_old_password_outlives_a_change_of_it_and_the_transactions_do_not_deadlock() {
    use crate::domain::{RefreshToken, Session, SessionRules};
    use crate::ports::SessionsToEnd;
    use kernel::SessionId;
    use std::time::Duration;

    let fixture = open().await;
    fixture.warm().await;
    let day = Duration::from_secs(86_400);
    let rules = SessionRules { idle: day, longest: day, retry: day, grace: day, most: 3 };
    for number in 1..=20 {
        let ann = fixture.insert(number, &format!("reader{number}@example.org")).await;
        let logins = futures::future::join_all((0..5).map(|login| {
            let sid = SessionId::new(Uuid::from_u128(number * 10 + login));
            let session = Session::new(sid, ann.user.id, &RefreshToken::mint(), NOW, &rules);
            let (store, credentials) = (fixture.store.clone(), ann.credentials.clone());
            async move { store.open_session(&session, &credentials, rules.most, &BY).await }
        }));
        let credentials = Some(Credentials::from_phc("$argon2id$new".to_owned()));
        let change = AccountChange { credentials, ..AccountChange::default() };
        let any = Expected::Any;
        let changed = fixture.store.update(id(number), &any, &change, &BY);
        let ending = futures::future::join_all(
            (0..3).map(|_| fixture.store.end_sessions(SessionsToEnd::All(id(number)), &BY)),
        );
        let (changed, logins, ended) = tokio::join!(changed, logins, ending);
        changed.expect("is changed");
        assert!(ended.into_iter().all(|outcome| outcome.is_ok()));
        let refused = |outcome: &Result<_, _>| matches!(outcome, Err(UserStoreError::Stale { .. }));
        assert!(logins.iter().all(|outcome| outcome.is_ok() || refused(outcome)), "{logins:?}");
        assert!(fixture.store.sessions(id(number), NOW).await.expect("lists").is_empty());
    }
}

#[test]
fn the_outbox_is_the_one_of_the_bus() {
    let migration = include_str!("../../../../../../db/users/postgres/0001_accounts.sql");
    assert!(migration.contains(bus::postgres_outbox::TABLE.trim()));
}
