//! The story files, and the stories that are drawn from them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use kernel::Section;
use serde::Deserialize;

use crate::facts::Facts;
use crate::random::Random;
use crate::rules;
use crate::template::{Template, polish};
use crate::words::{Entries, Lists, Words};

const WORDS: &str = include_str!("../stories/words.toml");

/// The bounds on the characters of a headline.
pub const HEADLINE: std::ops::RangeInclusive<usize> = 40..=90;
/// The most draws of a story until its headlines fit and are new.
const DRAWS: u64 = 40;

/// The story lines of all sections.
pub struct Library {
    words: BTreeMap<Section, Words>,
    lines: BTreeMap<Section, Vec<Line>>,
}

/// A kind of story: its labels, the rules of its facts, and its chapters.
struct Line {
    tags: Vec<Template>,
    facts: String,
    chapters: Vec<Chapter>,
}

struct Chapter {
    wait: (i64, i64),
    titles: Vec<Template>,
    leads: Vec<Template>,
    text: Vec<Template>,
    update: Option<Template>,
    slip: Option<(String, String)>,
}

/// A chapter with its facts filled in: an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Hours since the chapter before.
    pub wait: i64,
    /// The headline.
    pub title: String,
    /// An earlier headline of the same article, from the draft.
    pub first_title: Option<String>,
    /// The description, a sentence.
    pub description: String,
    /// The paragraphs.
    pub paragraphs: Vec<String>,
    /// The labels, the topic first.
    pub tags: Vec<String>,
    /// A paragraph that may be added later.
    pub update: Option<String>,
    /// The paragraphs with a wrong number, and the sentence that corrects it later.
    pub slip: Option<(Vec<String>, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoryFile {
    #[serde(default)]
    lists: Entries,
    line: Vec<LineText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineText {
    name: String,
    tags: String,
    facts: String,
    chapter: Vec<ChapterText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChapterText {
    #[serde(default)]
    wait: (i64, i64),
    title: String,
    lead: String,
    text: String,
    update: Option<String>,
    slip: Option<String>,
    slip_of: Option<String>,
}

impl Library {
    /// Reads the story files, which are compiled into the program.
    ///
    /// # Errors
    /// Fails if a file has a fault. A test finds it.
    pub fn read() -> anyhow::Result<Self> {
        let (mut words, mut lines) = (BTreeMap::new(), BTreeMap::new());
        for section in Section::ALL {
            let shared: Lists = toml::from_str(WORDS).context("words.toml")?;
            let file: StoryFile = toml::from_str(text(section)).with_context(|| format!("{section}.toml"))?;
            words.insert(section, Words::new([shared, Lists::new(file.lists)]));
            let read = file.line.into_iter().map(|line| {
                let name = line.name.clone();
                Line::read(line).with_context(|| format!("{section}.toml, line {name:?}"))
            });
            lines.insert(section, read.collect::<anyhow::Result<Vec<Line>>>()?);
        }
        Ok(Self { words, lines })
    }

    /// Returns the number of story lines of a section.
    pub fn line_count(&self, section: Section) -> usize {
        self.lines.get(&section).map_or(0, Vec::len)
    }

    /// Removes names from the stories, so that authors do not write about themselves.
    pub fn reserve(&mut self, last_names: &BTreeSet<String>) {
        self.words.values_mut().for_each(|words| words.reserve(last_names));
    }

    /// Returns the name of a person who is in no story.
    ///
    /// # Errors
    /// Fails if there are no more names.
    pub fn person(&self, met: &mut BTreeSet<String>, random: &mut Random) -> anyhow::Result<String> {
        let words = self.words.get(&Section::Sports).context("words")?;
        words.person("person", met, random)?.remove("name").context("a name")
    }

    /// Draws the story of this stream (seed and number) from a line of a section. Its headlines are not among
    /// `known`, and are added to them. Returns `None` if the line is exhausted: every headline of the right
    /// length is known.
    ///
    /// # Errors
    /// Fails if the story file has a fault.
    pub fn draw_story(
        &mut self,
        section: Section,
        line: usize,
        stream: (u64, usize),
        known: &mut BTreeSet<String>,
    ) -> anyhow::Result<Option<Vec<Piece>>> {
        let (words, lines) = (self.words.get_mut(&section), self.lines.get(&section));
        let (words, lines) = (words.context("no words")?, lines.context("no lines")?);
        let line = lines.get(line).context("no such line")?;
        let (seed, number) = stream;
        for draw in 0..DRAWS {
            let mut random = Random::of(seed, &format!("{section}/{number}/{draw}"));
            if let Some(pieces) = line.draw_story(words, &mut random, known)? {
                known.extend(pieces.iter().map(|piece| piece.title.clone()));
                return Ok(Some(pieces));
            }
        }
        Ok(None)
    }
}

fn text(section: Section) -> &'static str {
    match section {
        Section::Famous => include_str!("../stories/famous.toml"),
        Section::Politics => include_str!("../stories/politics.toml"),
        Section::Sports => include_str!("../stories/sports.toml"),
    }
}

/// Returns a template for each line that is not empty.
fn parse_lines(text: &str) -> anyhow::Result<Vec<Template>> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Template::parse).collect()
}

impl Line {
    fn read(text: LineText) -> anyhow::Result<Self> {
        let tags = text.tags.split(", ").map(Template::parse).collect::<anyhow::Result<_>>()?;
        let chapters: Vec<Chapter> =
            text.chapter.into_iter().map(Chapter::read).collect::<anyhow::Result<_>>()?;
        ensure!(!chapters.is_empty(), "a story without chapters");
        Ok(Self { tags, facts: text.facts, chapters })
    }

    /// Draws the whole story, or returns `None` if a headline does not fit.
    fn draw_story(
        &self,
        words: &mut Words,
        random: &mut Random,
        known: &BTreeSet<String>,
    ) -> anyhow::Result<Option<Vec<Piece>>> {
        let facts = rules::draw(&self.facts, words, random)?;
        let mut pieces: Vec<Piece> = Vec::new();
        for chapter in &self.chapters {
            let drawn: BTreeSet<&String> = pieces.iter().map(|piece| &piece.title).collect();
            let new = |title: &String| !known.contains(title) && !drawn.contains(title);
            match chapter.write(&facts, random, new)? {
                Some(piece) => pieces.push(piece),
                None => return Ok(None),
            }
        }
        for piece in &mut pieces {
            for tag in &self.tags {
                let tag = tag.fill(&facts, random)?.to_lowercase();
                let tag = tag.strip_prefix("the ").unwrap_or(&tag).to_owned();
                if !piece.tags.contains(&tag) {
                    piece.tags.push(tag);
                }
            }
        }
        Ok(Some(pieces))
    }
}

impl Chapter {
    fn read(text: ChapterText) -> anyhow::Result<Self> {
        let paragraphs = text.text.split("\n\n").map(str::trim).filter(|text| !text.is_empty());
        let slip = match (text.slip, text.slip_of) {
            (Some(fact), Some(words)) => Some((fact, words)),
            (None, None) => None,
            _ => anyhow::bail!("slip and slip_of belong together"),
        };
        Ok(Self {
            wait: text.wait,
            titles: parse_lines(&text.title)?,
            leads: parse_lines(&text.lead)?,
            text: paragraphs.map(Template::parse).collect::<anyhow::Result<_>>()?,
            update: text.update.as_deref().map(Template::parse).transpose()?,
            slip,
        })
    }

    fn write(
        &self,
        facts: &Facts,
        random: &mut Random,
        new: impl Fn(&String) -> bool,
    ) -> anyhow::Result<Option<Piece>> {
        let mut titles = Vec::new();
        for index in random.order(self.titles.len()) {
            titles.push(self.titles[index].fill(facts, random)?);
        }
        let fits = |title: &String| HEADLINE.contains(&title.chars().count()) && new(title);
        // All are filled, because each draws random numbers. Only those that are looked at need to be polish.
        let mut titles = titles.iter().map(|title| polish(title)).filter(fits);
        let Some(title) = titles.next() else { return Ok(None) };
        let lead = &self.leads[random.below(self.leads.len())];
        let description = polish(&lead.fill(facts, random)?);
        // The text with the slip uses the same random numbers: only the wrong number differs.
        let chances = random.clone();
        let paragraphs = self.paragraphs(facts, random)?;
        Ok(Some(Piece {
            wait: random.between(self.wait.0, self.wait.1),
            first_title: titles.next(),
            title,
            description,
            update: self
                .update
                .as_ref()
                .map(|text| text.fill(facts, random))
                .transpose()?
                .map(|text| polish(&text)),
            slip: self.slip(facts, &chances, &paragraphs)?,
            paragraphs,
            tags: Vec::new(),
        }))
    }

    fn paragraphs(&self, facts: &Facts, random: &mut Random) -> anyhow::Result<Vec<String>> {
        let mut paragraphs = Vec::new();
        for template in &self.text {
            let text = polish(&template.fill(facts, random)?);
            if !text.is_empty() {
                paragraphs.push(text);
            }
        }
        facts.shorten(&mut paragraphs);
        Ok(paragraphs)
    }

    /// Returns the text with a number that is a tenth too high, and the sentence that corrects it; `None` if
    /// the text does not contain the number.
    fn slip(
        &self,
        facts: &Facts,
        chances: &Random,
        right: &[String],
    ) -> anyhow::Result<Option<(Vec<String>, String)>> {
        let Some((name, words)) = &self.slip else { return Ok(None) };
        let (number, scale) = facts.number(name).with_context(|| format!("{name} is not a number"))?;
        let mut wrong = facts.clone();
        wrong.set_number(name, number + number / 10 + 1, scale);
        let paragraphs = self.paragraphs(&wrong, &mut chances.clone())?;
        let (was, is) = (wrong.say(name, &[], None)?, facts.say(name, &[], None)?);
        let note =
            format!("Correction: an earlier version of this article gave {words} as {was}. It is {is}.");
        Ok((paragraphs != right).then_some((paragraphs, polish(&note))))
    }
}
