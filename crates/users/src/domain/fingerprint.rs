use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What makes two requests the same, and tells nothing of either: HMAC-SHA-256 of what was said, and by which key it was made. There is a
/// password in what is said, so a plain digest would be a way to try passwords, as fast as digests are.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint that the key of this id makes.
    pub(super) fn make(id: &str, key: &[u8; 32], said: &[&str]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
        for text in said {
            // Two texts are not one long one, wherever they are cut.
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        }
        let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{id}.{digits}"))
    }

    /// One that was stored.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// A number that is as good as random for each text: its first 32 bits.
    pub fn place(&self) -> u32 {
        let digits = self.0.rsplit_once('.').map_or("", |(_, digits)| digits);
        u32::from_str_radix(digits.get(..8).unwrap_or_default(), 16).unwrap_or_default()
    }

    /// As it is stored.
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
    fn a_fingerprint_is_of_these_texts_in_this_order_and_of_this_key() {
        let of = |key: u8, said: &[&str]| Fingerprint::make("k", &[key; 32], said);
        assert_eq!(of(1, &["Ann", "x"]), of(1, &["Ann", "x"]));
        for other in [of(2, &["Ann", "x"]), of(1, &["x", "Ann"]), of(1, &["Annx"]), of(1, &["An", "nx"])] {
            assert_ne!(of(1, &["Ann", "x"]), other);
        }
        assert!(of(1, &[]).as_str().starts_with("k."));
        let low = (0..1000).filter(|number| of(1, &[&number.to_string()]).place() < 1 << 31).count();
        assert!((400..600).contains(&low), "{low}");
    }
}
