//! What a story is about: drawn once, and the same in each of its chapters.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};

use super::random::Random;
use super::template::Template;
use super::words::Words;

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fact {
    Text(String),
    /// A number, and by what it is divided when it is written: 1, 10 or 100.
    Number(i64, i64),
    /// Something with fields, one of them `name`.
    Entry(BTreeMap<String, String>),
}

/// The facts of a story, by name.
#[derive(Debug, Clone, Default)]
pub struct Facts(BTreeMap<String, Fact>);

impl Facts {
    /// Draws the facts of a story: `rules` has a line `name = rule` for each.
    ///
    /// A rule is the name of a list (a story never has the same entry twice), `3..9`, `30..90 step 5`, `21..48 / 10` (one decimal), a sum
    /// such as `yes + no`, or a text, of which `one | another` is chosen.
    ///
    /// # Errors
    /// Where a rule can't be read.
    pub fn draw(rules: &str, words: &mut Words, random: &mut Random) -> anyhow::Result<Self> {
        let (mut facts, mut met) = (Self::default(), BTreeSet::new());
        for line in rules.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, rule) = line.split_once(" = ").with_context(|| format!("{line:?} is no fact"))?;
            let fact = facts.fact(rule.trim(), words, random, &mut met).with_context(|| line.to_owned())?;
            facts.0.insert(name.trim().to_owned(), fact);
        }
        Ok(facts)
    }

    fn fact(
        &self,
        rule: &str,
        words: &mut Words,
        random: &mut Random,
        met: &mut BTreeSet<String>,
    ) -> anyhow::Result<Fact> {
        if let Some((from, to)) = rule.split_once("..") {
            return range(from, to, random);
        }
        if words.has(rule) {
            return Ok(Fact::Entry(words.take(rule, met, random)?));
        }
        if let Some(sum) = self.sum(rule) {
            return Ok(Fact::Number(sum, 1));
        }
        let ways: Vec<&str> = rule.split(" | ").collect();
        let way = ways[if ways.len() > 1 { words.choose(rule, ways.len(), random) } else { 0 }];
        Ok(Fact::Text(Template::parse(way)?.fill(self, random)?))
    }

    /// `a + b`, `a - 3`, `a * 2`, from left to right; nothing where it is none.
    fn sum(&self, rule: &str) -> Option<i64> {
        let mut words = rule.split(' ');
        let mut sum = self.whole(words.next()?)?;
        while let Some(sign) = words.next() {
            let next = self.whole(words.next()?)?;
            sum = match sign {
                "+" => sum + next,
                "-" => sum - next,
                "*" => sum * next,
                _ => return None,
            };
        }
        Some(sum)
    }

    fn whole(&self, word: &str) -> Option<i64> {
        match self.0.get(word) {
            Some(Fact::Number(number, _)) => Some(*number),
            Some(_) => None,
            None => word.parse().ok(),
        }
    }

    /// The number of this name, in whole units of what is written.
    pub fn number(&self, name: &str) -> Option<(i64, i64)> {
        match self.0.get(name)? {
            Fact::Number(number, scale) => Some((*number, *scale)),
            _ => None,
        }
    }

    /// Sets a number; it is written divided by `scale`.
    pub fn set_number(&mut self, name: &str, number: i64, scale: i64) {
        self.0.insert(name.to_owned(), Fact::Number(number, scale));
    }

    /// Sets a text.
    #[cfg(test)]
    pub fn set_text(&mut self, name: &str, text: &str) {
        self.0.insert(name.to_owned(), Fact::Text(text.to_owned()));
    }

    /// Sets a person; `sex` is f or m.
    #[cfg(test)]
    pub fn set_person(&mut self, name: &str, text: &str, sex: &str) {
        let entry = [("name", text), ("sex", sex)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        self.0.insert(name.to_owned(), Fact::Entry(entry.into()));
    }

    /// Leaves people their first names where they are met first, and the last name alone after that, as newspapers do.
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

    /// A fact in words, as a slot of a [`Template`] asks for it.
    ///
    /// # Errors
    /// Where there is no such fact, or it has no such form.
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
            _ => bail!("{name} is no number and has no forms for one and many"),
        }
    }
}

fn range(from: &str, to: &str, random: &mut Random) -> anyhow::Result<Fact> {
    let (to, step) = to.split_once(" step ").unwrap_or((to, "1"));
    let (to, scale) = to.split_once(" / ").unwrap_or((to, "1"));
    let (from, to): (i64, i64) = (from.trim().parse()?, to.trim().parse()?);
    let (step, scale): (i64, i64) = (step.trim().parse()?, scale.trim().parse()?);
    Ok(Fact::Number(from + step * random.between(0, (to - from) / step.max(1)), scale))
}

/// What a text becomes: with its article, in the genitive, its last word…
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

/// By the first sound, as far as letters tell it.
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

    #[test]
    fn facts_follow_from_facts_before_them() {
        let rules = "yes = 101..101\nno = yes - 60\nall = yes + no\nmood = calm\nsaid = it was {mood}";
        let facts = Facts::draw(rules, &mut Words::default(), &mut Random::of(1, "x")).expect("facts");
        let say = |name: &str| facts.say(name, &[], None).expect("a fact");
        assert_eq!([say("no"), say("all"), say("said")], ["41", "142", "it was calm"]);
    }
}
