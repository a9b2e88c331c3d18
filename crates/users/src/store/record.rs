//! The record of a registration in the intake: versioned JSON. This program reads what an older version
//! stored, so the golden file of an old version is never edited.

use chassis::StoreFailure;
use kernel::{Role, Sections, Timestamp, UserId, Version};
use serde::{Deserialize, Serialize};

use crate::domain::{Account, Credentials, Email, Name, User};

/// The version that this program writes.
const CURRENT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    record: u32,
    id: UserId,
    name: String,
    email: String,
    /// The hash of the password. Records in the cache have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    role: Role,
    #[serde(default)]
    sections: Sections,
    created_at: Timestamp,
    version: Version,
}

#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("the record is damaged at line {0}, column {1}")]
    Damaged(usize, usize),
    #[error("the record has version {0}; this program reads version 1")]
    Version(u32),
    #[error("the record has no password")]
    NoPassword,
}

/// Encodes an account as a record.
pub fn encode(account: &Account) -> Result<String, StoreFailure> {
    write(&account.user, Some(&account.credentials))
}

/// Encodes an account without its credentials as a record.
#[cfg(feature = "servers")]
pub fn encode_user(user: &User) -> Result<String, StoreFailure> {
    write(user, None)
}

fn write(user: &User, credentials: Option<&Credentials>) -> Result<String, StoreFailure> {
    let record = Record {
        record: CURRENT,
        id: user.id,
        name: user.name.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
        password: credentials.map(|credentials| credentials.phc().to_owned()),
        role: user.role,
        sections: user.sections.clone(),
        created_at: user.created_at,
        version: user.version,
    };
    Ok(serde_json::to_string(&record)?)
}

/// Reads the account of a record.
///
/// # Errors
/// [`StoreFailure::Broken`] if the record is damaged, or was written by a newer version of this program.
pub fn decode(text: &str) -> Result<Account, StoreFailure> {
    let (user, password) = read(text)?;
    let password = password.ok_or_else(|| StoreFailure::broken(Unreadable::NoPassword))?;
    Ok(Account { user, credentials: Credentials::from_phc(password) })
}

/// Reads the account of a record without its credentials.
///
/// # Errors
/// See [`decode`].
#[cfg(feature = "servers")]
pub fn decode_user(text: &str) -> Result<User, StoreFailure> {
    Ok(read(text)?.0)
}

fn read(text: &str) -> Result<(User, Option<String>), StoreFailure> {
    // serde's messages quote the text that they can't read; no part of a person's record may get into a log.
    let damaged =
        |error: serde_json::Error| StoreFailure::broken(Unreadable::Damaged(error.line(), error.column()));
    let record: Record = serde_json::from_str(text).map_err(damaged)?;
    if record.record != CURRENT {
        return Err(StoreFailure::broken(Unreadable::Version(record.record)));
    }
    let (name, email) = texts(record.name, record.email);
    let user = User {
        id: record.id,
        name,
        email,
        role: record.role,
        sections: record.sections,
        created_at: record.created_at,
        version: record.version,
    };
    Ok((user, record.password))
}

/// Wraps the stored texts of an account. They passed the rules of their day: an account must not become
/// unreadable when a rule changes.
pub fn texts(name: String, email: String) -> (Name, Email) {
    (Name::stored(name), Email::stored(email))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record of version 1 as it was first written. Never edited.
    const GOLDEN_V1: &str = include_str!("../../tests/golden/registration.v1.json");

    fn account() -> Account {
        let id = "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("an id");
        let name = Name::parse("Ann O’Hara").expect("a name");
        let email = Email::parse("Ann@Example.org").expect("an address");
        let credentials =
            Credentials::from_phc("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA".to_owned());
        Account::new(id, name, email, Role::Reader, credentials, Timestamp::from_millis(1_763_712_000_123))
    }

    #[test]
    fn a_registration_of_version_1_is_always_readable() {
        assert_eq!(decode(GOLDEN_V1).expect("readable"), account());
    }

    #[test]
    fn a_registration_is_written_as_version_1() {
        assert_eq!(encode(&account()).expect("writable"), GOLDEN_V1.trim_end());
    }

    #[test]
    fn a_record_of_a_newer_program_is_refused() {
        let newer = GOLDEN_V1.replace("\"record\":1", "\"record\":2");
        assert!(
            matches!(decode(&newer), Err(StoreFailure::Broken(cause)) if cause.to_string().contains("version 2"))
        );
    }
}
