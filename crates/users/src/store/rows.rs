//! Rows as values of the domain, and the statements that both databases understand.
//!
//! Each table has one row type: the columns of [`chassis`] read both dialects. Both also accept `$1` as a
//! parameter.

use chassis::{StoreFailure, StoredTime, StoredVersion};
use kernel::{Sections, SessionId, Timestamp, UserId};
use uuid::Uuid;

use super::record::texts;
use crate::domain::{
    Account, Consent, ConsentChoice, Credentials, Digest, PreviousRefresh, Salt, Session, TokenDigest, User,
};
use crate::ports::SessionName;

/// Selects one account without its credentials.
pub const USER_BY_ID: &str =
    "select id, name, email, role, sections, created_at, version from users where id = $1";

/// Selects one account.
pub const ACCOUNT_BY_ID: &str =
    "select id, name, email, role, sections, created_at, version, password from users where id = $1";

/// Selects the account of an e-mail by its key, or by the key that an older program gave it.
pub const ACCOUNT_BY_EMAIL: &str =
    "select id, name, email, role, sections, created_at, version, password from users
     where email_key = $1 or (key_form = 0 and email_key = $2) order by key_form limit 1";

/// Selects a range of all accounts, in the order of registration.
pub const USERS_IN_ORDER: &str = "select id, name, email, role, sections, created_at, version from users
     order by created_at, id limit $1 offset $2";

/// Says whether an account has the role of an admin.
pub const HAS_ADMIN: &str = "select exists (select 1 from users where role = 'admin')";

/// Changes the role of an account, except that of the last admin.
pub const SET_ROLE: &str = "update users set role = $2, sections = $3, version = version + 1
     where id = $1
       and ($2 = 'admin' or role <> 'admin'
            or exists (select 1 from users as other where other.role = 'admin' and other.id <> $1))
     returning id, name, email, role, sections, created_at, version";

/// Deletes an account, except that of the last admin.
pub const DELETE_UNLESS_LAST_ADMIN: &str = "delete from users
     where id = $1
       and (role <> 'admin'
            or exists (select 1 from users as other where other.role = 'admin' and other.id <> $1))";

/// Says whether this is the key of an account's e-mail. Of an unknown account it is not.
pub const IS_EMAIL_OF: &str = "select exists (select 1 from users where id = $1 and email_key = $2)";

/// Replaces a hash by another one of the same password.
pub const REHASH: &str = "update users set password = $1 where id = $2 and password = $3";

/// Selects the consent of an account; an account that never changed it has the version 0.
pub const CONSENT_BY_USER: &str =
    "select coalesce(personalisation, false) as personalisation, coalesce(history, false) as history,
            coalesce(consents.version, 0) as version, changed_at
     from users left join consents on user_id = id where id = $1";

/// Inserts or replaces a consent.
pub const PUT_CONSENT: &str =
    "insert into consents (user_id, personalisation, history, version, changed_at) values ($1, $2, $3, $4, $5)
     on conflict (user_id) do update set personalisation = excluded.personalisation,
         history = excluded.history, version = excluded.version, changed_at = excluded.changed_at";

/// Selects a session that has not expired, by one of its names.
pub const SESSION_BY_NAME: &str = "select id, user_id, series, value, previous, retry_key, retry_salt,
            created_at, last_used_at, expires_at
     from sessions where ((id = $1 and user_id = $2) or series = $3) and expires_at > $4";

/// Selects the sessions of an account that have not expired, the last used one first.
pub const SESSIONS_BY_USER: &str = "select id, user_id, series, value, previous, retry_key, retry_salt,
            created_at, last_used_at, expires_at
     from sessions where user_id = $1 and expires_at > $2 order by last_used_at desc, id desc";

/// Deletes the expired sessions of an account, and of the others all except the `$3` that were used last.
pub const DELETE_SURPLUS_SESSIONS: &str = "delete from sessions
     where user_id = $1
       and (expires_at <= $2
            or id not in (select id from sessions where user_id = $1 and expires_at > $2
                          order by last_used_at desc, id desc limit $3))
     returning user_id, expires_at";

/// Inserts a new session.
pub const INSERT_SESSION: &str =
    "insert into sessions (id, user_id, series, value, created_at, last_used_at, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7)";

/// Stores what a refresh changed in a session.
pub const RENEW_SESSION: &str =
    "update sessions set value = $2, previous = $3, retry_key = $4, retry_salt = $5,
            last_used_at = $6, expires_at = $7
     where id = $1";

/// Deletes all sessions of an account except one.
pub const DELETE_OTHER_SESSIONS: &str =
    "delete from sessions where user_id = $1 and id is distinct from $2 returning user_id, expires_at";

/// Deletes one session of an account.
pub const DELETE_SESSION: &str =
    "delete from sessions where user_id = $1 and id = $2 returning user_id, expires_at";

/// Deletes all sessions of an account.
pub const DELETE_ALL_SESSIONS: &str = "delete from sessions where user_id = $1 returning user_id, expires_at";

/// Deletes the session of a series.
pub const DELETE_SERIES: &str = "delete from sessions where series = $1 returning user_id, expires_at";

/// A row of `users` without the password.
#[derive(sqlx::FromRow)]
pub struct UserRow {
    id: Uuid,
    name: String,
    email: String,
    role: String,
    sections: Option<String>,
    created_at: StoredTime,
    version: StoredVersion,
}

impl TryFrom<UserRow> for User {
    type Error = StoreFailure;

    fn try_from(row: UserRow) -> Result<Self, StoreFailure> {
        let (name, email) = texts(row.name, row.email);
        Ok(User {
            id: UserId::new(row.id),
            name,
            email,
            role: row.role.parse().map_err(|error: kernel::UnknownRole| StoreFailure::broken(error))?,
            sections: parse_sections(row.sections.as_deref())?,
            created_at: row.created_at.0,
            version: row.version.into(),
        })
    }
}

/// A row of `users`.
#[derive(sqlx::FromRow)]
pub struct AccountRow {
    #[sqlx(flatten)]
    user: UserRow,
    password: String,
}

impl TryFrom<AccountRow> for Account {
    type Error = StoreFailure;

    fn try_from(row: AccountRow) -> Result<Self, StoreFailure> {
        Ok(Account { user: row.user.try_into()?, credentials: Credentials::from_phc(row.password) })
    }
}

/// A row of `consents`.
#[derive(sqlx::FromRow)]
pub struct ConsentRow {
    personalisation: bool,
    history: bool,
    version: StoredVersion,
    /// Null if the person never changed it.
    changed_at: Option<StoredTime>,
}

impl From<ConsentRow> for Consent {
    fn from(row: ConsentRow) -> Self {
        Consent {
            choice: ConsentChoice { personalisation: row.personalisation, history: row.history },
            version: row.version.0,
            changed_at: row.changed_at.map(|time| time.0),
        }
    }
}

/// A row of `sessions`.
#[derive(sqlx::FromRow)]
pub struct SessionRow {
    id: Uuid,
    user_id: Uuid,
    series: Vec<u8>,
    value: Vec<u8>,
    previous: Option<Vec<u8>>,
    retry_key: Option<Vec<u8>>,
    retry_salt: Option<Vec<u8>>,
    created_at: StoredTime,
    last_used_at: StoredTime,
    expires_at: StoredTime,
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreFailure;

    fn try_from(row: SessionRow) -> Result<Self, StoreFailure> {
        let previous = match (row.previous, row.retry_salt) {
            (Some(value), Some(salt)) => Some(PreviousRefresh {
                value: digest(value)?,
                salt: Salt::stored(exactly_32(salt)?),
                key: row.retry_key.map(digest).transpose()?,
            }),
            _ => None,
        };
        Ok(Session {
            id: SessionId::new(row.id),
            user: UserId::new(row.user_id),
            token: TokenDigest { series: digest(row.series)?, value: digest(row.value)? },
            previous,
            created_at: row.created_at.0,
            last_used_at: row.last_used_at.0,
            expires_at: row.expires_at.0,
        })
    }
}

/// A row of `sessions` that was deleted.
#[derive(sqlx::FromRow)]
pub struct DeletedSessionRow {
    user_id: Uuid,
    expires_at: StoredTime,
}

impl DeletedSessionRow {
    /// Returns the account if the session ended before its time, for the audit.
    pub fn ended(&self, now: Timestamp) -> Option<UserId> {
        (self.expires_at.0 > now).then_some(UserId::new(self.user_id))
    }
}

/// Converts all rows of a result, or fails with the first row that can't be read.
pub fn convert_all<R, T: TryFrom<R, Error = StoreFailure>>(rows: Vec<R>) -> Result<Vec<T>, StoreFailure> {
    rows.into_iter().map(T::try_from).collect()
}

/// Encodes the sections in which a role holds. Null stands for all sections, future ones included.
pub fn encode_sections(sections: &Sections) -> Result<Option<String>, StoreFailure> {
    if sections.is_all() { Ok(None) } else { Ok(Some(serde_json::to_string(sections)?)) }
}

fn parse_sections(text: Option<&str>) -> Result<Sections, StoreFailure> {
    Ok(text.map(serde_json::from_str).transpose()?.unwrap_or_default())
}

/// Splits the name of a session into what its columns are compared with; null matches nothing.
pub fn name_columns(name: &SessionName) -> (Option<Uuid>, Option<Uuid>, Option<&[u8]>) {
    match name {
        SessionName::Id(user, session) => (Some(session.uuid()), Some(user.uuid()), None),
        SessionName::Series(series) => (None, None, Some(series.bytes())),
    }
}

fn digest(bytes: Vec<u8>) -> Result<Digest, StoreFailure> {
    Ok(Digest::stored(exactly_32(bytes)?))
}

fn exactly_32(bytes: Vec<u8>) -> Result<[u8; 32], StoreFailure> {
    bytes.try_into().map_err(|_| StoreFailure::broken("a stored digest does not have 32 bytes"))
}
