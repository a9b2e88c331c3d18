//! The plan of a seed, complete before any of it is carried out: people, articles and readings.
//!
//! Times are milliseconds since the first day. A plan contains no dates, so it is the same on every day.

use std::collections::BTreeSet;

use anyhow::Context;
use kernel::{Role, Section};

use crate::library::{Library, Piece};
use crate::random::Random;

const MINUTE: i64 = 60 * 1000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The length of a plan: three months.
pub const WINDOW: i64 = 91 * DAY;
/// The longest time before the first day at which a story may begin. Its later chapters still fall into the
/// window.
const BEFORE: i64 = 17 * DAY;
/// The least number of other stories between two stories of one line.
const APART: usize = 10;

const AUTHORS_OF_A_SECTION: usize = 4;
const READERS: usize = 24;

/// The people, articles and readings of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The people.
    pub people: Vec<Person>,
    /// The articles, in the order of their sections and times.
    pub articles: Vec<PlannedArticle>,
    /// The readings, in the order of time.
    pub readings: Vec<PlannedReading>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The display name.
    pub name: String,
    /// The e-mail address to log in with.
    pub email: String,
    /// The role.
    pub role: Role,
    /// The section that an author or editor works in, or `None` for all.
    pub section: Option<Section>,
    /// The labels that a reader likes.
    pub tastes: Vec<String>,
    /// True if a reader consents to a history of readings.
    pub history: bool,
    /// The time of registration.
    pub joined: i64,
}

/// An article and its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedArticle {
    /// The section.
    pub section: Section,
    /// The line of its section and the chapter that it follows.
    pub pattern: (usize, usize),
    /// The labels.
    pub tags: Vec<String>,
    /// The number that its id follows from.
    pub mark: u64,
    /// The changes, in order. The n-th leads to version n.
    pub steps: Vec<PlannedVersion>,
}

/// One version of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedVersion {
    /// The time.
    pub at: i64,
    /// The person, as an index into the people.
    pub by: usize,
    /// The change.
    pub change: Change,
}

/// A change to an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The article is drafted.
    Draft(Text),
    /// The article gets another text.
    Revise(Text),
    /// The article is published.
    Publish,
}

/// The text of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The headline.
    pub title: String,
    /// The description, a sentence.
    pub description: String,
    /// The paragraphs.
    pub content: String,
}

/// A reading of an article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedReading {
    /// The time.
    pub at: i64,
    /// The reader, as an index into the people.
    pub reader: usize,
    /// The article, as an index into the articles.
    pub article: usize,
}

impl PlannedArticle {
    /// Returns the time of publication, or `None` if the article stays a draft.
    pub fn published_at(&self) -> Option<i64> {
        self.steps.iter().find(|step| step.change == Change::Publish).map(|step| step.at)
    }
}

impl Plan {
    /// Makes the plan of a seed: this number of articles, spread over three months.
    ///
    /// # Errors
    /// Fails if the stories run out of headlines, or if a story file has a fault.
    pub fn new(seed: u64, articles: usize) -> anyhow::Result<Self> {
        let mut library = Library::read()?;
        let mut people = plan_staff(seed, &mut library)?;
        let (mut planned, mut known) = (Vec::new(), BTreeSet::new());
        for (index, section) in Section::ALL.into_iter().enumerate() {
            // The first sections take the remainder of the division by three.
            let share = articles / 3 + usize::from(index < articles % 3);
            planned.extend(plan_section(seed, section, share, &mut library, &mut known, &people)?);
        }
        let topics: BTreeSet<&String> = planned.iter().filter_map(|article| article.tags.first()).collect();
        let topics: Vec<String> = topics.into_iter().cloned().collect();
        people.extend(plan_readers(seed, &topics, &library, &people)?);
        let readings = plan_readings(seed, &people, &planned);
        Ok(Self { people, articles: planned, readings })
    }
}

/// Plans the editor in chief, an editor for each section, and the authors.
fn plan_staff(seed: u64, library: &mut Library) -> anyhow::Result<Vec<Person>> {
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
    // The same address in every seed: it reveals a seed whose file of accounts is lost.
    people[0].email = "editor.in.chief@newsroom.internal".to_owned();
    library.reserve(&met);
    Ok(people)
}

fn person(name: String, domain: &str, role: Role, section: Option<Section>, joined: i64) -> Person {
    let email = format!("{}@{domain}.internal", name.to_lowercase().replace(' ', "."));
    Person { name, email, role, section, tastes: Vec::new(), history: false, joined }
}

fn plan_readers(
    seed: u64,
    topics: &[String],
    library: &Library,
    staff: &[Person],
) -> anyhow::Result<Vec<Person>> {
    let mut random = Random::of(seed, "readers");
    let mut met =
        staff.iter().filter_map(|person| person.name.split(' ').nth(1)).map(str::to_owned).collect();
    let mut readers = Vec::new();
    for index in 0..READERS {
        let name = library.person(&mut met, &mut random)?;
        // Most readers join in the first week, some later.
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

/// Plans the articles of one section with their times, oldest first.
fn plan_section(
    seed: u64,
    section: Section,
    count: usize,
    library: &mut Library,
    known: &mut BTreeSet<String>,
    people: &[Person],
) -> anyhow::Result<Vec<PlannedArticle>> {
    let mut random = Random::of(seed, &format!("{section}/times"));
    let mut deck = Deck::new(seed, section, library.line_count(section));
    let mut stories: Vec<(usize, i64, Vec<Piece>)> = Vec::new();
    let mut of_window = Vec::new();
    while of_window.len() < count {
        // More stories over the same time, until enough of their chapters fall into the window.
        let more = 1 + (count - of_window.len()) / 4;
        for _ in 0..more {
            let mut drawn = None;
            for _ in 0..2 * library.line_count(section) {
                let line = deck.next();
                drawn = library
                    .draw_story(section, line, (seed, stories.len()), known)?
                    .map(|pieces| (line, pieces));
                if drawn.is_some() {
                    break;
                }
            }
            let (line, pieces) = drawn.context("every headline is used; ask for fewer articles")?;
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
        let steps = newsroom.plan_versions(&pieces[chapter], *line, at, last, &mut random);
        PlannedArticle { section, pattern: (*line, chapter), tags: pieces[chapter].tags.clone(), mark, steps }
    });
    Ok(planned.collect())
}

/// Returns the chapters that appear within the window: time, story and chapter.
fn in_window(stories: &[(usize, i64, Vec<Piece>)]) -> Vec<(i64, usize, usize)> {
    let mut found = Vec::new();
    let distance = (WINDOW + BEFORE) / i64::try_from(stories.len()).unwrap_or(i64::MAX).max(1);
    for (story, (_, jitter, pieces)) in stories.iter().enumerate() {
        let mut at = i64::try_from(story).unwrap_or(0) * distance + distance * jitter / 1000 - BEFORE;
        for (chapter, piece) in pieces.iter().enumerate() {
            // The jitter again, so that articles do not all appear on the hour.
            at += piece.wait * HOUR + jitter * (7 * MINUTE) / 100;
            if (8 * HOUR..WINDOW - 5 * MINUTE).contains(&at) {
                found.push((at, story, chapter));
            }
        }
    }
    found
}

/// The order in which the lines of a section are used: all of them in each round, and none twice in a short
/// time.
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
    /// Returns the people of the section with this role, as indexes.
    fn people_with(&self, role: Role) -> Vec<usize> {
        let there = |person: &Person| person.role == role && person.section == Some(self.section);
        self.people.iter().enumerate().filter(|(_, person)| there(person)).map(|(index, _)| index).collect()
    }

    /// Plans the versions of an article, from the draft to the last correction. Each line has its author, as
    /// reporters have beats.
    fn plan_versions(
        &self,
        piece: &Piece,
        line: usize,
        at: i64,
        last: bool,
        random: &mut Random,
    ) -> Vec<PlannedVersion> {
        let (authors, editors) = (self.people_with(Role::Author), self.people_with(Role::Editor));
        let author = authors[line % authors.len()];
        // Sometimes the editor in chief, the first of the people, takes a turn.
        let editor = if random.chance(1, 6) { 0 } else { editors[0] };
        let text = |title: &str, paragraphs: &[String]| Text {
            title: title.to_owned(),
            description: piece.description.clone(),
            content: paragraphs.join("\n\n"),
        };
        let written = at - random.between(70, 400) * MINUTE;
        let mut steps = Vec::new();
        let mut step = |at, by, change| steps.push(PlannedVersion { at, by, change });
        let slip = piece.slip.as_ref().filter(|_| random.chance(1, 3));
        let paragraphs = slip.map_or(&piece.paragraphs, |(wrong, _)| wrong);
        match piece.first_title.as_ref().filter(|_| random.chance(1, 3)) {
            Some(first) => {
                step(written, author, Change::Draft(text(first, paragraphs)));
                let edited = random.between(written + MINUTE, at - 10 * MINUTE);
                step(edited, editor, Change::Revise(text(&piece.title, paragraphs)));
            }
            None => step(written, author, Change::Draft(text(&piece.title, paragraphs))),
        }
        if last && random.chance(1, 18) {
            return steps;
        }
        step(at, editor, Change::Publish);
        let added = match (slip, &piece.update) {
            (Some((_, note)), _) => Some(note),
            (None, Some(update)) => Some(update).filter(|_| random.chance(1, 2)),
            (None, None) => None,
        };
        let later = at + random.between(25, 300) * MINUTE;
        if let Some(added) = added.filter(|_| later < WINDOW - MINUTE) {
            let paragraphs = [piece.paragraphs.as_slice(), std::slice::from_ref(added)].concat();
            step(later, editor, Change::Revise(text(&piece.title, &paragraphs)));
        }
        steps
    }
}

/// Plans the readings: readers read most articles about what they like, and sometimes another one.
fn plan_readings(seed: u64, people: &[Person], articles: &[PlannedArticle]) -> Vec<PlannedReading> {
    let mut readings = Vec::new();
    for (reader, person) in people.iter().enumerate().filter(|(_, person)| person.role == Role::Reader) {
        let mut random = Random::of(seed, &format!("readings/{reader}"));
        // In a portal of thousands of articles a reader reads no more than in one of hundreds.
        let most = 400_usize;
        for (article, planned) in articles.iter().enumerate() {
            let likes = planned.tags.iter().any(|tag| person.tastes.contains(tag));
            let reads = if likes { random.chance(7, 10) } else { random.chance(3, 100) };
            let sampled = random.chance(most.min(articles.len()), articles.len());
            let Some(published) = planned.published_at().filter(|_| reads && sampled) else { continue };
            let after = random.between(2, 60).pow(2) * MINUTE;
            let at = published.max(person.joined + HOUR) + after;
            if at < WINDOW - MINUTE {
                readings.push(PlannedReading { at, reader, article });
            }
        }
    }
    readings.sort_by_key(|reading| (reading.at, reading.reader, reading.article));
    readings
}

#[cfg(test)]
mod tests;
