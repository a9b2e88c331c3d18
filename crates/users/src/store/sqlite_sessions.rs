//! Sessions in the SQLite store.

use chassis::StoreFailure;
use chassis::sqlite::Database;
use kernel::{SessionId, Timestamp, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::sqlite::{consent, user};
use super::{digest, parts, salt};
use crate::domain::{Credentials, Digest, Previous, Print, Refresh, Session, Verdict};
use crate::ports::{Bearer, Ending, Refreshed, SessionName, UserStoreError};

#[derive(sqlx::FromRow)]
struct SessionRow {
    id: Uuid,
    user_id: Uuid,
    series: Vec<u8>,
    value: Vec<u8>,
    previous: Option<Vec<u8>>,
    retry_key: Option<Vec<u8>>,
    retry_salt: Option<Vec<u8>>,
    created_at: i64,
    last_used_at: i64,
    expires_at: i64,
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreFailure;

    fn try_from(row: SessionRow) -> Result<Self, StoreFailure> {
        let previous = match (row.previous, row.retry_salt) {
            (Some(value), Some(made_with)) => Some(Previous {
                value: digest(value)?,
                salt: salt(made_with)?,
                key: row.retry_key.map(digest).transpose()?,
            }),
            _ => None,
        };
        Ok(Session {
            id: SessionId::new(row.id),
            user: UserId::new(row.user_id),
            token: Print { series: digest(row.series)?, value: digest(row.value)? },
            previous,
            created_at: Timestamp::from_millis(row.created_at),
            last_used_at: Timestamp::from_millis(row.last_used_at),
            expires_at: Timestamp::from_millis(row.expires_at),
        })
    }
}

/// As [`crate::ports::UserStore::open_session`].
pub async fn open(
    database: &Database,
    session: &Session,
    proven: &Credentials,
    most: u32,
) -> Result<Bearer, UserStoreError> {
    let mut tx = database.write().await?;
    let bearer = bearer(&mut tx, session.user).await?.ok_or(UserStoreError::NotFound)?;
    let holds: bool = sqlx::query_scalar("select password = ? from users where id = ?")
        .bind(proven.phc())
        .bind(session.user.uuid())
        .fetch_one(&mut *tx)
        .await?;
    if !holds {
        return Err(UserStoreError::Stale { current: bearer.user.version });
    }
    sqlx::query(
        "delete from sessions
         where user_id = ?1
           and (expires_at <= ?2
                or id not in (select id from sessions where user_id = ?1 and expires_at > ?2
                              order by last_used_at desc, id desc limit ?3))",
    )
    .bind(session.user.uuid())
    .bind(session.created_at.millis())
    .bind(most.saturating_sub(1))
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "insert into sessions (id, user_id, series, value, created_at, last_used_at, expires_at)
         values (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(session.id.uuid())
    .bind(session.user.uuid())
    .bind(session.token.series.bytes())
    .bind(session.token.value.bytes())
    .bind(session.created_at.millis())
    .bind(session.last_used_at.millis())
    .bind(session.expires_at.millis())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(bearer)
}

/// As [`crate::ports::UserStore::refresh_session`].
pub async fn refresh(database: &Database, refresh: &Refresh) -> Result<Refreshed, UserStoreError> {
    // Made-up tokens must not stand in line before the only writer.
    let known: bool = sqlx::query_scalar("select exists (select 1 from sessions where series = ?)")
        .bind(refresh.presented.series.bytes())
        .fetch_one(database.reader())
        .await?;
    if !known {
        return Ok(Refreshed::Over);
    }
    let mut tx = database.write().await?;
    let row: Option<SessionRow> = sqlx::query_as(
        "select id, user_id, series, value, previous, retry_key, retry_salt, created_at, last_used_at, expires_at
         from sessions where series = ?",
    )
        .bind(refresh.presented.series.bytes())
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok(Refreshed::Over) };
    let session = Session::try_from(row)?;
    let verdict = session.judge(refresh);
    match &verdict {
        Verdict::Good(renewed) => renew(&mut tx, renewed).await?,
        Verdict::Reused => drop(end(&mut tx, Ending::One(session.user, session.id)).await?),
        Verdict::Again(..) | Verdict::Replaced | Verdict::Over => {}
    }
    let bearer = bearer(&mut tx, session.user).await?.ok_or(UserStoreError::NotFound)?;
    tx.commit().await?;
    Ok(match verdict {
        Verdict::Good(_) => Refreshed::Renewed(session.id, bearer),
        Verdict::Again(salt, at) => Refreshed::Again(session.id, bearer, salt, at),
        Verdict::Replaced => Refreshed::Replaced(session.id),
        Verdict::Reused => Refreshed::Reused(session.id, session.user),
        Verdict::Over => Refreshed::Over,
    })
}

async fn renew(tx: &mut SqliteConnection, session: &Session) -> sqlx::Result<()> {
    let previous = session.previous.as_ref();
    sqlx::query(
        "update sessions set value = ?2, previous = ?3, retry_key = ?4, retry_salt = ?5, last_used_at = ?6, expires_at = ?7
         where id = ?1",
    )
    .bind(session.id.uuid())
    .bind(session.token.value.bytes())
    .bind(previous.map(|previous| previous.value.bytes()))
    .bind(previous.and_then(|previous| previous.key.as_ref()).map(Digest::bytes))
    .bind(previous.map(|previous| previous.salt.bytes()))
    .bind(session.last_used_at.millis())
    .bind(session.expires_at.millis())
    .execute(tx)
    .await?;
    Ok(())
}

async fn bearer(tx: &mut SqliteConnection, id: UserId) -> Result<Option<Bearer>, UserStoreError> {
    let found = (user(&mut *tx, id).await?, consent(tx, id).await?);
    Ok(found.0.zip(found.1).map(|(user, consent)| Bearer { user, consent }))
}

/// As [`crate::ports::UserStore::session`].
pub async fn find(
    database: &Database,
    name: SessionName,
    now: Timestamp,
) -> Result<Option<Session>, UserStoreError> {
    let (id, user, series) = parts(&name);
    let row: Option<SessionRow> = sqlx::query_as(
        "select id, user_id, series, value, previous, retry_key, retry_salt, created_at, last_used_at, expires_at
         from sessions where ((id = ?1 and user_id = ?2) or series = ?3) and expires_at > ?4",
    )
    .bind(id)
    .bind(user)
    .bind(series)
    .bind(now.millis())
    .fetch_optional(database.reader())
    .await?;
    Ok(row.map(Session::try_from).transpose()?)
}

/// As [`crate::ports::UserStore::sessions`].
pub async fn list(database: &Database, user: UserId, now: Timestamp) -> Result<Vec<Session>, UserStoreError> {
    let rows: Vec<SessionRow> = sqlx::query_as(
        "select id, user_id, series, value, previous, retry_key, retry_salt, created_at, last_used_at, expires_at
         from sessions where user_id = ? and expires_at > ? order by last_used_at desc, id desc",
    )
    .bind(user.uuid())
    .bind(now.millis())
    .fetch_all(database.reader())
    .await?;
    Ok(rows.into_iter().map(Session::try_from).collect::<Result<_, _>>()?)
}

/// As [`crate::ports::UserStore::end_sessions`], in the transaction of whoever asks.
pub async fn end(tx: &mut SqliteConnection, which: Ending) -> sqlx::Result<u64> {
    let done = match which {
        Ending::One(user, session) => {
            sqlx::query("delete from sessions where user_id = ? and id = ?")
                .bind(user.uuid())
                .bind(session.uuid())
                .execute(tx)
                .await?
        }
        Ending::All(user) => {
            sqlx::query("delete from sessions where user_id = ?").bind(user.uuid()).execute(tx).await?
        }
        Ending::Series(series) => {
            sqlx::query("delete from sessions where series = ?").bind(series.bytes()).execute(tx).await?
        }
    };
    Ok(done.rows_affected())
}

/// Ends all sessions of an account but this one: with a new password.
pub async fn end_others(
    tx: &mut SqliteConnection,
    user: UserId,
    keeps: Option<SessionId>,
) -> sqlx::Result<()> {
    sqlx::query("delete from sessions where user_id = ? and id is not ?")
        .bind(user.uuid())
        .bind(keeps.map(|session| session.uuid()))
        .execute(tx)
        .await?;
    Ok(())
}
