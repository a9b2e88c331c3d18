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
    /// How long a refresh that named a key is answered again to the same key.
    pub retry: Duration,
    /// How long the token before the newest is answered as the newest one was, to any client that holds it.
    pub grace: Duration,
    /// An account has at most so many.
    pub most: u32,
}

impl SessionRules {
    /// When a session of this login ends that is used now and not again.
    pub fn end(&self, created_at: Timestamp, now: Timestamp) -> Timestamp {
        now.plus(self.idle).min(created_at.plus(self.longest))
    }
}

/// The refresh before: what its answer is made from when it is asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// The digest of the changing part of the token that was presented.
    pub value: Digest,
    /// The salt that its next token was made with.
    pub salt: Salt,
    /// The digest of the client's key, if it named one.
    pub key: Option<Digest>,
}

/// A token is presented and asks for the next one.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The token.
    pub presented: Print,
    /// The digest of the changing part of the token that would be the next.
    pub next: Digest,
    /// The salt that this next token is made with.
    pub salt: Salt,
    /// The digest of the client's key, if it named one.
    pub key: Option<Digest>,
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
    /// The refresh that made it. None before the first one, and of one that an older release did without a key.
    pub previous: Option<Previous>,
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
    /// The refresh before, asked for again: the salt of its token, and the time when it was done.
    Again(Salt, Timestamp),
    /// The token was replaced a moment ago, and its answer cannot be made again. Nothing ends.
    Replaced,
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
            return self.judge_old(refresh);
        }
        let Refresh { salt, key, .. } = *refresh;
        Verdict::Good(Session {
            token: Print { series: self.token.series, value: refresh.next },
            previous: Some(Previous { value: self.token.value, salt, key }),
            last_used_at: refresh.at,
            expires_at: refresh.rules.end(self.created_at, refresh.at),
            ..self.clone()
        })
    }

    /// What follows from a token of this session that is not the newest. Two tabs share a cookie and may refresh at the same
    /// time, so for a moment the token before the newest is no sign of a copy.
    fn judge_old(&self, refresh: &Refresh) -> Verdict {
        let age = refresh.at.since(self.last_used_at);
        let is_fresh = age < refresh.rules.grace;
        match self.previous {
            Some(previous) if previous.value == refresh.presented.value => {
                let is_same = previous.key.is_some() && previous.key == refresh.key;
                if is_fresh || (is_same && age < refresh.rules.retry) {
                    Verdict::Again(previous.salt, self.last_used_at)
                } else {
                    Verdict::Reused
                }
            }
            None if is_fresh && self.last_used_at > self.created_at => Verdict::Replaced,
            _ => Verdict::Reused,
        }
    }

    /// Whether `print` is a token that this session still answers: the newest one, or the one before it for a moment.
    pub fn is_held_by(&self, print: &Print, now: Timestamp, rules: &SessionRules) -> bool {
        let is_previous = self.previous.is_some_and(|previous| previous.value == print.value);
        let is_fresh = now.since(self.last_used_at) < rules.grace;
        self.token.series == print.series
            && self.expires_at > now
            && (self.token.value == print.value || (is_previous && is_fresh))
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
        retry: Duration::from_secs(30),
        grace: Duration::from_secs(10),
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
        let key = key.map(|key| Digest::of(key.as_bytes()));
        let (presented, value) = (token.print(), next.print().value);
        (Refresh { presented, next: value, salt, key, at: at(seconds), rules: RULES }, next)
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

    /// The token that the session answers with when it is asked again.
    fn answered_again(
        session: &Session,
        token: &RefreshToken,
        key: Option<&str>,
        seconds: u64,
    ) -> Option<Print> {
        match session.judge(&refresh(token, key, seconds).0) {
            Verdict::Again(salt, _) => Some(token.next(&salt).print()),
            Verdict::Reused => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_token_is_good_once_and_an_old_one_ends_the_session() {
        let first = RefreshToken::mint();
        let mut session = session(&first);
        let mut token = first.clone();
        for seconds in [1, 12, 24, 36] {
            let (asked, next) = refresh(&token, None, seconds);
            session = good(&session, &asked);
            assert_eq!((session.token, session.last_used_at), (next.print(), at(seconds)));
            assert_eq!(session.judge(&refresh(&token, None, seconds + 10).0), Verdict::Reused);
            if token.print() != first.print() {
                assert_eq!(session.judge(&refresh(&first, None, seconds).0), Verdict::Reused);
            }
            token = next;
        }
    }

    #[test]
    fn the_token_before_the_newest_is_answered_as_the_newest_was_for_a_moment() {
        let token = RefreshToken::mint();
        let (asked, next) = refresh(&token, None, 1);
        let renewed = good(&session(&token), &asked);
        for (key, seconds) in [(None, 1), (None, 10), (Some("a key"), 10)] {
            assert_eq!(
                answered_again(&renewed, &token, key, seconds),
                Some(next.print()),
                "{key:?} {seconds}"
            );
        }
        assert_eq!(renewed.judge(&refresh(&token, None, 3).0), Verdict::Again(asked.salt, at(1)));
        assert_eq!(answered_again(&renewed, &token, None, 11), None);
        // Once the newest one was used, it is the one before, and this one is old.
        let used = good(&renewed, &refresh(&next, None, 2).0);
        assert_eq!(answered_again(&used, &token, None, 2), None);
    }

    #[test]
    fn a_refresh_that_an_older_release_did_without_a_key_is_refused_for_a_moment_and_ends_nothing() {
        let token = RefreshToken::mint();
        let renewed = Session { previous: None, ..good(&session(&token), &refresh(&token, None, 1).0) };
        assert_eq!(renewed.judge(&refresh(&token, None, 10).0), Verdict::Replaced);
        assert_eq!(renewed.judge(&refresh(&token, None, 11).0), Verdict::Reused);
        // A token of the series that nobody was given is a copy of nothing, and no tab has it.
        assert_eq!(session(&token).judge(&refresh(&token.next(&Salt::mint()), None, 1).0), Verdict::Reused);
    }

    #[test]
    fn the_same_refresh_is_answered_again_by_its_key_for_longer_and_until_its_token_is_used() {
        let token = RefreshToken::mint();
        let (asked, next) = refresh(&token, Some("one"), 1);
        let renewed = good(&session(&token), &asked);
        assert_eq!(answered_again(&renewed, &token, Some("one"), 30), Some(next.print()));
        for (key, seconds) in [(Some("one"), 31), (Some("two"), 11), (None, 11)] {
            assert_eq!(answered_again(&renewed, &token, key, seconds), None, "{key:?}");
        }
        let (asked, _) = refresh(&next, Some("one"), 3);
        let used = good(&renewed, &asked);
        assert_eq!(answered_again(&used, &token, Some("one"), 3), None);
    }

    #[test]
    fn a_session_is_held_by_its_newest_token_and_for_a_moment_by_the_one_before() {
        let token = RefreshToken::mint();
        let (asked, next) = refresh(&token, None, 1);
        let session = good(&session(&token), &asked);
        let held = |token: &RefreshToken, seconds| session.is_held_by(&token.print(), at(seconds), &RULES);
        assert!(held(&next, 100) && !held(&next, 101));
        assert!(held(&token, 10) && !held(&token, 11));
        assert!(!held(&token.next(&Salt::mint()), 2) && !held(&RefreshToken::mint(), 2));
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
