//! The laws of the ports. Each law is a case whose name is its sentence. Each port has one list of cases,
//! which runs against every adapter. A case that is not in a list is dead code and does not compile; for that
//! reason cases and modules are private.

mod audit;
mod erasures;
mod exports;
mod intake;
pub(super) mod servers;
mod twins;
mod upgrades;
mod user_cache;
mod user_store;

use kernel::{Role, Timestamp, UserId};
use uuid::Uuid;

use crate::domain::{Account, Credentials, Email, Name, Origin};

const NOW: Timestamp = Timestamp::from_millis(1_763_712_000_123);

/// The origin of a change in a test that is not about origins.
const BY: Origin = Origin { actor: None, network: None, at: NOW };

fn id(number: u128) -> UserId {
    UserId::new(Uuid::from_u128(number))
}

fn email(typed: &str) -> Email {
    Email::parse(typed).expect("a valid address")
}

/// Returns the account of this number, registered that many seconds after the epoch.
fn account(number: u128, address: &str) -> Account {
    let seconds = i64::try_from(number).expect("small");
    Account::new(
        id(number),
        Name::parse("Ann O’Hara <b>").expect("a name"),
        email(address),
        Role::Reader,
        Credentials::from_phc(format!("$argon2id$of-{number}")),
        Timestamp::from_millis(seconds * 1000 + 123),
    )
}
