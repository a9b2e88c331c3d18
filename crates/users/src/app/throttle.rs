use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use kernel::{SessionId, UserId};
use serde::{Deserialize, Serialize};

use super::{App, UserError};
use crate::domain::{Digest, Email};

/// The window in which attempts are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// The window in which failed logins are counted, which reveal an attack on an account.
const TEN_MINUTES: Duration = Duration::from_secs(600);
/// The logins a minute for one account under attack from an address that has failed there.
const SLOWED: u64 = 1;

/// The table `[throttle]`: how many passwords may be tried and accounts created.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptLimitsConfig {
    /// Logins for one e-mail from one address, in a minute.
    pub logins_per_account_and_address: u64,
    /// Failed logins for one e-mail from any address, in ten minutes; beyond them, addresses that have failed
    /// are slowed down.
    pub logins_per_account: u64,
    /// Logins from one address for any account, in a minute.
    pub logins_per_address: u64,
    /// Registrations from one address, in a minute.
    pub registrations_per_address: u64,
}

impl AttemptLimitsConfig {
    /// Returns the faults of the table, each as a sentence.
    pub fn faults(&self) -> Vec<String> {
        let numbers = [
            ("logins_per_account_and_address", self.logins_per_account_and_address),
            ("logins_per_account", self.logins_per_account),
            ("logins_per_address", self.logins_per_address),
            ("registrations_per_address", self.registrations_per_address),
        ];
        let zeros = numbers.iter().filter(|(_, number)| *number == 0);
        zeros.map(|(key, _)| format!("throttle.{key} must be at least 1, got 0")).collect()
    }
}

/// The keys under which a login is counted. An e-mail without an account is counted like any other.
pub(super) struct Attempt {
    /// The digest of the e-mail: a cache must not contain addresses.
    account: String,
    /// The origin, see [`origin`].
    origin: Option<String>,
}

impl Attempt {
    /// Creates the keys of a login with this e-mail from this address.
    pub fn new(email: &Email, from: IpAddr) -> Self {
        let account = Digest::of(email.key().as_bytes());
        Self { account: account.hex(), origin: origin(from) }
    }

    /// Returns the key of account and address together.
    fn pair(&self) -> String {
        format!("{}@{}", self.account, self.origin.as_deref().unwrap_or_default())
    }

    /// Returns the bucket of failed logins for the account, from all addresses.
    fn failures_of_account(&self) -> String {
        format!("failed.account:{}", self.account)
    }

    /// Returns the bucket of failed logins for the account from this address.
    fn failures_of_pair(&self) -> String {
        format!("failed.pair:{}", self.pair())
    }
}

impl App {
    /// Admits or refuses a login.
    ///
    /// A login is refused for its address, alone or together with the account. It is never refused for the
    /// account alone: otherwise any person who knows an e-mail could lock its owner out.
    pub(super) async fn admit_login(&self, attempt: &Attempt) -> Result<(), UserError> {
        let AttemptLimitsConfig { logins_per_account_and_address, logins_per_address, .. } = self.throttle;
        // The address comes first, so that an attempt which is refused for it counts in no other bucket.
        if let Some(origin) = &attempt.origin {
            self.admit(&format!("login.address:{origin}"), logins_per_address).await?;
        }
        let most = match self.is_slowed(attempt).await {
            true => SLOWED,
            false => logins_per_account_and_address,
        };
        self.admit(&format!("login.pair:{}", attempt.pair()), most).await
    }

    /// Says whether the account is under attack and this address has failed there.
    async fn is_slowed(&self, attempt: &Attempt) -> bool {
        let failures =
            async |bucket: &str| self.cache.current_count(bucket, TEN_MINUTES, self.clock.now()).await;
        failures(&attempt.failures_of_account()).await >= self.throttle.logins_per_account
            && failures(&attempt.failures_of_pair()).await > 0
    }

    /// Counts a login that failed.
    pub(super) async fn count_failed(&self, attempt: &Attempt) {
        for bucket in [attempt.failures_of_account(), attempt.failures_of_pair()] {
            self.cache.count(&bucket, TEN_MINUTES, self.clock.now()).await;
        }
    }

    /// Admits or refuses a login of a client that holds a session of the account. Successful logins are not
    /// counted: a client that knows the password is always admitted, and a client that found the cookie can't
    /// use it to guess.
    pub(super) async fn admit_session(&self, session: SessionId) -> bool {
        let failures =
            self.cache.current_count(&failures_of_session(session), MINUTE, self.clock.now()).await;
        failures < self.throttle.logins_per_account_and_address
    }

    /// Counts a login that failed although its client holds a session of the account.
    pub(super) async fn count_failed_in(&self, session: SessionId) {
        self.cache.count(&failures_of_session(session), MINUTE, self.clock.now()).await;
    }

    /// Admits or refuses a registration.
    pub(super) async fn admit_registration(&self, from: IpAddr) -> Result<(), UserError> {
        match origin(from) {
            Some(origin) => {
                let bucket = format!("register.address:{origin}");
                self.admit(&bucket, self.throttle.registrations_per_address).await
            }
            None => Ok(()),
        }
    }

    /// Admits or refuses a proof of the password by a caller who is logged in: a stolen access token must not
    /// help to guess it.
    pub(super) async fn admit_proof(&self, user: UserId) -> Result<(), UserError> {
        self.admit(&format!("proof:{user}"), self.throttle.logins_per_account_and_address).await
    }

    async fn admit(&self, bucket: &str, most: u64) -> Result<(), UserError> {
        let count = self.cache.count(bucket, MINUTE, self.clock.now()).await;
        if count.times <= most {
            return Ok(());
        }
        // Whole seconds, rounded up: after this wait the next attempt is admitted.
        let wait = Duration::from_secs(count.left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
        Err(UserError::TooManyAttempts { wait })
    }
}

fn failures_of_session(session: SessionId) -> String {
    format!("failed.session:{}", session.uuid())
}

/// Returns the unit in which addresses are counted: one address of IPv4, or a /64 of IPv6, because a
/// subscriber of a network has 2^64 of those. Returns `None` if the request came without a connection: then
/// the caller is this process.
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
    fn an_origin_is_an_ipv4_address_or_an_ipv6_network() {
        let origin_of = |text: &str| origin(text.parse().expect("an address")).unwrap_or_default();
        assert_eq!(origin_of("0.0.0.0"), "");
        assert_eq!(origin_of("203.0.113.9"), "203.0.113.9");
        assert_eq!(origin_of("::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(origin_of("2001:db8:1:2:3:4:5:6"), origin_of("2001:db8:1:2:ffff::"));
        assert_ne!(origin_of("2001:db8:1:2::1"), origin_of("2001:db8:1:3::1"));
    }
}
