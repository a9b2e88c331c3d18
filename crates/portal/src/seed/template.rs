//! The little language of the story files: text with `{slots}` and `[one thing|another]`.
//!
//! ```text
//! {club}            what the fact is; of an entry with fields, its name
//! {club.ground}     a field of it
//! {club.s}          in the genitive; also .a (with a or an), .cap, .low, .last (the last word), .word and .ord (numbers in words)
//! {coach.he}        he or she; also .him and .his
//! {goals|goal|goals}   the number and what is counted, in agreement; {goals.word|goal|goals} in words
//! [a|b|c]           one of them by chance; an empty one is allowed, and they may lie in each other
//! ```

use anyhow::{Context, bail, ensure};

use super::facts::Facts;
use super::random::Random;

/// A text with places to be filled.
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
    /// Where a bracket is not closed, or a slot is none.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut rest = text;
        let template = sequence(&mut rest).with_context(|| format!("in {text:?}"))?;
        ensure!(rest.is_empty(), "a bracket closes that was not opened, before {rest:?}");
        Ok(template)
    }

    /// Fills the places.
    ///
    /// # Errors
    /// Where a slot names what is not there: nothing is left unfilled in silence.
    pub fn fill(&self, facts: &Facts, random: &mut Random) -> anyhow::Result<String> {
        let mut text = String::new();
        for node in &self.0 {
            match node {
                Node::Text(plain) => text.push_str(plain),
                Node::Slot(slot) => {
                    let forms = slot.forms.as_ref().map(|(one, many)| (one.as_str(), many.as_str()));
                    text.push_str(&facts.say(&slot.name, &slot.steps, forms)?);
                }
                Node::Choice(ways) => text.push_str(&ways[random.below(ways.len())].fill(facts, random)?),
            }
        }
        Ok(text)
    }
}

/// Everything up to a `|` or `]` that belongs to whoever asked.
fn sequence(rest: &mut &str) -> anyhow::Result<Template> {
    let mut nodes = Vec::new();
    loop {
        let plain = rest.find(['{', '[', '|', ']']).unwrap_or(rest.len());
        if plain > 0 {
            nodes.push(Node::Text(rest[..plain].to_owned()));
            *rest = &rest[plain..];
        }
        if rest.starts_with('{') {
            let (slot, after) = rest[1..].split_once('}').context("a slot is not closed")?;
            nodes.push(Node::Slot(self::slot(slot)?));
            *rest = after;
        } else if rest.starts_with('[') {
            nodes.push(Node::Choice(choice(rest)?));
        } else {
            return Ok(Template(nodes));
        }
    }
}

fn choice(rest: &mut &str) -> anyhow::Result<Vec<Template>> {
    let mut ways = Vec::new();
    loop {
        *rest = &rest[1..];
        ways.push(sequence(rest)?);
        match rest.chars().next() {
            Some('|') => {}
            Some(']') => {
                *rest = &rest[1..];
                return Ok(ways);
            }
            _ => bail!("a choice is not closed"),
        }
    }
}

fn slot(text: &str) -> anyhow::Result<Slot> {
    let mut parts = text.split('|').map(str::trim);
    let mut path = parts.next().unwrap_or_default().split('.').map(str::to_owned);
    let name = path.next().filter(|name| !name.is_empty()).context("a slot without a name")?;
    let forms = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => None,
        (Some(one), Some(many), None) => Some((one.to_owned(), many.to_owned())),
        _ => bail!("{{{text}}} needs one form for one and one for many"),
    };
    Ok(Slot { name, steps: path.collect(), forms })
}

/// Makes a filled text fit to print: one blank between words, printer's quotes, capitals at the start of sentences.
pub fn polished(text: &str) -> String {
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
            // A point inside of a number or an address ends no sentence; a sentence may end with a quote.
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
        facts.set_person("coach", "Ada Brenwick", "f");
        let template = Template::parse(text).expect("a template");
        polished(&template.fill(&facts, &mut Random::of(1, "test")).expect("filled"))
    }

    #[test]
    fn slots_agree_with_what_they_hold() {
        assert_eq!(filled("{goals|goal|goals} and {goals.word|goal|goals}"), "1 goal and one goal");
        assert_eq!(filled("{votes|vote|votes}, {rate}%"), "12,345 votes, 3.4%");
        assert_eq!(filled("{trade.a}: {club.s} {coach.last}"), "An engineer: Rovers’ Brenwick");
        assert_eq!(filled("{coach.s} team. {coach.he} said"), "Ada Brenwick’s team. She said");
    }

    #[test]
    fn sentences_begin_with_capitals_and_quotes_are_those_of_printers() {
        assert_eq!(
            filled("\"we won,\" he said.  \"it's 2.5 more.\" then he left"),
            "“We won,” he said. “It’s 2.5 more.” Then he left"
        );
    }

    #[test]
    fn choices_may_lie_in_each_other_and_be_empty() {
        let told: std::collections::BTreeSet<String> = (0..100)
            .map(|seed| {
                let template = Template::parse("[a|b [c|d]|]").expect("a template");
                template.fill(&Facts::default(), &mut Random::of(seed, "x")).expect("filled")
            })
            .collect();
        assert_eq!(told.into_iter().collect::<Vec<_>>(), ["", "a", "b c", "b d"]);
    }

    #[test]
    fn what_is_not_closed_or_not_there_is_refused() {
        for broken in ["{a", "[a|b", "a]", "{a|b}", "{}"] {
            assert!(Template::parse(broken).is_err(), "{broken}");
        }
        let unknown = Template::parse("{nobody}").expect("a template");
        assert!(unknown.fill(&Facts::default(), &mut Random::of(1, "x")).is_err());
    }
}
