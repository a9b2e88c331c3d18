use std::borrow::Cow;
use std::time::Duration;

use kernel::nfc;
use similar::{ChangeTag, TextDiff};
use unicode_segmentation::UnicodeSegmentation;

use super::Story;

/// The most time for the search for the shortest difference of one text. After it, the rest is compared less
/// finely. Two texts of 500 kB with nothing in common would keep a core busy for minutes.
const PATIENCE: Duration = Duration::from_millis(200);
/// The most parts of one text. Texts with more have little in common: their difference is all of the old text
/// and all of the new.
const MAX_PARTS: usize = 10_000;

/// The versions that contain a run of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffOp {
    /// Both versions.
    Equal,
    /// Only the new version.
    Insert,
    /// Only the old version.
    Delete,
}

/// A run of words, with the space around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffPart {
    /// title, description or content.
    pub field: &'static str,
    /// The versions that contain them.
    pub op: DiffOp,
    /// The words.
    pub text: String,
}

/// Returns the words in which two stories differ: title, description and content one after the other.
///
/// In each field, the parts that are not inserts make up the old text, and those that are not deletes the new
/// one. Neighbours have different ops. Words are compared in NFC; equal words are returned as the new text
/// has them. The comparison takes up to about a second of a processor, so it must run on a thread for
/// blocking work.
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
    let (old_forms, new_forms) = (before.forms(), after.forms());
    let compared = TextDiff::configure().timeout(PATIENCE).diff_slices(&old_forms, &new_forms);
    for change in compared.iter_all_changes() {
        let (op, word) = match change.tag() {
            ChangeTag::Equal => (DiffOp::Equal, after.at(change.new_index())),
            ChangeTag::Insert => (DiffOp::Insert, after.at(change.new_index())),
            ChangeTag::Delete => (DiffOp::Delete, before.at(change.old_index())),
        };
        let is_full = own.len() == MAX_PARTS;
        match own.last_mut().filter(|last| last.op == op) {
            Some(last) => last.text.push_str(word),
            None if is_full => {
                own = vec![part(field, DiffOp::Delete, old), part(field, DiffOp::Insert, new)];
                break;
            }
            None => own.push(part(field, op, word)),
        }
    }
    parts.append(&mut own);
}

/// The words of a text as readers see them (UAX #29), and the text between them. In scripts without spaces,
/// each character is a word.
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

    /// Returns the words in the form in which they are compared.
    fn forms(&self) -> Vec<&str> {
        self.forms.iter().map(AsRef::as_ref).collect()
    }

    /// Returns a word as it was typed.
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
    fn in_scripts_without_spaces_the_changed_characters_are_found() {
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
    fn another_normalisation_is_the_same_word() {
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
        assert!(parts.len() <= MAX_PARTS + 1, "{}", parts.len());
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
