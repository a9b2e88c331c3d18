//! The rules by which the facts of a story are drawn.

use std::collections::BTreeSet;

use anyhow::Context;

use crate::facts::Facts;
use crate::random::Random;
use crate::template::Template;
use crate::words::Words;

/// Draws the facts of a story. `rules` has a line `name = rule` for each fact.
///
/// A rule is one of these:
///
/// * the name of a list; a story never has the same entry twice;
/// * a range: `3..9`, `30..90 step 5`, or `21..48 / 10` for one decimal;
/// * a sum such as `yes + no`;
/// * a text, of which `one | another` is chosen.
///
/// # Errors
/// Fails if a rule can't be read.
pub fn draw(rules: &str, words: &mut Words, random: &mut Random) -> anyhow::Result<Facts> {
    let mut drawing = Drawing { facts: Facts::default(), met: BTreeSet::new(), words, random };
    for line in rules.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, rule) = line.split_once(" = ").with_context(|| format!("{line:?} is not a fact"))?;
        drawing.draw(name.trim(), rule.trim()).with_context(|| line.to_owned())?;
    }
    Ok(drawing.facts)
}

struct Drawing<'a> {
    facts: Facts,
    /// The entries of lists that the story has already.
    met: BTreeSet<String>,
    words: &'a mut Words,
    random: &'a mut Random,
}

impl Drawing<'_> {
    fn draw(&mut self, name: &str, rule: &str) -> anyhow::Result<()> {
        if let Some((from, to)) = rule.split_once("..") {
            let (number, scale) = draw_from_range(from, to, self.random)?;
            self.facts.set_number(name, number, scale);
        } else if self.words.has(rule) {
            self.facts.set_entry(name, self.words.take(rule, &mut self.met, self.random)?);
        } else if let Some(sum) = self.sum(rule) {
            self.facts.set_number(name, sum, 1);
        } else {
            let variants: Vec<&str> = rule.split(" | ").collect();
            let chosen =
                if variants.len() > 1 { self.words.choose(rule, variants.len(), self.random) } else { 0 };
            let text = Template::parse(variants[chosen])?.fill(&self.facts, self.random)?;
            self.facts.set_text(name, &text);
        }
        Ok(())
    }

    /// Evaluates `a + b`, `a - 3` or `a * 2` from left to right. Returns `None` if the rule is not a sum.
    fn sum(&self, rule: &str) -> Option<i64> {
        let mut words = rule.split(' ');
        let mut sum = self.operand(words.next()?)?;
        while let Some(sign) = words.next() {
            let next = self.operand(words.next()?)?;
            sum = match sign {
                "+" => sum + next,
                "-" => sum - next,
                "*" => sum * next,
                _ => return None,
            };
        }
        Some(sum)
    }

    fn operand(&self, word: &str) -> Option<i64> {
        if self.facts.has(word) { Some(self.facts.number(word)?.0) } else { word.parse().ok() }
    }
}

fn draw_from_range(from: &str, to: &str, random: &mut Random) -> anyhow::Result<(i64, i64)> {
    let (to, step) = to.split_once(" step ").unwrap_or((to, "1"));
    let (to, scale) = to.split_once(" / ").unwrap_or((to, "1"));
    let (from, to): (i64, i64) = (from.trim().parse()?, to.trim().parse()?);
    let (step, scale): (i64, i64) = (step.trim().parse()?, scale.trim().parse()?);
    Ok((from + step * random.between(0, (to - from) / step.max(1)), scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_may_follow_from_facts_before_it() {
        let rules = "yes = 101..101\nno = yes - 60\nall = yes + no\nmood = calm\nsaid = it was {mood}";
        let facts = draw(rules, &mut Words::default(), &mut Random::of(1, "x")).expect("facts");
        let say = |name: &str| facts.say(name, &[], None).expect("a fact");
        assert_eq!([say("no"), say("all"), say("said")], ["41", "142", "it was calm"]);
    }
}
