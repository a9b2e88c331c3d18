use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chassis::Context;
use kernel::{Class, Fault, Kind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::background::Background;
use crate::domain::{Credentials, Password, prepared};
use crate::ports::HashCost;

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
    fn classify(&self) -> Class<'_> {
        match self {
            PasswordError::Busy => Class::own(Kind::Unavailable, "busy"),
            PasswordError::Broken(_) => Class::own(Kind::Internal, "internal"),
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
    /// What unknown accounts are compared with, so that they take as long as known ones.
    nobody: RwLock<Mix>,
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
        let nobody = RwLock::new(Mix::new(&made_so, &[])?);
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

    /// Hashes a proven password again if what is kept of it was made at another cost, or from the password as it was typed and not as
    /// it is [`prepared`]; else returns nothing.
    pub async fn hash_anew(
        &self,
        proven: &SecretString,
        credentials: &Credentials,
    ) -> Result<Option<Credentials>, PasswordError> {
        let form = prepared(proven.expose_secret());
        if credentials.phc().starts_with(&self.made_so)
            && (form.expose_secret() == proven.expose_secret() || self.verify(&form, credentials).await?)
        {
            return Ok(None);
        }
        self.hash_typed(&form).await.map(Some)
    }

    async fn hash_typed(&self, typed: &SecretString) -> Result<Credentials, PasswordError> {
        let (argon, typed) = (self.argon.clone(), typed.clone());
        self.work(move || hashed(&argon, typed.expose_secret().as_bytes())).await
    }

    /// Whether `typed` is the password behind `credentials`.
    ///
    /// Older programs hashed what was typed, so that is compared too if the prepared form is another text.
    pub async fn matches(
        &self,
        typed: &SecretString,
        credentials: &Credentials,
    ) -> Result<bool, PasswordError> {
        let form = prepared(typed.expose_secret());
        let other = form.expose_secret() != typed.expose_secret();
        Ok(self.verify(&form, credentials).await? || (other && self.verify(typed, credentials).await?))
    }

    async fn verify(&self, secret: &SecretString, kept: &Credentials) -> Result<bool, PasswordError> {
        let (argon, secret, kept) = (self.argon.clone(), secret.clone(), kept.clone());
        self.work(move || match argon.verify_password(secret.expose_secret().as_bytes(), kept.phc()) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(broken(error)),
        })
        .await
    }

    /// Does the work of [`Passwords::matches`] for an account that is unknown. `place` chooses among the costs that accounts
    /// have: the same one for one e-mail each time, as an account has one cost.
    pub async fn matches_nobody(&self, typed: &SecretString, place: u32) -> Result<(), PasswordError> {
        let nobody = self.nobody.read().unwrap_or_else(PoisonError::into_inner).at(place).clone();
        self.matches(typed, &nobody).await.map(drop)
    }

    /// Takes over which costs accounts have.
    ///
    /// # Errors
    /// Where the operating system gives no random bytes.
    pub fn learn(&self, costs: &[HashCost]) -> Result<(), PasswordError> {
        let mix = Mix::new(&self.made_so, costs)?;
        *self.nobody.write().unwrap_or_else(PoisonError::into_inner) = mix;
        Ok(())
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

/// The costs that accounts have, each with credentials that no password has, as often as accounts have it.
struct Mix(Vec<(u64, Credentials)>);

impl Mix {
    /// The most costs that are told apart. Each raise of the cost adds one for a while.
    const MOST: usize = 16;

    /// The mix of these costs; without accounts it is the cost that hashes are made with now.
    fn new(made_so: &str, costs: &[HashCost]) -> Result<Self, PasswordError> {
        let mut costs: Vec<_> = costs.iter().filter(|cost| is_cost(&cost.head)).cloned().collect();
        costs.sort_by_key(|cost| std::cmp::Reverse(cost.accounts));
        costs.truncate(Self::MOST);
        if costs.is_empty() {
            costs.push(HashCost { head: made_so.to_owned(), accounts: 1 });
        }
        // The present cost comes last. While accounts are hashed anew its share grows, so an e-mail moves to it once and stays there, as
        // an account does.
        costs.sort_by_key(|cost| (cost.head == made_so, cost.head.clone()));
        let total: u64 = costs.iter().map(|cost| cost.accounts).sum();
        let (mut mix, mut counted) = (Vec::new(), 0u64);
        for cost in costs {
            counted += cost.accounts;
            let end = (u128::from(counted) << 32) / u128::from(total.max(1));
            mix.push((u64::try_from(end).unwrap_or(u64::MAX), nobody(&cost.head)?));
        }
        Ok(Self(mix))
    }

    fn at(&self, place: u32) -> &Credentials {
        let found = self.0.iter().find(|(end, _)| u64::from(place) < *end);
        let (_, credentials) = found.or(self.0.last()).expect("there is always one");
        credentials
    }
}

/// Whether a hash that begins so can be compared with at all.
fn is_cost(head: &str) -> bool {
    let numbers = head.strip_prefix("$argon2id$v=19$").and_then(|rest| rest.strip_suffix('$'));
    let Some(numbers) = numbers else { return false };
    let mut names = ["m=", "t=", "p="].into_iter();
    numbers.split(',').all(|part| {
        let number = names.next().and_then(|name| part.strip_prefix(name));
        number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number <= MOST_MEMORY_KIB)
    }) && names.next().is_none()
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

    fn shape(credentials: &Credentials) -> (Vec<String>, usize, usize) {
        let parts: Vec<String> = credentials.phc().split('$').map(str::to_owned).collect();
        (parts[..4].to_vec(), parts[4].len(), parts[5].len())
    }

    fn at(passwords: &Passwords, place: u32) -> Credentials {
        passwords.nobody.read().expect("nothing panicked").at(place).clone()
    }

    #[tokio::test]
    async fn comparing_with_nobody_is_the_work_of_comparing_with_somebody() {
        let passwords = Passwords::new(&cost(1)).expect("argon2");
        let somebody = passwords.hash(&password()).await.expect("hashes");
        for place in [0, 1 << 31, u32::MAX] {
            assert_eq!(shape(&at(&passwords, place)), shape(&somebody));
        }
    }

    #[tokio::test]
    async fn unknown_accounts_have_the_costs_that_accounts_have_and_as_often() {
        let passwords = Passwords::new(&cost(1)).expect("argon2");
        let head = |passes: u32| format!("$argon2id$v=19$m=19456,t={passes},p=1$");
        let costs = |counts: &[(u32, u64)]| -> Vec<HashCost> {
            counts
                .iter()
                .map(|(passes, accounts)| HashCost { head: head(*passes), accounts: *accounts })
                .collect()
        };
        // How many of a thousand places have the cost of so many passes.
        let share = |passes: u32| {
            let places = (0..1000).map(|number| number * (u32::MAX / 1000));
            places.filter(|place| at(&passwords, *place).phc().starts_with(&head(passes))).count()
        };
        passwords.learn(&costs(&[(2, 1), (3, 3)])).expect("learns");
        assert!(share(2).abs_diff(250) <= 1 && share(3).abs_diff(750) <= 1, "{} {}", share(2), share(3));
        // A place that has the present cost keeps it while more and more accounts have it.
        let mut moved = Vec::new();
        for raised in [0, 10, 500, 900, 1000] {
            passwords.learn(&costs(&[(2, raised), (1, 1000 - raised)])).expect("learns");
            let present: Vec<u32> = (0..1000)
                .map(|number| number * (u32::MAX / 1000))
                .filter(|place| at(&passwords, *place).phc().starts_with(&head(2)))
                .collect();
            assert!(moved.iter().all(|place| present.contains(place)), "{raised}");
            moved = present;
        }
        assert_eq!(moved.len(), 1000);
        // What can't be compared with is left out, and without accounts the present cost is left.
        let odd = [
            "",
            "$argon2id$v=19$",
            "$argon2id$v=19$m=1,t=1$",
            "$scrypt$v=19$m=1,t=1,p=1$",
            "$argon2id$v=19$m=x,t=1,p=1$",
        ];
        let odd: Vec<HashCost> = odd.map(|head| HashCost { head: head.to_owned(), accounts: 9 }).into();
        for costs in [&odd[..], &[]] {
            passwords.learn(costs).expect("learns");
            assert_eq!(share(2), 1000);
        }
    }

    #[tokio::test]
    async fn only_the_password_matches_and_what_is_no_hash_is_an_error() {
        let passwords = Passwords::new(&cost(1)).expect("argon2");
        let kept = passwords.hash(&password()).await.expect("hashes");
        let matches =
            async |typed: &str, kept| passwords.matches(&typed.into(), kept).await.expect("compares");
        assert!(matches("correct horse battery", &kept).await);
        assert!(!matches("Correct horse battery", &kept).await);
        assert!(passwords.matches(&"x".into(), &Credentials::from_phc("plain".to_owned())).await.is_err());
    }

    #[tokio::test]
    async fn a_password_matches_however_its_letters_were_typed() {
        let passwords = Passwords::new(&cost(1)).expect("argon2");
        let kept =
            passwords.hash(&Password::parse("Jo\u{308}rgs Fahrrad").expect("valid")).await.expect("hashes");
        for typed in ["Jörgs Fahrrad", "Jo\u{308}rgs Fahrrad", "Jörgs\u{a0}Fahrrad"] {
            assert!(passwords.matches(&typed.into(), &kept).await.expect("compares"), "{typed:?}");
            assert_eq!(passwords.hash_anew(&typed.into(), &kept).await.expect("looks"), None, "{typed:?}");
        }
        assert!(!passwords.matches(&"jörgs Fahrrad".into(), &kept).await.expect("compares"));
    }

    #[tokio::test]
    async fn a_hash_of_what_was_typed_still_matches_and_is_made_again_of_the_common_form() {
        let passwords = Passwords::new(&cost(1)).expect("argon2");
        let typed: SecretString = "Jo\u{308}rgs Fahrrad".into();
        let old = hashed(&passwords.argon, typed.expose_secret().as_bytes()).expect("hashes");
        assert!(passwords.matches(&typed, &old).await.expect("compares"));
        let new = passwords.hash_anew(&typed, &old).await.expect("looks").expect("another hash");
        assert!(passwords.matches(&"Jörgs Fahrrad".into(), &new).await.expect("compares"));
        assert_eq!(passwords.hash_anew(&typed, &new).await.expect("looks"), None);
    }

    #[tokio::test]
    async fn a_storm_of_logins_is_turned_away_at_once_and_the_others_get_their_turn() {
        let passwords = Passwords::new(&cost(2)).expect("argon2");
        let typed: SecretString = "whatever it is".into();
        let all = futures::future::join_all((0..10).map(|_| passwords.matches_nobody(&typed, 0))).await;
        let busy = all.iter().filter(|outcome| matches!(outcome, Err(PasswordError::Busy))).count();
        assert_eq!((all.len() - busy, busy), (3, 7));
        assert!(passwords.matches_nobody(&typed, 0).await.is_ok());
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
            assert!(passwords.matches(&typed, &anew).await.expect("compares"));
        }
    }

    #[tokio::test]
    async fn whoever_has_no_time_left_for_waiting_is_sent_away_and_takes_nobody_s_turn() {
        let passwords = Passwords::new(&cost(2)).expect("argon2");
        let typed: SecretString = "whatever it is".into();
        let in_a_hurry = Context::for_work("users", Duration::ZERO);
        let (first, second) = tokio::join!(
            passwords.matches_nobody(&typed, 0),
            in_a_hurry.scope(passwords.matches_nobody(&typed, 0))
        );
        assert!(first.is_ok());
        assert!(matches!(second, Err(PasswordError::Busy)));
        assert_eq!(passwords.line.available_permits(), 3);
    }
}
