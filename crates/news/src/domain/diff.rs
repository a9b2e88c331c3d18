use std::borrow::Cow;
use std::time::Duration;

use kernel::nfc;
use similar::{ChangeTag, TextDiff};
use unicode_segmentation::UnicodeSegmentation;

use super::Story;

/// How long the search for the shortest difference of one text may take; after that the rest is said less finely. Two
/// texts of 500 kB that have nothing in common would keep a core busy for minutes.
const PATIENCE: Duration = Duration::from_millis(200);
/// The most parts of one text. What falls into more has little in common, and is said as all of the old and all of the new.
const MOST: usize = 10_000;

/// Where words stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffOp {
    /// In both versions.
    Equal,
    /// In the new one only.
    Insert,
    /// In the old one only.
    Delete,
}

/// A run of words, with the space around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffPart {
    /// title, description or content.
    pub field: &'static str,
    /// Where they stand.
    pub op: DiffOp,
    /// The words.
    pub text: String,
}

/// The words in which two stories differ: title, description and content one after the other. In each field, the parts that are
/// no inserts are the old text, those that are no deletes the new one, and no two neighbours have one op. Words are compared in NFC, and
/// what is equal stands as the new text has it. It takes processor time, up to about a second, and belongs onto a thread for that.
pub fn diff(old: &Story, new: &Story) -> Vec<DiffPart> {
    let mut parts = Vec::new();
    words("title", &old.title, &new.title, &mut parts);
    let (before, after) = (old.description.as_deref(), new.description.as_deref());
    words("description", before.unwrap_or_default(), after.unwrap_or_default(), &mut parts);
    words("content", &old.content, &new.content, &mut parts);
    parts
}

fn words(field: &'static str, old: &str, new: &str, parts: &mut Vec<DiffPart>) {
    let mut own: Vec<DiffPart> = Vec::new();
    let (before, after) = (Words::of(old), Words::of(new));
    let (old_forms, new_forms) = (before.compared(), after.compared());
    let compared = TextDiff::configure().timeout(PATIENCE).diff_slices(&old_forms, &new_forms);
    for change in compared.iter_all_changes() {
        let (op, word) = match change.tag() {
            ChangeTag::Equal => (DiffOp::Equal, after.at(change.new_index())),
            ChangeTag::Insert => (DiffOp::Insert, after.at(change.new_index())),
            ChangeTag::Delete => (DiffOp::Delete, before.at(change.old_index())),
        };
        let many = own.len() == MOST;
        match own.last_mut().filter(|last| last.op == op) {
            Some(last) => last.text.push_str(word),
            None if many => {
                own = vec![part(field, DiffOp::Delete, old), part(field, DiffOp::Insert, new)];
                break;
            }
            None => own.push(part(field, op, word)),
        }
    }
    parts.append(&mut own);
}

/// The words of a text as readers see them (UAX #29), and what stands between. In scripts without spaces, each character is one.
struct Words<'a> {
    typed: Vec<&'a str>,
    forms: Vec<Cow<'a, str>>,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        let typed: Vec<&str> = text.split_word_bounds().collect();
        let forms = typed.iter().map(|word| nfc(word)).collect();
        Self { typed, forms }
    }

    /// The words in the form in which they are compared.
    fn compared(&self) -> Vec<&str> {
        self.forms.iter().map(AsRef::as_ref).collect()
    }

    /// A word as it was typed.
    fn at(&self, index: Option<usize>) -> &'a str {
        index.and_then(|index| self.typed.get(index)).copied().unwrap_or_default()
    }
}

fn part(field: &'static str, op: DiffOp, text: &str) -> DiffPart {
    DiffPart { field, op, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::StoryInput;

    fn story(title: &str, description: Option<&str>, content: &str) -> Story {
        let input = StoryInput {
            title: title.to_owned(),
            description: description.map(str::to_owned),
            content: content.to_owned(),
            ..StoryInput::default()
        };
        Story::parse(input).expect("a valid story")
    }

    fn text(parts: &[DiffPart], field: &str, without: DiffOp) -> String {
        let of_field = parts.iter().filter(|part| part.field == field && part.op != without);
        of_field.map(|part| part.text.as_str()).collect()
    }

    fn holds(old: &Story, new: &Story) {
        let parts = diff(old, new);
        for (field, before, after) in [
            ("title", old.title.as_str(), new.title.as_str()),
            (
                "description",
                old.description.as_deref().unwrap_or_default(),
                new.description.as_deref().unwrap_or_default(),
            ),
            ("content", old.content.as_str(), new.content.as_str()),
        ] {
            assert_eq!(text(&parts, field, DiffOp::Insert), before);
            assert_eq!(text(&parts, field, DiffOp::Delete), after);
        }
        assert!(parts.windows(2).all(|pair| pair[0].field != pair[1].field || pair[0].op != pair[1].op));
        assert!(parts.iter().all(|part| !part.text.is_empty()));
    }

    #[test]
    fn a_word_that_changed_is_one_delete_and_one_insert() {
        let old = story("The cup", None, "It was Monday, all day.");
        let new = story("The cup", Some("In short"), "It was Tuesday, all day.");
        let expected = [
            part("title", DiffOp::Equal, "The cup"),
            part("description", DiffOp::Insert, "In short"),
            part("content", DiffOp::Equal, "It was "),
            part("content", DiffOp::Delete, "Monday"),
            part("content", DiffOp::Insert, "Tuesday"),
            part("content", DiffOp::Equal, ", all day."),
        ];
        assert_eq!(diff(&old, &new), expected);
    }

    /// The parts of the content that are not equal.
    fn changed(old: &str, new: &str) -> Vec<(DiffOp, String)> {
        let parts = diff(&story("A", None, old), &story("A", None, new));
        let changed = parts.into_iter().filter(|part| part.op != DiffOp::Equal);
        changed.map(|part| (part.op, part.text)).collect()
    }

    #[test]
    fn in_scripts_without_spaces_the_characters_that_changed_are_told() {
        for (old, new, gone, come) in [
            ("北京今天下雨，请带伞。", "北京明天下雨，请带伞。", "今", "明"),
            ("東京は今日も雨です。", "東京は明日も雨です。", "今", "明"),
            ("วันนี้ฝนตกหนัก", "วันนี้ฝนตกเบา", "หนัก", "เบา"),
        ] {
            let expected = [(DiffOp::Delete, gone.to_owned()), (DiffOp::Insert, come.to_owned())];
            assert_eq!(changed(old, new), expected);
        }
    }

    #[test]
    fn another_normalisation_is_no_other_word() {
        assert_eq!(changed("Der Bu\u{308}rgermeister.", "Der Bürgermeister."), []);
        assert_eq!(diff(&story("A", None, "u\u{308}"), &story("A", None, "ü"))[1].text, "ü");
    }

    #[test]
    fn two_long_texts_that_have_nothing_in_common_are_compared_in_bounded_time_and_parts() {
        let long =
            |start: u32| -> String { (0..45_000).map(|word| format!("w{} ", start + word * 2)).collect() };
        let (old, new) = (story("A", None, &long(0)), story("A", None, &long(1)));
        let before = std::time::Instant::now();
        let parts = diff(&old, &new);
        assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
        assert!(parts.len() <= MOST + 1, "{}", parts.len());
        holds(&old, &new);
    }

    proptest! {
        #[test]
        fn the_parts_are_the_old_text_and_the_new_one(
            old in "[ab \n\u{202b}é]{1,60}",
            new in "[ab \n\u{202b}é]{1,60}",
        ) {
            if ![&old, &new].iter().all(|text| text.chars().any(kernel::is_visible)) {
                return Ok(());
            }
            holds(&story("A b", Some(&new), &old), &story("B a", Some(&old), &new));
        }
    }
}
