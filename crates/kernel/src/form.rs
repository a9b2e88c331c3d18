//! Normal forms for the comparison of texts. A text is stored as it was typed; two texts are the same if
//! their forms are equal.

use std::borrow::Cow;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use unicode_segmentation::UnicodeSegmentation;

/// The combining class of marks that remove the vowel of a letter (virama, halant) in the scripts of India.
const VIRAMA: u8 = 9;

/// Returns the text in NFC: a letter with its marks has one form in all spellings.
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// Returns the text in NFC and without differences of case.
///
/// This is the simple case folding of Unicode: each letter becomes one letter, so ß remains different from
/// ss, and ı from i.
pub fn fold_case(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let folded: String = nfc(text).chars().flat_map(folded).collect();
    match nfc(&folded) {
        Cow::Borrowed(_) => folded,
        Cow::Owned(composed) => composed,
    }
}

/// Folds a character to upper case and then to lower case, because lower case alone depends on the position
/// in the word: Σ is σ or ς. A letter remains unchanged if its capital is several letters (ß) or the capital
/// of another letter (ı).
fn folded(c: char) -> std::char::ToLowercase {
    let mut capital = c.to_uppercase();
    let capital = match (capital.next(), capital.next()) {
        (Some(one), None) if c != 'ı' => one,
        _ => c,
    };
    capital.to_lowercase()
}

/// Returns the key that all spellings of a label share. It ignores case, normalisation and outer spaces.
pub fn match_key(label: &str) -> String {
    fold_case(label.trim())
}

/// Returns true if a reader can see the character.
pub fn is_visible(c: char) -> bool {
    // A blank pattern, a note without a head and the marks around annotations are invisible, although their
    // categories differ.
    let blank = matches!(c, '\u{2800}' | '\u{1d159}' | '\u{fff9}'..='\u{fffb}');
    c.is_ascii_graphic() || !(c.is_whitespace() || c.is_control() || blank || is_ignorable(c))
}

/// Returns true if the character is invisible and only changes how others are drawn
/// (`Default_Ignorable_Code_Point`).
pub fn is_ignorable(c: char) -> bool {
    !c.is_ascii() && CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Returns true if the character is a combining mark that belongs to the letter before it: an accent, a
/// vowel.
pub fn is_mark(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(category, GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark) && !is_ignorable(c)
}

/// Returns true if the text consists only of letters, marks and digits, and does not begin with a mark.
///
/// A joiner counts as part of a word after a virama, as in the rules of domain names.
pub fn is_word(text: &str) -> bool {
    let mut before = None;
    !text.is_empty()
        && text.chars().all(|c| {
            let after = before.replace(c);
            match c {
                '\u{200c}' | '\u{200d}' => after.is_some_and(|c| canonical_combining_class(c) == VIRAMA),
                _ if is_mark(c) => after.is_some(),
                _ => c.is_alphanumeric() && !is_ignorable(c),
            }
        })
}

/// Returns the beginning of the text without outer spaces. It has at most `most` code points and ends between
/// two visible characters.
pub fn cut(text: &str, most: usize) -> &str {
    let text = text.trim();
    let Some((limit, _)) = text.char_indices().nth(most) else { return text };
    let whole = text.grapheme_indices(true).map(|(start, character)| start + character.len());
    // A single character may have more marks than fit.
    let end = whole.take_while(|end| *end <= limit).last().unwrap_or(limit);
    text[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_folding_keeps_letters_apart_that_only_share_a_capital() {
        assert_eq!(fold_case("STRASSE"), "strasse");
        assert_eq!(fold_case("Straße"), "straße");
        assert_eq!(fold_case("STRAẞE"), "straße");
        assert_ne!(fold_case("ısı"), fold_case("isi"));
        assert_ne!(fold_case("İstanbul"), fold_case("Istanbul"));
        for sigma in ["ΑΣ", "ας", "ασ"] {
            assert_eq!(fold_case(sigma), "ασ");
        }
    }

    #[test]
    fn case_normalisation_and_outer_spaces_do_not_change_a_label() {
        for same in ["Zürich", "zürich", "ZU\u{308}RICH", " zu\u{308}rich ", "\u{a0}Zürich\u{3000}"] {
            assert_eq!(match_key(same), "zürich", "{same:?}");
        }
        assert_ne!(match_key("Zürich"), match_key("Zurich"));
        assert_ne!(match_key("new york"), match_key("newyork"));
    }

    #[test]
    fn characters_that_are_drawn_as_nothing_are_not_visible() {
        let invisible = " \t\n\u{a0}\u{ad}\u{200b}\u{200d}\u{200e}\u{2028}\u{2800}\u{3000}\u{3164}\u{ffa0}\u{feff}\u{e0041}";
        assert!(!invisible.chars().any(is_visible));
        assert!("aÄ漢ก.–😀\u{301}\u{600}".chars().all(is_visible));
    }

    #[test]
    fn a_word_has_letters_marks_and_digits_of_any_script() {
        for word in ["abc1", "संपर्क", "อีเมล", "jo\u{308}rg", "ক্\u{200d}ষ"] {
            assert!(is_word(word), "{word:?}");
        }
        for other in
            ["", "a b", "a.b", "\u{308}a", "a\u{200b}", "a\u{200d}b", "\u{3164}", "a\u{fe0f}", "1\u{20e3}"]
        {
            assert!(!is_word(other), "{other:?}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters_and_has_no_outer_spaces() {
        assert_eq!(cut("  Ada Lovelace ", 50), "Ada Lovelace");
        assert_eq!(cut("Ada Lovelace", 4), "Ada");
        assert_eq!(cut("ab👩‍🚀", 4), "ab");
        assert_eq!(cut("abe\u{301}", 3), "ab");
        assert_eq!(cut("e\u{301}\u{301}\u{301}", 2), "e\u{301}");
    }

    proptest! {
        #[test]
        fn a_form_does_not_depend_on_how_the_text_was_normalised(text in "\\PC{0,20}") {
            let (composed, decomposed) = (text.nfc().collect::<String>(), text.nfd().collect::<String>());
            prop_assert_eq!(match_key(&composed), match_key(&decomposed));
            prop_assert_eq!(nfc(&decomposed), composed.as_str());
        }

        #[test]
        fn a_cut_text_is_a_short_beginning(text in any::<String>(), most in 1_usize..20) {
            let cut = cut(&text, most);
            prop_assert!(cut.chars().count() <= most && text.trim().starts_with(cut) && cut.trim() == cut);
        }
    }
}
