//! The template language of the story files: text with `{slots}` and `[one thing|another]`.
//!
//! ```text
//! {club}            the fact; the name of an entry with fields
//! {club.ground}     a field of the entry
//! {club.s}          genitive; also .a (with a or an), .cap, .low, .last (the last word), .word and .ord (numbers in words)
//! {coach.he}        he or she; also .him and .his
//! {goals|goal|goals}   the number and what is counted, in agreement; {goals.word|goal|goals} in words
//! [a|b|c]           one of them at random; they may be nested and empty
//! ```

use anyhow::{Context, bail, ensure};

use crate::facts::Facts;
use crate::random::Random;

/// A text with slots and choices.
#[derive(Debug, Clone)]
pub struct Template(Vec<Node>);

#[derive(Debug, Clone)]
enum Node {
    Text(String),
    Slot(Slot),
    Choice(Vec<Template>),
}

#[derive(Debug, Clone)]
struct Slot {
    name: String,
    steps: Vec<String>,
    forms: Option<(String, String)>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Fails if a bracket is not closed, or a slot is not well-formed.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut rest = text;
        let template = parse_sequence(&mut rest).with_context(|| format!("in {text:?}"))?;
        ensure!(rest.is_empty(), "a bracket closes that was not opened, before {rest:?}");
        Ok(template)
    }

    /// Fills the slots and choices.
    ///
    /// # Errors
    /// Fails if a slot names an unknown fact.
    pub fn fill(&self, facts: &Facts, random: &mut Random) -> anyhow::Result<String> {
        let mut text = String::new();
        for node in &self.0 {
            match node {
                Node::Text(plain) => text.push_str(plain),
                Node::Slot(slot) => {
                    let forms = slot.forms.as_ref().map(|(one, many)| (one.as_str(), many.as_str()));
                    text.push_str(&facts.say(&slot.name, &slot.steps, forms)?);
                }
                Node::Choice(variants) => {
                    text.push_str(&variants[random.below(variants.len())].fill(facts, random)?);
                }
            }
        }
        Ok(text)
    }
}

/// Parses up to a `|` or `]` that belongs to the caller.
fn parse_sequence(rest: &mut &str) -> anyhow::Result<Template> {
    let mut nodes = Vec::new();
    loop {
        let plain = rest.find(['{', '[', '|', ']']).unwrap_or(rest.len());
        if plain > 0 {
            nodes.push(Node::Text(rest[..plain].to_owned()));
            *rest = &rest[plain..];
        }
        if rest.starts_with('{') {
            let (slot, after) = rest[1..].split_once('}').context("a slot is not closed")?;
            nodes.push(Node::Slot(parse_slot(slot)?));
            *rest = after;
        } else if rest.starts_with('[') {
            nodes.push(Node::Choice(parse_choice(rest)?));
        } else {
            return Ok(Template(nodes));
        }
    }
}

fn parse_choice(rest: &mut &str) -> anyhow::Result<Vec<Template>> {
    let mut variants = Vec::new();
    loop {
        *rest = &rest[1..];
        variants.push(parse_sequence(rest)?);
        match rest.chars().next() {
            Some('|') => {}
            Some(']') => {
                *rest = &rest[1..];
                return Ok(variants);
            }
            _ => bail!("a choice is not closed"),
        }
    }
}

fn parse_slot(text: &str) -> anyhow::Result<Slot> {
    let mut parts = text.split('|').map(str::trim);
    let mut path = parts.next().unwrap_or_default().split('.').map(str::to_owned);
    let name = path.next().filter(|name| !name.is_empty()).context("a slot without a name")?;
    let forms = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => None,
        (Some(one), Some(many), None) => Some((one.to_owned(), many.to_owned())),
        _ => bail!("{{{text}}} needs two forms: for one and for many"),
    };
    Ok(Slot { name, steps: path.collect(), forms })
}

/// Polishes a filled text: single blanks, curly quotes, capitals at the start of sentences.
pub fn polish(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut polished = String::with_capacity(text.len());
    let (mut before, mut starts) = (' ', true);
    for c in words.join(" ").chars() {
        let opens = before == ' ' || matches!(before, '(' | '“' | '–');
        let c = match c {
            '"' if opens => '“',
            '"' => '”',
            '\'' if opens => '‘',
            '\'' => '’',
            c if starts && c.is_lowercase() => c.to_uppercase().next().unwrap_or(c),
            c => c,
        };
        match c {
            '.' | '!' | '?' => starts = true,
            // A point inside a number or an address does not end a sentence. A sentence may end with a quote.
            ' ' => starts = starts && matches!(before, '.' | '!' | '?' | '”' | '’'),
            c if starts && c.is_alphanumeric() => starts = false,
            _ => {}
        }
        polished.push(c);
        before = c;
    }
    polished
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        let mut facts = Facts::default();
        facts.set_number("goals", 1, 1);
        facts.set_number("votes", 12_345, 1);
        facts.set_number("rate", 34, 10);
        facts.set_text("trade", "engineer");
        facts.set_text("club", "Rovers");
        let coach = [("name", "Ada Brenwick"), ("sex", "f")];
        facts.set_entry("coach", coach.map(|(field, text)| (field.to_owned(), text.to_owned())).into());
        let template = Template::parse(text).expect("a template");
        polish(&template.fill(&facts, &mut Random::of(1, "test")).expect("filled"))
    }

    #[test]
    fn slots_agree_with_their_facts() {
        assert_eq!(filled("{goals|goal|goals} and {goals.word|goal|goals}"), "1 goal and one goal");
        assert_eq!(filled("{votes|vote|votes}, {rate}%"), "12,345 votes, 3.4%");
        assert_eq!(filled("{trade.a}: {club.s} {coach.last}"), "An engineer: Rovers’ Brenwick");
        assert_eq!(filled("{coach.s} team. {coach.he} said"), "Ada Brenwick’s team. She said");
    }

    #[test]
    fn sentences_begin_with_capitals_and_quotes_are_curly() {
        assert_eq!(
            filled("\"we won,\" he said.  \"it's 2.5 more.\" then he left"),
            "“We won,” he said. “It’s 2.5 more.” Then he left"
        );
    }

    #[test]
    fn choices_may_be_nested_and_empty() {
        let texts: std::collections::BTreeSet<String> = (0..100)
            .map(|seed| {
                let template = Template::parse("[a|b [c|d]|]").expect("a template");
                template.fill(&Facts::default(), &mut Random::of(seed, "x")).expect("filled")
            })
            .collect();
        assert_eq!(texts.into_iter().collect::<Vec<_>>(), ["", "a", "b c", "b d"]);
    }

    #[test]
    fn an_open_bracket_and_an_unknown_fact_are_refused() {
        for broken in ["{a", "[a|b", "a]", "{a|b}", "{}"] {
            assert!(Template::parse(broken).is_err(), "{broken}");
        }
        let unknown = Template::parse("{unknown}").expect("a template");
        assert!(unknown.fill(&Facts::default(), &mut Random::of(1, "x")).is_err());
    }
}
