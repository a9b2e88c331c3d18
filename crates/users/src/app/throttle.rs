use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use kernel::UserId;
use serde::{Deserialize, Serialize};

use super::{App, UserError};
use crate::domain::{Digest, Email};

/// What is counted is counted for so long.
const WINDOW: Duration = Duration::from_secs(60);

/// How often passwords may be tried and accounts made: the table `[throttle]`. Each is a number in a minute.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Logins for one e-mail, from wherever.
    pub logins_per_account: u64,
    /// Logins from one address, for whomever.
    pub logins_per_address: u64,
    /// Registrations from one address.
    pub registrations_per_address: u64,
}

impl Throttle {
    /// What is wrong with it, each in a sentence.
    pub fn faults(&self) -> Vec<String> {
        let numbers = [
            ("logins_per_account", self.logins_per_account),
            ("logins_per_address", self.logins_per_address),
            ("registrations_per_address", self.registrations_per_address),
        ];
        let none = numbers.iter().filter(|(_, number)| *number == 0);
        none.map(|(key, _)| format!("throttle.{key} must be at least 1")).collect()
    }
}

impl App {
    /// Lets a login be tried, or not. Nothing about the account is known here: an e-mail that nobody has is counted as any other.
    ///
    /// The address is asked first, so that one who tries many times fills nobody's count with what is refused anyway.
    pub(super) async fn admit_login(&self, email: &str, from: IpAddr) -> Result<(), UserError> {
        let Throttle { logins_per_account, logins_per_address, .. } = self.throttle;
        if let Some(origin) = origin(from) {
            self.admit(&format!("login.address:{origin}"), logins_per_address).await?;
        }
        // The digest: what lies in a cache names nobody, and is short however long the text was.
        let name = match Email::parse(email) {
            Ok(email) => Digest::of(email.key().as_bytes()),
            Err(_) => Digest::of(email.as_bytes()),
        };
        self.admit(&format!("login.account:{}", name.hex()), logins_per_account).await
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
        self.admit(&format!("proof:{user}"), self.throttle.logins_per_account).await
    }

    async fn admit(&self, bucket: &str, most: u64) -> Result<(), UserError> {
        let count = self.cache.count(bucket, WINDOW, self.clock.now()).await;
        if count.times <= most {
            return Ok(());
        }
        // Whole seconds, up: who waits so long gets through.
        let wait = Duration::from_secs(count.left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
        Err(UserError::TooManyAttempts { wait })
    }
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
