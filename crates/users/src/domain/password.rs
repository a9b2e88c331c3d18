use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use secrecy::{ExposeSecret, SecretString};

use super::Invalid;

/// The most common passwords of leaked collections, lower-cased; `data/common-passwords.LICENSE.md` says where they come from.
static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("../../data/common-passwords.txt").lines().collect());

/// A password that somebody chose: long enough and not one of those that are tried first. There are no rules of composition:
/// they make passwords harder to remember and no harder to guess.
///
/// It is wiped from memory when dropped and never printed, stored or queued; what is kept is `Credentials`.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// The fewest characters.
    pub const MIN: usize = 8;
    /// The most characters.
    pub const MAX: usize = 128;

    /// Checks a password that somebody chose.
    ///
    /// # Errors
    /// `too_short`, `too_long`, `control_character`, or `common_password`.
    pub fn parse(typed: &str) -> Result<Self, Invalid> {
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
            return Err(Invalid::new("common_password", "is one of the passwords that are tried first"));
        }
        Ok(Self(typed.into()))
    }

    /// The password itself, for hashing and nothing else.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What is kept of a password: an argon2id hash with its salt and parameters, as a PHC string.
#[derive(Clone)]
pub struct Credentials(SecretString);

impl Credentials {
    /// Wraps a PHC string that was made by hashing, or stored before.
    pub fn from_phc(phc: String) -> Self {
        Self(phc.into())
    }

    /// The PHC string, for verifying and storing.
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
    fn length_counts_characters_and_nothing_else_is_asked() {
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

    proptest! {
        #[test]
        fn what_is_accepted_is_kept_exactly(typed in "\\PC{8,128}") {
            if let Ok(password) = Password::parse(&typed) {
                prop_assert_eq!(password.secret().expose_secret(), typed);
            }
        }
    }
}
