use std::time::Duration;

use similar::{ChangeTag, TextDiff};

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
/// no inserts are the old text, those that are no deletes the new one, and no two neighbours have one op. It takes
/// processor time, up to about a second, and belongs onto a thread for that.
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
    let compared = TextDiff::configure().timeout(PATIENCE).diff_words(old, new);
    for change in compared.iter_all_changes() {
        let op = match change.tag() {
            ChangeTag::Equal => DiffOp::Equal,
            ChangeTag::Insert => DiffOp::Insert,
            ChangeTag::Delete => DiffOp::Delete,
        };
        let many = own.len() == MOST;
        match own.last_mut().filter(|last| last.op == op) {
            Some(last) => last.text.push_str(change.value()),
            None if many => {
                own = vec![part(field, DiffOp::Delete, old), part(field, DiffOp::Insert, new)];
                break;
            }
            None => own.push(part(field, op, change.value())),
        }
    }
    parts.append(&mut own);
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
            part("content", DiffOp::Delete, "Monday,"),
            part("content", DiffOp::Insert, "Tuesday,"),
            part("content", DiffOp::Equal, " all day."),
        ];
        assert_eq!(diff(&old, &new), expected);
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
            if old.trim().is_empty() || new.trim().is_empty() {
                return Ok(());
            }
            holds(&story("A b", Some(&new), &old), &story("B a", Some(&old), &new));
        }
    }
}
