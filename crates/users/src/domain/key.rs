use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding};
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyOperations, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};
use sha2::{Digest as _, Sha256};

use super::Fingerprint;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Why a text is not a key ring.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The text contains no PEM block.
    #[error("the file contains no PEM block `PRIVATE KEY`")]
    Empty,
    /// A block is not an Ed25519 key in PKCS#8.
    #[error("PEM block {0} is not an Ed25519 key in PKCS#8")]
    Block(usize),
}

/// An Ed25519 key that signs access tokens.
pub struct SigningKey {
    key: EncodingKey,
    public: Jwk,
    /// A secret for fingerprints, derived from the key: a key has one purpose.
    fingerprint_secret: [u8; 32],
}

impl SigningKey {
    fn from_pem(pem: &str) -> Option<Self> {
        chassis::install_ed25519();
        let secret = ed25519_dalek::SigningKey::from_pkcs8_pem(pem).ok()?.to_bytes();
        // Every JOSE library reads the short form, without the public key.
        let der = KeypairBytes { secret_key: secret, public_key: None }.to_pkcs8_der().ok()?;
        let key = EncodingKey::from_ed_der(der.as_bytes());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::EdDSA).ok()?;
        // RFC 7638: the same key has the same id in every replica, and no operator has to choose one.
        let thumbprint = public.thumbprint(ThumbprintHash::SHA256).ok()?;
        public.common.key_id = Some(thumbprint.chars().take(16).collect());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_operations = Some(vec![KeyOperations::Verify]);
        let fingerprint_secret =
            Sha256::new().chain_update("fingerprints of users").chain_update(secret).finalize().into();
        Some(Self { key, public, fingerprint_secret })
    }

    /// Returns the key's id, as in the header of a token.
    pub fn id(&self) -> &str {
        self.public.common.key_id.as_deref().unwrap_or_default()
    }

    /// Returns the secret half.
    pub fn secret(&self) -> &EncodingKey {
        &self.key
    }
}

/// The signing keys of the portal. The first key signs, and all are published. So a rotation puts the new key
/// in front, and removes the old one when its last token has expired.
pub struct KeyRing(Vec<SigningKey>);

impl KeyRing {
    /// Reads PEM blocks (PKCS#8, RFC 8410), one after the other; text between them is ignored.
    ///
    /// # Errors
    /// If there is no block, or a block is not an Ed25519 key.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let blocks: Vec<&str> =
            text.split_inclusive(END).filter_map(|part| Some(&part[part.find(BEGIN)?..])).collect();
        if blocks.is_empty() {
            return Err(KeyRingError::Empty);
        }
        let read =
            |(at, block): (usize, &&str)| SigningKey::from_pem(block).ok_or(KeyRingError::Block(at + 1));
        blocks.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Creates a key, as the text of a key file.
    ///
    /// # Panics
    /// If the operating system provides no random bytes: then nothing here is safe to run.
    pub fn mint() -> String {
        let mut secret_key = [0u8; 32];
        getrandom::fill(&mut secret_key).expect("the operating system provides random bytes");
        let pem = KeypairBytes { secret_key, public_key: None }.to_pkcs8_pem(LineEnding::LF);
        pem.expect("32 bytes are a key").to_string()
    }

    /// Returns the key that signs.
    pub fn signing(&self) -> &SigningKey {
        &self.0[0]
    }

    /// Makes the fingerprint of a request's content. It needs a secret, so a copy of a fingerprint does not
    /// help to try passwords.
    pub fn fingerprint(&self, content: &[&str]) -> Fingerprint {
        let key = self.signing();
        Fingerprint::make(key.id(), &key.fingerprint_secret, content)
    }

    /// Says whether this is the fingerprint of `content`. A fingerprint of a removed key matches no content.
    pub fn is_fingerprint_of(&self, fingerprint: &Fingerprint, content: &[&str]) -> bool {
        self.0.iter().any(|key| *fingerprint == Fingerprint::make(key.id(), &key.fingerprint_secret, content))
    }

    /// Returns the public halves of all keys (RFC 7517, RFC 8037).
    pub fn public(&self) -> JwkSet {
        JwkSet { keys: self.0.iter().map(|key| key.public.clone()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_is_read_back_with_the_same_id() {
        let text = KeyRing::mint();
        let id = |text: &str| KeyRing::parse(text).expect("a key").signing().id().to_owned();
        assert_eq!(id(&text), id(&text));
        assert_eq!(id(&text).len(), 16);
        assert_ne!(id(&text), id(&KeyRing::mint()));
    }

    #[test]
    fn the_first_of_several_keys_signs_and_all_are_published() {
        let (new, old) = (KeyRing::mint(), KeyRing::mint());
        let ring = KeyRing::parse(&format!("# new\n{new}# old\n{old}")).expect("two keys");
        assert_eq!(ring.signing().id(), KeyRing::parse(&new).expect("a key").signing().id());
        assert_eq!(ring.public().keys.len(), 2);
    }

    #[test]
    fn the_public_half_is_an_okp_key_as_in_rfc_8037() {
        // The private key of RFC 8410 §10.3, whose public half is printed there too.
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let ring = KeyRing::parse(pem).expect("the example of the standard");
        let json = serde_json::to_value(ring.public()).expect("JSON");
        let key = &json["keys"][0];
        assert_eq!(key["kty"], "OKP");
        assert_eq!(key["crv"], "Ed25519");
        assert_eq!(key["alg"], "EdDSA");
        assert_eq!(key["use"], "sig");
        assert_eq!(key["x"], "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE");
        assert!(key.get("d").is_none());
    }

    #[test]
    fn a_text_without_a_valid_key_is_refused() {
        assert!(matches!(KeyRing::parse(""), Err(KeyRingError::Empty)));
        let broken = format!("{}{BEGIN}\nAAAA\n{END}\n", KeyRing::mint());
        assert!(matches!(KeyRing::parse(&broken), Err(KeyRingError::Block(2))));
    }

    #[test]
    fn a_fingerprint_matches_as_long_as_its_key_exists() {
        let (new, old) = (KeyRing::mint(), KeyRing::mint());
        let ring = |text: &str| KeyRing::parse(text).expect("keys");
        let fingerprint = ring(&old).fingerprint(&["Ann", "secret"]);
        for text in [&old, &format!("{old}{new}"), &format!("{new}{old}")] {
            assert!(ring(text).is_fingerprint_of(&fingerprint, &["Ann", "secret"]));
            assert!(!ring(text).is_fingerprint_of(&fingerprint, &["Ann", "another"]));
        }
        assert!(!ring(&new).is_fingerprint_of(&fingerprint, &["Ann", "secret"]));
    }
}
