use chassis::{AUDIENCE, Claims, StoreFailure};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, Header};
use kernel::{SessionId, Timestamp};

use crate::domain::{ACCESS_TOKEN_LIFE, Consent, Fingerprint, KeyRing, User};

/// The signer of access tokens. Every service verifies them itself, with the public keys.
pub struct Tokens {
    keys: KeyRing,
    issuer: String,
}

impl Tokens {
    /// Creates a signer for the portal whose public URL is `issuer`.
    pub fn new(keys: KeyRing, issuer: String) -> Self {
        Self { keys, issuer }
    }

    /// Returns the public keys.
    pub fn public(&self) -> JwkSet {
        self.keys.public()
    }

    /// Makes the fingerprint of a request's content.
    pub fn fingerprint(&self, content: &[&str]) -> Fingerprint {
        self.keys.fingerprint(content)
    }

    /// Returns a number that is always the same for one e-mail, on every replica, and that can't be computed
    /// without the key.
    pub fn number_of(&self, email: &str) -> u32 {
        self.keys.fingerprint(&["the cost of an unknown account", email]).number()
    }

    /// Says whether this is the fingerprint of `content`.
    pub fn is_fingerprint_of(&self, fingerprint: &Fingerprint, content: &[&str]) -> bool {
        self.keys.is_fingerprint_of(fingerprint, content)
    }

    /// Signs a token for `user`. Its claims hold for its whole life: a change of role or consent is in the
    /// next token.
    ///
    /// # Errors
    /// If the key can't sign, which is a defect.
    pub fn sign(
        &self,
        user: &User,
        consent: &Consent,
        session: SessionId,
        now: Timestamp,
    ) -> Result<String, StoreFailure> {
        let key = self.keys.signing();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.id().to_owned());
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: user.id,
            name: user.name.as_str().to_owned(),
            role: user.role,
            sections: user.sections.clone(),
            history: consent.choice.history,
            sid: session.uuid(),
            iat: now.millis().div_euclid(1000),
            exp: now.plus(ACCESS_TOKEN_LIFE).millis().div_euclid(1000),
        };
        jsonwebtoken::encode(&header, &claims, key.secret()).map_err(StoreFailure::broken)
    }
}
