use std::fmt;
use std::hash::{Hash, Hasher};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use kernel::{fold_case, is_word, nfc};

use super::Invalid;

/// An e-mail address as it was typed. Two addresses are equal if their keys are equal: the local part in NFC
/// and without case, the domain in its ASCII form. By the standard, `Ann@example.org` and `ann@example.org`
/// may belong to two people; in practice they belong to one.
///
/// `Debug` does not print the address, so that it does not get into a log by accident.
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

    /// Checks an address as it was typed, without outer spaces. The rule is that of browsers (HTML, "valid
    /// e-mail address") without dots in a row, and with the letters and marks of all scripts (RFC 6531). The
    /// domain must have an ASCII form (IDNA, UTS #46). It does not check whether the address receives mail.
    ///
    /// # Errors
    /// `too_long`, or `invalid_email`.
    pub fn parse(typed: &str) -> Result<Self, Invalid> {
        let typed = typed.trim();
        if typed.chars().count() > Self::MAX {
            return Err(Invalid::new("too_long", format!("must have at most {} characters", Self::MAX)));
        }
        let key = key_of(typed).ok_or_else(|| {
            Invalid::new("invalid_email", "must be a valid e-mail address, such as ann@example.org")
        })?;
        Ok(Self { typed: typed.to_owned(), key })
    }

    /// Wraps an address that was stored before. It passed the rules of its day.
    pub fn stored(typed: String) -> Self {
        Self { key: key_of(&typed).unwrap_or_else(|| fold_case(&typed)), typed }
    }

    /// Returns the address as it was typed.
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// Returns the key, which is equal for equal addresses. Every index uses it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the key that programs before form 2 gave this address. Addresses that were two by it may be
    /// one by [`Email::key`]; accounts that have them are still found by the former key.
    pub fn former_key(&self) -> String {
        self.typed.to_uppercase().chars().flat_map(char::to_lowercase).collect()
    }
}

/// Returns the key of an address, or `None` if the text is not an address.
fn key_of(typed: &str) -> Option<String> {
    let (local, domain) = typed.rsplit_once('@')?;
    let local = nfc(local);
    if !is_local(&local) || !domain.split(is_dot).all(|label| label.split('-').all(is_part)) {
        return None;
    }
    // Two hyphens in the third and fourth place are not checked: such names exist.
    let domain = Uts46::new().to_ascii(
        domain.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::CheckFirstLast,
        DnsLength::Verify,
    );
    Some(format!("{}@{}", fold_case(&local), domain.ok()?))
}

fn is_local(local: &str) -> bool {
    let special = |c: char| "!#$%&'*+/=?^_`{|}~-".contains(c);
    local.chars().count() <= Email::MAX_LOCAL
        && local.split('.').all(|atom| !atom.is_empty() && atom.split(special).all(is_part))
}

/// Checks the text between two signs, which may be empty. A blank or a formatting character is not allowed in
/// an address.
fn is_part(text: &str) -> bool {
    text.is_empty() || is_word(text)
}

/// Recognises the full stops of UTS #46. A keyboard for Chinese or Japanese types another one by default.
fn is_dot(c: char) -> bool {
    matches!(c, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
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

    fn key(typed: &str) -> String {
        Email::parse(typed).expect(typed).key().to_owned()
    }

    #[test]
    fn the_two_forms_of_a_final_letter_are_equal() {
        assert_eq!(key("ΑΣ@example.org"), key("ας@example.org"));
        assert_eq!(key("ας@example.org"), key("ασ@example.org"));
    }

    #[test]
    fn real_addresses_are_accepted_as_typed() {
        for good in [
            "ann@example.org",
            "Ann.O'Hara+news@mail.example.org",
            "x@localhost",
            "1@2.example",
            "jörg@münchen.example",
            "a_b-c@sub-domain.example",
            "संपर्क@डाटामेल.भारत",
            "คน@อีเมล.ไทย",
            "jo\u{308}rg@example.org",
            "用户@例子。中国",
            "ক্\u{200d}ষ@example.org",
        ] {
            assert_eq!(Email::parse(good).expect(good).as_str(), good);
        }
    }

    #[test]
    fn a_domain_is_compared_in_its_ascii_form() {
        assert_eq!(key("jörg@münchen.example"), "jörg@xn--mnchen-3ya.example");
        for same in ["JÖRG@XN--MNCHEN-3YA.example", "jo\u{308}rg@MU\u{308}NCHEN.example"] {
            assert_eq!(key(same), key("jörg@münchen.example"), "{same}");
        }
        assert_eq!(key("用户@例子。中国"), key("用户@例子.中国"));
    }

    #[test]
    fn case_folding_merges_no_different_letters() {
        assert_ne!(key("ısı@example.org"), key("isi@example.org"));
        assert_ne!(key("weiß@example.org"), key("weiss@example.org"));
        assert_ne!(key("a@straße.example"), key("a@strasse.example"));
    }

    #[test]
    fn spaces_around_an_address_are_removed() {
        assert_eq!(
            Email::parse(" \tann@example.org\u{a0}\n").expect("an address").as_str(),
            "ann@example.org"
        );
    }

    #[test]
    fn an_address_that_was_stored_under_older_rules_has_a_key() {
        for old in ["a@xn--a.example", "Ann@-.example", "a@\u{3164}.example"] {
            assert!(Email::parse(old).is_err());
            assert_eq!(Email::stored(old.to_owned()).key(), fold_case(old));
        }
        assert_eq!(Email::stored("Ann@Example.org".to_owned()).key(), "ann@example.org");
    }

    #[test]
    fn a_text_that_is_not_an_address_is_refused() {
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
            "\u{308}a@example.org",
            "\u{3164}@example.org",
            "a\u{fe0f}@example.org",
            "a@\u{308}.example",
            "a@xn--a.example",
            "a@ex_ample.org",
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
