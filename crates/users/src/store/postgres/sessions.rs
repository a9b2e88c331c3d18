//! Sessions in the PostgreSQL store.
//!
//! A transaction that changes more than one session of an account locks the account's row first, so that two
//! of them never wait for each other. A refresh locks its own session and nothing else.

use chassis::StoredTime;
use chassis::postgres::Database;
use kernel::{SessionId, Timestamp, UserId};
use sqlx::PgConnection;

use super::accounts::{find_consent, find_user};
use super::audit;
use crate::domain::{AuditKind, Credentials, Digest, Origin, RefreshRequest, Session, Verdict};
use crate::ports::{RefreshOutcome, SessionName, SessionsToEnd, TokenSubject, UserStoreError};
use crate::store::rows::{self, DeletedSessionRow, SessionRow, convert_all, name_columns};

/// See [`crate::ports::UserStore::open_session`].
pub async fn open(
    database: &Database,
    session: &Session,
    proven: &Credentials,
    most: u32,
    origin: &Origin,
) -> Result<TokenSubject, UserStoreError> {
    let mut tx = database.begin().await?;
    let holds: Option<bool> =
        sqlx::query_scalar("select password = $2 from users where id = $1 for no key update")
            .bind(session.user.uuid())
            .bind(proven.phc())
            .fetch_optional(&mut *tx)
            .await?;
    let subject = find_subject(&mut tx, session.user).await?.ok_or(UserStoreError::NotFound)?;
    if holds != Some(true) {
        return Err(UserStoreError::Stale { current: subject.user.version });
    }
    let surplus: Vec<DeletedSessionRow> = sqlx::query_as(rows::DELETE_SURPLUS_SESSIONS)
        .bind(session.user.uuid())
        .bind(StoredTime(session.created_at))
        .bind(i64::from(most.saturating_sub(1)))
        .fetch_all(&mut *tx)
        .await?;
    audit_ended(&mut tx, &surplus, origin).await?;
    sqlx::query(rows::INSERT_SESSION)
        .bind(session.id.uuid())
        .bind(session.user.uuid())
        .bind(session.token.series.bytes())
        .bind(session.token.value.bytes())
        .bind(StoredTime(session.created_at))
        .bind(StoredTime(session.last_used_at))
        .bind(StoredTime(session.expires_at))
        .execute(&mut *tx)
        .await?;
    audit::append(&mut tx, AuditKind::SessionBegun, session.user, origin).await?;
    tx.commit().await?;
    Ok(subject)
}

/// See [`crate::ports::UserStore::refresh_session`].
pub async fn refresh(
    database: &Database,
    refresh: &RefreshRequest,
) -> Result<RefreshOutcome, UserStoreError> {
    let mut tx = database.begin().await?;
    let row: Option<SessionRow> = sqlx::query_as(
        "select id, user_id, series, value, previous, retry_key, retry_salt, created_at, last_used_at, expires_at
         from sessions where series = $1 for update",
    )
    .bind(refresh.presented.series.bytes())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(RefreshOutcome::Over) };
    let session = Session::try_from(row)?;
    let verdict = session.judge(refresh);
    match &verdict {
        Verdict::Good(renewed) => renew(&mut tx, renewed).await?,
        Verdict::Reused => {
            // The thief or the owner sent the token, and which of them is unknown: the entry names no actor.
            let origin = Origin { actor: None, network: refresh.network, at: refresh.at };
            end(&mut tx, &SessionsToEnd::One(session.user, session.id), &origin).await?;
        }
        Verdict::Again(..) | Verdict::Replaced | Verdict::Over => {}
    }
    // An erasure in progress waits for this session and deletes it then; until it commits, the account
    // exists.
    let subject = find_subject(&mut tx, session.user).await?.ok_or(UserStoreError::NotFound)?;
    tx.commit().await?;
    Ok(RefreshOutcome::new(&session, verdict, subject))
}

async fn renew(tx: &mut PgConnection, session: &Session) -> sqlx::Result<()> {
    let previous = session.previous.as_ref();
    sqlx::query(rows::RENEW_SESSION)
        .bind(session.id.uuid())
        .bind(session.token.value.bytes())
        .bind(previous.map(|previous| previous.value.bytes()))
        .bind(previous.and_then(|previous| previous.key.as_ref()).map(Digest::bytes))
        .bind(previous.map(|previous| previous.salt.bytes()))
        .bind(StoredTime(session.last_used_at))
        .bind(StoredTime(session.expires_at))
        .execute(tx)
        .await?;
    Ok(())
}

async fn find_subject(tx: &mut PgConnection, id: UserId) -> Result<Option<TokenSubject>, UserStoreError> {
    let found = (find_user(&mut *tx, id).await?, find_consent(tx, id).await?);
    Ok(found.0.zip(found.1).map(|(user, consent)| TokenSubject { user, consent }))
}

/// See [`crate::ports::UserStore::session`].
pub async fn find(
    database: &Database,
    name: SessionName,
    now: Timestamp,
) -> Result<Option<Session>, UserStoreError> {
    let (id, user, series) = name_columns(&name);
    let row: Option<SessionRow> = sqlx::query_as(rows::SESSION_BY_NAME)
        .bind(id)
        .bind(user)
        .bind(series)
        .bind(StoredTime(now))
        .fetch_optional(database.pool())
        .await?;
    Ok(row.map(Session::try_from).transpose()?)
}

/// See [`crate::ports::UserStore::sessions`].
pub async fn list(database: &Database, user: UserId, now: Timestamp) -> Result<Vec<Session>, UserStoreError> {
    let rows: Vec<SessionRow> = sqlx::query_as(rows::SESSIONS_BY_USER)
        .bind(user.uuid())
        .bind(StoredTime(now))
        .fetch_all(database.pool())
        .await?;
    Ok(convert_all(rows)?)
}

/// See [`crate::ports::UserStore::end_sessions`]. It runs in the caller's transaction.
pub async fn end(tx: &mut PgConnection, which: &SessionsToEnd, origin: &Origin) -> sqlx::Result<u64> {
    let delete = match which {
        SessionsToEnd::One(user, session) => {
            sqlx::query_as(rows::DELETE_SESSION).bind(user.uuid()).bind(session.uuid())
        }
        SessionsToEnd::All(user) => {
            sqlx::query("select 1 from users where id = $1 for no key update")
                .bind(user.uuid())
                .execute(&mut *tx)
                .await?;
            sqlx::query_as(rows::DELETE_ALL_SESSIONS).bind(user.uuid())
        }
        SessionsToEnd::Series(series) => sqlx::query_as(rows::DELETE_SERIES).bind(series.bytes()),
    };
    let deleted: Vec<DeletedSessionRow> = delete.fetch_all(&mut *tx).await?;
    audit_ended(tx, &deleted, origin).await?;
    Ok(deleted.len() as u64)
}

/// Ends all sessions of an account except `keeps`, as a new password does. It is a statement of its own after
/// the update, so it also sees a session that a login opened while the update waited.
pub async fn end_others(
    tx: &mut PgConnection,
    user: UserId,
    keeps: Option<SessionId>,
    origin: &Origin,
) -> sqlx::Result<()> {
    let deleted: Vec<DeletedSessionRow> = sqlx::query_as(rows::DELETE_OTHER_SESSIONS)
        .bind(user.uuid())
        .bind(keeps.map(|session| session.uuid()))
        .fetch_all(&mut *tx)
        .await?;
    audit_ended(tx, &deleted, origin).await
}

/// Writes an entry for each deleted session that had not expired.
async fn audit_ended(
    tx: &mut PgConnection,
    deleted: &[DeletedSessionRow],
    origin: &Origin,
) -> sqlx::Result<()> {
    for user in deleted.iter().filter_map(|row| row.ended(origin.at)) {
        audit::append(&mut *tx, AuditKind::SessionEnded, user, origin).await?;
    }
    Ok(())
}
