//! The read cache: published articles, lists and the front page as everybody sees them, as the bytes of their answers.
//!
//! **What never gets in**: anything that was asked for in somebody's name. Whoever fills it asks the sections without a token.
//!
//! **What gets out**: an announcement (`news.<section>.*`) takes out what shows its article and makes the section's lists outdated;
//! an erasure takes out what shows a byline of that person. Every process hears them by a subscription of its own. An announcement that is
//! missed (the bus was away for a moment) leaves an answer in for [`Times::fresh`] and [`Times::renewing`] at the most, which is no more than every
//! other cache was allowed to show it: so nothing else is done when the subscription is lost.
//!
//! **An answer that is no longer fresh** serves for [`Times::renewing`] more, while a new one is made behind the request: so that nobody waits for
//! what every client's own cache would show as well (`stale-while-revalidate`). An attempt that failed ends that: the next
//! request asks by itself, and says what it found.
//!
//! **The race of filling and purging**: an answer counts as made when its making *began*. One whose making began before an announcement is
//! worth nothing after it, whenever it arrives. And since a section's view follows its announcements a moment later, an answer
//! that shows an older version than was announced is never kept, and lists are not kept for [`Times::settling`] after an announcement.
//!
//! **When a section is away** the last good answer serves for [`Times::stale`], if no announcement has taken it out. An orchestrator that
//! is cut off from the bus hears of no announcement, and can show what was taken back meanwhile: as every cache that was told
//! `stale-if-error` can, and for as long.

mod flights;
mod news;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chassis::Context;
use kernel::{ArticleId, Clock, Kind, Refusal, Section, UserId, Version};
use moka::sync::Cache;
use tokio::sync::Semaphore;

use self::flights::Flights;
use self::news::{Fate, Heard};
use crate::domain::Article;
use crate::metrics::CACHE_REQUESTS;

/// What an answer is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// An article.
    Article(Section, ArticleId),
    /// A list, by everything in its address that decides what it says, in one spelling.
    List(Arc<str>),
    /// The front page.
    Home,
}

impl Key {
    /// As in metrics.
    fn name(&self) -> &'static str {
        match self {
            Key::Article(..) => "article",
            Key::List(_) => "list",
            Key::Home => "home",
        }
    }

    /// The bytes that it takes besides its own size. Only the spelling of a list has any, and clients decide how many.
    fn bytes(&self) -> usize {
        match self {
            Key::List(spelling) => spelling.len(),
            Key::Article(..) | Key::Home => 0,
        }
    }
}

/// An answer that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The body.
    pub body: Bytes,
    /// Its entity tag.
    pub etag: String,
    /// The pages around it (RFC 8288), of a list.
    pub link: Option<String>,
    /// How many articles the whole list has.
    pub total: Option<u64>,
    /// The article, where it is one.
    pub article: Option<Arc<Article>>,
    /// What it shows.
    pub shown: Vec<Shown>,
    /// The sections whose next article may change it; none for an article.
    pub lists: Vec<Section>,
    /// False where it is for nobody else: it is incomplete, or not public.
    pub keep: bool,
}

impl Rendered {
    /// The bytes that it takes, about. An article is held twice: as the body, and as what the body was made of.
    fn bytes(&self) -> usize {
        let texts = self.etag.len() + self.link.as_ref().map_or(0, String::len);
        let bodies = if self.article.is_some() { 2 } else { 1 };
        OVERHEAD + self.body.len() * bodies + texts + self.shown.len() * OF_SHOWN
    }
}

/// An article that an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Which one.
    pub id: ArticleId,
    /// In which version.
    pub version: Version,
    /// The account whose name is shown over it.
    pub named: Option<UserId>,
}

impl From<&Article> for Shown {
    fn from(article: &Article) -> Self {
        let named = article.byline_of.filter(|_| !article.author.is_empty());
        Self { id: article.id, version: article.version, named }
    }
}

/// How long answers serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Without asking again.
    pub fresh: Duration,
    /// After that, while a new one is made.
    pub renewing: Duration,
    /// While the section is away.
    pub stale: Duration,
    /// How long after an announcement a section's lists are not kept: until its view surely has what was announced.
    pub settling: Duration,
}

/// An answer, and where it came from.
#[derive(Debug, Clone)]
pub struct Served {
    /// The answer.
    pub answer: Arc<Rendered>,
    /// Where it came from.
    pub source: Source,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It was made for this request, or for others at the same moment.
    Made,
    /// It was kept, for so long.
    Kept(Duration),
    /// It was kept, for so long, and serves while this request has a new one made.
    Renewed(Duration),
    /// It was kept, for so long, and serves because a new one can't be made.
    Stale(Duration),
}

impl Source {
    /// As in metrics.
    fn name(self) -> &'static str {
        match self {
            Source::Made => "miss",
            Source::Kept(_) => "hit",
            Source::Renewed(_) => "renewal",
            Source::Stale(_) => "stale",
        }
    }
}

/// A kept answer.
pub(super) struct Kept {
    answer: Arc<Rendered>,
    // When, by the time that never goes back.
    at: Duration,
    // What had been heard when its making began.
    began: u64,
    // What had been heard when it was last found to be good: most reads need not look any further.
    good_at: AtomicU64,
    // A new one is being made.
    renewing: AtomicBool,
    // … or could not be made.
    overdue: AtomicBool,
}

/// A kept answer as it was found.
struct Found {
    kept: Arc<Kept>,
    age: Duration,
    fate: Fate,
}

/// The cache.
pub struct Shelf {
    kept: Option<Cache<Key, Arc<Kept>>>,
    heard: Arc<Heard>,
    flights: Flights,
    renewals: Arc<Semaphore>,
    times: Times,
    clock: Arc<dyn Clock>,
}

type Answer = Result<Arc<Rendered>, Refusal>;

/// How many answers are made anew at the same time behind requests: where all grow old together, those in front must not wait for it.
const RENEWALS: usize = 8;

/// What an answer takes besides its body, and for each article that it shows, in bytes, about.
const OVERHEAD: usize = 512;
const OF_SHOWN: usize = 48;

/// The longest body of a list that is kept, in bytes. A longer one would take the place of hundreds of others.
pub const LARGEST_LIST: usize = 256 * 1024;

impl Shelf {
    /// A cache of at most `bytes`; none at all where that is 0.
    pub fn new(bytes: u64, times: Times, clock: Arc<dyn Clock>) -> Self {
        let weigh = |key: &Key, kept: &Arc<Kept>| {
            u32::try_from(key.bytes() + kept.answer.bytes()).unwrap_or(u32::MAX)
        };
        let kept = (bytes > 0)
            .then(|| Cache::builder().max_capacity(bytes).weigher(weigh).time_to_live(times.stale).build());
        let renewals = Arc::new(Semaphore::new(RENEWALS));
        Self { kept, heard: Arc::default(), flights: Flights::default(), renewals, times, clock }
    }

    /// The answer for `key`: a kept one, or what `make` makes, or while that fails because somebody is away, the last good one.
    ///
    /// Of requests for one key at the same moment one makes the answer, and the others wait for it. `make` asks in nobody's name.
    ///
    /// # Errors
    /// What `make` said, where nothing that was kept may serve.
    pub async fn serve<F>(self: &Arc<Self>, key: Key, make: F) -> Result<Served, Refusal>
    where
        F: Future<Output = Result<Rendered, Refusal>> + Send + 'static,
    {
        let cache = key.name();
        let served = self.find(key, make).await;
        let source = served.as_ref().map_or(Source::Made, |served| served.source);
        CACHE_REQUESTS.count([cache.into(), source.name().into()]);
        served
    }

    async fn find<F>(self: &Arc<Self>, key: Key, make: F) -> Result<Served, Refusal>
    where
        F: Future<Output = Result<Rendered, Refusal>> + Send + 'static,
    {
        let Some(kept) = &self.kept else {
            return Ok(Served { answer: Arc::new(make.await?), source: Source::Made });
        };
        if let Some(Found { kept, age, fate: Fate::Good }) = self.look(kept, &key) {
            let served = |source| Ok(Served { answer: kept.answer.clone(), source });
            if age < self.times.fresh {
                return served(Source::Kept(age));
            }
            if age < self.times.fresh + self.times.renewing && !kept.overdue.load(Ordering::Relaxed) {
                let begun = self.renew(key, &kept, make);
                return served(if begun { Source::Renewed(age) } else { Source::Kept(age) });
            }
        }
        match self.make(key.clone(), make).await {
            Ok(answer) => Ok(Served { answer, source: Source::Made }),
            Err(refusal) if is_away(refusal.kind) => {
                // It is looked for once more: what was good before the attempt may have been taken out since.
                let last = self.look(kept, &key).filter(|found| found.age < self.times.stale);
                let Found { kept, age, .. } = last.ok_or(refusal)?;
                Ok(Served { answer: kept.answer.clone(), source: Source::Stale(age) })
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Makes an answer, or waits for who makes it already, and keeps it.
    fn make<F>(self: &Arc<Self>, key: Key, make: F) -> impl Future<Output = Answer> + Send + 'static
    where
        F: Future<Output = Result<Rendered, Refusal>> + Send + 'static,
    {
        let began = self.heard.now();
        let (shelf, place) = (self.clone(), key.clone());
        let making = async move {
            let answer = Arc::new(make.await?);
            shelf.keep(place, &answer, began);
            Ok(answer)
        };
        let flights = self.flights.clone();
        async move { flights.join(&key, began, making).await }
    }

    /// Has a new answer made while the old one serves, unless somebody does already or enough others are being made.
    fn renew<F>(self: &Arc<Self>, key: Key, old: &Arc<Kept>, make: F) -> bool
    where
        F: Future<Output = Result<Rendered, Refusal>> + Send + 'static,
    {
        let Ok(permit) = self.renewals.clone().try_acquire_owned() else { return false };
        if old.renewing.swap(true, Ordering::Relaxed) {
            return false;
        }
        let (shelf, old, renewal) = (self.clone(), old.clone(), self.make(key.clone(), make));
        let work = async move {
            let answer = renewal.await;
            match answer {
                Ok(answer) if answer.keep => old.renewing.store(false, Ordering::Relaxed),
                Err(refusal) if !is_away(refusal.kind) => shelf.remove(&key),
                _ => old.overdue.store(true, Ordering::Relaxed),
            }
            drop(permit);
        };
        // Nobody waits for its end: a process that stops meanwhile loses nothing.
        chassis::spawn("orchestrator.renewal", Context::current().scope(work));
        true
    }

    /// It was announced that an article has this version.
    pub fn announced(&self, section: Section, id: ArticleId, version: Version) {
        self.heard.announced(section, id, version, self.clock.elapsed());
        self.remove(&Key::Article(section, id));
    }

    /// It was announced that a person is erased.
    pub fn erased(&self, person: UserId) {
        self.heard.erased(person);
    }

    /// How many announcements were heard.
    pub fn heard(&self) -> u64 {
        self.heard.now()
    }

    /// How many bytes are kept, about.
    pub fn bytes(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| {
            kept.run_pending_tasks();
            kept.weighted_size()
        })
    }

    fn look(&self, all: &Cache<Key, Arc<Kept>>, key: &Key) -> Option<Found> {
        let kept = all.get(key)?;
        let (fate, now) = self.heard.fate(&kept.answer, kept.began, kept.good_at.load(Ordering::Relaxed));
        if fate == Fate::Gone {
            all.invalidate(key);
            return None;
        }
        kept.good_at.store(now, Ordering::Relaxed);
        let age = self.clock.elapsed().saturating_sub(kept.at);
        Some(Found { kept, age, fate })
    }

    fn remove(&self, key: &Key) {
        if let Some(all) = &self.kept {
            all.invalidate(key);
        }
    }

    fn keep(&self, key: Key, answer: &Arc<Rendered>, began: u64) {
        let now = self.clock.elapsed();
        let (Some(all), true) = (&self.kept, answer.keep) else { return };
        let oversize = matches!(key, Key::List(_)) && answer.body.len() > LARGEST_LIST;
        if oversize || !self.heard.may_keep(answer, now, self.times.settling) {
            return;
        }
        let kept = Arc::new(Kept::new(answer.clone(), now, began));
        // An answer whose making began earlier never takes the place of one that began later, nor an older version that of a newer.
        all.entry(key).and_upsert_with(|there| match there {
            Some(there) if there.value().is_newer_than(&kept) => there.into_value(),
            _ => kept.clone(),
        });
    }
}

impl Kept {
    fn new(answer: Arc<Rendered>, at: Duration, began: u64) -> Self {
        let (renewing, overdue) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { answer, at, began, good_at: AtomicU64::new(began), renewing, overdue }
    }

    fn is_newer_than(&self, other: &Kept) -> bool {
        let version = |kept: &Kept| kept.answer.article.as_ref().map(|article| article.version);
        (version(self), self.began) > (version(other), other.began)
    }
}

/// True where the last good answer serves in place of a failure: not where the section has refused.
fn is_away(kind: Kind) -> bool {
    kind.is_server_error()
}
