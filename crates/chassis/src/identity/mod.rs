//! The identity of a caller. Users signs access tokens and every service verifies them itself. Nothing else
//! proves an identity.

mod ed25519;
#[cfg(test)]
mod tests;
mod token_cache;

use std::sync::{Arc, Once, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use http::Request;
use http_body_util::BodyExt;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use kernel::{Class, Clock, Fault, Identity, Kind, Role, Sections, SessionId, UserId};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tower::ServiceExt;
use uuid::Uuid;

use crate::net::{Surroundings, own_client};
use crate::observe::Context;
use crate::values::{Form, Place};
pub use ed25519::install_ed25519;
use token_cache::{Print, TokenCache, VerifiedToken};

/// The audience of access tokens.
pub const AUDIENCE: &str = "portal";
/// The shortest time between two requests for the keys because of unknown key ids.
const REFRESH: Duration = Duration::from_secs(1);
/// The time after which known keys are fetched again, so that a withdrawn key is not trusted for the life of
/// a process.
const LIFE: Duration = Duration::from_secs(300);
/// The time until the next request, if users did not answer.
const NEXT_TRY: Duration = Duration::from_secs(10);
/// The longest time of a request for the keys.
const KEYS_BUDGET: Duration = Duration::from_millis(500);
const KEYS_PATH: &str = "/.well-known/jwks.json";

/// The claims of an access token (RFC 7519). No e-mail is among them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// The public URL of the portal.
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// The account.
    pub sub: UserId,
    /// The display name of the account.
    pub name: String,
    /// The role of the account.
    pub role: Role,
    /// The sections in which the role is valid; absent for all of them.
    #[serde(default, skip_serializing_if = "Sections::is_all")]
    pub sections: Sections,
    /// The consent to a history of what the person reads.
    pub history: bool,
    /// The session.
    pub sid: Uuid,
    /// The time of issue, in seconds since the Unix epoch.
    pub iat: i64,
    /// The end of validity, in seconds since the Unix epoch.
    pub exp: i64,
}

/// The claims that are read: those that users writes, and `nbf`, which must be obeyed if it is there (RFC
/// 7519 §4.1.5).
#[derive(Deserialize)]
struct PresentedClaims {
    #[serde(flatten)]
    claims: Claims,
    /// The beginning of validity, in seconds since the Unix epoch.
    #[serde(default)]
    nbf: Option<i64>,
}

/// The settings for verifying identities.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// The public URL of the portal, which is the issuer in tokens.
    pub issuer: String,
    /// The place of the public keys: `inproc://users`, or the address of users, such as `http://users:3000`.
    pub keys: String,
}

impl IdentityConfig {
    /// Returns the addresses among the settings, below `identity`.
    pub fn places(&self) -> Vec<Place> {
        vec![
            Place::new("identity.issuer", &self.issuer, &[Form::Http]),
            Place::new("identity.keys", &self.keys, &[Form::InProcess, Form::Http]),
        ]
    }
}

/// The reason why a token was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is broken, forged, expired, or for another audience. Which of these is deliberately not said.
    #[error("The access token is not valid; log in again.")]
    Invalid,
    /// The keys are not available.
    #[error("the signing keys can't be read: {0}")]
    Keys(String),
}

impl Fault for VerifyError {
    fn classify(&self) -> Class<'_> {
        match self {
            VerifyError::Invalid => Class::own(Kind::Unauthenticated, "invalid_token"),
            VerifyError::Keys(_) => Class::own(Kind::Unavailable, "keys_unavailable"),
        }
    }
}

/// The place from which keys are fetched.
enum Source {
    Neighbour(Surroundings, String),
    Network(reqwest::Client, String),
}

struct Keys {
    set: JwkSet,
    /// The number of the set. A token that was verified with another set is verified again.
    generation: u64,
    /// The time of the last request to users, and whether it succeeded.
    last_fetch: Option<(Instant, bool)>,
    /// The time of the next request although no key is missing.
    due: Duration,
}

/// The verifier of access tokens. It fetches the public keys of users when it first needs one, when a token
/// names an unknown key, and every five minutes.
///
/// Checking a signature takes longer than most answers. So a token is checked once and remembered by its
/// digest while the keys stay the same. Whether it is valid at the moment is compared with the clock every
/// time.
pub struct Verifier {
    issuer: String,
    clock: Arc<dyn Clock>,
    source: Source,
    keys: RwLock<Keys>,
    fetching: Mutex<()>,
    token_cache: TokenCache,
}

impl Verifier {
    /// Creates a verifier without keys.
    ///
    /// # Errors
    /// If the address of the keys can't be used here, in a sentence that says what to set.
    pub fn new(config: &IdentityConfig, surroundings: &Surroundings) -> anyhow::Result<Arc<Self>> {
        install_ed25519();
        let source = match config.keys.strip_prefix("inproc://") {
            Some(_) if !surroundings.allows_in_process() => anyhow::bail!(
                "identity.keys is {}, which only works if the services share a process; set the address of users, such as http://users:3000",
                config.keys
            ),
            Some(name) => Source::Neighbour(surroundings.clone(), name.to_owned()),
            None => {
                let client = own_client(KEYS_BUDGET)?;
                Source::Network(client, format!("{}{KEYS_PATH}", config.keys.trim_end_matches('/')))
            }
        };
        Ok(Arc::new(Self {
            issuer: config.issuer.clone(),
            clock: surroundings.clock.clone(),
            source,
            keys: RwLock::new(Keys {
                set: JwkSet { keys: Vec::new() },
                generation: 0,
                last_fetch: None,
                due: surroundings.clock.elapsed(),
            }),
            fetching: Mutex::new(()),
            token_cache: TokenCache::default(),
        }))
    }

    /// Returns the identity that a token proves.
    ///
    /// # Errors
    /// If the token is not valid at the moment, or the keys are not available.
    pub async fn verify(&self, token: &str) -> Result<Identity, VerifyError> {
        let print = Print::of(token);
        let verified = match self.token_cache.get(&print) {
            Some(verified) if self.is_newest(verified.generation).await => verified,
            _ => {
                let verified = Arc::new(self.check(token).await?);
                // A token that is not valid now is not worth remembering.
                if verified.is_valid_at(self.clock.now()) {
                    self.token_cache.keep(print, verified.clone());
                }
                verified
            }
        };
        if verified.is_valid_at(self.clock.now()) {
            Ok(verified.identity.clone())
        } else {
            Err(VerifyError::Invalid)
        }
    }

    /// Fetches the keys if that is due. Returns true if they are still those of this generation.
    async fn is_newest(&self, generation: u64) -> bool {
        self.renew().await;
        self.keys.read().unwrap_or_else(PoisonError::into_inner).generation == generation
    }

    /// Checks the signature and the claims of a token.
    async fn check(&self, token: &str) -> Result<VerifiedToken, VerifyError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| VerifyError::Invalid)?;
        // RFC 7515 §4.1.11: a token with an extension that we must understand, and don't, is refused.
        if header.alg != Algorithm::EdDSA || header.crit.is_some() {
            return Err(VerifyError::Invalid);
        }
        let kid = header.kid.ok_or(VerifyError::Invalid)?;
        let (key, generation) = self.key(&kid).await?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The end is compared with our own clock, which tests can set.
        rules.validate_exp = false;
        let data = jsonwebtoken::decode::<PresentedClaims>(token, &key, &rules).map_err(|error| {
            // It is signed by our key, so it is not an attack: the portal was renamed, or its services have
            // different names for it.
            if matches!(error.kind(), jsonwebtoken::errors::ErrorKind::InvalidIssuer) {
                log_issuer_hint(&self.issuer);
            }
            VerifyError::Invalid
        })?;
        let PresentedClaims { claims, nbf } = data.claims;
        Ok(VerifiedToken {
            identity: Identity {
                user: claims.sub,
                name: claims.name,
                role: claims.role,
                sections: claims.sections,
                history: claims.history,
                session: SessionId::new(claims.sid),
            },
            begins: nbf,
            ends: claims.exp,
            generation,
        })
    }

    async fn key(&self, kid: &str) -> Result<(DecodingKey, u64), VerifyError> {
        if self.known(kid)?.is_some() {
            self.renew().await;
            return self.known(kid)?.ok_or(VerifyError::Invalid);
        }
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(key) = self.known(kid)? {
            return Ok(key);
        }
        // Tokens with made-up key ids must not cause a flood of requests to users, least of all while it is
        // unavailable.
        if let Some(error) = self.error_of_recent_fetch() {
            return Err(error);
        }
        self.refresh().await?;
        self.known(kid)?.ok_or(VerifyError::Invalid)
    }

    /// Fetches the keys if that is due. One caller does so; the others go on with the known keys. If users
    /// does not answer, all of them go on with the known keys.
    async fn renew(&self) {
        let is_due = || self.clock.elapsed() >= self.keys.read().unwrap_or_else(PoisonError::into_inner).due;
        if !is_due() {
            return;
        }
        let Ok(_one_at_a_time) = self.fetching.try_lock() else { return };
        if is_due()
            && let Err(error) = self.refresh().await
        {
            tracing::debug!(%error, "the keys could not be renewed; the known ones stay in use");
        }
    }

    async fn refresh(&self) -> Result<(), VerifyError> {
        let fetched = self.fetch().await;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.last_fetch = Some((Instant::now(), fetched.is_ok()));
        keys.due = self.clock.elapsed() + if fetched.is_ok() { LIFE } else { NEXT_TRY };
        let set = fetched?;
        if set != keys.set {
            keys.set = set;
            keys.generation += 1;
            self.token_cache.forget_all();
        }
        Ok(())
    }

    /// Returns an error if the keys were fetched a moment ago: then an unknown key id is refused without
    /// another request.
    fn error_of_recent_fetch(&self) -> Option<VerifyError> {
        let (at, well) = self.keys.read().unwrap_or_else(PoisonError::into_inner).last_fetch?;
        let recent = at.elapsed() < REFRESH;
        let error = if well {
            VerifyError::Invalid
        } else {
            VerifyError::Keys("users did not answer a moment ago".to_owned())
        };
        recent.then_some(error)
    }

    /// Returns the key with this id, and the generation of its set.
    fn known(&self, kid: &str) -> Result<Option<(DecodingKey, u64)>, VerifyError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let found = keys.set.find(kid).map(DecodingKey::from_jwk).transpose();
        let found = found.map_err(|_| VerifyError::Keys("a key of the set can't be used".to_owned()))?;
        Ok(found.map(|key| (key, keys.generation)))
    }

    async fn fetch(&self) -> Result<JwkSet, VerifyError> {
        let _counting = Context::current().upstream.count();
        match &self.source {
            Source::Neighbour(surroundings, name) => {
                let router = surroundings
                    .http(name)
                    .ok_or_else(|| VerifyError::Keys(format!("{name} has not started")))?;
                fetch_from(router).await
            }
            Source::Network(client, url) => {
                let failed = |error: reqwest::Error| VerifyError::Keys(error.to_string());
                let response =
                    client.get(url).send().await.map_err(failed)?.error_for_status().map_err(failed)?;
                response.json().await.map_err(failed)
            }
        }
    }
}

/// Logs once which setting is the issuer of tokens.
fn log_issuer_hint(issuer: &str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            issuer,
            "a token of another issuer was refused (`invalid_token`): if readers know the portal by another address, set `public_url` \
             (in a fleet `identity.issuer` of every service) to it"
        );
    });
}

async fn fetch_from(router: Router) -> Result<JwkSet, VerifyError> {
    let failed = |error: &dyn std::error::Error| VerifyError::Keys(error.to_string());
    let request = Request::get(KEYS_PATH).body(axum::body::Body::empty()).map_err(|error| failed(&error))?;
    let Ok(response) = router.oneshot(request).await;
    if !response.status().is_success() {
        return Err(VerifyError::Keys(format!("users answered {}", response.status())));
    }
    let bytes = response.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| failed(&error))
}
