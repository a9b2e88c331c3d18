use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chassis::Context;
use kernel::{Code, Fault, Kind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::background::Background;
use crate::domain::{Credentials, Password};

/// The least memory, in KiB, and the fewest passes that a hash may cost: OWASP's floor for argon2id.
const LEAST_MEMORY_KIB: u32 = 19 * 1024;
const FEWEST_PASSES: u32 = 2;
const MOST_MEMORY_KIB: u32 = 4 * 1024 * 1024;
const MOST_AT_ONCE: usize = 100_000;

/// What hashing costs and how much of it happens at once: the table `[passwords]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashingCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Hashes at once; 0 for half as many as there are cores.
    pub threads: usize,
    /// Requests that may wait for their turn.
    pub waiting: usize,
}

impl HashingCost {
    /// What is wrong with it, each in a sentence.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.memory_kib < LEAST_MEMORY_KIB {
            faults.push(format!("passwords.memory_kib must be at least {LEAST_MEMORY_KIB}"));
        }
        if self.passes < FEWEST_PASSES {
            faults.push(format!("passwords.passes must be at least {FEWEST_PASSES}"));
        }
        // Beyond these nothing good can be meant, and the process would end when it tries.
        if self.memory_kib > MOST_MEMORY_KIB {
            faults.push(format!("passwords.memory_kib must be at most {MOST_MEMORY_KIB}"));
        }
        if self.threads > MOST_AT_ONCE || self.waiting > MOST_AT_ONCE {
            faults.push(format!("passwords.threads and passwords.waiting must be at most {MOST_AT_ONCE}"));
        }
        faults
    }

    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if self.threads > 0 { self.threads } else { (cores / 2).max(1) }
    }
}

/// Why a password was not hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many wait already.
    #[error("too many log in or register at this moment")]
    Busy,
    /// The hash in the store is none, or hashing itself failed.
    #[error("a password could not be hashed: {0}")]
    Broken(String),
}

impl Fault for PasswordError {
    fn kind(&self) -> Kind {
        match self {
            PasswordError::Busy => Kind::Unavailable,
            PasswordError::Broken(_) => Kind::Internal,
        }
    }

    fn code(&self) -> Code {
        match self {
            PasswordError::Busy => Code::new("busy"),
            PasswordError::Broken(_) => Code::new("internal"),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, PasswordError::Busy).then_some(Duration::from_secs(1))
    }
}

/// Hashes passwords and compares them, on so few threads, which step back behind all others, and with so short a line before them that
/// a storm of logins takes little from anybody who reads news.
pub struct Passwords {
    argon: Argon2<'static>,
    /// What a hash begins with that was made at this cost.
    made_so: String,
    /// Everybody inside: those who hash and those who wait.
    line: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    threads: Background,
    /// What an unknown e-mail is compared with, so that it takes as long as a known one.
    nobody: Credentials,
}

impl Passwords {
    /// Hashing at this cost.
    ///
    /// # Errors
    /// Where argon2 can't work with it.
    pub fn new(cost: &HashingCost) -> Result<Self, PasswordError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(broken)?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let made_so = format!("$argon2id$v=19$m={},t={},p=1$", cost.memory_kib, cost.passes);
        let nobody = nobody(&made_so)?;
        let threads = cost.threads();
        Ok(Self {
            argon,
            made_so,
            line: Arc::new(Semaphore::new(threads + cost.waiting)),
            turns: Arc::new(Semaphore::new(threads)),
            threads: Background::new(threads).map_err(broken)?,
            nobody,
        })
    }

    /// What is kept of a password.
    pub async fn hash(&self, password: &Password) -> Result<Credentials, PasswordError> {
        self.hash_typed(password.secret()).await
    }

    /// What is kept of a password that was proven, where what is kept now was made at another cost; else nothing.
    pub async fn hash_anew(
        &self,
        proven: &SecretString,
        credentials: &Credentials,
    ) -> Result<Option<Credentials>, PasswordError> {
        if credentials.phc().starts_with(&self.made_so) {
            return Ok(None);
        }
        self.hash_typed(proven).await.map(Some)
    }

    async fn hash_typed(&self, typed: &SecretString) -> Result<Credentials, PasswordError> {
        let (argon, typed) = (self.argon.clone(), typed.clone());
        self.work(move || hashed(&argon, typed.expose_secret().as_bytes())).await
    }

    /// Whether `typed` is the password behind `credentials`. Without credentials the answer is no, after the same work.
    pub async fn matches(
        &self,
        typed: &SecretString,
        credentials: Option<&Credentials>,
    ) -> Result<bool, PasswordError> {
        let known = credentials.is_some();
        let (argon, typed) = (self.argon.clone(), typed.clone());
        let credentials = credentials.unwrap_or(&self.nobody).clone();
        let same = self.work(move || {
            match argon.verify_password(typed.expose_secret().as_bytes(), credentials.phc()) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(broken(error)),
            }
        });
        Ok(same.await? && known)
    }

    async fn work<T: Send + 'static>(
        &self,
        hash: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = self.line.clone().try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        // Whoever waits until nobody waits for them any more would only keep others waiting.
        let patience = Context::current().deadline.left();
        let turn = tokio::time::timeout(patience, self.turns.clone().acquire_owned());
        let turn = turn.await.map_err(|_| PasswordError::Busy)?.map_err(broken)?;
        // A caller that gives up does not stop a hash that has begun, so the permits go with the hash.
        let hashing = self.threads.run(move || {
            let _held = (place, turn);
            hash()
        });
        hashing.await.map_err(broken)?
    }
}

fn hashed(argon: &Argon2<'_>, secret: &[u8]) -> Result<Credentials, PasswordError> {
    argon.hash_password(secret).map(|hash| Credentials::from_phc(hash.to_string())).map_err(broken)
}

/// Credentials that no password has: random bytes where the hash would be. Comparing with them is the whole work.
fn nobody(made_so: &str) -> Result<Credentials, PasswordError> {
    let mut bytes = [0u8; 48];
    getrandom::fill(&mut bytes).map_err(broken)?;
    let (salt, hash) = bytes.split_at(16);
    let phc = format!("{made_so}{}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    Ok(Credentials::from_phc(phc))
}

fn broken(error: impl std::fmt::Display) -> PasswordError {
    PasswordError::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(waiting: usize) -> HashingCost {
        HashingCost { memory_kib: LEAST_MEMORY_KIB, passes: FEWEST_PASSES, threads: 1, waiting }
    }

    fn password() -> Password {
        Password::parse("correct horse battery").expect("valid")
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_at_its_cost_with_a_salt_of_its_own() {
        let passwords = Passwords::new(&cost(1)).expect("argon2");
        let first = passwords.hash(&password()).await.expect("hashes");
        let second = passwords.hash(&password()).await.expect("hashes");
        assert!(first.phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", first.phc());
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn comparing_with_nobody_is_the_work_of_comparing_with_somebody() {
        let passwords = Passwords::new(&cost(1)).expect("argon2");
        let somebody = passwords.hash(&password()).await.expect("hashes");
        let shape = |credentials: &Credentials| {
            let parts: Vec<String> = credentials.phc().split('$').map(str::to_owned).collect();
            (parts[..4].to_vec(), parts[4].len(), parts[5].len())
        };
        assert_eq!(shape(&passwords.nobody), shape(&somebody));
    }

    #[tokio::test]
    async fn only_the_password_matches_and_nobody_matches_nothing() {
        let passwords = Passwords::new(&cost(1)).expect("argon2");
        let kept = passwords.hash(&password()).await.expect("hashes");
        let matches =
            async |typed: &str, kept| passwords.matches(&typed.into(), kept).await.expect("compares");
        assert!(matches("correct horse battery", Some(&kept)).await);
        assert!(!matches("Correct horse battery", Some(&kept)).await);
        assert!(!matches("correct horse battery", None).await);
        assert!(
            passwords.matches(&"x".into(), Some(&Credentials::from_phc("plain".to_owned()))).await.is_err()
        );
    }

    #[tokio::test]
    async fn a_storm_of_logins_is_turned_away_at_once_and_the_others_get_their_turn() {
        let passwords = Passwords::new(&cost(2)).expect("argon2");
        let typed: SecretString = "whatever it is".into();
        let all = futures::future::join_all((0..10).map(|_| passwords.matches(&typed, None))).await;
        let busy = all.iter().filter(|outcome| matches!(outcome, Err(PasswordError::Busy))).count();
        assert_eq!((all.len() - busy, busy), (3, 7));
        assert!(passwords.matches(&typed, None).await.is_ok());
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_made_anew_and_one_of_this_cost_is_not() {
        let passwords = Passwords::new(&cost(1)).expect("argon2");
        let dearer = HashingCost { passes: FEWEST_PASSES + 1, ..cost(1) };
        let dearer = Passwords::new(&dearer).expect("argon2");
        let kept = passwords.hash(&password()).await.expect("hashes");
        let typed: SecretString = "correct horse battery".into();
        assert_eq!(passwords.hash_anew(&typed, &kept).await.expect("looks"), None);
        let anew = dearer.hash_anew(&typed, &kept).await.expect("hashes").expect("another hash");
        assert!(anew.phc().starts_with("$argon2id$v=19$m=19456,t=3,p=1$"), "{}", anew.phc());
        for passwords in [&passwords, &dearer] {
            assert!(passwords.matches(&typed, Some(&anew)).await.expect("compares"));
        }
    }

    #[tokio::test]
    async fn whoever_has_no_time_left_for_waiting_is_sent_away_and_takes_nobody_s_turn() {
        let passwords = Passwords::new(&cost(2)).expect("argon2");
        let typed: SecretString = "whatever it is".into();
        let in_a_hurry = Context::for_work("users", Duration::ZERO);
        let (first, second) =
            tokio::join!(passwords.matches(&typed, None), in_a_hurry.scope(passwords.matches(&typed, None)));
        assert!(first.is_ok());
        assert!(matches!(second, Err(PasswordError::Busy)));
        assert_eq!(passwords.line.available_permits(), 3);
    }
}
