//! The laws of the audit, for every adapter.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Expected, MessageId, Role, Sections, SessionId, Timestamp};
use testkit::Folder;
use uuid::Uuid;

use super::servers::{Place, Schema};
use super::{NOW, account, email, id};
use crate::domain::{
    AccountChange, AuditCursor, AuditEntry, AuditFilter, AuditKind, ConsentChoice, Credentials, Network,
    Origin, RefreshRequest, RefreshToken, Salt, Session, SessionRules,
};
use crate::ports::{AuditLog, SessionsToEnd, UserStore};
use crate::store::postgres::PostgresUserStore;
use crate::store::sqlite::SqliteUserStore;

struct Fixture {
    store: Arc<dyn UserStore>,
    audit: Arc<dyn AuditLog>,
    _place: Place,
}

const DAY: Duration = Duration::from_secs(86_400);
const RULES: SessionRules =
    SessionRules { idle: DAY, longest: DAY, retry: DAY, grace: Duration::ZERO, most: 2 };

/// Returns the origin of a change by this account, some seconds later.
fn by(number: u128, seconds: u64) -> Origin {
    let network = Network::of("192.0.2.77".parse().expect("an address"));
    Origin { actor: Some(id(number)), network, at: NOW.plus(Duration::from_secs(seconds)) }
}

fn message(number: u128) -> MessageId {
    MessageId::new(Uuid::from_u128(number))
}

impl Fixture {
    async fn insert(&self, number: u128) {
        let account = account(number, &format!("reader{number}@example.org"));
        self.store.insert(&account).await.expect("is stored");
    }

    async fn open_session(&self, number: u128, user: u128, origin: &Origin) -> RefreshToken {
        let token = RefreshToken::mint();
        let session =
            Session::new(SessionId::new(Uuid::from_u128(number)), id(user), &token, origin.at, &RULES);
        let proven = self.store.account(id(user)).await.expect("looks").expect("an account").credentials;
        self.store.open_session(&session, &proven, RULES.most, origin).await.expect("is opened");
        token
    }

    async fn find(&self, filter: AuditFilter) -> Vec<AuditEntry> {
        self.audit.entries(&filter, None, 100).await.expect("lists")
    }

    /// Returns the names of the kinds of all entries about an account, the oldest first.
    async fn kinds(&self, user: u128) -> Vec<&'static str> {
        let entries = self.find(AuditFilter { subject: Some(id(user)), ..AuditFilter::default() }).await;
        entries.iter().rev().map(|entry| entry.kind.as_str()).collect()
    }
}

macro_rules! every_case {
    ($open:path $(, ignore = $reason:literal)?) => {
        testkit::cases! { [$open $(, ignore = $reason)?]
            in (super) {
                a_new_role_leaves_an_entry_that_names_it_also_of_an_account_that_is_created_with_one,
                a_change_of_consent_leaves_an_entry_for_each_permission,
                a_login_and_each_session_that_ends_before_its_time_leave_an_entry,
                a_token_that_is_used_twice_leaves_an_entry_without_an_actor,
                a_new_password_and_another_email_leave_an_entry_and_another_spelling_leaves_none,
                what_is_refused_leaves_no_entry,
                the_entries_that_name_an_erased_person_keep_the_ids_and_lose_the_network,
                a_recorded_entry_is_read_back_unchanged,
                each_filter_lets_only_its_entries_pass,
                pages_join_without_a_gap_also_among_entries_of_one_moment,
                old_entries_are_deleted_in_bounded_steps_and_newer_ones_stay,
            }
        }
    };
}

mod sqlite {
    use super::*;

    async fn open() -> Fixture {
        let folder = Folder::new();
        let store = Arc::new(SqliteUserStore::open(&folder.sqlite("users.db")).await.expect("opens"));
        Fixture { store: store.clone(), audit: store, _place: Place::Folder(folder) }
    }

    every_case!(open);
}

mod postgres {
    use super::*;

    async fn open() -> Fixture {
        let schema = Schema::new().await;
        let store = Arc::new(PostgresUserStore::open(&schema.url()).await.expect("opens"));
        Fixture { store: store.clone(), audit: store, _place: Place::Schema(schema) }
    }

    every_case!(open, ignore = "needs postgres");
}

async fn a_new_role_leaves_an_entry_that_names_it_also_of_an_account_that_is_created_with_one(
    fixture: Fixture,
) {
    let mut first = account(1, "admin@example.org");
    first.user.role = Role::Admin;
    fixture.store.insert_first_admin(&first).await.expect("is stored");
    let mut second = account(2, "editor@example.org");
    second.user.role = Role::Editor;
    fixture.store.insert(&second).await.expect("is stored");
    fixture.insert(3).await;
    let origin = by(1, 1);
    fixture.store.set_role(id(3), Role::Author, &Sections::All, &origin).await.expect("is changed");
    assert_eq!(fixture.kinds(1).await, ["role_admin"]);
    assert_eq!(fixture.kinds(2).await, ["role_editor"]);
    let entries = fixture.find(AuditFilter { subject: Some(id(3)), ..AuditFilter::default() }).await;
    let entry = entries.first().expect("an entry");
    assert_eq!((entry.kind, entry.subject, entry.origin), (AuditKind::Role(Role::Author), id(3), origin));
    assert_eq!(entries.len(), 1);
}

async fn a_change_of_consent_leaves_an_entry_for_each_permission(fixture: Fixture) {
    fixture.insert(1).await;
    let choices = [(true, true), (true, true), (false, true), (false, false)];
    for (number, (personalisation, history)) in choices.into_iter().enumerate() {
        let choice = ConsentChoice { personalisation, history };
        let message = message(number as u128);
        fixture.store.set_consent(id(1), choice, message, &by(1, number as u64)).await.expect("is stored");
    }
    let expected =
        ["personalisation_allowed", "history_allowed", "personalisation_withdrawn", "history_withdrawn"];
    assert_eq!(fixture.kinds(1).await, expected);
}

async fn a_login_and_each_session_that_ends_before_its_time_leave_an_entry(fixture: Fixture) {
    fixture.insert(1).await;
    fixture.insert(2).await;
    fixture.open_session(1, 1, &by(1, 0)).await;
    fixture.open_session(2, 1, &by(1, 1)).await;
    // One session too many: the oldest one ends.
    let token = fixture.open_session(3, 1, &by(1, 2)).await;
    let mut expected = vec!["session_begun", "session_begun", "session_ended", "session_begun"];
    assert_eq!(fixture.kinds(1).await, expected);
    let series = SessionsToEnd::Series(token.digest().series);
    assert_eq!(fixture.store.end_sessions(series, &by(1, 3)).await.expect("ends"), 1);
    assert_eq!(fixture.store.end_sessions(SessionsToEnd::All(id(1)), &by(1, 4)).await.expect("ends"), 1);
    assert_eq!(fixture.store.end_sessions(SessionsToEnd::All(id(1)), &by(1, 5)).await.expect("ends"), 0);
    expected.extend(["session_ended", "session_ended"]);
    assert_eq!(fixture.kinds(1).await, expected);
    // A session that has expired leaves no entry when its row is deleted.
    fixture.open_session(4, 2, &by(2, 0)).await;
    fixture.open_session(5, 2, &by(2, 2 * 86_400)).await;
    assert_eq!(fixture.kinds(2).await, ["session_begun", "session_begun"]);
}

async fn a_token_that_is_used_twice_leaves_an_entry_without_an_actor(fixture: Fixture) {
    fixture.insert(1).await;
    let token = fixture.open_session(1, 1, &by(1, 0)).await;
    for seconds in [1, 2] {
        let salt = Salt::mint();
        let next = token.next(&salt).digest().value;
        let Origin { network, at, .. } = by(1, seconds);
        let request =
            RefreshRequest { presented: token.digest(), next, salt, key: None, at, network, rules: RULES };
        fixture.store.refresh_session(&request).await.expect("is judged");
    }
    let entries = fixture.find(AuditFilter { subject: Some(id(1)), ..AuditFilter::default() }).await;
    assert_eq!(fixture.kinds(1).await, ["session_begun", "session_ended"]);
    assert_eq!(entries[0].origin, Origin { actor: None, ..by(1, 2) });
}

async fn a_new_password_and_another_email_leave_an_entry_and_another_spelling_leaves_none(fixture: Fixture) {
    fixture.insert(1).await;
    fixture.open_session(1, 1, &by(1, 0)).await;
    let change = |address: Option<&str>, password: Option<&str>| AccountChange {
        email: address.map(email),
        credentials: password.map(|text| Credentials::from_phc(text.to_owned())),
        ..AccountChange::default()
    };
    for change in [
        change(Some("READER1@example.org"), None),
        change(Some("other@example.org"), None),
        change(None, Some("$argon2id$new")),
    ] {
        fixture.store.update(id(1), &Expected::Any, &change, &by(1, 1)).await.expect("is changed");
    }
    let expected = ["session_begun", "email_changed", "password_changed", "session_ended"];
    assert_eq!(fixture.kinds(1).await, expected);
}

async fn what_is_refused_leaves_no_entry(fixture: Fixture) {
    let mut admin = account(1, "admin@example.org");
    admin.user.role = Role::Admin;
    fixture.store.insert(&admin).await.expect("is stored");
    fixture.insert(2).await;
    let before = fixture.find(AuditFilter::default()).await;
    let origin = by(1, 1);
    assert!(fixture.store.set_role(id(1), Role::Reader, &Sections::All, &origin).await.is_err());
    assert!(fixture.store.erase(id(1), message(1), &origin).await.is_err());
    assert!(fixture.store.erase(id(7), message(2), &origin).await.is_err());
    let taken = AccountChange { email: Some(email("admin@example.org")), ..AccountChange::default() };
    assert!(fixture.store.update(id(2), &Expected::Any, &taken, &origin).await.is_err());
    let session = Session::new(SessionId::new(Uuid::nil()), id(2), &RefreshToken::mint(), NOW, &RULES);
    let wrong = Credentials::from_phc("$argon2id$wrong".to_owned());
    assert!(fixture.store.open_session(&session, &wrong, 1, &origin).await.is_err());
    assert_eq!(fixture.find(AuditFilter::default()).await, before);
}

async fn the_entries_that_name_an_erased_person_keep_the_ids_and_lose_the_network(fixture: Fixture) {
    fixture.insert(1).await;
    fixture.insert(2).await;
    let origin = by(1, 1);
    fixture.store.set_role(id(2), Role::Author, &Sections::All, &origin).await.expect("is changed");
    fixture.open_session(1, 2, &by(2, 2)).await;
    fixture.open_session(2, 1, &by(1, 3)).await;
    fixture.store.erase(id(2), message(1), &by(2, 4)).await.expect("is erased");
    // An entry that comes from another service afterwards.
    fixture.audit.record(AuditKind::LabelsViewed, id(2), &by(1, 5)).await.expect("is recorded");
    let entries = fixture.find(AuditFilter { subject: Some(id(2)), ..AuditFilter::default() }).await;
    let kinds: Vec<_> = entries.iter().rev().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["role_author", "session_begun", "erased", "labels_viewed"]);
    let actors: Vec<_> = entries.iter().rev().map(|entry| entry.origin.actor).collect();
    assert_eq!(actors, [Some(id(1)), Some(id(2)), Some(id(2)), Some(id(1))]);
    assert!(entries.iter().all(|entry| entry.origin.network.is_none()), "{entries:?}");
    let others = fixture.find(AuditFilter { subject: Some(id(1)), ..AuditFilter::default() }).await;
    assert!(others.iter().all(|entry| entry.origin.network.is_some()), "{others:?}");
}

async fn a_recorded_entry_is_read_back_unchanged(fixture: Fixture) {
    let network = Network::of("2001:db8:1:2::3".parse().expect("an address"));
    for origin in [by(1, 1), Origin { network, ..by(1, 2) }, Origin::portal(NOW.plus(DAY))] {
        fixture.audit.record(AuditKind::LabelsViewed, id(2), &origin).await.expect("is recorded");
        let entries = fixture.find(AuditFilter::default()).await;
        let entry = entries.first().expect("an entry");
        assert_eq!((entry.kind, entry.subject, entry.origin), (AuditKind::LabelsViewed, id(2), origin));
    }
}

async fn each_filter_lets_only_its_entries_pass(fixture: Fixture) {
    let kinds = [AuditKind::LabelsViewed, AuditKind::ExportRequested];
    for number in 0..24_u64 {
        let origin = by(u128::from(number % 3), number);
        let kind = kinds[usize::from(number % 4 == 0)];
        fixture.audit.record(kind, id(u128::from(number % 2)), &origin).await.expect("is recorded");
    }
    let all = fixture.find(AuditFilter::default()).await;
    assert_eq!(all.len(), 24);
    let at = |seconds| Some(by(0, seconds).at);
    let none = AuditFilter::default();
    for filter in [
        AuditFilter { actor: Some(id(1)), ..none },
        AuditFilter { subject: Some(id(1)), ..none },
        AuditFilter { kind: Some(kinds[1]), ..none },
        AuditFilter { from: at(20), ..none },
        AuditFilter { to: at(3), ..none },
        AuditFilter {
            actor: Some(id(0)),
            subject: Some(id(0)),
            kind: Some(kinds[1]),
            from: at(5),
            to: at(20),
        },
        AuditFilter { actor: Some(id(7)), ..none },
    ] {
        let passes = |entry: &&AuditEntry| {
            filter.actor.is_none_or(|actor| entry.origin.actor == Some(actor))
                && filter.subject.is_none_or(|subject| entry.subject == subject)
                && filter.kind.is_none_or(|kind| entry.kind == kind)
                && filter.from.is_none_or(|from| entry.origin.at >= from)
                && filter.to.is_none_or(|to| entry.origin.at <= to)
        };
        let expected: Vec<AuditEntry> = all.iter().filter(passes).copied().collect();
        assert_eq!(fixture.find(filter).await, expected, "{filter:?}");
        assert!(expected.len() < 24);
    }
}

async fn pages_join_without_a_gap_also_among_entries_of_one_moment(fixture: Fixture) {
    for number in 0..10 {
        let origin = by(1, number / 4);
        fixture.audit.record(AuditKind::LabelsViewed, id(2), &origin).await.expect("is recorded");
    }
    let none = AuditFilter::default();
    for filter in [
        none,
        AuditFilter { subject: Some(id(2)), ..none },
        AuditFilter { actor: Some(id(1)), ..none },
        AuditFilter { to: Some(by(1, 1).at), ..none },
    ] {
        let whole = fixture.find(filter).await;
        let (mut walked, mut cursor) = (Vec::new(), None);
        loop {
            let page = fixture.audit.entries(&filter, cursor, 3).await.expect("lists");
            let Some(last) = page.last() else { break };
            cursor = Some(AuditCursor::of(last));
            walked.extend(page);
        }
        assert_eq!(walked, whole, "{filter:?}");
        assert!(whole.len() >= 8);
    }
}

async fn old_entries_are_deleted_in_bounded_steps_and_newer_ones_stay(fixture: Fixture) {
    for number in 0..7 {
        fixture.audit.record(AuditKind::LabelsViewed, id(2), &by(1, number)).await.expect("is recorded");
    }
    let delete = async |before: Timestamp| fixture.audit.delete_entries(before, 3).await.expect("deletes");
    let before = by(1, 5).at;
    assert_eq!((delete(before).await, delete(before).await, delete(before).await), (3, 2, 0));
    let left: Vec<Timestamp> =
        fixture.find(AuditFilter::default()).await.iter().map(|entry| entry.origin.at).collect();
    assert_eq!(left, [by(1, 6).at, by(1, 5).at]);
}
