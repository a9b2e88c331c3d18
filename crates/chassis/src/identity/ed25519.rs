//! Ed25519 for `jsonwebtoken`, which knows no other algorithm here.
//!
//! The crate's own set of algorithms brings RSA and three elliptic curves. This portal signs with Ed25519
//! alone, so a token of another algorithm has no code that could accept it.

use ed25519_dalek::ed25519::signature;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::jwk::{EllipticCurve, ThumbprintHash};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use sha2::{Digest as _, Sha256};

static ED25519_ONLY: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::InvalidAlgorithm.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::InvalidAlgorithm.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
        ed_pub_components_from_private_key: public_half,
        compute_digest: digest,
    },
};

/// Gives `jsonwebtoken` its algorithm, once for the whole process. Call it before a token is signed or
/// verified; a second call changes nothing.
pub fn install_ed25519() {
    let _ = ED25519_ONLY.install_default();
}

struct Ed25519Signer(SigningKey);

impl Signer<Vec<u8>> for Ed25519Signer {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        Ok(self.0.try_sign(message)?.to_vec())
    }
}

impl JwtSigner for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct Ed25519Verifier(VerifyingKey);

impl Verifier<Vec<u8>> for Ed25519Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        self.0.verify(message, &Signature::from_slice(signature)?)
    }
}

impl JwtVerifier for Ed25519Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    require_ed25519(algorithm, key.family())?;
    Ok(Box::new(Ed25519Signer(private_key(key.as_bytes())?)))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    require_ed25519(algorithm, key.family())?;
    let bytes = key.try_get_as_bytes()?.try_into().map_err(|_| ErrorKind::InvalidEddsaKey)?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    Ok(Box::new(Ed25519Verifier(key)))
}

fn require_ed25519(algorithm: &Algorithm, family: AlgorithmFamily) -> Result<()> {
    match (algorithm, family) {
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ok(()),
        (Algorithm::EdDSA, _) => Err(ErrorKind::InvalidKeyFormat.into()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

fn private_key(pkcs8: &[u8]) -> Result<SigningKey> {
    Ok(SigningKey::from_pkcs8_der(pkcs8).map_err(|_| ErrorKind::InvalidEddsaKey)?)
}

fn public_half(pkcs8: &[u8], curve: &EllipticCurve) -> Result<Vec<u8>> {
    match curve {
        EllipticCurve::Ed25519 => Ok(private_key(pkcs8)?.verifying_key().as_bytes().to_vec()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

/// Digests a public key for its thumbprint (RFC 7638).
fn digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>> {
    match hash {
        ThumbprintHash::SHA256 => Ok(Sha256::digest(data).to_vec()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::pkcs8::EncodePrivateKey as _;
    use jsonwebtoken::crypto::{sign, verify};

    use super::*;

    fn pair() -> (EncodingKey, DecodingKey) {
        install_ed25519();
        let key = SigningKey::from_bytes(&[7; 32]);
        let der = key.to_pkcs8_der().expect("a key in PKCS #8");
        (EncodingKey::from_ed_der(der.as_bytes()), DecodingKey::from_ed_der(key.verifying_key().as_bytes()))
    }

    #[test]
    fn a_signature_is_verified_with_the_public_half_and_only_for_its_own_message() {
        let (private, public) = pair();
        let signature = sign(b"message", &private, Algorithm::EdDSA).expect("a signature");
        assert!(verify(&signature, b"message", &public, Algorithm::EdDSA).expect("a verdict"));
        assert!(!verify(&signature, b"another", &public, Algorithm::EdDSA).expect("a verdict"));
        assert!(!verify("AAAA", b"message", &public, Algorithm::EdDSA).expect("a verdict"));
    }

    #[test]
    fn an_algorithm_other_than_ed25519_neither_signs_nor_verifies() {
        let (private, public) = pair();
        for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::PS512, Algorithm::ES256] {
            assert!(sign(b"message", &private, algorithm).is_err(), "{algorithm:?}");
            assert!(verify("AAAA", b"message", &public, algorithm).is_err(), "{algorithm:?}");
        }
    }

    #[test]
    fn a_key_of_another_kind_or_length_is_refused() {
        install_ed25519();
        assert!(sign(b"message", &EncodingKey::from_ed_der(b"short"), Algorithm::EdDSA).is_err());
        assert!(verify("AAAA", b"message", &DecodingKey::from_ed_der(b"short"), Algorithm::EdDSA).is_err());
        assert!(verify("AAAA", b"message", &DecodingKey::from_secret(&[1; 32]), Algorithm::EdDSA).is_err());
    }
}
