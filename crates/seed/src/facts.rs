//! The facts of a story: drawn once, and the same in each of its chapters.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fact {
    /// A text.
    Text(String),
    /// A number and its scale (1, 10 or 100): the text shows the number divided by the scale.
    Number(i64, i64),
    /// Something with fields, one of them `name`.
    Entry(BTreeMap<String, String>),
}

/// The facts of a story, by name.
#[derive(Debug, Clone, Default)]
pub struct Facts(BTreeMap<String, Fact>);

impl Facts {
    /// Returns the number of this name and its scale: the text shows the number divided by the scale.
    pub fn number(&self, name: &str) -> Option<(i64, i64)> {
        match self.0.get(name)? {
            Fact::Number(number, scale) => Some((*number, *scale)),
            _ => None,
        }
    }

    /// Sets a number. The text shows it divided by `scale`.
    pub fn set_number(&mut self, name: &str, number: i64, scale: i64) {
        self.0.insert(name.to_owned(), Fact::Number(number, scale));
    }

    /// Sets a text.
    pub fn set_text(&mut self, name: &str, text: &str) {
        self.0.insert(name.to_owned(), Fact::Text(text.to_owned()));
    }

    /// Sets an entry of a list. Its field `name` is its text; people also have a `sex`, f or m.
    pub fn set_entry(&mut self, name: &str, fields: BTreeMap<String, String>) {
        self.0.insert(name.to_owned(), Fact::Entry(fields));
    }

    /// Returns true if a fact has this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Shortens the names of people to the last name after the first mention, as newspapers do.
    pub fn shorten(&self, paragraphs: &mut [String]) {
        for fact in self.0.values() {
            let Fact::Entry(fields) = fact else { continue };
            let (Some(name), true) = (fields.get("name"), fields.contains_key("sex")) else { continue };
            let last = name.rsplit(' ').next().unwrap_or(name);
            let mut met = false;
            for paragraph in paragraphs.iter_mut() {
                let mut parts = paragraph.split(name.as_str());
                let mut text = parts.next().unwrap_or_default().to_owned();
                for part in parts {
                    text.push_str(if met { last } else { name });
                    text.push_str(part);
                    met = true;
                }
                *paragraph = text;
            }
        }
    }

    /// Returns a fact in words, in the form that a slot of a template names.
    ///
    /// # Errors
    /// Fails if there is no such fact, or if the fact has no such form.
    pub fn say(&self, name: &str, steps: &[String], forms: Option<(&str, &str)>) -> anyhow::Result<String> {
        let fact = self.0.get(name).with_context(|| format!("there is no fact {name}"))?;
        let mut entry = None;
        let mut text = match fact {
            Fact::Text(text) => text.clone(),
            Fact::Number(number, scale) => decimal(*number, *scale),
            Fact::Entry(fields) => {
                entry = Some(fields);
                fields.get("name").cloned().context("an entry without a name")?
            }
        };
        for step in steps {
            text = match (fact, step.as_str()) {
                (Fact::Number(number, 1), "word") => in_words(*number),
                (Fact::Number(number, 1), "ord") => ordinal(*number),
                (_, step) => match entry.and_then(|fields| fields.get(step)) {
                    Some(field) => field.clone(),
                    None => form(&text, step, entry).with_context(|| format!("{{{name}.{step}}}"))?,
                },
            };
        }
        match (forms, fact) {
            (None, _) => Ok(text),
            (Some((one, _)), Fact::Number(1, 1)) => Ok(format!("{text} {one}")),
            (Some((_, many)), Fact::Number(..)) => Ok(format!("{text} {many}")),
            _ => bail!("{name} is not a number and has no forms for one and many"),
        }
    }
}

/// Returns one form of a text: with its article, in the genitive, its last word…
fn form(text: &str, step: &str, entry: Option<&BTreeMap<String, String>>) -> anyhow::Result<String> {
    let woman = entry.and_then(|fields| fields.get("sex")).map(|sex| sex == "f");
    let mut letters = text.chars();
    Ok(match (step, woman) {
        ("a", _) => format!("{} {text}", article(text)),
        ("cap", _) => letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect(),
        ("low", _) => text.to_lowercase(),
        ("s", _) if text.ends_with(['s', 'z']) => format!("{text}'"),
        ("s", _) => format!("{text}'s"),
        ("last", _) => text.rsplit(' ').next().unwrap_or(text).to_owned(),
        ("he", Some(woman)) => if woman { "she" } else { "he" }.to_owned(),
        ("him", Some(woman)) => if woman { "her" } else { "him" }.to_owned(),
        ("his", Some(woman)) => if woman { "her" } else { "his" }.to_owned(),
        _ => bail!("there is no form {step} of {text:?}"),
    })
}

/// Returns "a" or "an", by the first sound as far as letters show it.
fn article(text: &str) -> &'static str {
    let word = text.to_lowercase();
    let sounds_like_a_vowel = ["hour", "honest", "honour", "heir", "11", "18", "8"];
    let sounds_like_a_consonant = ["uni", "use", "eu", "one", "once"];
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u']);
    let starts = |list: &[&str]| list.iter().any(|start| word.starts_with(start));
    let unlike = word.starts_with("unin") || word.starts_with("unim");
    if starts(&sounds_like_a_vowel) || vowel && (unlike || !starts(&sounds_like_a_consonant)) {
        "an"
    } else {
        "a"
    }
}

fn decimal(number: i64, scale: i64) -> String {
    let scale = scale.max(1);
    let digits = (number / scale).unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    match scale {
        1 => text,
        10 => format!("{text}.{}", (number % 10).abs()),
        _ => format!("{text}.{:02}", (number % 100).abs()),
    }
}

const WORDS: [&str; 13] =
    ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const ORDINALS: [&str; 13] = [
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
];

fn in_words(number: i64) -> String {
    let word = usize::try_from(number).ok().and_then(|index| WORDS.get(index));
    word.map_or_else(|| decimal(number, 1), |word| (*word).to_owned())
}

fn ordinal(number: i64) -> String {
    if let Some(word) = usize::try_from(number).ok().and_then(|index| ORDINALS.get(index)) {
        return (*word).to_owned();
    }
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{}{ending}", decimal(number, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_newspapers_do() {
        assert_eq!([decimal(1_234_567, 1), decimal(-5, 1), decimal(125, 100)], ["1,234,567", "-5", "1.25"]);
        assert_eq!([in_words(0), in_words(12), in_words(13)], ["no", "twelve", "13"]);
        assert_eq!([ordinal(2), ordinal(21), ordinal(112), ordinal(13)], ["second", "21st", "112th", "13th"]);
    }

    #[test]
    fn the_article_follows_the_sound() {
        for (word, expected) in [
            ("engineer", "an"),
            ("union", "a"),
            ("hour", "an"),
            ("harbour", "a"),
            ("uninsured", "an"),
            ("8-metre", "an"),
            ("European", "a"),
            ("one-off", "a"),
            ("Ostrand", "an"),
        ] {
            assert_eq!(article(word), expected, "{word}");
        }
    }
}
