use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding};
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyOperations, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};
use sha2::{Digest as _, Sha256};

use super::Fingerprint;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// The text holds no usable signing key.
#[derive(Debug, thiserror::Error)]
pub enum NotAKeyRing {
    /// There is no PEM block in it.
    #[error("there is no PEM block PRIVATE KEY in it")]
    Empty,
    /// A block is no Ed25519 key in PKCS#8.
    #[error("block {0} is no Ed25519 key in PKCS#8")]
    Block(usize),
}

/// An Ed25519 key that signs access tokens.
pub struct SigningKey {
    key: EncodingKey,
    public: Jwk,
    /// Made from the key, for fingerprints: one key is for one thing.
    prints: [u8; 32],
}

impl SigningKey {
    fn from_pem(pem: &str) -> Option<Self> {
        chassis::install_ed25519();
        let secret = ed25519_dalek::SigningKey::from_pkcs8_pem(pem).ok()?.to_bytes();
        // The short form, without the public key, is the one that every JOSE library reads.
        let der = KeypairBytes { secret_key: secret, public_key: None }.to_pkcs8_der().ok()?;
        let key = EncodingKey::from_ed_der(der.as_bytes());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::EdDSA).ok()?;
        // RFC 7638: the same key has the same id in every replica, and nobody has to make one up.
        let thumbprint = public.thumbprint(ThumbprintHash::SHA256).ok()?;
        public.common.key_id = Some(thumbprint.chars().take(16).collect());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_operations = Some(vec![KeyOperations::Verify]);
        let prints =
            Sha256::new().chain_update("fingerprints of users").chain_update(secret).finalize().into();
        Some(Self { key, public, prints })
    }

    /// The key's id, as in the header of a token.
    pub fn id(&self) -> &str {
        self.public.common.key_id.as_deref().unwrap_or_default()
    }

    /// The secret half.
    pub fn secret(&self) -> &EncodingKey {
        &self.key
    }
}

/// The signing keys of the portal: the first signs, all are published, so that a rotation is "put the new key in front, take
/// the old one away when its last token has run out".
pub struct KeyRing(Vec<SigningKey>);

impl KeyRing {
    /// Reads PEM blocks (PKCS#8, RFC 8410), one after the other; text between them is ignored.
    ///
    /// # Errors
    /// Where there is none, or one is no Ed25519 key.
    pub fn parse(text: &str) -> Result<Self, NotAKeyRing> {
        let blocks: Vec<&str> =
            text.split_inclusive(END).filter_map(|part| Some(&part[part.find(BEGIN)?..])).collect();
        if blocks.is_empty() {
            return Err(NotAKeyRing::Empty);
        }
        let read =
            |(at, block): (usize, &&str)| SigningKey::from_pem(block).ok_or(NotAKeyRing::Block(at + 1));
        blocks.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// A new key as the text of a key file.
    ///
    /// # Panics
    /// Where the operating system gives no random bytes: then nothing here is safe to run.
    pub fn mint() -> String {
        let mut secret_key = [0u8; 32];
        getrandom::fill(&mut secret_key).expect("the operating system gives random bytes");
        let pem = KeypairBytes { secret_key, public_key: None }.to_pkcs8_pem(LineEnding::LF);
        pem.expect("32 bytes are a key").to_string()
    }

    /// The key that signs.
    pub fn signing(&self) -> &SigningKey {
        &self.0[0]
    }

    /// The fingerprint of what was said. It takes a secret to make one: who finds it can't try passwords with it.
    pub fn fingerprint(&self, said: &[&str]) -> Fingerprint {
        let key = self.signing();
        Fingerprint::make(key.id(), &key.prints, said)
    }

    /// Whether this is the fingerprint of what was said. That of a key that was taken away is nobody's.
    pub fn is_fingerprint_of(&self, fingerprint: &Fingerprint, said: &[&str]) -> bool {
        self.0.iter().any(|key| *fingerprint == Fingerprint::make(key.id(), &key.prints, said))
    }

    /// The public halves of all keys (RFC 7517, RFC 8037).
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
    fn the_public_half_is_an_okp_key_after_rfc_8037() {
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
    fn what_is_no_key_is_refused() {
        assert!(matches!(KeyRing::parse(""), Err(NotAKeyRing::Empty)));
        let broken = format!("{}{BEGIN}\nAAAA\n{END}\n", KeyRing::mint());
        assert!(matches!(KeyRing::parse(&broken), Err(NotAKeyRing::Block(2))));
    }

    #[test]
    fn a_fingerprint_is_known_as_long_as_its_key_is_there() {
        let (new, old) = (KeyRing::mint(), KeyRing::mint());
        let ring = |text: &str| KeyRing::parse(text).expect("keys");
        let print = ring(&old).fingerprint(&["Ann", "secret"]);
        for text in [&old, &format!("{old}{new}"), &format!("{new}{old}")] {
            assert!(ring(text).is_fingerprint_of(&print, &["Ann", "secret"]));
            assert!(!ring(text).is_fingerprint_of(&print, &["Ann", "another"]));
        }
        assert!(!ring(&new).is_fingerprint_of(&print, &["Ann", "secret"]));
    }
}
