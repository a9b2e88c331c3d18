//! Who asks. Users signs access tokens, every service verifies them by itself; nothing else is believed.

mod remembered;
#[cfg(test)]
mod tests;

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

use crate::config::{Form, Place};
use crate::{Context, Surroundings};
use remembered::{Print, Remembered, Vouched};

/// For whom access tokens are made.
pub const AUDIENCE: &str = "portal";
/// The keys are asked for again after an unknown key id, but not more often than this.
const REFRESH: Duration = Duration::from_secs(1);
/// Keys that are known are asked for again after so long: one that was withdrawn is not believed for as long as a process lives.
const LIFE: Duration = Duration::from_secs(300);
/// And where users did not answer then, after so long.
const NEXT_TRY: Duration = Duration::from_secs(10);
const KEYS_BUDGET: Duration = Duration::from_millis(500);
const KEYS_PATH: &str = "/.well-known/jwks.json";

/// The claims of an access token (RFC 7519). No e-mail is among them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// The portal's public URL.
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// The account.
    pub sub: UserId,
    /// Its display name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where; absent for every section.
    #[serde(default, skip_serializing_if = "Sections::is_all")]
    pub sections: Sections,
    /// Consent to a history of what the person reads.
    pub history: bool,
    /// The login.
    pub sid: Uuid,
    /// When it was made, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: i64,
}

/// What is read of a token: what users writes, and what else is to be obeyed where it stands there (RFC 7519 §4.1.5).
#[derive(Deserialize)]
struct Presented {
    #[serde(flatten)]
    claims: Claims,
    /// Before this, in seconds since the Unix epoch, the token is not to be believed.
    #[serde(default)]
    nbf: Option<i64>,
}

/// Where identities come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// The portal's public URL, as tokens name their issuer.
    pub issuer: String,
    /// Where the public keys are: `inproc://users`, or the address of users, as `http://users:3000`.
    pub keys: String,
}

impl IdentityConfig {
    /// The addresses among its keys, below `identity`.
    pub fn places(&self) -> Vec<Place> {
        vec![
            Place::new("identity.issuer", &self.issuer, &[Form::Http]),
            Place::new("identity.keys", &self.keys, &[Form::InProcess, Form::Http]),
        ]
    }
}

/// Why a token was not believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is broken, forged, over, or for somebody else. Which of them is nobody's business.
    #[error("The access token is not valid; log in again.")]
    Invalid,
    /// The keys can't be had.
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

enum Source {
    Neighbour(Surroundings, String),
    Network(reqwest::Client, String),
}

struct Keys {
    set: JwkSet,
    /// Counts the sets: what was verified with another one is verified again.
    generation: u64,
    /// When users was last asked, and whether it answered.
    asked: Option<(Instant, bool)>,
    /// When they are asked for again although none is missing.
    due: Duration,
}

/// Verifies access tokens with the public keys of users, which it fetches when it first needs one, whenever a token names a
/// key that it does not know, and every five minutes.
///
/// Checking a signature takes longer than most answers, so a token is checked once and remembered by its digest, as long as the
/// keys are the same ones. Whether it holds at this moment is asked of the clock every time.
pub struct Verifier {
    issuer: String,
    clock: Arc<dyn Clock>,
    source: Source,
    keys: RwLock<Keys>,
    fetching: Mutex<()>,
    remembered: Remembered,
}

impl Verifier {
    /// A verifier that has no keys yet.
    ///
    /// # Errors
    /// Where the address of the keys can't be used here, in a sentence that says what to set.
    pub fn new(config: &IdentityConfig, surroundings: &Surroundings) -> anyhow::Result<Arc<Self>> {
        let source = match config.keys.strip_prefix("inproc://") {
            Some(_) if !surroundings.allows_in_process() => anyhow::bail!(
                "identity.keys is {}, which only works where the services share a process; set the address of users, as http://users:3000",
                config.keys
            ),
            Some(name) => Source::Neighbour(surroundings.clone(), name.to_owned()),
            None => {
                let client = crate::own_client(KEYS_BUDGET)?;
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
                asked: None,
                due: surroundings.clock.elapsed(),
            }),
            fetching: Mutex::new(()),
            remembered: Remembered::default(),
        }))
    }

    /// Who the token is for.
    pub async fn verify(&self, token: &str) -> Result<Identity, VerifyError> {
        let print = Print::of(token);
        let vouched = match self.remembered.get(&print) {
            Some(vouched) if self.is_newest(vouched.generation).await => vouched,
            _ => {
                let vouched = Arc::new(self.check(token).await?);
                // What does not hold now is not worth its place.
                if vouched.holds(self.clock.now()) {
                    self.remembered.keep(print, vouched.clone());
                }
                vouched
            }
        };
        if vouched.holds(self.clock.now()) { Ok(vouched.identity.clone()) } else { Err(VerifyError::Invalid) }
    }

    /// Whether the keys are still those of this generation, after asking for them if that is due.
    async fn is_newest(&self, generation: u64) -> bool {
        self.renew().await;
        self.keys.read().unwrap_or_else(PoisonError::into_inner).generation == generation
    }

    /// What a token says that users has signed.
    async fn check(&self, token: &str) -> Result<Vouched, VerifyError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| VerifyError::Invalid)?;
        if header.alg != Algorithm::EdDSA {
            return Err(VerifyError::Invalid);
        }
        let kid = header.kid.ok_or(VerifyError::Invalid)?;
        let (key, generation) = self.key(&kid).await?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The end is compared with our own clock, as everything else that is stored is.
        rules.validate_exp = false;
        let data = jsonwebtoken::decode::<Presented>(token, &key, &rules).map_err(|error| {
            // Signed by our own key, so it is no attack: the portal was renamed, or its services were given different names.
            if matches!(error.kind(), jsonwebtoken::errors::ErrorKind::InvalidIssuer) {
                hint(&self.issuer);
            }
            VerifyError::Invalid
        })?;
        let Presented { claims, nbf } = data.claims;
        Ok(Vouched {
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
        // Tokens with made-up key ids must not turn into a flood of questions to users, least of all while it is away.
        if let Some(refused) = self.asked_just_now() {
            return Err(refused);
        }
        self.ask_again().await?;
        self.known(kid)?.ok_or(VerifyError::Invalid)
    }

    /// Asks for the keys again when they are due. One caller does so, the others go on with what is known; where users does not
    /// answer, everybody does.
    async fn renew(&self) {
        let is_due = || self.clock.elapsed() >= self.keys.read().unwrap_or_else(PoisonError::into_inner).due;
        if !is_due() {
            return;
        }
        let Ok(_one_at_a_time) = self.fetching.try_lock() else { return };
        if is_due()
            && let Err(error) = self.ask_again().await
        {
            tracing::debug!(%error, "the keys could not be renewed and are used on");
        }
    }

    async fn ask_again(&self) -> Result<(), VerifyError> {
        let fetched = self.fetch().await;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.asked = Some((Instant::now(), fetched.is_ok()));
        keys.due = self.clock.elapsed() + if fetched.is_ok() { LIFE } else { NEXT_TRY };
        let set = fetched?;
        if set != keys.set {
            keys.set = set;
            keys.generation += 1;
            self.remembered.forget_all();
        }
        Ok(())
    }

    fn asked_just_now(&self) -> Option<VerifyError> {
        let (at, well) = self.keys.read().unwrap_or_else(PoisonError::into_inner).asked?;
        let recent = at.elapsed() < REFRESH;
        let refused = if well {
            VerifyError::Invalid
        } else {
            VerifyError::Keys("users did not answer just now".to_owned())
        };
        recent.then_some(refused)
    }

    /// The key of this id, and the generation of the set that it is in.
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
                ask(router).await
            }
            Source::Network(client, url) => {
                let told = |error: reqwest::Error| VerifyError::Keys(error.to_string());
                let response =
                    client.get(url).send().await.map_err(told)?.error_for_status().map_err(told)?;
                response.json().await.map_err(told)
            }
        }
    }
}

/// Logs once which setting names the issuer of tokens.
fn hint(issuer: &str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            issuer,
            "a token of another issuer was refused (`invalid_token`): if readers know the portal by another address, set `public_url` \
             (in a fleet `identity.issuer` of every service) to it"
        );
    });
}

async fn ask(router: Router) -> Result<JwkSet, VerifyError> {
    let told = |error: &dyn std::error::Error| VerifyError::Keys(error.to_string());
    let request = Request::get(KEYS_PATH).body(axum::body::Body::empty()).map_err(|error| told(&error))?;
    let Ok(response) = router.oneshot(request).await;
    if !response.status().is_success() {
        return Err(VerifyError::Keys(format!("users answered {}", response.status())));
    }
    let bytes = response.into_body().collect().await.map_err(|error| told(&error))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| told(&error))
}
