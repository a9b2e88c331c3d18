use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use kernel::nfc;
use secrecy::{ExposeSecret, SecretString};

use super::Invalid;

/// The most common passwords of leaked collections, in lower case; `data/common-passwords.LICENSE.md` names
/// the source.
static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("../../data/common-passwords.txt").lines().collect());

/// A chosen password: long enough, and not one that attackers try first. There are no rules of composition,
/// because they make passwords harder to remember and no harder to guess. It has the form of `prepare`, so
/// that it does not depend on the keyboard that it was typed with.
///
/// It is wiped from memory when dropped, and never printed, stored or queued; what is stored is
/// `Credentials`.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// The fewest characters.
    pub const MIN: usize = 8;
    /// The most characters.
    pub const MAX: usize = 128;

    /// Prepares and checks a chosen password.
    ///
    /// # Errors
    /// `too_short`, `too_long`, `control_character`, or `common_password`.
    pub fn parse(typed: &str) -> Result<Self, Invalid> {
        let prepared = prepare(typed);
        let typed = prepared.expose_secret();
        let length = typed.chars().count();
        if length < Self::MIN {
            return Err(Invalid::new("too_short", format!("must have at least {} characters", Self::MIN)));
        }
        if length > Self::MAX {
            return Err(Invalid::new("too_long", format!("must have at most {} characters", Self::MAX)));
        }
        if typed.chars().any(char::is_control) {
            return Err(Invalid::new("control_character", "must not contain control characters"));
        }
        if COMMON.contains(typed.to_lowercase().as_str()) {
            return Err(Invalid::new(
                "common_password",
                "must not be one of the passwords that attackers try first",
            ));
        }
        Ok(Self(prepared))
    }

    /// Returns the password itself, for hashing only.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Returns a password in the form in which it is hashed and compared (RFC 8265, OpaqueString): every space is
/// the ASCII space, and letters with marks are in NFC. Case stays, and so do characters that the profile
/// would refuse: a password that was chosen before must still work, and the length is checked in
/// [`Password::parse`].
pub fn prepare(typed: &str) -> SecretString {
    if typed.is_ascii() {
        return typed.into();
    }
    let categories = CodePointMapData::<GeneralCategory>::new();
    let space = |c: char| if categories.get(c) == GeneralCategory::SpaceSeparator { ' ' } else { c };
    let mut spaced = String::with_capacity(typed.len());
    spaced.extend(typed.chars().map(space));
    let prepared = nfc(&spaced).as_ref().into();
    // The copy is wiped, as secrets are.
    drop(SecretString::from(spaced));
    prepared
}

/// The stored form of a password: an argon2id hash with its salt and parameters, as a PHC string.
#[derive(Clone)]
pub struct Credentials(SecretString);

impl Credentials {
    /// Wraps a PHC string that was made by hashing, or stored before.
    pub fn from_phc(phc: String) -> Self {
        Self(phc.into())
    }

    /// Returns the PHC string, for verifying and storing.
    pub fn phc(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.phc() == other.phc()
    }
}

impl Eq for Credentials {}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(typed: &str) -> &'static str {
        Password::parse(typed).expect_err("is refused").code
    }

    #[test]
    fn the_block_list_holds_at_least_ten_thousand_passwords_of_allowed_length() {
        let usable = COMMON.iter().filter(|word| word.chars().count() >= Password::MIN).count();
        assert!(usable >= 10_000, "{usable}");
        assert!(COMMON.contains("12345678"));
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for common in ["12345678", "password", "PassWord", "iloveyou", "1234567890"] {
            assert_eq!(code(common), "common_password");
        }
    }

    #[test]
    fn length_counts_characters_and_there_are_no_rules_of_composition() {
        assert_eq!(code("äöüäöüß"), "too_short");
        assert!(Password::parse("äöüäöüßß").is_ok());
        assert!(Password::parse("correct horse battery staple").is_ok());
        assert!(Password::parse(&"x7".repeat(64)).is_ok());
        assert_eq!(code(&"x7".repeat(65)), "too_long");
        assert_eq!(code("with\u{0}a null"), "control_character");
    }

    #[test]
    fn neither_password_nor_hash_is_printed_by_accident() {
        let password = Password::parse("canary-7f3a9b").expect("valid");
        let credentials = Credentials::from_phc("$argon2id$canary".to_owned());
        assert!(!format!("{password:?} {credentials:?}").contains("canary"));
    }

    #[test]
    fn a_password_does_not_depend_on_the_keyboard() {
        let form = |typed: &str| prepare(typed).expose_secret().to_owned();
        assert_eq!(form("Jo\u{308}rgs Fahrrad"), form("Jörgs\u{a0}Fahrrad"));
        assert_eq!(form("Jörgs\u{3000}Fahrrad"), "Jörgs Fahrrad");
        assert_ne!(form("jörgs fahrrad"), form("Jörgs Fahrrad"));
        // Width, compatibility forms and outer spaces make a difference: only what depends on the keyboard is
        // normalised.
        assert_ne!(form("ｐａｓｓ"), form("pass"));
        assert_eq!(form(" é "), " é ");
        assert_eq!(code("u\u{308}u\u{308}u\u{308}u\u{308}"), "too_short");
    }

    proptest! {
        #[test]
        fn an_accepted_password_has_the_prepared_form(typed in "\\PC{8,128}") {
            if let Ok(password) = Password::parse(&typed) {
                let kept = password.secret().expose_secret();
                let (once, twice) = (prepare(&typed), prepare(kept));
                prop_assert_eq!(kept, once.expose_secret());
                prop_assert_eq!(kept, twice.expose_secret());
                prop_assert!(!typed.is_ascii() || kept == typed);
            }
        }
    }
}
