//! The story files, and how a story is told from them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use kernel::Section;
use serde::Deserialize;

use super::facts::Facts;
use super::random::Random;
use super::template::{Template, polished};
use super::words::{Entries, Lists, Words};

const WORDS: &str = include_str!("../../seed/words.toml");

/// The characters of a headline.
pub const HEADLINE: std::ops::RangeInclusive<usize> = 40..=90;
/// How often a story is drawn anew until its headlines fit and are new.
const DRAWS: u64 = 40;

/// Every story line of every section.
pub struct Library {
    words: BTreeMap<Section, Words>,
    lines: BTreeMap<Section, Vec<Line>>,
}

/// One kind of story: what it is about, and its chapters.
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

/// A chapter as it was told: an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Hours since the chapter before.
    pub wait: i64,
    /// The headline.
    pub title: String,
    /// Another headline for the same article: what the author had first.
    pub first_title: Option<String>,
    /// What it is about, in a sentence.
    pub description: String,
    /// The paragraphs.
    pub paragraphs: Vec<String>,
    /// The labels, the topic first.
    pub tags: Vec<String>,
    /// A paragraph that may be added later.
    pub update: Option<String>,
    /// The paragraphs with a wrong number in them, and the sentence that puts it right later.
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
    /// Reads the story files that are part of this program.
    ///
    /// # Errors
    /// Where one of them can't be read, which a test finds.
    pub fn read() -> anyhow::Result<Self> {
        let (mut words, mut lines) = (BTreeMap::new(), BTreeMap::new());
        for section in Section::ALL {
            let shared: Lists = toml::from_str(WORDS).context("words.toml")?;
            let file: StoryFile = toml::from_str(text(section)).with_context(|| format!("{section}.toml"))?;
            words.insert(section, Words::new([shared, Lists::of(file.lists)]));
            let told = file.line.into_iter().map(|line| {
                let name = line.name.clone();
                Line::read(line).with_context(|| format!("{section}.toml, line {name:?}"))
            });
            lines.insert(section, told.collect::<anyhow::Result<Vec<Line>>>()?);
        }
        Ok(Self { words, lines })
    }

    /// How many story lines a section has.
    pub fn lines(&self, section: Section) -> usize {
        self.lines.get(&section).map_or(0, Vec::len)
    }

    /// Takes names out of the stories: nobody writes about themselves.
    pub fn reserve(&mut self, last_names: &BTreeSet<String>) {
        self.words.values_mut().for_each(|words| words.reserve(last_names));
    }

    /// A person who stands in no story.
    ///
    /// # Errors
    /// Where there are no more names.
    pub fn person(&self, met: &mut BTreeSet<String>, random: &mut Random) -> anyhow::Result<String> {
        let words = self.words.get(&Section::Sports).context("words")?;
        words.person("person", met, random)?.remove("name").context("a name")
    }

    /// Tells the story `number` of a section by one of its lines. No headline is one of `known`, and its own are added. Nothing
    /// where the line has told all that it can: every headline of the right length is known.
    ///
    /// # Errors
    /// Where the file has a fault.
    pub fn tell(
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
            if let Some(pieces) = line.tell(words, &mut random, known)? {
                known.extend(pieces.iter().map(|piece| piece.title.clone()));
                return Ok(Some(pieces));
            }
        }
        Ok(None)
    }
}

fn text(section: Section) -> &'static str {
    match section {
        Section::Famous => include_str!("../../seed/famous.toml"),
        Section::Politics => include_str!("../../seed/politics.toml"),
        Section::Sports => include_str!("../../seed/sports.toml"),
    }
}

/// One template for each line that is not empty.
fn each_line(text: &str) -> anyhow::Result<Vec<Template>> {
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

    /// The whole story, or nothing where a headline does not fit.
    fn tell(
        &self,
        words: &mut Words,
        random: &mut Random,
        known: &BTreeSet<String>,
    ) -> anyhow::Result<Option<Vec<Piece>>> {
        let facts = Facts::draw(&self.facts, words, random)?;
        let mut pieces: Vec<Piece> = Vec::new();
        for chapter in &self.chapters {
            let told: BTreeSet<&String> = pieces.iter().map(|piece| &piece.title).collect();
            let new = |title: &String| !known.contains(title) && !told.contains(title);
            match chapter.tell(&facts, random, new)? {
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
            titles: each_line(&text.title)?,
            leads: each_line(&text.lead)?,
            text: paragraphs.map(Template::parse).collect::<anyhow::Result<_>>()?,
            update: text.update.as_deref().map(Template::parse).transpose()?,
            slip,
        })
    }

    fn tell(
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
        // All are filled, for each draws its chances; only those that are looked at need to be fit to print.
        let mut titles = titles.iter().map(|title| polished(title)).filter(fits);
        let Some(title) = titles.next() else { return Ok(None) };
        let lead = &self.leads[random.below(self.leads.len())];
        let description = polished(&lead.fill(facts, random)?);
        // The same chances for the text with the slip: only the number differs.
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
                .map(|text| polished(&text)),
            slip: self.slip(facts, &chances, &paragraphs)?,
            paragraphs,
            tags: Vec::new(),
        }))
    }

    fn paragraphs(&self, facts: &Facts, random: &mut Random) -> anyhow::Result<Vec<String>> {
        let mut paragraphs = Vec::new();
        for template in &self.text {
            let text = polished(&template.fill(facts, random)?);
            if !text.is_empty() {
                paragraphs.push(text);
            }
        }
        facts.shorten(&mut paragraphs);
        Ok(paragraphs)
    }

    /// What the text says with a number that is a tenth too high, and the sentence that corrects it; nothing where the text does
    /// not say the number at all.
    fn slip(
        &self,
        facts: &Facts,
        chances: &Random,
        right: &[String],
    ) -> anyhow::Result<Option<(Vec<String>, String)>> {
        let Some((name, words)) = &self.slip else { return Ok(None) };
        let (number, scale) = facts.number(name).with_context(|| format!("{name} is no number"))?;
        let mut wrong = facts.clone();
        wrong.set_number(name, number + number / 10 + 1, scale);
        let paragraphs = self.paragraphs(&wrong, &mut chances.clone())?;
        let (was, is) = (wrong.say(name, &[], None)?, facts.say(name, &[], None)?);
        let note =
            format!("Correction: an earlier version of this article gave {words} as {was}. It is {is}.");
        Ok((paragraphs != right).then_some((paragraphs, polished(&note))))
    }
}
