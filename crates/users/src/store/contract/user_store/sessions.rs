//! The laws of sessions.

use std::time::Duration;

use kernel::{SessionId, Timestamp, UserId};

use super::*;
use crate::domain::{Digest, PreviousRefresh, RefreshRequest, RefreshToken, Salt, Session, SessionRules};
use crate::ports::{RefreshOutcome, SessionName, SessionsToEnd};

const RULES: SessionRules = SessionRules {
    idle: Duration::from_secs(100),
    longest: Duration::from_secs(1000),
    retry: Duration::from_secs(20),
    grace: Duration::from_secs(10),
    most: 3,
};

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn sid(number: u128) -> SessionId {
    SessionId::new(Uuid::from_u128(number))
}

/// Returns a refresh request with `token`, and the token that it would issue.
fn refresh(token: &RefreshToken, key: Option<&str>, at: Timestamp) -> (RefreshRequest, RefreshToken) {
    let salt = Salt::mint();
    let next = token.next(&salt);
    let key = key.map(|key| Digest::of(key.as_bytes()));
    let (presented, value) = (token.digest(), next.digest().value);
    (RefreshRequest { presented, next: value, salt, key, at, network: None, rules: RULES }, next)
}

impl Fixture {
    /// Opens the session of this number for an account that `insert` stored.
    pub(super) async fn open(&self, session: u128, user: u128, at: Timestamp) -> RefreshToken {
        let (token, user) = (RefreshToken::mint(), self.store.account(id(user)).await.expect("looks"));
        let Account { user, credentials } = user.expect("an account");
        let session = Session::new(sid(session), user.id, &token, at, &RULES);
        self.store.open_session(&session, &credentials, RULES.most, &BY).await.expect("is opened");
        token
    }

    async fn refresh(&self, token: &RefreshToken, at: Timestamp) -> (RefreshOutcome, RefreshToken) {
        let (refresh, next) = refresh(token, None, at);
        (self.store.refresh_session(&refresh).await.expect("is answered"), next)
    }

    pub(super) async fn open_ones(&self, user: u128, at: Timestamp) -> Vec<u128> {
        let sessions = self.store.sessions(id(user), at).await.expect("lists");
        sessions.into_iter().map(|session| session.id.uuid().as_u128()).collect()
    }
}

fn is_renewed(refreshed: &RefreshOutcome) -> bool {
    matches!(refreshed, RefreshOutcome::Renewed(..))
}

pub(super) async fn an_opened_session_is_listed_and_its_token_is_good(fixture: Fixture) {
    let ann = fixture.insert(1, "ann@example.org").await;
    let token = RefreshToken::mint();
    let session = Session::new(sid(7), id(1), &token, NOW, &RULES);
    let bearer = fixture.store.open_session(&session, &ann.credentials, 3, &BY).await.expect("is opened");
    assert_eq!((bearer.user, bearer.consent), (ann.user, Consent::default()));
    let listed = fixture.store.sessions(id(1), NOW).await.expect("lists");
    assert_eq!(listed, std::slice::from_ref(&session));
    let (request, next) = refresh(&token, Some("key"), later(5));
    let renewed = fixture.store.refresh_session(&request).await.expect("is answered");
    assert!(matches!(renewed, RefreshOutcome::Renewed(renewed, _) if renewed == sid(7)));
    let expected = Session {
        token: next.digest(),
        previous: Some(PreviousRefresh { value: token.digest().value, salt: request.salt, key: request.key }),
        last_used_at: later(5),
        expires_at: later(105),
        ..session
    };
    assert_eq!(fixture.store.sessions(id(1), NOW).await.expect("lists"), [expected]);
}

pub(super) async fn a_session_of_an_unknown_account_is_refused_as_not_found(fixture: Fixture) {
    let ann = account(1, "ann@example.org");
    let session = Session::new(sid(7), id(1), &RefreshToken::mint(), NOW, &RULES);
    let outcome = fixture.store.open_session(&session, &ann.credentials, 3, &BY).await;
    assert!(matches!(outcome, Err(UserStoreError::NotFound)));
    assert!(fixture.open_ones(1, NOW).await.is_empty());
}

pub(super) async fn a_session_with_proven_credentials_that_are_no_longer_current_is_refused(
    fixture: Fixture,
) {
    fixture.insert(1, "ann@example.org").await;
    let old = Credentials::from_phc("$argon2id$older".to_owned());
    let session = Session::new(sid(7), id(1), &RefreshToken::mint(), NOW, &RULES);
    let outcome = fixture.store.open_session(&session, &old, 3, &BY).await;
    assert!(matches!(outcome, Err(UserStoreError::Stale { .. })));
    assert!(fixture.open_ones(1, NOW).await.is_empty());
}

pub(super) async fn an_account_has_a_bounded_number_of_sessions_and_the_longest_unused_one_ends_for_a_new_one(
    fixture: Fixture,
) {
    fixture.insert(1, "ann@example.org").await;
    fixture.insert(2, "bob@example.org").await;
    fixture.open(9, 2, NOW).await;
    let first = fixture.open(1, 1, NOW).await;
    fixture.open(2, 1, later(1)).await;
    fixture.open(3, 1, later(2)).await;
    assert!(is_renewed(&fixture.refresh(&first, later(3)).await.0));
    fixture.open(4, 1, later(4)).await;
    assert_eq!(fixture.open_ones(1, later(4)).await, [4, 1, 3]);
    // An expired session is not counted.
    fixture.open(5, 1, later(102)).await;
    assert_eq!(fixture.open_ones(1, later(102)).await, [5, 4, 1]);
    assert_eq!(fixture.open_ones(2, NOW).await, [9]);
}

pub(super) async fn many_sessions_that_are_opened_in_parallel_stay_within_the_bound(fixture: Fixture) {
    fixture.warm().await;
    fixture.insert(1, "ann@example.org").await;
    futures::future::join_all((1..=12).map(|number| fixture.open(number, 1, NOW))).await;
    let open = fixture.open_ones(1, NOW).await;
    assert_eq!(open.len(), 3, "{open:?}");
    fixture.open(13, 1, NOW).await;
    let open = fixture.open_ones(1, NOW).await;
    assert_eq!((open.len(), open[0]), (3, 13));
}

pub(super) async fn a_refresh_returns_the_account_and_the_consent_as_they_are_now(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    let token = fixture.open(7, 1, NOW).await;
    let sections = Sections::Only([Section::Sports].into());
    let ann = fixture.store.set_role(id(1), Role::Editor, &sections, &BY).await.expect("is changed");
    let choice = ConsentChoice { personalisation: false, history: true };
    let consent = fixture.store.set_consent(id(1), choice, message_id(), &BY).await.expect("is stored");
    let RefreshOutcome::Renewed(session, bearer) = fixture.refresh(&token, later(1)).await.0 else {
        panic!("it is good")
    };
    assert_eq!((session, bearer.user, bearer.consent), (sid(7), ann, consent));
}

pub(super) async fn one_of_several_parallel_refreshes_with_one_token_makes_the_next_token(fixture: Fixture) {
    fixture.warm().await;
    fixture.insert(1, "ann@example.org").await;
    // With or without a key they are one request, and all get the same token.
    for (session, key) in [(7, None), (8, Some("key"))] {
        let token = fixture.open(session, 1, NOW).await;
        let requests: Vec<_> = (0..8).map(|_| refresh(&token, key, NOW)).collect();
        let answers = requests.iter().map(|(refresh, _)| fixture.store.refresh_session(refresh));
        let answers = futures::future::join_all(answers).await;
        let mut made = Vec::new();
        for (answer, (_, next)) in answers.into_iter().zip(&requests) {
            match answer.expect("is answered") {
                RefreshOutcome::Renewed(..) => made.insert(0, next.digest()),
                RefreshOutcome::Again(_, _, salt, at) => {
                    assert_eq!(at, NOW);
                    made.push(token.next(&salt).digest());
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(made.len() == 8 && made.iter().all(|print| *print == made[0]));
        assert_eq!(fixture.store.sessions(id(1), NOW).await.expect("lists")[0].token, made[0]);
    }
}

pub(super) async fn a_token_that_was_used_before_ends_its_session_and_the_next_token_with_it(
    fixture: Fixture,
) {
    fixture.insert(1, "ann@example.org").await;
    let first = fixture.open(7, 1, NOW).await;
    fixture.open(8, 1, NOW).await;
    let mut token = first.clone();
    for seconds in 1..4 {
        let (answer, next) = fixture.refresh(&token, later(seconds)).await;
        assert!(is_renewed(&answer));
        token = next;
    }
    assert_eq!(fixture.refresh(&first, later(4)).await.0, RefreshOutcome::Reused(sid(7), id(1)));
    assert_eq!(fixture.refresh(&token, later(4)).await.0, RefreshOutcome::Over);
    assert_eq!(fixture.refresh(&first, later(4)).await.0, RefreshOutcome::Over);
    assert_eq!(fixture.open_ones(1, NOW).await, [8]);
}

pub(super) async fn the_token_before_the_newest_gets_the_same_answer_for_a_short_time_and_changes_nothing(
    fixture: Fixture,
) {
    fixture.insert(1, "ann@example.org").await;
    let token = fixture.open(7, 1, NOW).await;
    let (answer, next) = fixture.refresh(&token, later(1)).await;
    assert!(is_renewed(&answer));
    let before = fixture.store.sessions(id(1), NOW).await.expect("lists");
    for key in [None, Some("a key of another tab")] {
        let (again, _) = refresh(&token, key, later(10));
        let answer = fixture.store.refresh_session(&again).await.expect("is answered");
        let RefreshOutcome::Again(session, _, salt, at) = answer else { panic!("{answer:?}") };
        assert_eq!((session, token.next(&salt).digest(), at), (sid(7), next.digest(), later(1)));
    }
    assert_eq!(fixture.store.sessions(id(1), NOW).await.expect("lists"), before);
    assert_eq!(fixture.refresh(&token, later(11)).await.0, RefreshOutcome::Reused(sid(7), id(1)));
    assert!(fixture.open_ones(1, NOW).await.is_empty());
}

pub(super) async fn a_refresh_that_is_repeated_with_its_key_gets_the_same_answer_and_changes_nothing(
    fixture: Fixture,
) {
    fixture.insert(1, "ann@example.org").await;
    let token = fixture.open(7, 1, NOW).await;
    let (request, next) = refresh(&token, Some("key"), later(1));
    assert!(is_renewed(&fixture.store.refresh_session(&request).await.expect("is answered")));
    let before = fixture.store.sessions(id(1), NOW).await.expect("lists");
    let (again, _) = refresh(&token, Some("key"), later(20));
    let RefreshOutcome::Again(session, _, salt, at) =
        fixture.store.refresh_session(&again).await.expect("is answered")
    else {
        panic!("it is the same request")
    };
    assert_eq!((session, token.next(&salt).digest(), at), (sid(7), next.digest(), later(1)));
    assert_eq!(fixture.store.sessions(id(1), NOW).await.expect("lists"), before);
    assert!(is_renewed(&fixture.refresh(&next, later(20)).await.0));
    // The next refresh takes its place.
    let (late, _) = refresh(&token, Some("key"), later(20));
    assert_eq!(
        fixture.store.refresh_session(&late).await.expect("is answered"),
        RefreshOutcome::Reused(sid(7), id(1))
    );
}

pub(super) async fn a_session_is_found_by_its_account_and_id_and_by_its_series_until_it_expires(
    fixture: Fixture,
) {
    fixture.insert(1, "ann@example.org").await;
    fixture.insert(2, "bob@example.org").await;
    let token = fixture.open(7, 1, NOW).await;
    fixture.open(8, 2, NOW).await;
    let find = async |name, seconds| {
        let found = fixture.store.session(name, later(seconds)).await.expect("looks");
        found.map(|session| session.id)
    };
    let by_id = SessionName::Id(id(1), sid(7));
    let by_series = SessionName::Series(token.digest().series);
    for name in [by_id, by_series] {
        assert_eq!(find(name, 99).await, Some(sid(7)));
        assert_eq!(find(name, 100).await, None);
    }
    for name in [
        SessionName::Id(id(2), sid(7)),
        SessionName::Id(id(1), sid(8)),
        SessionName::Id(id(1), sid(9)),
        SessionName::Series(token.digest().value),
    ] {
        assert_eq!(find(name, 0).await, None, "{name:?}");
    }
    fixture.store.end_sessions(SessionsToEnd::All(id(1)), &BY).await.expect("is answered");
    assert_eq!((find(by_id, 0).await, find(by_series, 0).await), (None, None));
}

pub(super) async fn an_unknown_token_and_a_token_of_an_expired_session_end_nothing(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    fixture.open(7, 1, NOW).await;
    assert_eq!(fixture.refresh(&RefreshToken::mint(), NOW).await.0, RefreshOutcome::Over);
    let token = fixture.open(8, 1, NOW).await;
    assert_eq!(fixture.refresh(&token, later(100)).await.0, RefreshOutcome::Over);
    assert_eq!(fixture.open_ones(1, NOW).await, [8, 7]);
}

pub(super) async fn an_expired_session_is_not_listed(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    fixture.open(7, 1, NOW).await;
    let token = fixture.open(8, 1, NOW).await;
    assert!(is_renewed(&fixture.refresh(&token, later(99)).await.0));
    assert_eq!(fixture.open_ones(1, later(99)).await, [8, 7]);
    assert_eq!(fixture.open_ones(1, later(100)).await, [8]);
    assert!(fixture.open_ones(1, later(199)).await.is_empty());
}

pub(super) async fn only_the_named_session_ends_and_by_its_account_only(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    fixture.insert(2, "bob@example.org").await;
    let mut tokens = Vec::new();
    for number in [6, 7, 8] {
        tokens.push(fixture.open(number, 1, NOW).await);
    }
    let end = async |which| fixture.store.end_sessions(which, &BY).await.expect("is answered");
    assert_eq!(end(SessionsToEnd::One(id(2), sid(7))).await, 0);
    assert_eq!(end(SessionsToEnd::One(id(1), sid(7))).await, 1);
    assert_eq!(end(SessionsToEnd::One(id(1), sid(7))).await, 0);
    assert_eq!(fixture.open_ones(1, NOW).await, [8, 6]);
    assert_eq!(fixture.refresh(&tokens[1], NOW).await.0, RefreshOutcome::Over);
    // It ends by any of its tokens, the newest or an old one.
    assert!(is_renewed(&fixture.refresh(&tokens[0], NOW).await.0));
    assert_eq!(end(SessionsToEnd::Series(tokens[0].digest().series)).await, 1);
    assert_eq!(end(SessionsToEnd::Series(RefreshToken::mint().digest().series)).await, 0);
    assert_eq!(fixture.open_ones(1, NOW).await, [8]);
}

pub(super) async fn ending_all_sessions_of_an_account_ends_no_session_of_another_account(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    fixture.insert(2, "bob@example.org").await;
    for number in [1, 2, 3] {
        fixture.open(number, 1, NOW).await;
    }
    fixture.open(4, 2, NOW).await;
    assert_eq!(fixture.store.end_sessions(SessionsToEnd::All(id(1)), &BY).await.expect("is answered"), 3);
    assert!(fixture.open_ones(1, NOW).await.is_empty());
    assert_eq!(fixture.open_ones(2, NOW).await, [4]);
}

pub(super) async fn a_new_password_ends_all_sessions_except_the_named_one_and_no_other_update_ends_any(
    fixture: Fixture,
) {
    fixture.insert(1, "ann@example.org").await;
    fixture.insert(2, "bob@example.org").await;
    fixture.open(9, 2, NOW).await;
    for number in [1, 2, 3] {
        fixture.open(number, 1, NOW).await;
    }
    let update = async |change| fixture.store.update(id(1), &Expected::Any, &change, &BY).await;
    let keeps = Some(sid(2));
    update(AccountChange { keeps, ..renaming("Anna") }).await.expect("is changed");
    fixture.store.set_role(id(1), Role::Editor, &Sections::All, &BY).await.expect("is changed");
    assert_eq!(fixture.open_ones(1, NOW).await, [3, 2, 1]);
    let password = |text: &str| Some(Credentials::from_phc(text.to_owned()));
    let refused = AccountChange {
        credentials: password("$new"),
        proven: password("$other"),
        keeps,
        ..AccountChange::default()
    };
    assert!(matches!(update(refused).await, Err(UserStoreError::Stale { .. })));
    assert_eq!(fixture.open_ones(1, NOW).await, [3, 2, 1]);
    let mine = AccountChange { credentials: password("$new"), keeps, ..AccountChange::default() };
    update(mine).await.expect("is changed");
    assert_eq!(fixture.open_ones(1, NOW).await, [2]);
    let by_admin = AccountChange { credentials: password("$newer"), ..AccountChange::default() };
    update(by_admin).await.expect("is changed");
    assert!(fixture.open_ones(1, NOW).await.is_empty());
    assert_eq!(fixture.open_ones(2, NOW).await, [9]);
}

pub(super) async fn the_sessions_of_an_erased_account_end(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    let token = fixture.open(7, 1, NOW).await;
    fixture.store.erase(id(1), message_id(), &BY).await.expect("is erased");
    assert_eq!(fixture.refresh(&token, NOW).await.0, RefreshOutcome::Over);
    assert!(fixture.open_ones(1, NOW).await.is_empty());
    fixture.insert(2, "ann@example.org").await;
    assert!(fixture.store.sessions(UserId::new(Uuid::from_u128(2)), NOW).await.expect("lists").is_empty());
}
