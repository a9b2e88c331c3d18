//! The laws of changes of accounts and their passwords.

use super::*;

fn readdressing(address: &str) -> AccountChange {
    AccountChange { email: Some(email(address)), ..AccountChange::default() }
}

pub(super) async fn an_update_changes_the_named_fields_keeps_the_others_and_makes_the_next_version(
    fixture: Fixture,
) {
    let ann = fixture.insert(1, "ann@example.org").await;
    let changed = fixture.store.update(id(1), &at(1), &renaming("Anna"), &BY).await.expect("is changed");
    let expected = User { name: Name::parse("Anna").expect("a name"), version: Version::new(2), ..ann.user };
    assert_eq!((&changed, &fixture.user(1).await), (&expected, &expected));

    let credentials = Some(Credentials::from_phc("$argon2id$new".to_owned()));
    let change =
        AccountChange { email: Some(email("Anna@Example.org")), credentials, ..AccountChange::default() };
    let changed = fixture.store.update(id(1), &Expected::Any, &change, &BY).await.expect("is changed");
    assert_eq!((changed.version, changed.email.as_str()), (Version::new(3), "Anna@Example.org"));
    let account =
        fixture.store.account_by_email(&email("anna@example.org")).await.expect("looks").expect("is there");
    assert_eq!((account.credentials.phc(), account.user), ("$argon2id$new", changed));
    assert!(fixture.store.account_by_email(&email("ann@example.org")).await.expect("looks").is_none());
}

pub(super) async fn one_of_several_parallel_updates_of_one_version_succeeds(fixture: Fixture) {
    fixture.warm().await;
    fixture.insert(1, "ann@example.org").await;
    let changes: Vec<AccountChange> = (0..12).map(|number| renaming(&format!("Ann {number}"))).collect();
    let (one, tries) = (at(1), changes.iter());
    let outcomes =
        futures::future::join_all(tries.map(|change| fixture.store.update(id(1), &one, change, &BY))).await;
    let stale = |outcome: &&Result<User, UserStoreError>| matches!(outcome, Err(UserStoreError::Stale { current }) if current.number() == 2);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(stale).count(), 11);
    assert_eq!(fixture.user(1).await.version, Version::new(2));
}

pub(super) async fn an_update_of_an_unknown_account_is_refused_as_not_found(fixture: Fixture) {
    let outcome = fixture.store.update(id(1), &Expected::Any, &renaming("Anna"), &BY).await;
    assert!(matches!(outcome, Err(UserStoreError::NotFound)));
    let outcome = fixture.store.set_role(id(1), Role::Admin, &Sections::All, &BY).await;
    assert!(matches!(outcome, Err(UserStoreError::NotFound)));
}

pub(super) async fn an_update_to_the_email_of_another_account_is_refused_and_changes_nothing(
    fixture: Fixture,
) {
    let ann = fixture.insert(1, "ann@example.org").await;
    fixture.insert(2, "bob@example.org").await;
    let change = AccountChange { name: Name::parse("Bob").ok(), ..readdressing("BOB@example.org") };
    let outcome = fixture.store.update(id(1), &at(1), &change, &BY).await;
    assert!(matches!(outcome, Err(UserStoreError::EmailTaken)));
    assert_eq!(fixture.user(1).await, ann.user);
    let outcome = fixture.store.update(id(1), &at(7), &change, &BY).await;
    assert!(matches!(outcome, Err(UserStoreError::Stale { .. })), "a stale version is checked first");
}

pub(super) async fn an_account_may_change_the_case_of_letters_of_its_own_email(fixture: Fixture) {
    fixture.insert(1, "ann@example.org").await;
    let changed =
        fixture.store.update(id(1), &at(1), &readdressing("Ann@Example.org"), &BY).await.expect("is changed");
    assert_eq!(changed.email.as_str(), "Ann@Example.org");
}

pub(super) async fn an_update_with_proven_credentials_that_are_no_longer_current_is_refused(
    fixture: Fixture,
) {
    let ann = fixture.insert(1, "ann@example.org").await;
    let proven = |credentials: Credentials| AccountChange { proven: Some(credentials), ..renaming("Anna") };
    let old = Credentials::from_phc("$argon2id$older".to_owned());
    let outcome = fixture.store.update(id(1), &Expected::Any, &proven(old), &BY).await;
    assert!(matches!(outcome, Err(UserStoreError::Stale { .. })));
    assert!(fixture.store.update(id(1), &Expected::Any, &proven(ann.credentials), &BY).await.is_ok());
}

fn credentials(phc: &str) -> Credentials {
    Credentials::from_phc(phc.to_owned())
}

pub(super) async fn another_hash_of_the_same_password_makes_no_version_and_ends_no_session(fixture: Fixture) {
    let ann = fixture.insert(1, "ann@example.org").await;
    fixture.insert(2, "bob@example.org").await;
    fixture.open(5, 1, NOW).await;
    let new = credentials("$argon2id$new");
    assert!(fixture.store.rehash(id(1), &ann.credentials, &new).await.expect("is stored"));
    let stored = fixture.store.account(id(1)).await.expect("looks").expect("is there");
    assert_eq!(stored, Account { user: ann.user, credentials: new.clone() });
    assert_eq!(fixture.open_ones(1, NOW).await, [5]);
    let bob = fixture.store.account(id(2)).await.expect("looks").expect("is there");
    assert_ne!(bob.credentials, new);
    assert!(fixture.messages().await.is_empty());
}

pub(super) async fn a_hash_that_was_proven_and_is_no_longer_current_is_not_replaced(fixture: Fixture) {
    let ann = fixture.insert(1, "ann@example.org").await;
    let (other, new) = (credentials("$argon2id$other"), credentials("$argon2id$new"));
    let change = AccountChange { credentials: Some(other.clone()), ..AccountChange::default() };
    fixture.store.update(id(1), &Expected::Any, &change, &BY).await.expect("is changed");
    assert!(!fixture.store.rehash(id(1), &ann.credentials, &new).await.expect("looks"));
    let stored = fixture.store.account(id(1)).await.expect("looks").expect("is there");
    assert_eq!((stored.credentials, stored.user.version), (other, Version::new(2)));
    assert!(!fixture.store.rehash(id(9), &ann.credentials, &new).await.expect("looks"));
}

pub(super) async fn hashes_of_one_cost_are_counted_together_and_hashes_of_different_costs_separately(
    fixture: Fixture,
) {
    assert!(fixture.store.hash_costs().await.expect("counts").is_empty());
    let head = |passes: u32| format!("$argon2id$v=19$m=19456,t={passes},p=1$");
    for (number, passes) in [(1, 2), (2, 3), (3, 2)] {
        let mut account = account(number, &format!("reader{number}@example.org"));
        account.credentials = Credentials::from_phc(format!("{}c2FsdA$aGFzaA{number}", head(passes)));
        fixture.store.insert(&account).await.expect("is stored");
    }
    let costs = fixture.store.hash_costs().await.expect("counts");
    let expected = [(2, 2), (3, 1)].map(|(passes, accounts)| HashCost { head: head(passes), accounts });
    assert_eq!(costs, expected);
}
