use super::config::{MIN_MEMORY_KIB, MIN_PASSES};
use super::*;

fn cost(waiting: usize) -> PasswordsConfig {
    PasswordsConfig { memory_kib: MIN_MEMORY_KIB, passes: MIN_PASSES, threads: 1, waiting }
}

fn password() -> Password {
    Password::parse("correct horse battery").expect("valid")
}

#[tokio::test]
async fn a_hash_is_argon2id_at_the_configured_cost_with_its_own_salt() {
    let passwords = Passwords::new(&cost(1)).expect("argon2");
    let first = passwords.hash(&password()).await.expect("hashes");
    let second = passwords.hash(&password()).await.expect("hashes");
    assert!(first.phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", first.phc());
    assert_ne!(first, second);
}

fn shape(credentials: &Credentials) -> (Vec<String>, usize, usize) {
    let parts: Vec<String> = credentials.phc().split('$').map(str::to_owned).collect();
    (parts[..4].to_vec(), parts[4].len(), parts[5].len())
}

fn unknown(passwords: &Passwords, number: u32) -> Credentials {
    passwords.unknown.read().expect("no panic").get(number).clone()
}

#[tokio::test]
async fn the_credentials_of_unknown_accounts_have_the_form_of_real_ones() {
    let passwords = Passwords::new(&cost(1)).expect("argon2");
    let known = passwords.hash(&password()).await.expect("hashes");
    for number in [0, 1 << 31, u32::MAX] {
        assert_eq!(shape(&unknown(&passwords, number)), shape(&known));
    }
}

#[tokio::test]
async fn unknown_accounts_have_the_costs_of_known_accounts_in_the_same_shares() {
    let passwords = Passwords::new(&cost(1)).expect("argon2");
    let head = |passes: u32| format!("$argon2id$v=19$m=19456,t={passes},p=1$");
    let costs = |counts: &[(u32, u64)]| -> Vec<HashCost> {
        counts
            .iter()
            .map(|(passes, accounts)| HashCost { head: head(*passes), accounts: *accounts })
            .collect()
    };
    let numbers = || (0..1000).map(|number| number * (u32::MAX / 1000));
    // The share of a thousand numbers that have the cost of `passes`.
    let share = |passes: u32| {
        numbers().filter(|number| unknown(&passwords, *number).phc().starts_with(&head(passes))).count()
    };
    passwords.set_costs(&costs(&[(2, 1), (3, 3)])).expect("sets the costs");
    assert!(share(2).abs_diff(250) <= 1 && share(3).abs_diff(750) <= 1, "{} {}", share(2), share(3));
    // A number that has the current cost keeps it while more and more accounts have it.
    let mut current = Vec::new();
    for raised in [0, 10, 500, 900, 1000] {
        passwords.set_costs(&costs(&[(2, raised), (1, 1000 - raised)])).expect("sets the costs");
        let next: Vec<u32> =
            numbers().filter(|number| unknown(&passwords, *number).phc().starts_with(&head(2))).collect();
        assert!(current.iter().all(|number| next.contains(number)), "{raised}");
        current = next;
    }
    assert_eq!(current.len(), 1000);
    // A text that is not a hash is left out, and without accounts the current cost is left.
    let odd = [
        "",
        "$argon2id$v=19$",
        "$argon2id$v=19$m=1,t=1$",
        "$scrypt$v=19$m=1,t=1,p=1$",
        "$argon2id$v=19$m=x,t=1,p=1$",
    ];
    let odd: Vec<HashCost> = odd.map(|head| HashCost { head: head.to_owned(), accounts: 9 }).into();
    for costs in [&odd[..], &[]] {
        passwords.set_costs(costs).expect("sets the costs");
        assert_eq!(share(2), 1000);
    }
}

#[tokio::test]
async fn only_the_right_password_matches_and_a_text_that_is_not_a_hash_is_an_error() {
    let passwords = Passwords::new(&cost(1)).expect("argon2");
    let stored = passwords.hash(&password()).await.expect("hashes");
    let matches =
        async |typed: &str, stored| passwords.matches(&typed.into(), stored).await.expect("compares");
    assert!(matches("correct horse battery", &stored).await);
    assert!(!matches("Correct horse battery", &stored).await);
    assert!(passwords.matches(&"x".into(), &Credentials::from_phc("plain".to_owned())).await.is_err());
}

#[tokio::test]
async fn a_password_matches_in_every_unicode_form_of_its_letters() {
    let passwords = Passwords::new(&cost(1)).expect("argon2");
    let stored =
        passwords.hash(&Password::parse("Jo\u{308}rgs Fahrrad").expect("valid")).await.expect("hashes");
    for typed in ["Jörgs Fahrrad", "Jo\u{308}rgs Fahrrad", "Jörgs\u{a0}Fahrrad"] {
        assert!(passwords.matches(&typed.into(), &stored).await.expect("compares"), "{typed:?}");
        assert_eq!(passwords.rehash(&typed.into(), &stored).await.expect("looks"), None, "{typed:?}");
    }
    assert!(!passwords.matches(&"jörgs Fahrrad".into(), &stored).await.expect("compares"));
}

#[tokio::test]
async fn a_hash_of_the_typed_text_still_matches_and_is_replaced_by_one_of_the_prepared_form() {
    let passwords = Passwords::new(&cost(1)).expect("argon2");
    let typed: SecretString = "Jo\u{308}rgs Fahrrad".into();
    let old = hash_secret(&passwords.argon, typed.expose_secret().as_bytes()).expect("hashes");
    assert!(passwords.matches(&typed, &old).await.expect("compares"));
    let new = passwords.rehash(&typed, &old).await.expect("looks").expect("another hash");
    assert!(passwords.matches(&"Jörgs Fahrrad".into(), &new).await.expect("compares"));
    assert_eq!(passwords.rehash(&typed, &new).await.expect("looks"), None);
}

#[tokio::test]
async fn a_storm_of_logins_is_refused_immediately_beyond_the_queue() {
    let passwords = Passwords::new(&cost(2)).expect("argon2");
    let typed: SecretString = "whatever it is".into();
    let all = futures::future::join_all((0..10).map(|_| passwords.compare_with_unknown(&typed, 0))).await;
    let busy = all.iter().filter(|outcome| matches!(outcome, Err(PasswordError::Busy))).count();
    assert_eq!((all.len() - busy, busy), (3, 7));
    assert!(passwords.compare_with_unknown(&typed, 0).await.is_ok());
}

#[tokio::test]
async fn a_hash_of_another_cost_is_replaced_and_a_hash_of_the_current_cost_is_not() {
    let passwords = Passwords::new(&cost(1)).expect("argon2");
    let costlier = PasswordsConfig { passes: MIN_PASSES + 1, ..cost(1) };
    let costlier = Passwords::new(&costlier).expect("argon2");
    let stored = passwords.hash(&password()).await.expect("hashes");
    let typed: SecretString = "correct horse battery".into();
    assert_eq!(passwords.rehash(&typed, &stored).await.expect("looks"), None);
    let new = costlier.rehash(&typed, &stored).await.expect("hashes").expect("another hash");
    assert!(new.phc().starts_with("$argon2id$v=19$m=19456,t=3,p=1$"), "{}", new.phc());
    for passwords in [&passwords, &costlier] {
        assert!(passwords.matches(&typed, &new).await.expect("compares"));
    }
}

#[tokio::test]
async fn a_request_without_time_left_is_refused_and_frees_its_place() {
    let passwords = Passwords::new(&cost(2)).expect("argon2");
    let typed: SecretString = "whatever it is".into();
    let in_a_hurry = Context::for_work("users", Duration::ZERO);
    let (first, second) = tokio::join!(
        passwords.compare_with_unknown(&typed, 0),
        in_a_hurry.scope(passwords.compare_with_unknown(&typed, 0))
    );
    assert!(first.is_ok());
    assert!(matches!(second, Err(PasswordError::Busy)));
    assert_eq!(passwords.places.available_permits(), 3);
}
