use std::fmt;

use kernel::{ArticleId, cut, is_ignorable, is_mark, nfc};

/// The readable part of an article's address, unique in its section. It is made once, from the first title:
/// an address that was published stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(String);

/// The most characters of the title in a slug.
const MAX: usize = 80;

impl Slug {
    /// Returns the slugs to try, in this order, until one is free. The last one contains the whole id and
    /// can't be taken, so equal titles never conflict.
    pub fn candidates(title: &str, id: ArticleId) -> [Slug; 3] {
        let base = base(title);
        let id = id.uuid().simple().to_string();
        // The end of a UUIDv7 is random, its start is the time: neighbours share that.
        let (_, tail) = id.split_at(id.len() - 8);
        let short = format!("{base}-{tail}");
        let whole = format!("{base}-{id}");
        [Slug(base), Slug(short), Slug(whole)]
    }

    /// Wraps a slug that was stored before.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the letters, their marks and the digits of a title, in NFC, with one hyphen for everything between
/// them.
fn base(title: &str) -> String {
    // Both are a small i with a dot; the lower case of the tables has a second dot, as a mark.
    let title = nfc(title).replace('İ', "i");
    let mut slug = String::new();
    for c in title.chars().flat_map(char::to_lowercase).filter(|c| !is_ignorable(*c)) {
        let follows = !slug.is_empty() && !slug.ends_with('-');
        if c.is_alphanumeric() || (is_mark(c) && follows) {
            slug.push(c);
        } else if follows && !matches!(c, '\'' | '’') {
            slug.push('-');
        }
    }
    let slug = cut(&nfc(&slug), MAX).trim_matches('-').to_owned();
    if slug.is_empty() { "article".to_owned() } else { slug }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const ID: ArticleId = ArticleId::new(Uuid::from_u128(0x0193_4d00_0000_7000_8000_0000_abcd_1234));

    #[test]
    fn a_slug_reads_like_its_title() {
        let [first, second, third] = Slug::candidates("The Budget’s 3rd reading – passed!", ID);
        assert_eq!(first.as_str(), "the-budgets-3rd-reading-passed");
        assert_eq!(second.as_str(), "the-budgets-3rd-reading-passed-abcd1234");
        assert!(third.as_str().ends_with("-01934d000000700080000000abcd1234"));
    }

    #[test]
    fn a_title_of_another_script_or_of_signs_alone_has_a_slug_too() {
        assert_eq!(Slug::candidates("Выборы 2026", ID)[0].as_str(), "выборы-2026");
        assert_eq!(Slug::candidates("!!!", ID)[0].as_str(), "article");
        assert_eq!(Slug::candidates("\u{301}\u{3164}", ID)[0].as_str(), "article");
    }

    #[test]
    fn a_slug_keeps_the_marks_of_its_letters_and_does_not_depend_on_normalisation() {
        for (title, slug) in [
            ("हिन्दी में समाचार", "हिन्दी-में-समाचार"),
            ("ข่าววันนี้: ฝนตก", "ข่าววันนี้-ฝนตก"),
            ("আজকের খবর", "আজকের-খবর"),
            ("İstanbul derbisi", "istanbul-derbisi"),
            ("I\u{307}stanbul derbisi", "istanbul-derbisi"),
            ("Bu\u{308}rgermeister gewa\u{308}hlt", "bürgermeister-gewählt"),
            ("می\u{200c}خواهم", "میخواهم"),
        ] {
            assert_eq!(Slug::candidates(title, ID)[0].as_str(), slug);
        }
    }

    #[test]
    fn a_long_slug_is_cut_between_characters() {
        let slug = Slug::candidates(&"खि".repeat(45), ID)[0].to_string();
        assert_eq!(slug, "खि".repeat(40));
        assert_eq!(Slug::candidates(&format!("{}खि", "a".repeat(79)), ID)[0].as_str(), "a".repeat(79));
    }

    proptest! {
        #[test]
        fn every_title_has_a_short_slug_without_signs(title in "\\PC{1,200}") {
            for slug in Slug::candidates(&title, ID) {
                let text = slug.as_str();
                prop_assert!(text.chars().all(|c| c.is_alphanumeric() || c == '-' || is_mark(c)), "{text}");
                prop_assert_eq!(text, nfc(text));
                prop_assert!(!text.starts_with('-') && !text.ends_with('-'));
                prop_assert!(text.chars().count() <= MAX + 33 + 3);
            }
        }
    }
}
