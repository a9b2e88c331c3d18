use std::sync::Arc;

use bus::{Envelope, Outbox};
use kernel::{Expected, MessageId, Role, Section, Sections, Version};
use prost::Message;
use proto::users::v1::{ConsentChanged, UserErased};
use testkit::Folder;
use uuid::Uuid;

use super::servers::{Place, Schema};
use super::{BY, NOW, account, email, id};
use crate::domain::{Account, AccountChange, Consent, ConsentChoice, Credentials, Name, User};
use crate::ports::{HashCost, InsertOutcome, UserStore, UserStoreError};
use crate::store::postgres::PostgresUserStore;
use crate::store::sqlite::SqliteUserStore;

struct Fixture {
    store: Arc<dyn UserStore>,
    outbox: Arc<dyn Outbox>,
    place: Place,
}

impl Fixture {
    async fn insert(&self, number: u128, address: &str) -> Account {
        let account = account(number, address);
        assert_eq!(self.store.insert(&account).await.expect("is stored"), InsertOutcome::Stored);
        account
    }

    async fn admin(&self, number: u128) {
        self.insert(number, &format!("admin{number}@example.org")).await;
        self.store.set_role(id(number), Role::Admin, &Sections::All, &BY).await.expect("is an admin");
    }

    async fn messages(&self) -> Vec<Envelope> {
        self.outbox.unsent(100).await.expect("lists").into_iter().map(|(_, message)| message).collect()
    }

    /// Opens the connections of the adapter. On a busy machine, opening many takes longer than a request
    /// waits for one.
    async fn warm(&self) {
        let _ = futures::future::join_all((0..16).map(|_| self.store.has_admin())).await;
    }

    async fn user(&self, number: u128) -> User {
        self.store.by_id(id(number)).await.expect("looks").expect("is there")
    }
}

fn message_id() -> MessageId {
    MessageId::new(Uuid::from_u128(77))
}

fn renaming(name: &str) -> AccountChange {
    AccountChange { name: Name::parse(name).ok(), ..AccountChange::default() }
}

fn at(version: u32) -> Expected {
    Expected::exactly(Version::new(version))
}

macro_rules! every_case {
    ($open:path, $reopen:path $(, ignore = $reason:literal)?) => {
        testkit::cases! { [$open $(, ignore = $reason)?]
            in (super) {
                an_inserted_account_is_read_back_unchanged,
                inserting_an_id_again_changes_nothing_and_says_so,
                inserting_an_erased_id_changes_nothing_and_says_so,
                an_insert_with_the_email_of_another_account_is_refused,
                one_of_several_parallel_inserts_of_one_email_is_stored,
                each_of_many_accounts_has_its_own_outcome,
                the_first_admin_is_stored_only_while_there_is_no_admin,
                a_first_admin_with_the_email_of_another_account_is_refused,
                an_unknown_id_has_no_account,
                ids_without_an_account_are_left_out,
                an_account_is_found_by_its_email_in_any_case_of_letters,
                a_listing_is_ordered_by_registration_and_counts_all_accounts,
                an_update_changes_the_named_fields_keeps_the_others_and_makes_the_next_version,
                one_of_several_parallel_updates_of_one_version_succeeds,
                an_update_of_an_unknown_account_is_refused_as_not_found,
                an_update_to_the_email_of_another_account_is_refused_and_changes_nothing,
                an_account_may_change_the_case_of_letters_of_its_own_email,
                an_update_with_proven_credentials_that_are_no_longer_current_is_refused,
                another_hash_of_the_same_password_makes_no_version_and_ends_no_session,
                a_hash_that_was_proven_and_is_no_longer_current_is_not_replaced,
                hashes_of_one_cost_are_counted_together_and_hashes_of_different_costs_separately,
                a_new_role_makes_the_next_version,
                the_last_admin_keeps_the_role_even_if_two_are_demoted_at_the_same_time,
                an_erased_account_is_gone_from_every_read_and_its_email_is_free,
                the_event_of_an_erasure_is_written_in_its_transaction,
                an_erasure_of_an_unknown_account_is_refused_and_writes_no_event,
                the_last_admin_is_not_erased,
                a_new_account_has_consented_to_nothing,
                a_changed_consent_has_the_next_version_and_its_event_is_written_in_the_same_transaction,
                a_consent_that_changes_nothing_writes_no_event,
                a_consent_of_an_unknown_account_is_refused_as_not_found,
                an_opened_session_is_listed_and_its_token_is_good,
                a_session_of_an_unknown_account_is_refused_as_not_found,
                a_session_with_proven_credentials_that_are_no_longer_current_is_refused,
                an_account_has_a_bounded_number_of_sessions_and_the_longest_unused_one_ends_for_a_new_one,
                many_sessions_that_are_opened_in_parallel_stay_within_the_bound,
                a_refresh_returns_the_account_and_the_consent_as_they_are_now,
                one_of_several_parallel_refreshes_with_one_token_makes_the_next_token,
                a_token_that_was_used_before_ends_its_session_and_the_next_token_with_it,
                the_token_before_the_newest_gets_the_same_answer_for_a_short_time_and_changes_nothing,
                a_refresh_that_is_repeated_with_its_key_gets_the_same_answer_and_changes_nothing,
                a_session_is_found_by_its_account_and_id_and_by_its_series_until_it_expires,
                an_unknown_token_and_a_token_of_an_expired_session_end_nothing,
                an_expired_session_is_not_listed,
                only_the_named_session_ends_and_by_its_account_only,
                ending_all_sessions_of_an_account_ends_no_session_of_another_account,
                a_new_password_ends_all_sessions_except_the_named_one_and_no_other_update_ends_any,
                the_sessions_of_an_erased_account_end,
                a_store_answers_when_asked,
            }
        }

        #[tokio::test(flavor = "multi_thread")]
        $(#[ignore = $reason])?
        async fn the_effects_of_answered_calls_survive_the_process() {
            super::the_effects_of_answered_calls_survive_the_process($open().await, $reopen).await;
        }
    };
}

mod sqlite {
    use super::*;

    async fn at(place: Folder) -> Fixture {
        let url = place.sqlite("users.db");
        let store = SqliteUserStore::open(&url).await.expect("opens");
        let outbox = store.outbox();
        Fixture { store: Arc::new(store), outbox: Arc::new(outbox), place: Place::Folder(place) }
    }

    async fn open() -> Fixture {
        at(Folder::new()).await
    }

    async fn reopen(before: Fixture) -> Fixture {
        let Fixture { store, outbox, place } = before;
        // The store is dropped without closing it: the content of the file must be enough.
        drop((store, outbox));
        let Place::Folder(folder) = place else { unreachable!("the place is a folder") };
        at(folder).await
    }

    every_case!(open, reopen);
}

mod postgres;
mod sessions;
mod updates;

use sessions::*;
use updates::*;

async fn an_inserted_account_is_read_back_unchanged(fixture: Fixture) {
    let mut ann = account(1, "Ann@Example.org");
    ann.user.role = Role::Editor;
    ann.user.sections = Sections::Only([Section::Sports, Section::Famous].into());
    fixture.store.insert(&ann).await.expect("is stored");
    let read = fixture.store.account(id(1)).await.expect("looks").expect("is there");
    assert_eq!((&read, read.user.email.as_str()), (&ann, "Ann@Example.org"));
    assert_eq!(fixture.user(1).await, ann.user);
}

async fn inserting_an_id_again_changes_nothing_and_says_so(fixture: Fixture) {
    let ann = fixture.insert(1, "ann@example.org").await;
    let changed = fixture.store.update(id(1), &at(1), &renaming("Anna"), &BY).await.expect("is changed");
    assert_eq!(fixture.store.insert(&ann).await.expect("says so"), InsertOutcome::AlreadyThere);
    assert_eq!(fixture.user(1).await, changed);
}

async fn inserting_an_erased_id_changes_nothing_and_says_so(fixture: Fixture) {
    let ann = fixture.insert(1, "ann@example.org").await;
    fixture.store.erase(id(1), message_id(), &BY).await.expect("is erased");
    assert_eq!(fixture.store.insert(&ann).await.expect("says so"), InsertOutcome::Erased);
    assert_eq!(fixture.store.by_id(id(1)).await.expect("looks"), None);
}

async fn an_insert_with_the_email_of_another_account_is_refused(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    let outcome = fixture.store.insert(&account(2, "ANN@example.org")).await;
    assert!(matches!(outcome, Err(UserStoreError::EmailTaken)));
}

async fn one_of_several_parallel_inserts_of_one_email_is_stored(fixture: Fixture) {
    fixture.warm().await;
    let accounts: Vec<Account> = (1..=16).map(|number| account(number, "ann@example.org")).collect();
    let outcomes =
        futures::future::join_all(accounts.iter().map(|account| fixture.store.insert(account))).await;
    let stored = outcomes.iter().filter(|outcome| matches!(outcome, Ok(InsertOutcome::Stored))).count();
    let refused =
        outcomes.iter().filter(|outcome| matches!(outcome, Err(UserStoreError::EmailTaken))).count();
    assert_eq!((stored, refused), (1, 15));
}

async fn each_of_many_accounts_has_its_own_outcome(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    fixture.insert(2, "bob@example.org").await;
    fixture.store.erase(id(2), message_id(), &BY).await.expect("is erased");
    let accounts = [
        account(3, "cem@example.org"),
        account(1, "ann@example.org"),
        account(4, "ANN@example.org"),
        account(2, "bob@example.org"),
        account(5, "Cem@example.org"),
        account(6, "dot@example.org"),
        account(3, "cem@example.org"),
    ];
    let outcomes = fixture.store.insert_all(&accounts).await.expect("the store is there");
    let found: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().ok().copied()).collect();
    let (stored, there, erased) =
        (Some(InsertOutcome::Stored), Some(InsertOutcome::AlreadyThere), Some(InsertOutcome::Erased));
    assert_eq!(found, [stored, there, None, erased, None, stored, there]);
    let taken = |at: usize| matches!(outcomes[at], Err(UserStoreError::EmailTaken));
    assert!(taken(2) && taken(4));
    assert_eq!(fixture.store.list(0, 10).await.expect("lists").total, 3);
    assert_eq!(fixture.store.account(id(6)).await.expect("looks").as_ref(), Some(&accounts[5]));
    assert!(fixture.store.insert_all(&[]).await.expect("is nothing").is_empty());
}

async fn the_first_admin_is_stored_only_while_there_is_no_admin(fixture: Fixture) {
    let admin = |number: u128| {
        let mut account = account(number, &format!("admin{number}@example.org"));
        account.user.role = Role::Admin;
        account
    };
    assert!(!fixture.store.has_admin().await.expect("looks"));
    let (first, second) = (admin(1), admin(2));
    let outcomes = futures::future::join_all([
        fixture.store.insert_first_admin(&first),
        fixture.store.insert_first_admin(&second),
    ]);
    let mut outcomes: Vec<InsertOutcome> =
        outcomes.await.into_iter().map(|outcome| outcome.expect("no clash")).collect();
    outcomes.sort_by_key(|inserted| *inserted != InsertOutcome::Stored);
    assert_eq!(outcomes, [InsertOutcome::Stored, InsertOutcome::AlreadyThere]);
    assert!(fixture.store.has_admin().await.expect("looks"));
}

async fn a_first_admin_with_the_email_of_another_account_is_refused(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    let mut admin = account(2, "Ann@example.org");
    admin.user.role = Role::Admin;
    assert!(matches!(fixture.store.insert_first_admin(&admin).await, Err(UserStoreError::EmailTaken)));
    assert_eq!(fixture.user(1).await.role, Role::Reader);
}

async fn an_unknown_id_has_no_account(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    assert!(fixture.store.by_id(id(2)).await.expect("looks").is_none());
    assert!(fixture.store.account(id(2)).await.expect("looks").is_none());
    assert!(fixture.store.account_by_email(&email("bob@example.org")).await.expect("looks").is_none());
    assert!(fixture.store.consent(id(2)).await.expect("looks").is_none());
}

async fn ids_without_an_account_are_left_out(fixture: Fixture) {
    for number in [1, 2, 3] {
        fixture.insert(number, &format!("reader{number}@example.org")).await;
    }
    let users = fixture.store.by_ids(&[id(3), id(9), id(1)]).await.expect("looks");
    let mut found: Vec<_> = users.into_iter().map(|user| user.id).collect();
    found.sort_unstable();
    assert_eq!(found, [id(1), id(3)]);
    assert!(fixture.store.by_ids(&[]).await.expect("looks").is_empty());
}

async fn an_account_is_found_by_its_email_in_any_case_of_letters(fixture: Fixture) {
    let ann = fixture.insert(1, "Jörg@Example.org").await;
    let found = fixture.store.account_by_email(&email("JÖRG@example.ORG")).await.expect("looks");
    assert_eq!(found, Some(ann));
}

async fn a_listing_is_ordered_by_registration_and_counts_all_accounts(fixture: Fixture) {
    for number in [30, 10, 50, 20, 40] {
        fixture.insert(number, &format!("reader{number}@example.org")).await;
    }
    let range = async |start, count| {
        let listing = fixture.store.list(start, count).await.expect("lists");
        assert_eq!(listing.total, 5);
        listing.users.into_iter().map(|user| user.id.uuid().as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(range(0, 2).await, [10, 20]);
    assert_eq!(range(2, 100).await, [30, 40, 50]);
    assert!(range(5, 1).await.is_empty());
}

async fn a_new_role_makes_the_next_version(fixture: Fixture) {
    let ann = fixture.insert(1, "ann@example.org").await;
    let sections = Sections::Only([Section::Sports].into());
    let changed = fixture.store.set_role(id(1), Role::Editor, &sections, &BY).await.expect("is changed");
    assert_eq!(changed, User { role: Role::Editor, sections, version: Version::new(2), ..ann.user });
    assert_eq!(fixture.user(1).await, changed);
}

async fn the_last_admin_keeps_the_role_even_if_two_are_demoted_at_the_same_time(fixture: Fixture) {
    fixture.warm().await;
    fixture.admin(1).await;
    fixture.admin(2).await;
    let demote = |number| fixture.store.set_role(id(number), Role::Reader, &Sections::All, &BY);
    let outcomes = futures::future::join_all([demote(1), demote(2)]).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(
        outcomes.iter().filter(|outcome| matches!(outcome, Err(UserStoreError::LastAdmin))).count(),
        1
    );
    assert!(fixture.store.has_admin().await.expect("looks"));
}

async fn an_erased_account_is_gone_from_every_read_and_its_email_is_free(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    let choice = ConsentChoice { personalisation: true, history: true };
    fixture.store.set_consent(id(1), choice, message_id(), &BY).await.expect("is stored");
    fixture.store.erase(id(1), message_id(), &BY).await.expect("is erased");
    assert!(fixture.store.by_id(id(1)).await.expect("looks").is_none());
    assert!(fixture.store.account(id(1)).await.expect("looks").is_none());
    assert!(fixture.store.account_by_email(&email("ann@example.org")).await.expect("looks").is_none());
    assert!(fixture.store.consent(id(1)).await.expect("looks").is_none());
    assert!(fixture.store.by_ids(&[id(1)]).await.expect("looks").is_empty());
    assert_eq!(fixture.store.list(0, 10).await.expect("lists").total, 0);
    fixture.insert(2, "ann@example.org").await;
}

async fn the_event_of_an_erasure_is_written_in_its_transaction(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    fixture.store.erase(id(1), message_id(), &BY).await.expect("is erased");
    let messages = fixture.messages().await;
    assert_eq!((messages.len(), messages[0].id, messages[0].key.as_str()), (1, message_id(), "users.erased"));
    let message = UserErased::decode(messages[0].body.clone()).expect("readable");
    assert_eq!((message.user_id, message.at), (id(1).to_string(), NOW.millis()));
}

async fn an_erasure_of_an_unknown_account_is_refused_and_writes_no_event(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    assert!(matches!(fixture.store.erase(id(2), message_id(), &BY).await, Err(UserStoreError::NotFound)));
    fixture.store.erase(id(1), message_id(), &BY).await.expect("is erased");
    assert!(matches!(fixture.store.erase(id(1), message_id(), &BY).await, Err(UserStoreError::NotFound)));
    assert_eq!(fixture.messages().await.len(), 1);
}

async fn the_last_admin_is_not_erased(fixture: Fixture) {
    fixture.admin(1).await;
    assert!(matches!(fixture.store.erase(id(1), message_id(), &BY).await, Err(UserStoreError::LastAdmin)));
    assert!(fixture.messages().await.is_empty());
    fixture.admin(2).await;
    fixture.store.erase(id(1), message_id(), &BY).await.expect("another admin is left");
}

async fn a_new_account_has_consented_to_nothing(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    assert_eq!(fixture.store.consent(id(1)).await.expect("looks"), Some(Consent::default()));
}

async fn a_changed_consent_has_the_next_version_and_its_event_is_written_in_the_same_transaction(
    fixture: Fixture,
) {
    fixture.insert(1, "ann@example.org").await;
    for (version, history) in [(1, true), (2, false)] {
        let choice = ConsentChoice { personalisation: true, history };
        let consent = fixture.store.set_consent(id(1), choice, message_id(), &BY).await.expect("is stored");
        assert_eq!(consent, Consent { choice, version, changed_at: Some(NOW) });
        assert_eq!(fixture.store.consent(id(1)).await.expect("looks"), Some(consent));
        let sent = fixture.messages().await.pop().expect("a message");
        assert_eq!((sent.key.as_str(), sent.version), ("users.consent_changed", version));
        let message = ConsentChanged::decode(sent.body).expect("readable");
        let expected = ConsentChanged {
            user_id: id(1).to_string(),
            personalisation: true,
            history,
            version,
            at: NOW.millis(),
        };
        assert_eq!(message, expected);
    }
}

async fn a_consent_that_changes_nothing_writes_no_event(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    let consent = fixture
        .store
        .set_consent(id(1), ConsentChoice::default(), message_id(), &BY)
        .await
        .expect("is the same");
    assert_eq!(consent, Consent::default());
    assert!(fixture.messages().await.is_empty());
}

async fn a_consent_of_an_unknown_account_is_refused_as_not_found(fixture: Fixture) {
    let outcome = fixture.store.set_consent(id(1), ConsentChoice::default(), message_id(), &BY).await;
    assert!(matches!(outcome, Err(UserStoreError::NotFound)));
}

async fn a_store_answers_when_asked(fixture: Fixture) {
    assert!(fixture.store.ping().await.is_ok());
    assert!(fixture.store.try_write().await.is_ok());
}

async fn the_effects_of_answered_calls_survive_the_process(
    fixture: Fixture,
    reopen: impl AsyncFnOnce(Fixture) -> Fixture,
) {
    fixture.insert(1, "ann@example.org").await;
    fixture.insert(2, "bob@example.org").await;
    let ann = fixture.store.update(id(1), &at(1), &renaming("Anna"), &BY).await.expect("is changed");
    fixture.store.erase(id(2), message_id(), &BY).await.expect("is erased");
    let fixture = reopen(fixture).await;
    assert_eq!(fixture.user(1).await, ann);
    assert!(fixture.store.by_id(id(2)).await.expect("looks").is_none());
    assert_eq!(fixture.messages().await.len(), 1);
}
