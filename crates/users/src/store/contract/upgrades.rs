//! The upgrade of e-mail keys: accounts that an older program stored are found by today's keys.

use chassis::sqlite::Database as Sqlite;
use chassis::{StoreFailure, postgres};
use kernel::UserId;
use sqlx::types::time::OffsetDateTime;
use testkit::Folder;
use uuid::Uuid;

use super::servers::Schema;
use crate::domain::Email;
use crate::ports::UserStore;
use crate::store::postgres::{self as postgres_store, PostgresUserStore};
use crate::store::sqlite::{self as sqlite_store, SqliteUserStore};

/// Typed addresses, and the keys that older programs made of them. By today's rule the last two are one
/// address.
const OLD: [(&str, &str); 6] = [
    ("Ann@Example.org", "ann@example.org"),
    ("weiß@example.org", "weiss@example.org"),
    ("ısı@example.org", "isi@example.org"),
    ("jo\u{308}rg@example.org", "jo\u{308}rg@example.org"),
    ("ANN@XN--MNCHEN-3YA.example", "ann@xn--mnchen-3ya.example"),
    ("ann@münchen.example", "ann@münchen.example"),
];

fn id(number: usize) -> UserId {
    UserId::new(Uuid::from_u128(1 + number as u128))
}

async fn check_that_every_account_is_found(store: &dyn UserStore) {
    let found = async |typed: &str| {
        let account =
            store.account_by_email(&Email::parse(typed).expect(typed)).await.expect("the store answers");
        account.map(|account| account.user.id)
    };
    for (number, (typed, _)) in OLD.iter().enumerate() {
        assert_eq!(found(typed).await, Some(id(number)), "{typed}");
    }
    assert_eq!(found("jörg@example.org").await, Some(id(3)));
    assert_eq!(found("ann@xn--mnchen-3ya.example").await, Some(id(4)));
    for unknown in ["weiss@example.org", "isi@example.org"] {
        assert_eq!(found(unknown).await, None, "{unknown}");
    }
}

#[tokio::test]
async fn accounts_with_older_keys_in_sqlite_are_found_by_the_address_that_was_typed()
-> Result<(), StoreFailure> {
    let folder = Folder::new();
    let url = folder.sqlite("users.db");
    let old = Sqlite::open(&url, &sqlite_store::before_key_forms()).await?;
    let mut tx = old.write().await?;
    for (number, (email, key)) in OLD.iter().enumerate() {
        sqlx::query(
            "insert into users (id, name, email, email_key, password, role, created_at, version)
             values (?, 'Ann', ?, ?, '', 'reader', ?, 1)",
        )
        .bind(id(number).uuid())
        .bind(email)
        .bind(key)
        .bind(number as i64)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    old.close().await;
    for _ in 0..2 {
        let store = SqliteUserStore::open(&url).await?;
        check_that_every_account_is_found(&store).await;
        store.closer().await;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn accounts_with_older_keys_in_postgresql_are_found_by_the_address_that_was_typed()
-> Result<(), StoreFailure> {
    let schema = Schema::new().await;
    let old = postgres::Database::open(&schema.url(), "test", &postgres_store::before_key_forms()).await?;
    for (number, (email, key)) in OLD.iter().enumerate() {
        sqlx::query(
            "insert into users (id, name, email, email_key, password, role, created_at, version)
             values ($1, 'Ann', $2, $3, '', 'reader', $4, 1)",
        )
        .bind(id(number).uuid())
        .bind(email)
        .bind(key)
        .bind(OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_secs(number as u64))
        .execute(old.pool())
        .await?;
    }
    old.close().await;
    for _ in 0..2 {
        let store = PostgresUserStore::open(&schema.url()).await?;
        check_that_every_account_is_found(&store).await;
        store.closer().await;
    }
    Ok(())
}
