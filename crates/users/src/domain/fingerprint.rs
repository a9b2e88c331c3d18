use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The fingerprint of a request: the HMAC-SHA-256 of its content, and the id of the key that made it. Equal
/// requests have equal fingerprints, and a fingerprint reveals nothing about its request. The content
/// includes a password, so a plain digest would let an attacker try passwords as fast as digests can be
/// computed.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Makes the fingerprint of `content` with the key of this id.
    pub(super) fn make(id: &str, key: &[u8; 32], content: &[&str]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
        for text in content {
            // The length comes first, so that texts which are cut at another place have another fingerprint.
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        }
        Self(format!("{id}.{}", hex::encode(mac.finalize().into_bytes())))
    }

    /// Wraps a fingerprint that was stored before.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the first 32 bits: a number that is as good as random for each content.
    pub fn number(&self) -> u32 {
        let digits = self.0.rsplit_once('.').map_or("", |(_, digits)| digits);
        u32::from_str_radix(digits.get(..8).unwrap_or_default(), 16).unwrap_or_default()
    }

    /// Returns the stored form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_the_texts_their_order_and_the_key() {
        let make = |key: u8, content: &[&str]| Fingerprint::make("k", &[key; 32], content);
        assert_eq!(make(1, &["Ann", "x"]), make(1, &["Ann", "x"]));
        for other in
            [make(2, &["Ann", "x"]), make(1, &["x", "Ann"]), make(1, &["Annx"]), make(1, &["An", "nx"])]
        {
            assert_ne!(make(1, &["Ann", "x"]), other);
        }
        assert!(make(1, &[]).as_str().starts_with("k."));
        let low = (0..1000).filter(|number| make(1, &[&number.to_string()]).number() < 1 << 31).count();
        assert!((400..600).contains(&low), "{low}");
    }
}
