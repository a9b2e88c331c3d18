use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use kernel::{SessionId, UserId};
use serde::{Deserialize, Serialize};

use super::{App, UserError};
use crate::domain::{Digest, Email};

/// The window of attempts.
const MINUTE: Duration = Duration::from_secs(60);
/// The window of failed logins, which show that an account is being guessed at.
const TEN_MINUTES: Duration = Duration::from_secs(600);
/// Logins a minute for one account from an address that has failed there, while the account is being guessed at.
const SLOWED: u64 = 1;

/// How often passwords may be tried and accounts made: the table `[throttle]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Logins for one e-mail from one address, in a minute.
    pub logins_per_account_and_address: u64,
    /// Failed logins for one e-mail from any address, in ten minutes; more of them slow addresses down that have failed.
    pub logins_per_account: u64,
    /// Logins from one address for any account, in a minute.
    pub logins_per_address: u64,
    /// Registrations from one address, in a minute.
    pub registrations_per_address: u64,
}

impl Throttle {
    /// What is wrong with it, each in a sentence.
    pub fn faults(&self) -> Vec<String> {
        let numbers = [
            ("logins_per_account_and_address", self.logins_per_account_and_address),
            ("logins_per_account", self.logins_per_account),
            ("logins_per_address", self.logins_per_address),
            ("registrations_per_address", self.registrations_per_address),
        ];
        let none = numbers.iter().filter(|(_, number)| *number == 0);
        none.map(|(key, _)| format!("throttle.{key} must be at least 1")).collect()
    }
}

/// A login by what it is counted under. Nothing about the account is known here: an e-mail without an account is counted as any
/// other.
pub(super) struct Attempt {
    /// The digest of the e-mail: what lies in a cache names nobody.
    account: String,
    /// Where it comes from, as [`origin`] says.
    origin: Option<String>,
}

impl Attempt {
    /// A login with this e-mail from this address.
    pub fn new(email: &Email, from: IpAddr) -> Self {
        let account = Digest::of(email.key().as_bytes());
        Self { account: account.hex(), origin: origin(from) }
    }

    /// Account and address together.
    fn pair(&self) -> String {
        format!("{}@{}", self.account, self.origin.as_deref().unwrap_or_default())
    }

    /// The bucket of what failed for the account, from wherever.
    fn failed_at_account(&self) -> String {
        format!("failed.account:{}", self.account)
    }

    /// The bucket of what failed for the account from this address.
    fn failed_here(&self) -> String {
        format!("failed.pair:{}", self.pair())
    }
}

impl App {
    /// Lets a login be tried, or not.
    ///
    /// A login is refused for the address that it comes from, alone or together with the account. An account alone never refuses:
    /// otherwise anybody who knows an e-mail could keep its owner out.
    pub(super) async fn admit_login(&self, attempt: &Attempt) -> Result<(), UserError> {
        let Throttle { logins_per_account_and_address, logins_per_address, .. } = self.throttle;
        // The address first, so that what is refused for it fills no other bucket.
        if let Some(origin) = &attempt.origin {
            self.admit(&format!("login.address:{origin}"), logins_per_address).await?;
        }
        let most = match self.is_slowed(attempt).await {
            true => SLOWED,
            false => logins_per_account_and_address,
        };
        self.admit(&format!("login.pair:{}", attempt.pair()), most).await
    }

    /// Whether the account is being guessed at, and this address is one of those that have guessed wrong.
    async fn is_slowed(&self, attempt: &Attempt) -> bool {
        let failed = async |bucket: &str| self.cache.counted(bucket, TEN_MINUTES, self.clock.now()).await;
        failed(&attempt.failed_at_account()).await >= self.throttle.logins_per_account
            && failed(&attempt.failed_here()).await > 0
    }

    /// Counts a login that failed.
    pub(super) async fn count_failed(&self, attempt: &Attempt) {
        for bucket in [attempt.failed_at_account(), attempt.failed_here()] {
            self.cache.count(&bucket, TEN_MINUTES, self.clock.now()).await;
        }
    }

    /// Lets a client that holds a session of the account try its password, or not. What it got right is not counted: a client
    /// that knows the password is let through however often it comes, and one that found the cookie can't guess with it.
    pub(super) async fn admit_session(&self, session: SessionId) -> bool {
        let failed = self.cache.counted(&failed_in(session), MINUTE, self.clock.now()).await;
        failed < self.throttle.logins_per_account_and_address
    }

    /// Counts a login that failed although its client holds a session of the account.
    pub(super) async fn count_failed_in(&self, session: SessionId) {
        self.cache.count(&failed_in(session), MINUTE, self.clock.now()).await;
    }

    /// Lets a registration be tried, or not.
    pub(super) async fn admit_registration(&self, from: IpAddr) -> Result<(), UserError> {
        match origin(from) {
            Some(origin) => {
                let bucket = format!("register.address:{origin}");
                self.admit(&bucket, self.throttle.registrations_per_address).await
            }
            None => Ok(()),
        }
    }

    /// Lets somebody who is logged in prove their password, or not: a found access token is no way to guess it.
    pub(super) async fn admit_proof(&self, user: UserId) -> Result<(), UserError> {
        self.admit(&format!("proof:{user}"), self.throttle.logins_per_account_and_address).await
    }

    async fn admit(&self, bucket: &str, most: u64) -> Result<(), UserError> {
        let count = self.cache.count(bucket, MINUTE, self.clock.now()).await;
        if count.times <= most {
            return Ok(());
        }
        // Whole seconds, rounded up: after this wait the next attempt gets through.
        let wait = Duration::from_secs(count.left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
        Err(UserError::TooManyAttempts { wait })
    }
}

fn failed_in(session: SessionId) -> String {
    format!("failed.session:{}", session.uuid())
}

/// By what an address is counted: who attaches to the network has one of the old kind, or 2^64 of the new one. Nothing where a
/// request came over no connection: the caller is this process itself.
pub(super) fn origin(address: IpAddr) -> Option<String> {
    if address.is_unspecified() {
        return None;
    }
    Some(match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_an_address_or_a_network_of_the_new_kind() {
        let of = |text: &str| origin(text.parse().expect("an address")).unwrap_or_default();
        assert_eq!(of("0.0.0.0"), "");
        assert_eq!(of("203.0.113.9"), "203.0.113.9");
        assert_eq!(of("::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
