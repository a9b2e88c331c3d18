//! Accounts with valid tokens, as the service users signs them.

use axum::Router;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chassis::{AUDIENCE, Claims};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kernel::{Identity, Role, Section, Sections, SessionId, UserId};
use uuid::Uuid;

pub const ISSUER: &str = "http://127.0.0.1:8080";
const KEY_ID: &str = "a-key";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// Serves the key set of users.
pub fn users() -> Router {
    let x = BASE64_URL_SAFE_NO_PAD.encode(key(7).verifying_key().as_bytes());
    let set = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"{KEY_ID}","x":"{x}"}}]}}"#
    );
    Router::new().route("/.well-known/jwks.json", axum::routing::get(|| async { set }))
}

/// An account.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: UserId,
    pub name: &'static str,
    pub role: Role,
    pub sections: Sections,
}

impl Person {
    fn new(number: u128, name: &'static str, role: Role) -> Self {
        Self { id: UserId::new(Uuid::from_u128(number)), name, role, sections: Sections::All }
    }

    pub fn only_in(mut self, section: Section) -> Self {
        self.sections = Sections::Only([section].into());
        self
    }

    /// A token that was just signed.
    pub fn token(&self) -> String {
        self.signed(7, 4_102_444_800)
    }

    /// Returns the identity in the person's token.
    pub fn identity(&self) -> Identity {
        Identity {
            user: self.id,
            name: self.name.to_owned(),
            role: self.role,
            sections: self.sections.clone(),
            history: false,
            session: SessionId::new(Uuid::nil()),
        }
    }

    /// A token whose time is over.
    pub fn old_token(&self) -> String {
        self.signed(7, 1_000)
    }

    /// A token that another key signed under the same key id.
    pub fn forged_token(&self) -> String {
        self.signed(8, 4_102_444_800)
    }

    fn signed(&self, seed: u8, exp: i64) -> String {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: self.id,
            name: self.name.to_owned(),
            role: self.role,
            sections: self.sections.clone(),
            history: false,
            sid: Uuid::nil(),
            iat: 0,
            exp,
        };
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let pkcs8 = key(seed).to_pkcs8_der().expect("a key in PKCS 8");
        chassis::install_ed25519();
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(pkcs8.as_bytes())).expect("a token")
    }
}

pub fn reader() -> Person {
    Person::new(1, "Rita Reader", Role::Reader)
}

pub fn author() -> Person {
    Person::new(2, "Ada O'Neill", Role::Author)
}

pub fn other_author() -> Person {
    Person::new(3, "Otto Other", Role::Author)
}

pub fn editor() -> Person {
    Person::new(4, "Eve Editor", Role::Editor)
}

pub fn admin() -> Person {
    Person::new(5, "Abe Admin", Role::Admin)
}
