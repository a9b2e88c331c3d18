mod config;
mod cost_mix;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use chassis::Context;
use kernel::{Class, Fault, Kind};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

pub use config::PasswordsConfig;
use cost_mix::CostMix;

use super::background::Background;
use crate::domain::{Credentials, Password, prepare};
use crate::ports::HashCost;

/// Why a password was not hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The queue is full, or the request would wait longer than the time it has left.
    #[error("Too many users log in or register at this moment: repeat the request in a second.")]
    Busy,
    /// The stored text is not a hash, or hashing itself failed.
    #[error("a password could not be hashed or compared: {0}")]
    Broken(String),
}

impl PasswordError {
    fn broken(error: impl std::fmt::Display) -> Self {
        PasswordError::Broken(error.to_string())
    }
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

/// The hashing of passwords, on a few threads of low priority with a short queue, so that a storm of logins
/// hardly delays other requests.
pub struct Passwords {
    argon: Argon2<'static>,
    /// The beginning of a hash of the current cost.
    current_head: String,
    /// The permits of all requests, whether they hash or wait.
    places: Arc<Semaphore>,
    /// The permits of requests that hash.
    turns: Arc<Semaphore>,
    threads: Background,
    /// The credentials of unknown accounts.
    unknown: RwLock<CostMix>,
}

impl Passwords {
    /// Creates the threads, and the parameters of this cost.
    ///
    /// # Errors
    /// If argon2 does not support the cost.
    pub fn new(cost: &PasswordsConfig) -> Result<Self, PasswordError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(PasswordError::broken)?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let current_head = format!("$argon2id$v=19$m={},t={},p=1$", cost.memory_kib, cost.passes);
        let unknown = RwLock::new(CostMix::new(&current_head, &[])?);
        let threads = cost.thread_count();
        Ok(Self {
            argon,
            current_head,
            places: Arc::new(Semaphore::new(threads + cost.waiting)),
            turns: Arc::new(Semaphore::new(threads)),
            threads: Background::new(threads).map_err(PasswordError::broken)?,
            unknown,
        })
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: &Password) -> Result<Credentials, PasswordError> {
        self.hash_typed(password.secret()).await
    }

    /// Hashes a proven password again if its hash has another cost, or was made from the typed text instead
    /// of its prepared form (see [`prepare`]). Otherwise returns `None`.
    pub async fn rehash(
        &self,
        proven: &SecretString,
        credentials: &Credentials,
    ) -> Result<Option<Credentials>, PasswordError> {
        let form = prepare(proven.expose_secret());
        if credentials.phc().starts_with(&self.current_head)
            && (form.expose_secret() == proven.expose_secret() || self.verify(&form, credentials).await?)
        {
            return Ok(None);
        }
        self.hash_typed(&form).await.map(Some)
    }

    async fn hash_typed(&self, typed: &SecretString) -> Result<Credentials, PasswordError> {
        let (argon, typed) = (self.argon.clone(), typed.clone());
        self.work(move || hash_secret(&argon, typed.expose_secret().as_bytes())).await
    }

    /// Says whether `typed` is the password of `credentials`.
    ///
    /// Older programs hashed the typed text, so it is compared too if the prepared form differs.
    pub async fn matches(
        &self,
        typed: &SecretString,
        credentials: &Credentials,
    ) -> Result<bool, PasswordError> {
        let form = prepare(typed.expose_secret());
        let is_different = form.expose_secret() != typed.expose_secret();
        Ok(self.verify(&form, credentials).await?
            || (is_different && self.verify(typed, credentials).await?))
    }

    async fn verify(&self, secret: &SecretString, stored: &Credentials) -> Result<bool, PasswordError> {
        let (argon, secret, stored) = (self.argon.clone(), secret.clone(), stored.clone());
        self.work(move || match argon.verify_password(secret.expose_secret().as_bytes(), stored.phc()) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(PasswordError::broken(error)),
        })
        .await
    }

    /// Does the work of [`Passwords::matches`] for an unknown account. `number` chooses one of the costs of
    /// the stored hashes: an e-mail always has the same number, as an account has one cost.
    pub async fn compare_with_unknown(&self, typed: &SecretString, number: u32) -> Result<(), PasswordError> {
        let unknown = self.unknown.read().unwrap_or_else(PoisonError::into_inner).get(number).clone();
        self.matches(typed, &unknown).await.map(drop)
    }

    /// Sets the costs of the stored hashes, for unknown accounts.
    ///
    /// # Errors
    /// If the operating system provides no random bytes.
    pub fn set_costs(&self, costs: &[HashCost]) -> Result<(), PasswordError> {
        let mix = CostMix::new(&self.current_head, costs)?;
        *self.unknown.write().unwrap_or_else(PoisonError::into_inner) = mix;
        Ok(())
    }

    async fn work<T: Send + 'static>(
        &self,
        hash: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        // A request that waits beyond its own time limit would only delay the others.
        let patience = Context::current().deadline.left();
        let turn = tokio::time::timeout(patience, self.turns.clone().acquire_owned());
        let turn = turn.await.map_err(|_| PasswordError::Busy)?.map_err(PasswordError::broken)?;
        // A caller that gives up does not stop a hash that has begun, so the permits go with the hash.
        let hashing = self.threads.run(move || {
            let _permits = (place, turn);
            hash()
        });
        hashing.await.map_err(PasswordError::broken)?
    }
}

fn hash_secret(argon: &Argon2<'_>, secret: &[u8]) -> Result<Credentials, PasswordError> {
    argon
        .hash_password(secret)
        .map(|hash| Credentials::from_phc(hash.to_string()))
        .map_err(PasswordError::broken)
}
