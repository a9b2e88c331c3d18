use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::{SessionId, Timestamp, UserId};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};

/// The bytes that stay the same in all tokens of a session, and those that every refresh replaces.
const SERIES: usize = 16;
const VALUE: usize = 32;

/// SHA-256 of something secret. What is random enough needs no salt and no slow hash: nobody tries 2^256 values.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// A digest that was stored.
    pub fn stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for storing.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As hexadecimal digits, for keys.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({}…)", &self.hex()[..8])
    }
}

/// What a browser keeps of a session: 384 random bits, of which 256 change with every refresh. The others, the series, name the
/// session to whoever holds one of its tokens and to nobody else (its id is no secret). So every old token of a session is
/// recognised, however many there were, and a stranger can neither use a session nor end it.
///
/// It is wiped from memory when dropped and never printed or stored; what is kept is a [`Print`].
#[derive(Clone)]
pub struct RefreshToken(SecretSlice<u8>);

/// What is kept of a refresh token: the digests of its two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// That of the series.
    pub series: Digest,
    /// That of the part that changes.
    pub value: Digest,
}

impl RefreshToken {
    /// The token of a new session.
    ///
    /// # Panics
    /// Where the operating system gives no random bytes: then nothing here is safe to run.
    pub fn mint() -> Self {
        let mut bytes = vec![0u8; SERIES + VALUE];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(bytes.into())
    }

    /// Reads what a client sent; `None` where it can't be a token.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == SERIES + VALUE).then(|| Self(bytes.into()))
    }

    /// The token as a client keeps it: 64 characters of base64url.
    pub fn text(&self) -> SecretString {
        URL_SAFE_NO_PAD.encode(self.0.expose_secret()).into()
    }

    /// What is kept of it.
    pub fn print(&self) -> Print {
        let (series, value) = self.0.expose_secret().split_at(SERIES);
        Print { series: Digest::of(series), value: Digest::of(value) }
    }

    /// The next token of the session. Who knows this one and the salt can make it again; it takes both, so what is stored gives
    /// nobody a token.
    pub fn next(&self, salt: &Salt) -> Self {
        let (series, value) = self.0.expose_secret().split_at(SERIES);
        let next = Sha256::new().chain_update(value).chain_update(salt.0).finalize();
        Self([series, next.as_slice()].concat().into())
    }
}

/// 256 random bits from which, and from a token, the next token is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// A new one.
    ///
    /// # Panics
    /// As [`RefreshToken::mint`].
    pub fn mint() -> Self {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(bytes)
    }

    /// One that was stored.
    pub fn stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for storing.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRules {
    /// A session ends when it was not used for so long.
    pub idle: Duration,
    /// However much it is used, it ends so long after its login.
    pub longest: Duration,
    /// A refresh that named a key can be asked for again with this key for so long.
    pub retry: Duration,
    /// An account has at most so many.
    pub most: u32,
}

impl SessionRules {
    /// When a session of this login ends that is used now and not again.
    pub fn end(&self, created_at: Timestamp, now: Timestamp) -> Timestamp {
        now.plus(self.idle).min(created_at.plus(self.longest))
    }
}

/// A refresh that can be asked for again: its client named it by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The digest of the client's key.
    pub key: Digest,
    /// What its token was made with.
    pub salt: Salt,
}

/// A token is presented and asks for the next one.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The token.
    pub presented: Print,
    /// The digest of the changing part of the token that would be the next.
    pub next: Digest,
    /// By what it can be asked for again, if the client said.
    pub retry: Option<Retry>,
    /// When.
    pub at: Timestamp,
    /// How long sessions last.
    pub rules: SessionRules,
}

/// A session as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, which access tokens carry.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// The print of the token that is good now.
    pub token: Print,
    /// The token before and how its refresh can be asked for again, where it can.
    pub previous: Option<(Digest, Retry)>,
    /// When it began: the login.
    pub created_at: Timestamp,
    /// The login or the last refresh.
    pub last_used_at: Timestamp,
    /// When it ends if nobody uses it.
    pub expires_at: Timestamp,
}

/// What follows from a token that is presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was good: the session as it is from now on.
    Good(Session),
    /// The same refresh again: its token was made with this salt.
    Again(Salt),
    /// An old token: somebody has a copy of it, and nobody can say who. The session ends.
    Reused,
    /// The session is over.
    Over,
}

impl Session {
    /// A new session.
    pub fn new(
        id: SessionId,
        user: UserId,
        token: &RefreshToken,
        now: Timestamp,
        rules: &SessionRules,
    ) -> Self {
        Self {
            id,
            user,
            token: token.print(),
            previous: None,
            created_at: now,
            last_used_at: now,
            expires_at: rules.end(now, now),
        }
    }

    /// What follows from `refresh`, which presents a token of this session's series.
    pub fn judge(&self, refresh: &Refresh) -> Verdict {
        if self.expires_at <= refresh.at {
            return Verdict::Over;
        }
        if self.token.value != refresh.presented.value {
            return self.again(refresh).map_or(Verdict::Reused, Verdict::Again);
        }
        Verdict::Good(Session {
            token: Print { series: self.token.series, value: refresh.next },
            previous: refresh.retry.map(|retry| (self.token.value, retry)),
            last_used_at: refresh.at,
            expires_at: refresh.rules.end(self.created_at, refresh.at),
            ..self.clone()
        })
    }

    fn again(&self, refresh: &Refresh) -> Option<Salt> {
        let (previous, retry) = self.previous?;
        let key = refresh.retry?.key;
        let recent = refresh.at.since(self.last_used_at) < refresh.rules.retry;
        (previous == refresh.presented.value && key == retry.key && recent).then_some(retry.salt)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_763_712_000_123);
    const RULES: SessionRules = SessionRules {
        idle: Duration::from_secs(100),
        longest: Duration::from_secs(250),
        retry: Duration::from_secs(10),
        most: 3,
    };

    fn at(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn session(token: &RefreshToken) -> Session {
        let id = |number| Uuid::from_u128(number);
        Session::new(SessionId::new(id(1)), UserId::new(id(2)), token, NOW, &RULES)
    }

    fn refresh(token: &RefreshToken, key: Option<&str>, seconds: u64) -> (Refresh, RefreshToken) {
        let salt = Salt::mint();
        let next = token.next(&salt);
        let retry = key.map(|key| Retry { key: Digest::of(key.as_bytes()), salt });
        let (presented, value) = (token.print(), next.print().value);
        (Refresh { presented, next: value, retry, at: at(seconds), rules: RULES }, next)
    }

    fn good(session: &Session, refresh: &Refresh) -> Session {
        match session.judge(refresh) {
            Verdict::Good(session) => session,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_is_64_characters_that_are_read_back_and_never_the_same() {
        let token = RefreshToken::mint();
        let text = token.text();
        assert_eq!(text.expose_secret().len(), 64);
        assert_eq!(RefreshToken::parse(text.expose_secret()).expect("a token").print(), token.print());
        assert_ne!(RefreshToken::mint().print(), token.print());
        for bad in ["", "x", &text.expose_secret()[1..], &"!".repeat(64), &"A".repeat(10_000)] {
            assert!(RefreshToken::parse(bad).is_none());
        }
    }

    #[test]
    fn the_next_token_is_of_the_same_series_and_needs_both_the_token_and_the_salt() {
        let (token, salt) = (RefreshToken::mint(), Salt::mint());
        let next = token.next(&salt).print();
        assert_eq!(next.series, token.print().series);
        assert_ne!(next.value, token.print().value);
        assert_eq!(token.next(&salt).print(), next);
        assert_ne!(token.next(&Salt::mint()).print(), next);
    }

    #[test]
    fn every_token_is_good_once_and_an_old_one_ends_the_session() {
        let first = RefreshToken::mint();
        let mut session = session(&first);
        let mut token = first.clone();
        for seconds in 1..5 {
            let (asked, next) = refresh(&token, None, seconds);
            session = good(&session, &asked);
            assert_eq!((session.token, session.last_used_at), (next.print(), at(seconds)));
            assert_eq!(session.judge(&refresh(&token, None, seconds).0), Verdict::Reused);
            assert_eq!(session.judge(&refresh(&first, None, seconds).0), Verdict::Reused);
            token = next;
        }
    }

    #[test]
    fn the_same_refresh_is_answered_again_by_its_key_for_a_while_and_until_its_token_is_used() {
        let token = RefreshToken::mint();
        let (asked, next) = refresh(&token, Some("one"), 1);
        let renewed = good(&session(&token), &asked);
        let Verdict::Again(salt) = renewed.judge(&refresh(&token, Some("one"), 10).0) else {
            panic!("it was no retry")
        };
        assert_eq!(token.next(&salt).print(), next.print());
        for (key, seconds) in [(Some("one"), 11), (Some("two"), 2), (None, 2)] {
            assert_eq!(renewed.judge(&refresh(&token, key, seconds).0), Verdict::Reused, "{key:?}");
        }
        let (asked, _) = refresh(&next, Some("one"), 3);
        let used = good(&renewed, &asked);
        assert_eq!(used.judge(&refresh(&token, Some("one"), 3).0), Verdict::Reused);
    }

    #[test]
    fn a_session_ends_when_it_rests_and_at_the_latest_so_long_after_its_login() {
        let token = RefreshToken::mint();
        let session = session(&token);
        assert!(matches!(session.judge(&refresh(&token, None, 99).0), Verdict::Good(_)));
        assert_eq!(session.judge(&refresh(&token, None, 100).0), Verdict::Over);
        let (asked, token) = refresh(&token, None, 99);
        let session = good(&session, &asked);
        let (asked, token) = refresh(&token, None, 198);
        let session = good(&session, &asked);
        assert_eq!(session.expires_at, at(250));
        assert_eq!(session.judge(&refresh(&token, None, 250).0), Verdict::Over);
    }
}
