//! The vocabulary: lists of names and things. Entries are dealt like cards: none comes again before all
//! others have come.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::random::Random;

/// The lists of people, whose names are combined from first and last names.
const PEOPLE: [&str; 3] = ["person", "woman", "man"];

/// An entry of a list: a text, or a set of fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// The name alone.
    Text(String),
    /// Fields by name. One of them is `name`.
    Fields(BTreeMap<String, String>),
}

/// Lists by name.
pub type Entries = BTreeMap<String, Vec<Entry>>;

/// The content of a vocabulary file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    #[serde(default)]
    lists: Entries,
    #[serde(default)]
    people: People,
}

impl Lists {
    /// Creates lists without people.
    pub fn new(lists: Entries) -> Self {
        Self { lists, people: People::default() }
    }
}

/// The parts of names.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct People {
    women: Vec<String>,
    men: Vec<String>,
    last: Vec<String>,
}

/// The lists, each with the order of its remaining entries.
#[derive(Debug, Clone, Default)]
pub struct Words {
    lists: BTreeMap<String, Vec<BTreeMap<String, String>>>,
    decks: BTreeMap<String, VecDeque<usize>>,
    people: People,
}

impl Words {
    /// Creates a vocabulary of these lists. A later list replaces an earlier one of the same name.
    pub fn new(all: impl IntoIterator<Item = Lists>) -> Self {
        let mut words = Self::default();
        for Lists { lists, people } in all {
            let fields = |entry: Entry| match entry {
                Entry::Text(text) => BTreeMap::from([("name".to_owned(), text)]),
                Entry::Fields(fields) => fields,
            };
            for (name, list) in lists {
                words.lists.insert(name, list.into_iter().map(fields).collect());
            }
            if !people.last.is_empty() {
                words.people = people;
            }
        }
        words
    }

    /// Returns true if there is such a list.
    pub fn has(&self, list: &str) -> bool {
        PEOPLE.contains(&list) || self.lists.contains_key(list)
    }

    /// Returns the next entry of a list that is not among those that the story has `met`.
    ///
    /// # Errors
    /// Fails if the list is empty or the story has met all of it.
    pub fn take(
        &mut self,
        list: &str,
        met: &mut BTreeSet<String>,
        random: &mut Random,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        if PEOPLE.contains(&list) {
            return self.person(list, met, random);
        }
        let entries = self.lists.get(list).context("there is no such list")?;
        let deck = self.decks.entry(list.to_owned()).or_default();
        // Twice: the rest of this round, and the whole of the next.
        for _ in 0..2 {
            let fresh = |index: &usize| !met.contains(&entries[*index]["name"]);
            if let Some(place) = deck.iter().position(fresh) {
                let index = deck.remove(place).context("the entry was found above")?;
                met.insert(entries[index]["name"].clone());
                return Ok(entries[index].clone());
            }
            deck.extend(random.order(entries.len()));
        }
        anyhow::bail!("a story has met all of the list {list}")
    }

    /// Removes last names.
    pub fn reserve(&mut self, last_names: &BTreeSet<String>) {
        self.people.last.retain(|last| !last_names.contains(last));
    }

    /// Chooses one of `variants` of a rule. As with lists, none is chosen again before all others.
    pub fn choose(&mut self, rule: &str, variants: usize, random: &mut Random) -> usize {
        let deck = self.decks.entry(rule.to_owned()).or_default();
        if deck.is_empty() {
            deck.extend(random.order(variants));
        }
        deck.pop_front().unwrap_or(0)
    }

    /// Returns a person, woman or man with a last name that the story has not met yet.
    ///
    /// # Errors
    /// Fails if there is no such name left.
    pub fn person(
        &self,
        kind: &str,
        met: &mut BTreeSet<String>,
        random: &mut Random,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let People { women, men, last } = &self.people;
        ensure!(!women.is_empty() && !men.is_empty() && !last.is_empty(), "there are no names for people");
        let woman = random.chance(1, 2);
        let woman = kind == "woman" || kind == "person" && woman;
        let (sex, first) = if woman { ("f", women) } else { ("m", men) };
        let first = &first[random.below(first.len())];
        let unknown =
            (0..100).map(|_| &last[random.below(last.len())]).find(|last| met.insert((*last).clone()));
        let last = unknown.context("a story has met all last names")?;
        Ok([("name", format!("{first} {last}")), ("sex", sex.to_owned())]
            .map(|(key, value)| (key.to_owned(), value))
            .into())
    }
}
