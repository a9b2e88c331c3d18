//! Rows of the SQLite store as values of the domain.

use chassis::StoreFailure;
use kernel::{Timestamp, UserId, Version};
use uuid::Uuid;

use super::record::texts;
use super::sections_of;
use crate::domain::{Account, Choice, Consent, Credentials, User};
use crate::ports::UserStoreError;

#[derive(sqlx::FromRow)]
pub struct UserRow {
    id: Uuid,
    name: String,
    email: String,
    role: String,
    sections: Option<String>,
    created_at: i64,
    version: u32,
}

impl TryFrom<UserRow> for User {
    type Error = StoreFailure;

    fn try_from(row: UserRow) -> Result<Self, StoreFailure> {
        let (name, email) = texts(&row.name, &row.email)?;
        Ok(User {
            id: UserId::new(row.id),
            name,
            email,
            role: row.role.parse().map_err(|error: kernel::UnknownRole| StoreFailure::broken(error))?,
            sections: sections_of(row.sections.as_deref())?,
            created_at: Timestamp::from_millis(row.created_at),
            version: Version::new(row.version),
        })
    }
}

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

#[derive(sqlx::FromRow)]
pub struct ConsentRow {
    personalisation: bool,
    history: bool,
    version: u32,
    changed_at: i64,
}

impl From<ConsentRow> for Consent {
    fn from(row: ConsentRow) -> Self {
        Consent {
            choice: Choice { personalisation: row.personalisation, history: row.history },
            version: row.version,
            // Nothing where the person has never said anything.
            changed_at: (row.version > 0).then(|| Timestamp::from_millis(row.changed_at)),
        }
    }
}

pub fn whole(rows: Vec<UserRow>) -> Result<Vec<User>, UserStoreError> {
    Ok(rows.into_iter().map(User::try_from).collect::<Result<_, _>>()?)
}
