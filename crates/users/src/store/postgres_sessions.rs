//! Sessions in the PostgreSQL store.
//!
//! Whoever touches more than one session of an account holds the account's row first, so that no two of them wait for each other; a
//! refresh holds its own session and nothing else.

use chassis::StoreFailure;
use chassis::postgres::{Database, timestamp, timestamptz};
use kernel::{SessionId, Timestamp, UserId};
use sqlx::PgConnection;
use sqlx::types::time::OffsetDateTime;
use uuid::Uuid;

use super::postgres::{consent, user};
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
    created_at: OffsetDateTime,
    last_used_at: OffsetDateTime,
    expires_at: OffsetDateTime,
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
            created_at: timestamp(row.created_at),
            last_used_at: timestamp(row.last_used_at),
            expires_at: timestamp(row.expires_at),
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
    let mut tx = database.begin().await?;
    let holds: Option<bool> =
        sqlx::query_scalar("select password = $2 from users where id = $1 for no key update")
            .bind(session.user.uuid())
            .bind(proven.phc())
            .fetch_optional(&mut *tx)
            .await?;
    let bearer = bearer(&mut tx, session.user).await?.ok_or(UserStoreError::NotFound)?;
    if holds != Some(true) {
        return Err(UserStoreError::Stale { current: bearer.user.version });
    }
    sqlx::query(
        "delete from sessions
         where user_id = $1
           and (expires_at <= $2
                or id not in (select id from sessions where user_id = $1 and expires_at > $2
                              order by last_used_at desc, id desc limit $3))",
    )
    .bind(session.user.uuid())
    .bind(timestamptz(session.created_at))
    .bind(i64::from(most.saturating_sub(1)))
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "insert into sessions (id, user_id, series, value, created_at, last_used_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(session.id.uuid())
    .bind(session.user.uuid())
    .bind(session.token.series.bytes())
    .bind(session.token.value.bytes())
    .bind(timestamptz(session.created_at))
    .bind(timestamptz(session.last_used_at))
    .bind(timestamptz(session.expires_at))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(bearer)
}

/// As [`crate::ports::UserStore::refresh_session`].
pub async fn refresh(database: &Database, refresh: &Refresh) -> Result<Refreshed, UserStoreError> {
    let mut tx = database.begin().await?;
    let row: Option<SessionRow> = sqlx::query_as(
        "select id, user_id, series, value, previous, retry_key, retry_salt, created_at, last_used_at, expires_at
         from sessions where series = $1 for update",
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
    // An erasure that is under way waits for this session and takes it then; until it is done the account is there.
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

async fn renew(tx: &mut PgConnection, session: &Session) -> sqlx::Result<()> {
    let previous = session.previous.as_ref();
    sqlx::query(
        "update sessions set value = $2, previous = $3, retry_key = $4, retry_salt = $5, last_used_at = $6, expires_at = $7
         where id = $1",
    )
    .bind(session.id.uuid())
    .bind(session.token.value.bytes())
    .bind(previous.map(|previous| previous.value.bytes()))
    .bind(previous.and_then(|previous| previous.key.as_ref()).map(Digest::bytes))
    .bind(previous.map(|previous| previous.salt.bytes()))
    .bind(timestamptz(session.last_used_at))
    .bind(timestamptz(session.expires_at))
    .execute(tx)
    .await?;
    Ok(())
}

async fn bearer(tx: &mut PgConnection, id: UserId) -> Result<Option<Bearer>, UserStoreError> {
    let found = (user(&mut *tx, id).await?, consent(tx, id, false).await?);
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
         from sessions where ((id = $1 and user_id = $2) or series = $3) and expires_at > $4",
    )
    .bind(id)
    .bind(user)
    .bind(series)
    .bind(timestamptz(now))
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(Session::try_from).transpose()?)
}

/// As [`crate::ports::UserStore::sessions`].
pub async fn list(database: &Database, user: UserId, now: Timestamp) -> Result<Vec<Session>, UserStoreError> {
    let rows: Vec<SessionRow> = sqlx::query_as(
        "select id, user_id, series, value, previous, retry_key, retry_salt, created_at, last_used_at, expires_at
         from sessions where user_id = $1 and expires_at > $2 order by last_used_at desc, id desc",
    )
    .bind(user.uuid())
    .bind(timestamptz(now))
    .fetch_all(database.pool())
    .await?;
    Ok(rows.into_iter().map(Session::try_from).collect::<Result<_, _>>()?)
}

/// As [`crate::ports::UserStore::end_sessions`], in the transaction of whoever asks.
pub async fn end(tx: &mut PgConnection, which: Ending) -> sqlx::Result<u64> {
    let done = match which {
        Ending::One(user, session) => {
            sqlx::query("delete from sessions where user_id = $1 and id = $2")
                .bind(user.uuid())
                .bind(session.uuid())
                .execute(tx)
                .await?
        }
        Ending::All(user) => {
            sqlx::query("select 1 from users where id = $1 for no key update")
                .bind(user.uuid())
                .execute(&mut *tx)
                .await?;
            sqlx::query("delete from sessions where user_id = $1").bind(user.uuid()).execute(tx).await?
        }
        Ending::Series(series) => {
            sqlx::query("delete from sessions where series = $1").bind(series.bytes()).execute(tx).await?
        }
    };
    Ok(done.rows_affected())
}

/// Ends all sessions of an account but this one: with a new password. A statement of its own after the update: it sees what a login
/// has opened that was waited for there.
pub async fn end_others(tx: &mut PgConnection, user: UserId, keeps: Option<SessionId>) -> sqlx::Result<()> {
    sqlx::query("delete from sessions where user_id = $1 and id is distinct from $2")
        .bind(user.uuid())
        .bind(keeps.map(|session| session.uuid()))
        .execute(tx)
        .await?;
    Ok(())
}
