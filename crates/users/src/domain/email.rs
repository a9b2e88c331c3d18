use std::fmt;
use std::hash::{Hash, Hasher};

use super::Invalid;

/// An e-mail address, kept as it was typed and compared without regard to case: by the letter of the standard
/// `Ann@example.org` and `ann@example.org` may be two people, in the world they are one.
///
/// `Debug` prints no address, so that none gets into a log by accident.
#[derive(Clone)]
pub struct Email {
    typed: String,
    key: String,
}

impl Email {
    /// The most characters of an address.
    pub const MAX: usize = 254;
    /// The most characters before the `@` (RFC 5321 §4.5.3.1.1).
    const MAX_LOCAL: usize = 64;

    /// Checks an address that somebody typed. The rule is that of browsers (HTML, "valid e-mail address") without dots in a row,
    /// and with letters beyond ASCII (RFC 6531). Whether somebody reads the mail is another question.
    ///
    /// # Errors
    /// `too_long`, or `invalid_email`.
    pub fn parse(typed: &str) -> Result<Self, Invalid> {
        if typed.chars().count() > Self::MAX {
            return Err(Invalid::new("too_long", format!("must have at most {} characters", Self::MAX)));
        }
        let valid =
            typed.rsplit_once('@').is_some_and(|(local, domain)| is_local(local) && is_domain(domain));
        if !valid {
            return Err(Invalid::new("invalid_email", "must be an e-mail address"));
        }
        // Up and down again: lower case alone depends on where a letter stands (the Greek sigma at the end of a word).
        let key = typed.to_uppercase().chars().flat_map(char::to_lowercase).collect();
        Ok(Self { typed: typed.to_owned(), key })
    }

    /// The address as it was typed.
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// What is equal for equal addresses: the key of every index.
    pub fn key(&self) -> &str {
        &self.key
    }
}

fn is_local(local: &str) -> bool {
    local.chars().count() <= Email::MAX_LOCAL
        && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_character))
}

fn is_atom_character(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c)
    } else {
        // Marks belong to letters of many scripts; a formatting or blank character belongs to no address.
        c.is_alphanumeric()
    }
}

fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=63).contains(&label.chars().count())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    })
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Email {}

impl Hash for Email {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_letter_that_looks_different_at_the_end_of_a_word_is_the_same_letter() {
        let key = |typed: &str| Email::parse(typed).expect("an address").key().to_owned();
        assert_eq!(key("ΑΣ@example.org"), key("ας@example.org"));
        assert_eq!(key("ας@example.org"), key("ασ@example.org"));
    }

    #[test]
    fn addresses_that_people_have_are_accepted_as_typed() {
        for good in [
            "ann@example.org",
            "Ann.O'Hara+news@mail.example.org",
            "x@localhost",
            "1@2.example",
            "jörg@münchen.example",
            "a_b-c@sub-domain.example",
        ] {
            assert_eq!(Email::parse(good).expect(good).as_str(), good);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "@",
            "ann",
            "ann@",
            "@example.org",
            "a b@example.org",
            "a@b@",
            "a..b@example.org",
            ".a@example.org",
            "a.@example.org",
            "a@-b.org",
            "a@b-.org",
            "a@b..org",
            "a@example.org.",
            " a@example.org",
            "a@example.org\n",
            "a\u{0}b@example.org",
            "a@exa\u{200b}mple.org",
            "\"a b\"@example.org",
            "a@[127.0.0.1]",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn length_counts_characters() {
        let domain = |length: usize| format!("{}.org", vec!["d".repeat(49); length / 50].join("."));
        let longest = format!("{}@{}", "a".repeat(50), domain(200));
        assert_eq!(longest.chars().count(), 254);
        assert!(Email::parse(&longest).is_ok());
        assert_eq!(Email::parse(&format!("a{longest}")).expect_err("one too many").code, "too_long");
        assert!(Email::parse(&format!("{}@example.org", "a".repeat(65))).is_err());
    }

    #[test]
    fn an_address_is_not_printed_by_accident() {
        assert!(!format!("{:?}", Email::parse("ann@example.org").expect("valid")).contains("ann"));
    }

    proptest! {
        #[test]
        fn case_never_makes_a_difference(local in "[a-zA-Z]{1,20}", domain in "[a-zA-Z]{1,20}") {
            let typed = format!("{local}@{domain}.example");
            let email = Email::parse(&typed).expect("valid");
            prop_assert_eq!(&email, &Email::parse(&typed.to_uppercase()).expect("valid"));
            prop_assert_eq!(&email, &Email::parse(&typed.to_lowercase()).expect("valid"));
            prop_assert_eq!(email.as_str(), typed);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = Email::parse(&text);
        }
    }
}
