//! Who writes what and when, and who reads it: all of a seed, before anything of it is done.
//!
//! Times are milliseconds since the first day. A plan knows no calendar: it is the same whenever it is carried out.

use std::collections::BTreeSet;

use anyhow::Context;
use kernel::{Role, Section};

use super::library::{Library, Piece};
use super::random::Random;

const MINUTE: i64 = 60 * 1000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Three months.
pub const WINDOW: i64 = 91 * DAY;
/// Stories may have begun so long before the first day: their later chapters still fall into the window.
const BEFORE: i64 = 17 * DAY;
/// A line comes again after at least so many other stories.
const APART: usize = 10;

const AUTHORS_OF_A_SECTION: usize = 4;
const READERS: usize = 24;

/// Everything that a seed does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Who is there.
    pub people: Vec<Person>,
    /// What is written, in the order of its sections and times.
    pub articles: Vec<Planned>,
    /// Who reads what, in the order of time.
    pub readings: Vec<Reading>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The display name.
    pub name: String,
    /// The address to log in with.
    pub email: String,
    /// The role.
    pub role: Role,
    /// The one section that an author or editor works in; none: all.
    pub section: Option<Section>,
    /// What a reader likes.
    pub tastes: Vec<String>,
    /// Whether a reader allows that their reading is kept.
    pub history: bool,
    /// When they register.
    pub joined: i64,
}

/// An article and its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Where it appears.
    pub section: Section,
    /// Which line of its section it follows, and which chapter.
    pub pattern: (usize, usize),
    /// Its labels.
    pub tags: Vec<String>,
    /// What makes its id.
    pub mark: u64,
    /// What happens to it, in order; step n leads to version n.
    pub steps: Vec<Step>,
}

/// One version of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: i64,
    /// Who does it, as an index into the people.
    pub by: usize,
    /// What.
    pub what: What,
}

/// What happens to an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is written.
    Draft(Text),
    /// It gets another text.
    Revise(Text),
    /// It appears.
    Publish,
}

/// What an article says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The headline.
    pub title: String,
    /// A sentence about it.
    pub description: String,
    /// The paragraphs.
    pub content: String,
}

/// Somebody reads something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When.
    pub at: i64,
    /// Who, as an index into the people.
    pub reader: usize,
    /// What, as an index into the articles.
    pub article: usize,
}

impl Planned {
    /// When it appears; a draft that is left does not.
    pub fn published_at(&self) -> Option<i64> {
        self.steps.iter().find(|step| step.what == What::Publish).map(|step| step.at)
    }
}

impl Plan {
    /// The plan of a seed: `articles` in all, over three months.
    ///
    /// # Errors
    /// Where the stories run out of headlines, or a file has a fault.
    pub fn of(seed: u64, articles: usize) -> anyhow::Result<Self> {
        let mut library = Library::read()?;
        let mut people = staff(seed, &mut library)?;
        let (mut planned, mut known) = (Vec::new(), BTreeSet::new());
        for (index, section) in Section::ALL.into_iter().enumerate() {
            // The first sections take what does not divide by three.
            let share = articles / 3 + usize::from(index < articles % 3);
            planned.extend(written(seed, section, share, &mut library, &mut known, &people)?);
        }
        let topics: BTreeSet<&String> = planned.iter().filter_map(|article| article.tags.first()).collect();
        let topics: Vec<String> = topics.into_iter().cloned().collect();
        people.extend(readers(seed, &topics, &library, &people)?);
        let readings = readings(seed, &people, &planned);
        Ok(Self { people, articles: planned, readings })
    }
}

/// The editor in chief, an editor for each section, and the authors.
fn staff(seed: u64, library: &mut Library) -> anyhow::Result<Vec<Person>> {
    let mut random = Random::of(seed, "staff");
    let mut met = BTreeSet::new();
    let mut roles = vec![(Role::Editor, None)];
    roles.extend(Section::ALL.map(|section| (Role::Editor, Some(section))));
    for section in Section::ALL {
        roles.extend([(Role::Author, Some(section)); AUTHORS_OF_A_SECTION]);
    }
    let mut people = Vec::new();
    for (role, section) in roles {
        let name = library.person(&mut met, &mut random)?;
        let joined = i64::try_from(people.len())? * MINUTE;
        people.push(person(name, "newsroom", role, section, joined));
    }
    // The same in every seed: by this address a seed is found that nobody knows of any more.
    people[0].email = "editor.in.chief@newsroom.internal".to_owned();
    library.reserve(&met);
    Ok(people)
}

fn person(name: String, domain: &str, role: Role, section: Option<Section>, joined: i64) -> Person {
    let email = format!("{}@{domain}.internal", name.to_lowercase().replace(' ', "."));
    Person { name, email, role, section, tastes: Vec::new(), history: false, joined }
}

fn readers(seed: u64, topics: &[String], library: &Library, staff: &[Person]) -> anyhow::Result<Vec<Person>> {
    let mut random = Random::of(seed, "readers");
    let mut met =
        staff.iter().filter_map(|person| person.name.split(' ').nth(1)).map(str::to_owned).collect();
    let mut readers = Vec::new();
    for index in 0..READERS {
        let name = library.person(&mut met, &mut random)?;
        // Most are there from the first week on, some come later.
        let joined = HOUR + random.between(0, if index % 4 == 3 { WINDOW / 2 } else { 5 * DAY });
        let mut reader = person(name, "readers", Role::Reader, None, joined);
        let likes = 2 + random.below(3);
        reader.tastes =
            random.order(topics.len()).into_iter().take(likes).map(|at| topics[at].clone()).collect();
        reader.history = index % 6 != 5;
        readers.push(reader);
    }
    readers.sort_by_key(|reader| reader.joined);
    Ok(readers)
}

/// The pieces of one section with their times, oldest first.
fn written(
    seed: u64,
    section: Section,
    count: usize,
    library: &mut Library,
    known: &mut BTreeSet<String>,
    people: &[Person],
) -> anyhow::Result<Vec<Planned>> {
    let mut random = Random::of(seed, &format!("{section}/times"));
    let mut deck = Deck::new(seed, section, library.lines(section));
    let mut stories: Vec<(usize, i64, Vec<Piece>)> = Vec::new();
    let mut of_window = Vec::new();
    while of_window.len() < count {
        // More stories over the same time, until enough of their chapters fall into the window.
        let more = 1 + (count - of_window.len()) / 4;
        for _ in 0..more {
            let mut told = None;
            for _ in 0..2 * library.lines(section) {
                let line = deck.next();
                told =
                    library.tell(section, line, (seed, stories.len()), known)?.map(|pieces| (line, pieces));
                if told.is_some() {
                    break;
                }
            }
            let (line, pieces) =
                told.context("there is no headline left that was not used; ask for fewer articles")?;
            stories.push((line, random.between(0, 1000), pieces));
        }
        of_window = in_window(&stories);
    }
    of_window.sort_by_key(|(at, story, chapter)| (*at, *story, *chapter));
    let chosen = of_window.split_off(of_window.len() - count);
    let newsroom = Newsroom { section, people };
    let planned = chosen.into_iter().map(|(at, story, chapter)| {
        let (line, _, pieces) = &stories[story];
        let last = chapter + 1 == pieces.len();
        let mut random = Random::of(seed, &format!("{section}/{story}/{chapter}/life"));
        let mark = random.number();
        let steps = newsroom.life(&pieces[chapter], *line, at, last, &mut random);
        Planned { section, pattern: (*line, chapter), tags: pieces[chapter].tags.clone(), mark, steps }
    });
    Ok(planned.collect())
}

/// Which chapters of which stories appear within the window, and when.
fn in_window(stories: &[(usize, i64, Vec<Piece>)]) -> Vec<(i64, usize, usize)> {
    let mut found = Vec::new();
    let distance = (WINDOW + BEFORE) / i64::try_from(stories.len()).unwrap_or(i64::MAX).max(1);
    for (story, (_, jitter, pieces)) in stories.iter().enumerate() {
        let mut at = i64::try_from(story).unwrap_or(0) * distance + distance * jitter / 1000 - BEFORE;
        for (chapter, piece) in pieces.iter().enumerate() {
            // The jitter again: nobody publishes on the hour only.
            at += piece.wait * HOUR + jitter * (7 * MINUTE) / 100;
            if (8 * HOUR..WINDOW - 5 * MINUTE).contains(&at) {
                found.push((at, story, chapter));
            }
        }
    }
    found
}

/// The order of a section's lines: each round all of them, and none soon again.
struct Deck {
    random: Random,
    lines: usize,
    dealt: Vec<usize>,
    round: Vec<usize>,
}

impl Deck {
    fn new(seed: u64, section: Section, lines: usize) -> Self {
        Self {
            random: Random::of(seed, &format!("{section}/deck")),
            lines,
            dealt: Vec::new(),
            round: Vec::new(),
        }
    }

    fn next(&mut self) -> usize {
        if self.round.is_empty() {
            self.round = self.random.order(self.lines);
        }
        let recent = &self.dealt[self.dealt.len().saturating_sub(APART)..];
        let fresh = self.round.iter().position(|line| !recent.contains(line)).unwrap_or(0);
        let line = self.round.remove(fresh);
        self.dealt.push(line);
        line
    }
}

struct Newsroom<'a> {
    section: Section,
    people: &'a [Person],
}

impl Newsroom<'_> {
    /// Those of the section with this role, as indexes.
    fn desk(&self, role: Role) -> Vec<usize> {
        let there = |person: &Person| person.role == role && person.section == Some(self.section);
        self.people.iter().enumerate().filter(|(_, person)| there(person)).map(|(index, _)| index).collect()
    }

    /// From the draft to the last correction. Each line has its author: people have beats.
    fn life(&self, piece: &Piece, line: usize, at: i64, last: bool, random: &mut Random) -> Vec<Step> {
        let (authors, editors) = (self.desk(Role::Author), self.desk(Role::Editor));
        let author = authors[line % authors.len()];
        // The editor in chief, who is the first of all, takes a turn now and then.
        let editor = if random.chance(1, 6) { 0 } else { editors[0] };
        let text = |title: &str, paragraphs: &[String]| Text {
            title: title.to_owned(),
            description: piece.description.clone(),
            content: paragraphs.join("\n\n"),
        };
        let written = at - random.between(70, 400) * MINUTE;
        let mut steps = Vec::new();
        let mut step = |at, by, what| steps.push(Step { at, by, what });
        let slip = piece.slip.as_ref().filter(|_| random.chance(1, 3));
        let paragraphs = slip.map_or(&piece.paragraphs, |(wrong, _)| wrong);
        match piece.first_title.as_ref().filter(|_| random.chance(1, 3)) {
            Some(first) => {
                step(written, author, What::Draft(text(first, paragraphs)));
                let edited = random.between(written + MINUTE, at - 10 * MINUTE);
                step(edited, editor, What::Revise(text(&piece.title, paragraphs)));
            }
            None => step(written, author, What::Draft(text(&piece.title, paragraphs))),
        }
        if last && random.chance(1, 18) {
            return steps;
        }
        step(at, editor, What::Publish);
        let added = match (slip, &piece.update) {
            (Some((_, note)), _) => Some(note),
            (None, Some(update)) => Some(update).filter(|_| random.chance(1, 2)),
            (None, None) => None,
        };
        let later = at + random.between(25, 300) * MINUTE;
        if let Some(added) = added.filter(|_| later < WINDOW - MINUTE) {
            let paragraphs = [piece.paragraphs.as_slice(), std::slice::from_ref(added)].concat();
            step(later, editor, What::Revise(text(&piece.title, &paragraphs)));
        }
        steps
    }
}

/// What readers read: most of what is about something that they like, and now and then something else.
fn readings(seed: u64, people: &[Person], articles: &[Planned]) -> Vec<Reading> {
    let mut readings = Vec::new();
    for (reader, person) in people.iter().enumerate().filter(|(_, person)| person.role == Role::Reader) {
        let mut random = Random::of(seed, &format!("readings/{reader}"));
        // In a portal of thousands of articles nobody reads more than in one of hundreds.
        let most = 400_usize;
        for (article, planned) in articles.iter().enumerate() {
            let likes = planned.tags.iter().any(|tag| person.tastes.contains(tag));
            let reads = if likes { random.chance(7, 10) } else { random.chance(3, 100) };
            let sampled = random.chance(most.min(articles.len()), articles.len());
            let Some(published) = planned.published_at().filter(|_| reads && sampled) else { continue };
            let after = random.between(2, 60).pow(2) * MINUTE;
            let at = published.max(person.joined + HOUR) + after;
            if at < WINDOW - MINUTE {
                readings.push(Reading { at, reader, article });
            }
        }
    }
    readings.sort_by_key(|reading| (reading.at, reading.reader, reading.article));
    readings
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
