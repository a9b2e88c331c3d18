//! Who asks. Users signs access tokens, every service verifies them by itself; nothing else is believed.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use http::Request;
use http_body_util::BodyExt;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use kernel::{Clock, Code, Fault, Identity, Kind, Role, Sections, SessionId, UserId};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tower::ServiceExt;
use uuid::Uuid;

use crate::Surroundings;

/// For whom access tokens are made.
pub const AUDIENCE: &str = "portal";
/// The keys are asked for again after an unknown key id, but not more often than this.
const REFRESH: Duration = Duration::from_secs(1);
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

/// Where identities come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// The portal's public URL, as tokens name their issuer.
    pub issuer: String,
    /// Where the public keys are: `inproc://users`, or the address of users, as `http://users:3000`.
    pub keys: String,
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
    fn kind(&self) -> Kind {
        match self {
            VerifyError::Invalid => Kind::Unauthenticated,
            VerifyError::Keys(_) => Kind::Unavailable,
        }
    }

    fn code(&self) -> Code {
        match self {
            VerifyError::Invalid => Code::new("invalid_token"),
            VerifyError::Keys(_) => Code::new("keys_unavailable"),
        }
    }
}

enum Source {
    Neighbour(Surroundings, String),
    Network(reqwest::Client, String),
}

struct Keys {
    set: JwkSet,
    fetched: Option<Instant>,
}

/// Verifies access tokens with the public keys of users, which it fetches when it first needs one and whenever a token names a
/// key that it does not know.
pub struct Verifier {
    issuer: String,
    clock: Arc<dyn Clock>,
    source: Source,
    keys: RwLock<Keys>,
    fetching: Mutex<()>,
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
                let client = reqwest::Client::builder().timeout(KEYS_BUDGET).build()?;
                Source::Network(client, format!("{}{KEYS_PATH}", config.keys.trim_end_matches('/')))
            }
        };
        Ok(Arc::new(Self {
            issuer: config.issuer.clone(),
            clock: surroundings.clock.clone(),
            source,
            keys: RwLock::new(Keys { set: JwkSet { keys: Vec::new() }, fetched: None }),
            fetching: Mutex::new(()),
        }))
    }

    /// Who the token is for.
    pub async fn verify(&self, token: &str) -> Result<Identity, VerifyError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| VerifyError::Invalid)?;
        if header.alg != Algorithm::EdDSA {
            return Err(VerifyError::Invalid);
        }
        let kid = header.kid.ok_or(VerifyError::Invalid)?;
        let key = self.key(&kid).await?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The end is compared with our own clock below, as everything else that is stored is.
        rules.validate_exp = false;
        let data = jsonwebtoken::decode::<Claims>(token, &key, &rules).map_err(|_| VerifyError::Invalid)?;
        let claims = data.claims;
        if claims.exp.saturating_mul(1000) <= self.clock.now().millis() {
            return Err(VerifyError::Invalid);
        }
        Ok(Identity {
            user: claims.sub,
            name: claims.name,
            role: claims.role,
            sections: claims.sections,
            history: claims.history,
            session: SessionId::new(claims.sid),
        })
    }

    async fn key(&self, kid: &str) -> Result<DecodingKey, VerifyError> {
        if let Some(key) = self.known(kid)? {
            return Ok(key);
        }
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(key) = self.known(kid)? {
            return Ok(key);
        }
        let fetched = self.keys.read().unwrap_or_else(PoisonError::into_inner).fetched;
        // Tokens with made-up key ids must not turn into a flood of questions to users.
        if fetched.is_some_and(|at| at.elapsed() < REFRESH) {
            return Err(VerifyError::Invalid);
        }
        let set = self.fetch().await?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) =
            Keys { set, fetched: Some(Instant::now()) };
        self.known(kid)?.ok_or(VerifyError::Invalid)
    }

    fn known(&self, kid: &str) -> Result<Option<DecodingKey>, VerifyError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let found = keys.set.find(kid).map(DecodingKey::from_jwk);
        found.transpose().map_err(|_| VerifyError::Keys("a key of the set can't be used".to_owned()))
    }

    async fn fetch(&self) -> Result<JwkSet, VerifyError> {
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
