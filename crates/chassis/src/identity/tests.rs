use std::sync::atomic::{AtomicU32, Ordering};

use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{EncodingKey, Header};
use kernel::{ManualClock, Timestamp};
use serde_json::json;
use sha2::Sha256;

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
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x});
        (Self { key: EncodingKey::from_ed_der(der.as_bytes()), kid: kid.to_owned() }, jwk)
    }

    fn sign(&self, change: impl FnOnce(&mut serde_json::Value)) -> String {
        self.sign_with(Header::default(), change)
    }

    /// Signs with the other members of `header`.
    fn sign_with(&self, header: Header, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut claims = json!({
            "iss": "http://portal", "aud": "portal", "sub": Uuid::from_u128(1), "name": "Ada", "role": "editor",
            "sections": ["sports"], "history": true, "sid": Uuid::from_u128(2), "iat": NOW, "exp": NOW + 900,
        });
        change(&mut claims);
        let header = Header { kid: Some(self.kid.clone()), alg: Algorithm::EdDSA, ..header };
        jsonwebtoken::encode(&header, &claims, &self.key).expect("a token")
    }
}

/// A token whose signature is a keyed hash: a verifier that believes the header would take the public key for
/// the secret.
fn signed_with_hs256(secret: &[u8], header: &serde_json::Value, claims: &serde_json::Value) -> String {
    let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length");
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

struct World {
    verifier: Arc<Verifier>,
    clock: Arc<ManualClock>,
    fetches: Arc<AtomicU32>,
    signer: Signer,
}

impl World {
    /// From now on this is what users answers who asks for its keys.
    fn publish(&self, status: u16, body: &serde_json::Value) {
        let (status, body) = (http::StatusCode::from_u16(status).expect("a status"), body.to_string());
        let route = get(move || async move { (status, body) });
        let Source::Neighbour(surroundings, _) = &self.verifier.source else { unreachable!("inproc") };
        surroundings.register_http("users", Router::new().route(KEYS_PATH, route));
    }

    async fn is_refused(&self, token: &str) -> bool {
        matches!(self.verifier.verify(token).await, Err(VerifyError::Invalid))
    }
}

fn world() -> World {
    let (signer, jwk) = Signer::new(1, "one");
    let fetches = Arc::new(AtomicU32::new(0));
    let counted = fetches.clone();
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
    World { verifier, clock, fetches, signer }
}

#[tokio::test]
async fn a_token_of_users_proves_an_identity_and_its_key_is_fetched_once() {
    let world = world();
    for _ in 0..3 {
        let identity = world.verifier.verify(&world.signer.sign(|_| ())).await.expect("an identity");
        assert_eq!((identity.role, identity.history), (Role::Editor, true));
        assert!(identity.sections.contain(kernel::Section::Sports));
        assert!(!identity.sections.contain(kernel::Section::Famous));
    }
    assert_eq!(world.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_of_another_issuer_or_for_another_audience_is_refused() {
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
async fn a_token_expires_by_the_clock_of_the_portal() {
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
    let confused = signed_with_hs256(
        public.as_bytes(),
        &json!({"alg": "HS256", "kid": "one"}),
        &json!({"iss": "http://portal", "aud": "portal", "exp": NOW + 900}),
    );
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
        world.signer.sign_with(Header { crit: Some(vec!["b64".to_owned()]), ..Header::default() }, |_| ()),
        "x.y.z".to_owned(),
        String::new(),
    ] {
        assert!(matches!(world.verifier.verify(&bad).await, Err(VerifyError::Invalid)), "{bad}");
    }
}

#[tokio::test]
async fn a_withdrawn_key_is_trusted_for_five_more_minutes_and_while_users_is_unavailable() {
    let world = world();
    let token = world.signer.sign(|_| ());
    world.verifier.verify(&token).await.expect("an identity");
    world.publish(503, &json!({}));
    for seconds in [299, 1, 10, 10] {
        world.clock.advance(Duration::from_secs(seconds));
        world.verifier.verify(&token).await.expect("the key is still trusted");
    }
    world.publish(200, &json!({"keys": []}));
    world.clock.advance(Duration::from_secs(9));
    world.verifier.verify(&token).await.expect("it was fetched a moment ago");
    world.clock.advance(Duration::from_secs(1));
    assert!(matches!(world.verifier.verify(&token).await, Err(VerifyError::Invalid)));
}

#[tokio::test]
async fn made_up_key_ids_do_not_flood_users_with_requests() {
    let world = world();
    for kid in 0..50 {
        let (stranger, _) = Signer::new(3, &format!("made-up-{kid}"));
        assert!(world.verifier.verify(&stranger.sign(|_| ())).await.is_err());
    }
    assert_eq!(world.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_keys_a_service_is_unavailable_and_accepts_no_token() {
    let config = IdentityConfig { issuer: "http://portal".to_owned(), keys: "inproc://users".to_owned() };
    let verifier = Verifier::new(&config, &Surroundings::one_process()).expect("a verifier");
    let (signer, _) = Signer::new(1, "one");
    assert!(matches!(verifier.verify(&signer.sign(|_| ())).await, Err(VerifyError::Keys(_))));
}

#[test]
fn a_service_in_a_process_of_its_own_reports_the_setting_for_keys() {
    let config = IdentityConfig { issuer: "http://portal".to_owned(), keys: "inproc://users".to_owned() };
    let refused = Verifier::new(&config, &Surroundings::alone()).err().expect("a refusal").to_string();
    assert!(refused.contains("identity.keys") && refused.contains("http://users:3000"), "{refused}");
}

/// Changes the remembered name of a token. A check that returns this name did not verify the signature again.
fn rename(world: &World, token: &str, name: &str) {
    let print = Print::of(token);
    let known = world.verifier.token_cache.get(&print).expect("it is remembered");
    let identity = Identity { name: name.to_owned(), ..known.identity.clone() };
    let verified =
        VerifiedToken { identity, begins: known.begins, ends: known.ends, generation: known.generation };
    world.verifier.token_cache.keep(print, Arc::new(verified));
}

#[tokio::test]
async fn a_signature_is_checked_once_and_then_remembered() {
    let world = world();
    let token = world.signer.sign(|_| ());
    assert_eq!(world.verifier.verify(&token).await.expect("an identity").name, "Ada");
    rename(&world, &token, "remembered");
    for _ in 0..3 {
        assert_eq!(world.verifier.verify(&token).await.expect("an identity").name, "remembered");
    }
    assert_eq!(world.verifier.token_cache.count(), 1);
}

#[tokio::test]
async fn a_remembered_token_is_still_compared_with_the_clock() {
    let world = world();
    let token = world.signer.sign(|_| ());
    let later = world.signer.sign(|claims| claims["nbf"] = json!(NOW + 10));
    world.verifier.verify(&token).await.expect("an identity");
    assert!(world.is_refused(&later).await);
    world.clock.advance(Duration::from_secs(10));
    for token in [&token, &later] {
        world.verifier.verify(token).await.expect("an identity");
    }
    assert_eq!(world.verifier.token_cache.count(), 2);
    // A clock may be set back, too.
    let remembered = world.verifier.token_cache.get(&Print::of(&later)).expect("it is remembered");
    let holds = |seconds: i64| remembered.is_valid_at(Timestamp::from_millis((NOW + seconds) * 1000));
    assert_eq!([9, 10, 899, 900].map(holds), [false, true, true, false]);
    world.clock.advance(Duration::from_secs(890));
    for token in [&token, &later] {
        assert!(world.is_refused(token).await);
    }
}

#[tokio::test]
async fn a_remembered_token_is_forgotten_with_its_key() {
    let world = world();
    let token = world.signer.sign(|_| ());
    world.verifier.verify(&token).await.expect("an identity");
    // Another key, and one that took the name of the first.
    for set in [json!({"keys": [Signer::new(2, "two").1]}), json!({"keys": [Signer::new(2, "one").1]})] {
        world.publish(200, &set);
        world.clock.advance(LIFE);
        assert!(world.is_refused(&token).await, "{set}");
        assert_eq!(world.verifier.token_cache.count(), 0, "{set}");
    }
}

#[tokio::test]
async fn a_token_stays_valid_when_a_second_key_is_added() {
    let world = world();
    let token = world.signer.sign(|_| ());
    world.verifier.verify(&token).await.expect("an identity");
    let (second, key) = Signer::new(2, "two");
    world.publish(200, &json!({"keys": [Signer::new(1, "one").1, key]}));
    world.clock.advance(LIFE);
    rename(&world, &token, "remembered");
    assert_eq!(world.verifier.verify(&token).await.expect("it is checked again").name, "Ada");
    world.verifier.verify(&second.sign(|_| ())).await.expect("an identity");
    assert_eq!(world.verifier.token_cache.count(), 2);
}

#[tokio::test]
async fn a_token_with_a_changed_byte_is_not_remembered() {
    let world = world();
    let token = world.signer.sign(|_| ());
    world.verifier.verify(&token).await.expect("an identity");
    for at in (0..token.len()).step_by(7) {
        let mut changed = token.clone();
        changed.replace_range(at..=at, if &token[at..=at] == "A" { "B" } else { "A" });
        assert!(world.is_refused(&changed).await, "another character at {at}");
    }
    let (header, rest) = token.split_once('.').expect("two parts");
    let (_, signature) = rest.split_once('.').expect("three parts");
    let admin = world.signer.sign(|claims| claims["role"] = json!("admin"));
    let (_, claims) = admin.split_once('.').expect("two parts");
    let (claims, _) = claims.split_once('.').expect("three parts");
    assert!(world.is_refused(&format!("{header}.{claims}.{signature}")).await);
    assert_eq!(world.verifier.token_cache.count(), 1);
}

#[test]
fn the_number_of_remembered_tokens_is_limited() {
    let remembered = TokenCache::default();
    let identity = Identity {
        user: UserId::new(Uuid::nil()),
        name: "Ada".to_owned(),
        role: Role::Reader,
        sections: Sections::All,
        history: false,
        session: SessionId::new(Uuid::nil()),
    };
    let verified = Arc::new(VerifiedToken { identity, begins: None, ends: NOW, generation: 1 });
    for number in 0..token_cache::MOST * 3 {
        remembered.keep(Print::of(&number.to_string()), verified.clone());
    }
    assert!((1..=token_cache::MOST).contains(&remembered.count()), "{}", remembered.count());
}

#[tokio::test]
async fn keys_are_fetched_over_the_network() {
    // A second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (signer, jwk) = Signer::new(1, "one");
    let keys = get(move || std::future::ready(json!({"keys": [jwk]}).to_string()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = axum::serve(listener, Router::new().route(KEYS_PATH, keys));
    let users = crate::spawn("test.users", served.into_future());
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(NOW * 1000)));
    let config = IdentityConfig { issuer: "http://portal".to_owned(), keys: format!("http://{address}") };
    let verifier = Verifier::new(&config, &Surroundings::alone().with_clock(clock)).expect("a verifier");
    verifier.verify(&signer.sign(|_| ())).await.expect("an identity");
    users.abort();
}

#[test]
fn keys_are_never_fetched_through_a_proxy() {
    let mut test = std::process::Command::new(std::env::current_exe().expect("a running test has a path"));
    test.args(["--exact", "identity::tests::keys_are_fetched_over_the_network"]);
    test.env_remove("no_proxy").env_remove("NO_PROXY");
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        // Nothing listens there.
        test.env(name, "http://127.0.0.1:1");
    }
    let output = test.output().expect("the test runs once more");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
