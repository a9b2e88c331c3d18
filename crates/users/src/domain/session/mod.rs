mod token;

use std::time::Duration;

use kernel::{SessionId, Timestamp, UserId};

use super::Network;
pub use token::{Digest, RefreshToken, Salt, TokenDigest};

/// The rules of how long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRules {
    /// A session ends when it was unused for this time.
    pub idle: Duration,
    /// A session ends this long after its login, even if it is used.
    pub longest: Duration,
    /// The time in which a refresh with a key gets the same answer again.
    pub retry: Duration,
    /// The time in which the token before the newest gets the same answer as the newest, from any client that
    /// holds it.
    pub grace: Duration,
    /// The most sessions of an account.
    pub most: u32,
}

impl SessionRules {
    /// Returns when a session of this login ends if it is used now and not again.
    pub fn end(&self, created_at: Timestamp, now: Timestamp) -> Timestamp {
        now.plus(self.idle).min(created_at.plus(self.longest))
    }
}

/// The previous refresh: the data from which its answer is made when it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousRefresh {
    /// The digest of the changing part of the token that was presented.
    pub value: Digest,
    /// The salt from which its next token was derived.
    pub salt: Salt,
    /// The digest of the client's key, if there was one.
    pub key: Option<Digest>,
}

/// A request for the next token.
#[derive(Debug, Clone)]
pub struct RefreshRequest {
    /// The presented token.
    pub presented: TokenDigest,
    /// The digest of the changing part of the token that would be the next.
    pub next: Digest,
    /// The salt from which this next token is derived.
    pub salt: Salt,
    /// The digest of the client's key, if there is one.
    pub key: Option<Digest>,
    /// The time of the request.
    pub at: Timestamp,
    /// The network of the request, for the audit.
    pub network: Option<Network>,
    /// The rules of how long sessions last.
    pub rules: SessionRules,
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, which access tokens contain.
    pub id: SessionId,
    /// Its account.
    pub user: UserId,
    /// The digest of the token that is good now.
    pub token: TokenDigest,
    /// The refresh that made this token. `None` before the first refresh, and after a refresh without a key
    /// by an older release.
    pub previous: Option<PreviousRefresh>,
    /// The time of the login.
    pub created_at: Timestamp,
    /// The time of the login or the last refresh.
    pub last_used_at: Timestamp,
    /// The time at which it ends if it is not used.
    pub expires_at: Timestamp,
}

/// The verdict on a presented token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The token is good. Contains the session as it is from now on.
    Good(Session),
    /// The previous refresh is repeated. Contains the salt of its token, and the time when it was done.
    Again(Salt, Timestamp),
    /// The token was replaced a moment ago, and its answer can't be made again. The session goes on.
    Replaced,
    /// The token is old: a copy of it exists, and it is unknown who holds the copy. The session ends.
    Reused,
    /// The session has expired.
    Over,
}

impl Session {
    /// Creates a session.
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
            token: token.digest(),
            previous: None,
            created_at: now,
            last_used_at: now,
            expires_at: rules.end(now, now),
        }
    }

    /// Judges a request that presents a token of this session's series.
    pub fn judge(&self, refresh: &RefreshRequest) -> Verdict {
        if self.expires_at <= refresh.at {
            return Verdict::Over;
        }
        if self.token.value != refresh.presented.value {
            return self.judge_old(refresh);
        }
        let RefreshRequest { salt, key, .. } = *refresh;
        Verdict::Good(Session {
            token: TokenDigest { series: self.token.series, value: refresh.next },
            previous: Some(PreviousRefresh { value: self.token.value, salt, key }),
            last_used_at: refresh.at,
            expires_at: refresh.rules.end(self.created_at, refresh.at),
            ..self.clone()
        })
    }

    /// Judges a token of this session that is not the newest. Two tabs share a cookie and may refresh at the
    /// same time, so for a short time the token before the newest does not prove that a copy exists.
    fn judge_old(&self, refresh: &RefreshRequest) -> Verdict {
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

    /// Says whether this session still answers the token: the newest one, or the previous one for a short
    /// time.
    pub fn is_held_by(&self, token: &TokenDigest, now: Timestamp, rules: &SessionRules) -> bool {
        let is_previous = self.previous.is_some_and(|previous| previous.value == token.value);
        let is_fresh = now.since(self.last_used_at) < rules.grace;
        self.token.series == token.series
            && self.expires_at > now
            && (self.token.value == token.value || (is_previous && is_fresh))
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

    fn refresh(token: &RefreshToken, key: Option<&str>, seconds: u64) -> (RefreshRequest, RefreshToken) {
        let salt = Salt::mint();
        let next = token.next(&salt);
        let key = key.map(|key| Digest::of(key.as_bytes()));
        let (presented, value) = (token.digest(), next.digest().value);
        (
            RefreshRequest {
                presented,
                next: value,
                salt,
                key,
                at: at(seconds),
                network: None,
                rules: RULES,
            },
            next,
        )
    }

    fn good(session: &Session, refresh: &RefreshRequest) -> Session {
        match session.judge(refresh) {
            Verdict::Good(session) => session,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the token that the session gives when the refresh is repeated.
    fn repeated_answer(
        session: &Session,
        token: &RefreshToken,
        key: Option<&str>,
        seconds: u64,
    ) -> Option<TokenDigest> {
        match session.judge(&refresh(token, key, seconds).0) {
            Verdict::Again(salt, _) => Some(token.next(&salt).digest()),
            Verdict::Reused => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_token_is_good_once_and_an_old_token_ends_the_session() {
        let first = RefreshToken::mint();
        let mut session = session(&first);
        let mut token = first.clone();
        for seconds in [1, 12, 24, 36] {
            let (request, next) = refresh(&token, None, seconds);
            session = good(&session, &request);
            assert_eq!((session.token, session.last_used_at), (next.digest(), at(seconds)));
            assert_eq!(session.judge(&refresh(&token, None, seconds + 10).0), Verdict::Reused);
            if token.digest() != first.digest() {
                assert_eq!(session.judge(&refresh(&first, None, seconds).0), Verdict::Reused);
            }
            token = next;
        }
    }

    #[test]
    fn the_token_before_the_newest_gets_the_same_answer_for_a_short_time() {
        let token = RefreshToken::mint();
        let (request, next) = refresh(&token, None, 1);
        let renewed = good(&session(&token), &request);
        for (key, seconds) in [(None, 1), (None, 10), (Some("a key"), 10)] {
            assert_eq!(
                repeated_answer(&renewed, &token, key, seconds),
                Some(next.digest()),
                "{key:?} {seconds}"
            );
        }
        assert_eq!(renewed.judge(&refresh(&token, None, 3).0), Verdict::Again(request.salt, at(1)));
        assert_eq!(repeated_answer(&renewed, &token, None, 11), None);
        // When the newest token is used, it becomes the previous one, and this one is old.
        let used = good(&renewed, &refresh(&next, None, 2).0);
        assert_eq!(repeated_answer(&used, &token, None, 2), None);
    }

    #[test]
    fn a_refresh_without_a_key_by_an_older_release_is_refused_for_a_short_time_and_ends_nothing() {
        let token = RefreshToken::mint();
        let renewed = Session { previous: None, ..good(&session(&token), &refresh(&token, None, 1).0) };
        assert_eq!(renewed.judge(&refresh(&token, None, 10).0), Verdict::Replaced);
        assert_eq!(renewed.judge(&refresh(&token, None, 11).0), Verdict::Reused);
        // A token of the series that was never issued: no tab has it.
        assert_eq!(session(&token).judge(&refresh(&token.next(&Salt::mint()), None, 1).0), Verdict::Reused);
    }

    #[test]
    fn a_refresh_with_a_key_gets_the_same_answer_for_longer_until_its_token_is_used() {
        let token = RefreshToken::mint();
        let (request, next) = refresh(&token, Some("one"), 1);
        let renewed = good(&session(&token), &request);
        assert_eq!(repeated_answer(&renewed, &token, Some("one"), 30), Some(next.digest()));
        for (key, seconds) in [(Some("one"), 31), (Some("two"), 11), (None, 11)] {
            assert_eq!(repeated_answer(&renewed, &token, key, seconds), None, "{key:?}");
        }
        let (request, _) = refresh(&next, Some("one"), 3);
        let used = good(&renewed, &request);
        assert_eq!(repeated_answer(&used, &token, Some("one"), 3), None);
    }

    #[test]
    fn a_session_is_held_by_its_newest_token_and_for_a_short_time_by_the_previous_one() {
        let token = RefreshToken::mint();
        let (request, next) = refresh(&token, None, 1);
        let session = good(&session(&token), &request);
        let is_held =
            |token: &RefreshToken, seconds| session.is_held_by(&token.digest(), at(seconds), &RULES);
        assert!(is_held(&next, 100) && !is_held(&next, 101));
        assert!(is_held(&token, 10) && !is_held(&token, 11));
        assert!(!is_held(&token.next(&Salt::mint()), 2) && !is_held(&RefreshToken::mint(), 2));
    }

    #[test]
    fn a_session_ends_when_it_is_unused_and_at_the_latest_a_fixed_time_after_its_login() {
        let token = RefreshToken::mint();
        let session = session(&token);
        assert!(matches!(session.judge(&refresh(&token, None, 99).0), Verdict::Good(_)));
        assert_eq!(session.judge(&refresh(&token, None, 100).0), Verdict::Over);
        let (request, token) = refresh(&token, None, 99);
        let session = good(&session, &request);
        let (request, token) = refresh(&token, None, 198);
        let session = good(&session, &request);
        assert_eq!(session.expires_at, at(250));
        assert_eq!(session.judge(&refresh(&token, None, 250).0), Verdict::Over);
    }
}
