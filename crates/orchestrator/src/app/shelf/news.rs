use std::collections::{HashMap, VecDeque};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use kernel::{ArticleId, Section, UserId, Version};

use super::Rendered;

/// How many articles and persons are remembered. What falls off makes everything worthless that is older.
const MOST: usize = 100_000;

/// What was announced, in the order in which it was heard: a number for each.
#[derive(Default)]
pub(super) struct Heard(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    last: u64,
    // What is older than this may have missed something.
    floor: u64,
    of: HashMap<Of, Mark>,
    order: VecDeque<(u64, Of)>,
    sections: [Option<(u64, Duration)>; Section::ALL.len()],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Of {
    Article(ArticleId),
    Person(UserId),
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    heard: u64,
    version: Version,
}

/// What becomes of a kept answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It serves.
    Good,
    /// Something new may be missing in it. It serves while no other can be made.
    Outdated,
    /// It shows what may not be shown any more.
    Gone,
}

impl Heard {
    /// The number of what was heard last.
    pub fn now(&self) -> u64 {
        self.read(|inner| inner.last)
    }

    pub fn announced(&self, section: Section, id: ArticleId, version: Version, now: Duration) {
        self.write(|inner| {
            inner.last += 1;
            inner.sections[section as usize] = Some((inner.last, now));
            inner.mark(Of::Article(id), version);
        });
    }

    pub fn erased(&self, person: UserId) {
        self.write(|inner| {
            inner.last += 1;
            inner.mark(Of::Person(person), Version::FIRST);
        });
    }

    /// What becomes of an answer whose making began at `began` and that was good at `good_at`; and what has been heard by now.
    pub fn fate(&self, answer: &Rendered, began: u64, good_at: u64) -> (Fate, u64) {
        self.read(|inner| (inner.fate(answer, began, good_at), inner.last))
    }

    /// Whether an answer that was just made may be kept at all: its section may not have caught up with its own announcements, or with
    /// an erasure.
    pub fn may_keep(&self, answer: &Rendered, now: Duration, settling: Duration) -> bool {
        self.read(|inner| {
            let behind = answer.shown.iter().any(|shown| {
                let announced = inner.of.get(&Of::Article(shown.id));
                announced.is_some_and(|mark| shown.version < mark.version)
                    || shown.named.is_some_and(|person| inner.of.contains_key(&Of::Person(person)))
            });
            let settled = answer.lists.iter().all(|section| {
                inner.sections[*section as usize].is_none_or(|(_, at)| now.saturating_sub(at) >= settling)
            });
            !behind && settled
        })
    }

    fn read<R>(&self, look: impl FnOnce(&Inner) -> R) -> R {
        // Nothing that holds the lock can panic half way.
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn mark(&mut self, of: Of, version: Version) {
        let before = self.of.get(&of).map_or(version, |mark| mark.version);
        self.of.insert(of, Mark { heard: self.last, version: version.max(before) });
        self.order.push_back((self.last, of));
        while self.of.len() > MOST || self.order.len() > 2 * MOST {
            let Some((heard, oldest)) = self.order.pop_front() else { break };
            if self.of.get(&oldest).is_some_and(|mark| mark.heard == heard) {
                self.of.remove(&oldest);
                self.floor = heard;
            }
        }
    }

    fn fate(&self, answer: &Rendered, began: u64, good_at: u64) -> Fate {
        if began < self.floor {
            return Fate::Gone;
        }
        let heard_since = |of: Of| self.of.get(&of).is_some_and(|mark| mark.heard > began);
        let gone = good_at != self.last
            && answer.shown.iter().any(|shown| {
                heard_since(Of::Article(shown.id))
                    || shown.named.is_some_and(|person| heard_since(Of::Person(person)))
            });
        let outdated =
            |section: &Section| self.sections[*section as usize].is_some_and(|(heard, _)| heard > began);
        match gone {
            true => Fate::Gone,
            false if answer.lists.iter().any(outdated) => Fate::Outdated,
            false => Fate::Good,
        }
    }
}
