use std::collections::{HashMap, VecDeque};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use kernel::{ArticleId, Section, UserId, Version};

use super::RenderedAnswer;

/// The number of articles and persons that are remembered. Answers that are older than a forgotten entry are
/// evicted.
const MAX_SUBJECTS: usize = 100_000;

/// The invalidations, in the order of their arrival. Each has a sequence number.
#[derive(Default)]
pub(super) struct Invalidations(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    last: u64,
    // An answer that is older than this may have missed an invalidation.
    floor: u64,
    newest: HashMap<Subject, Invalidation>,
    order: VecDeque<(u64, Subject)>,
    sections: [Option<(u64, Duration)>; Section::ALL.len()],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Article(ArticleId),
    Person(UserId),
}

#[derive(Debug, Clone, Copy)]
struct Invalidation {
    sequence: u64,
    version: Version,
}

/// The validity of a stored answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    /// It may be served.
    Valid,
    /// It may miss a new article. It is served only if no newer answer can be made.
    Outdated,
    /// It shows content that may not be shown any more.
    Evicted,
}

impl Invalidations {
    /// Returns the sequence number of the newest invalidation.
    pub fn sequence(&self) -> u64 {
        self.read(|inner| inner.last)
    }

    /// Records that an article has a new version.
    pub fn article_changed(&self, section: Section, id: ArticleId, version: Version, now: Duration) {
        self.write(|inner| {
            inner.last += 1;
            inner.sections[section as usize] = Some((inner.last, now));
            inner.record(Subject::Article(id), version);
        });
    }

    /// Records that a person was erased.
    pub fn person_erased(&self, person: UserId) {
        self.write(|inner| {
            inner.last += 1;
            inner.record(Subject::Person(person), Version::FIRST);
        });
    }

    /// Returns the validity of an answer whose making began at `began` and that was valid at `valid_at`, and
    /// the current sequence number.
    pub fn validity(&self, answer: &RenderedAnswer, began: u64, valid_at: u64) -> (Validity, u64) {
        self.read(|inner| (inner.validity(answer, began, valid_at), inner.last))
    }

    /// Returns true if an answer that was just made may be stored. It may not if its section's view has not
    /// caught up with the section's own events or with an erasure.
    pub fn may_store(&self, answer: &RenderedAnswer, now: Duration, settling: Duration) -> bool {
        self.read(|inner| {
            let behind = answer.shown.iter().any(|shown| {
                let newest = inner.newest.get(&Subject::Article(shown.id));
                newest.is_some_and(|newest| shown.version < newest.version)
                    || shown.named.is_some_and(|person| inner.newest.contains_key(&Subject::Person(person)))
            });
            let settled = answer.lists.iter().all(|section| {
                inner.sections[*section as usize].is_none_or(|(_, at)| now.saturating_sub(at) >= settling)
            });
            !behind && settled
        })
    }

    fn read<R>(&self, look: impl FnOnce(&Inner) -> R) -> R {
        // No code that holds the lock can panic halfway.
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn record(&mut self, subject: Subject, version: Version) {
        let before = self.newest.get(&subject).map_or(version, |newest| newest.version);
        let invalidation = Invalidation { sequence: self.last, version: version.max(before) };
        self.newest.insert(subject, invalidation);
        self.order.push_back((self.last, subject));
        while self.newest.len() > MAX_SUBJECTS || self.order.len() > 2 * MAX_SUBJECTS {
            let Some((sequence, oldest)) = self.order.pop_front() else { break };
            if self.newest.get(&oldest).is_some_and(|newest| newest.sequence == sequence) {
                self.newest.remove(&oldest);
                self.floor = sequence;
            }
        }
    }

    fn validity(&self, answer: &RenderedAnswer, began: u64, valid_at: u64) -> Validity {
        if began < self.floor {
            return Validity::Evicted;
        }
        let changed =
            |subject: Subject| self.newest.get(&subject).is_some_and(|newest| newest.sequence > began);
        let evicted = valid_at != self.last
            && answer.shown.iter().any(|shown| {
                changed(Subject::Article(shown.id))
                    || shown.named.is_some_and(|person| changed(Subject::Person(person)))
            });
        let outdated = |section: &Section| {
            self.sections[*section as usize].is_some_and(|(sequence, _)| sequence > began)
        };
        match evicted {
            true => Validity::Evicted,
            false if answer.lists.iter().any(outdated) => Validity::Outdated,
            false => Validity::Valid,
        }
    }
}
