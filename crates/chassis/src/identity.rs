//! Who asks. Users signs access tokens, every service verifies them by itself; nothing else is believed.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use http::Request;
use http_body_util::BodyExt;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use kernel::{Clock, Code, Fault, Identity, Kind, Role, Sections, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tower::ServiceExt;
use uuid::Uuid;

use crate::config::{Form, Place};
use crate::{Context, Surroundings};

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
    /// When users was last asked, and whether it answered.
    asked: Option<(Instant, bool)>,
    /// When they are asked for again although none is missing.
    due: Timestamp,
}

/// Verifies access tokens with the public keys of users, which it fetches when it first needs one, whenever a token names a
/// key that it does not know, and every five minutes.
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
            keys: RwLock::new(Keys {
                set: JwkSet { keys: Vec::new() },
                asked: None,
                due: surroundings.clock.now(),
            }),
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
        let is_due = || self.clock.now() >= self.keys.read().unwrap_or_else(PoisonError::into_inner).due;
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
        keys.due = self.clock.now().plus(if fetched.is_ok() { LIFE } else { NEXT_TRY });
        keys.set = fetched?;
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

    fn known(&self, kid: &str) -> Result<Option<DecodingKey>, VerifyError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let found = keys.set.find(kid).map(DecodingKey::from_jwk);
        found.transpose().map_err(|_| VerifyError::Keys("a key of the set can't be used".to_owned()))
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::routing::get;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ed25519_dalek::SigningKey;
    use ed25519_dalek::pkcs8::EncodePrivateKey;
    use jsonwebtoken::{EncodingKey, Header};
    use kernel::ManualClock;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    struct Signer {
        key: EncodingKey,
        kid: String,
    }

    impl Signer {
        fn new(seed: u8, kid: &str) -> (Self, serde_json::Value) {
            let key = SigningKey::from_bytes(&[seed; 32]);
            let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
            let der = key.to_pkcs8_der().expect("a key in PKCS #8");
            let jwk =
                json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x});
            (Self { key: EncodingKey::from_ed_der(der.as_bytes()), kid: kid.to_owned() }, jwk)
        }

        fn sign(&self, change: impl FnOnce(&mut serde_json::Value)) -> String {
            let mut claims = json!({
                "iss": "http://portal", "aud": "portal", "sub": Uuid::from_u128(1), "name": "Ada", "role": "editor",
                "sections": ["sports"], "history": true, "sid": Uuid::from_u128(2), "iat": NOW, "exp": NOW + 900,
            });
            change(&mut claims);
            let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) };
            jsonwebtoken::encode(&header, &claims, &self.key).expect("a token")
        }
    }

    struct World {
        verifier: Arc<Verifier>,
        clock: Arc<ManualClock>,
        asked: Arc<AtomicU32>,
        signer: Signer,
    }

    fn world() -> World {
        let (signer, jwk) = Signer::new(1, "one");
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let keys = get(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let body = json!({"keys": [jwk]}).to_string();
            async move { body }
        });
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(NOW * 1000)));
        let surroundings = Surroundings::one_process().with_clock(clock.clone());
        surroundings.register_http("users", Router::new().route(KEYS_PATH, keys));
        let config = IdentityConfig { issuer: "http://portal".to_owned(), keys: "inproc://users".to_owned() };
        let verifier = Verifier::new(&config, &surroundings).expect("a verifier");
        World { verifier, clock, asked, signer }
    }

    #[tokio::test]
    async fn a_token_of_users_says_who_asks_and_its_key_is_fetched_once() {
        let world = world();
        for _ in 0..3 {
            let identity = world.verifier.verify(&world.signer.sign(|_| ())).await.expect("an identity");
            assert_eq!((identity.role, identity.history), (Role::Editor, true));
            assert!(identity.sections.contain(kernel::Section::Sports));
            assert!(!identity.sections.contain(kernel::Section::Famous));
        }
        assert_eq!(world.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_token_for_somebody_else_or_from_somebody_else_is_refused() {
        let world = world();
        for (name, value) in [
            ("iss", json!("http://elsewhere")),
            ("aud", json!("another")),
            ("exp", json!(NOW)),
            ("role", json!("owner")),
            ("sub", json!("1")),
        ] {
            let token = world.signer.sign(|claims| claims[name] = value);
            assert!(matches!(world.verifier.verify(&token).await, Err(VerifyError::Invalid)), "{name}");
        }
        let without_end = world.signer.sign(|claims| {
            claims.as_object_mut().expect("claims").remove("exp");
        });
        assert!(matches!(world.verifier.verify(&without_end).await, Err(VerifyError::Invalid)));
    }

    #[tokio::test]
    async fn a_token_ends_by_the_portals_own_clock() {
        let world = world();
        let token = world.signer.sign(|_| ());
        world.clock.advance(Duration::from_secs(899));
        assert!(world.verifier.verify(&token).await.is_ok());
        world.clock.advance(Duration::from_secs(1));
        assert!(matches!(world.verifier.verify(&token).await, Err(VerifyError::Invalid)));
    }

    #[tokio::test]
    async fn forged_algorithms_signatures_and_key_ids_are_refused() {
        let world = world();
        let token = world.signer.sign(|_| ());
        let part = |text: serde_json::Value| URL_SAFE_NO_PAD.encode(text.to_string());
        let claims = token.split('.').nth(1).expect("claims");
        let none = format!("{}.{claims}.", part(json!({"alg": "none", "kid": "one"})));
        let public = URL_SAFE_NO_PAD.encode(SigningKey::from_bytes(&[1; 32]).verifying_key().as_bytes());
        let confused = jsonwebtoken::encode(
            &Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) },
            &json!({"iss": "http://portal", "aud": "portal", "exp": NOW + 900}),
            &EncodingKey::from_secret(public.as_bytes()),
        )
        .expect("a token");
        let (foreign, _) = Signer::new(2, "one");
        let (unknown, _) = Signer::new(2, "../../etc/passwd");
        let mut changed = token.clone();
        changed.replace_range(
            token.len() - 10..token.len() - 9,
            if token.as_bytes()[token.len() - 10] == b'A' { "B" } else { "A" },
        );
        for bad in [
            none,
            confused,
            foreign.sign(|_| ()),
            unknown.sign(|_| ()),
            changed,
            "x.y.z".to_owned(),
            String::new(),
        ] {
            assert!(matches!(world.verifier.verify(&bad).await, Err(VerifyError::Invalid)), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_withdrawn_key_is_believed_for_five_minutes_more_and_while_users_is_away() {
        let world = world();
        let token = world.signer.sign(|_| ());
        world.verifier.verify(&token).await.expect("an identity");
        let answers = |status: u16, body: &'static str| {
            let status = http::StatusCode::from_u16(status).expect("a status");
            let route = get(move || async move { (status, body) });
            let Source::Neighbour(surroundings, _) = &world.verifier.source else { unreachable!("inproc") };
            surroundings.register_http("users", Router::new().route(KEYS_PATH, route));
        };
        answers(503, "");
        for seconds in [299, 1, 10, 10] {
            world.clock.advance(Duration::from_secs(seconds));
            world.verifier.verify(&token).await.expect("users is away");
        }
        answers(200, "{\"keys\":[]}");
        world.clock.advance(Duration::from_secs(9));
        world.verifier.verify(&token).await.expect("it was asked a moment ago");
        world.clock.advance(Duration::from_secs(1));
        assert!(matches!(world.verifier.verify(&token).await, Err(VerifyError::Invalid)));
    }

    #[tokio::test]
    async fn made_up_key_ids_are_no_flood_of_questions_to_users() {
        let world = world();
        for kid in 0..50 {
            let (stranger, _) = Signer::new(3, &format!("made-up-{kid}"));
            assert!(world.verifier.verify(&stranger.sign(|_| ())).await.is_err());
        }
        assert_eq!(world.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn without_its_keys_a_service_is_unavailable_and_lets_nobody_in() {
        let config = IdentityConfig { issuer: "http://portal".to_owned(), keys: "inproc://users".to_owned() };
        let verifier = Verifier::new(&config, &Surroundings::one_process()).expect("a verifier");
        let (signer, _) = Signer::new(1, "one");
        assert!(matches!(verifier.verify(&signer.sign(|_| ())).await, Err(VerifyError::Keys(_))));
    }

    #[test]
    fn a_service_in_a_process_of_its_own_says_what_to_set() {
        let config = IdentityConfig { issuer: "http://portal".to_owned(), keys: "inproc://users".to_owned() };
        let refused = Verifier::new(&config, &Surroundings::alone()).err().expect("a refusal").to_string();
        assert!(refused.contains("identity.keys") && refused.contains("http://users:3000"), "{refused}");
    }
}
