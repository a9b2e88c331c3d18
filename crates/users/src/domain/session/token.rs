use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};

/// The bytes that all tokens of a session share.
const SERIES: usize = 16;
/// The bytes that every refresh replaces.
const VALUE: usize = 32;

/// The SHA-256 of a secret. A value that is random enough needs neither a salt nor a slow hash: 2^256 values
/// can't be tried.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of these bytes.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Wraps a digest that was stored before.
    pub fn stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, for storing.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the hexadecimal form, for keys.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({}…)", &self.hex()[..8])
    }
}

/// A refresh token, which a browser holds for its session: 384 random bits, of which every refresh replaces
/// 256. The others, the series, name the session to the holders of its tokens and to no one else (its id is
/// not secret). So every old token of a session is recognised, however many there were, and a stranger can
/// neither use a session nor end it.
///
/// It is wiped from memory when dropped, and never printed or stored; what is stored is a [`TokenDigest`].
#[derive(Clone)]
pub struct RefreshToken(SecretSlice<u8>);

/// The stored form of a refresh token: the digests of its two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest {
    /// The digest of the series.
    pub series: Digest,
    /// The digest of the part that every refresh replaces.
    pub value: Digest,
}

impl RefreshToken {
    /// Creates the first token of a session.
    ///
    /// # Panics
    /// If the operating system provides no random bytes: then nothing here is safe to run.
    pub fn mint() -> Self {
        let mut bytes = vec![0u8; SERIES + VALUE];
        getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
        Self(bytes.into())
    }

    /// Reads a token that a client sent, or returns `None` if the text can't be one.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == SERIES + VALUE).then(|| Self(bytes.into()))
    }

    /// Returns the token as a client holds it: 64 characters of base64url.
    pub fn text(&self) -> SecretString {
        URL_SAFE_NO_PAD.encode(self.0.expose_secret()).into()
    }

    /// Returns the stored form.
    pub fn digest(&self) -> TokenDigest {
        let (series, value) = self.0.expose_secret().split_at(SERIES);
        TokenDigest { series: Digest::of(series), value: Digest::of(value) }
    }

    /// Derives the next token of the session. This token and the salt are both needed to derive it again, so
    /// stored data alone gives no one a token.
    pub fn next(&self, salt: &Salt) -> Self {
        let (series, value) = self.0.expose_secret().split_at(SERIES);
        let next = Sha256::new().chain_update(value).chain_update(salt.0).finalize();
        Self([series, next.as_slice()].concat().into())
    }
}

/// 256 random bits. The next token is derived from them and from a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// Creates a salt.
    ///
    /// # Panics
    /// See [`RefreshToken::mint`].
    pub fn mint() -> Self {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
        Self(bytes)
    }

    /// Wraps a salt that was stored before.
    pub fn stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, for storing.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_64_characters_is_read_back_and_is_unique() {
        let token = RefreshToken::mint();
        let text = token.text();
        assert_eq!(text.expose_secret().len(), 64);
        assert_eq!(RefreshToken::parse(text.expose_secret()).expect("a token").digest(), token.digest());
        assert_ne!(RefreshToken::mint().digest(), token.digest());
        for bad in ["", "x", &text.expose_secret()[1..], &"!".repeat(64), &"A".repeat(10_000)] {
            assert!(RefreshToken::parse(bad).is_none());
        }
    }

    #[test]
    fn the_next_token_has_the_same_series_and_needs_both_the_token_and_the_salt() {
        let (token, salt) = (RefreshToken::mint(), Salt::mint());
        let next = token.next(&salt).digest();
        assert_eq!(next.series, token.digest().series);
        assert_ne!(next.value, token.digest().value);
        assert_eq!(token.next(&salt).digest(), next);
        assert_ne!(token.next(&Salt::mint()).digest(), next);
    }
}
