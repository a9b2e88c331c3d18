//! The read cache: the published articles, the lists and the front page that are the same for everyone, as
//! the bytes of their answers.
//!
//! **No private answer is stored.** An answer for the cache is requested from the sections without a token.
//!
//! **Events invalidate answers.** An event of an article (`news.<section>.*`) evicts the answers that show
//! the article, and marks the section's lists as outdated. An erasure evicts the answers that show a byline
//! of that person. Every process receives these events by its own subscription. If an event is missed because
//! the bus was down for a moment, an answer stays for at most [`CacheTimes::fresh`] and
//! [`CacheTimes::renewing`]. Every other cache may show it for as long, so nothing else is done when the
//! subscription is lost.
//!
//! **An answer that is no longer fresh** is served for [`CacheTimes::renewing`] more, while a new one is made
//! behind the request. So no client waits for an answer that its own cache would show as well
//! (`stale-while-revalidate`). If a renewal fails, the next request asks the section itself and gets its
//! answer.
//!
//! **Filling and invalidating race.** The age of an answer counts from the moment when its making *began*. An
//! event after that moment makes the answer worthless, however late the answer arrives. A section's view
//! follows its events with a delay. So an answer with an older version than an event named is never stored,
//! and lists are not stored for [`CacheTimes::settling`] after an event.
//!
//! **If a section is unavailable**, the last valid answer is served for [`CacheTimes::stale`], unless an
//! event evicted it. An orchestrator that is cut off from the bus receives no events, so it may show an
//! article that was unpublished meanwhile. Every cache that was allowed `stale-if-error` may do the same for
//! as long.

mod flights;
mod invalidations;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chassis::Context;
use chassis::http::ClientKey;
use kernel::{ArticleId, Clock, Kind, Refusal, Section, Timestamp, UserId, Version};
use moka::sync::Cache;
use tokio::sync::Semaphore;

use self::flights::{FlightKey, Flights};
use self::invalidations::{Invalidations, Validity};
use crate::domain::{Article, ArticleCorrection};
use crate::metrics::CACHE_REQUESTS;

/// The identity of a stored answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// An article.
    Article(Section, ArticleId),
    /// A list, by the parts of its address that decide its content, in one spelling.
    List(Arc<str>),
    /// The front page.
    Home,
}

impl Key {
    /// Returns the name in metrics.
    fn name(&self) -> &'static str {
        match self {
            Key::Article(..) => "article",
            Key::List(_) => "list",
            Key::Home => "home",
        }
    }

    /// Returns the bytes that it takes besides its own size. Only the spelling of a list takes any, and
    /// clients decide how many.
    fn bytes(&self) -> usize {
        match self {
            Key::List(spelling) => spelling.len(),
            Key::Article(..) | Key::Home => 0,
        }
    }
}

/// An answer whose body is ready to be sent.
#[derive(Debug, Clone)]
pub struct RenderedAnswer {
    /// The body.
    pub body: Bytes,
    /// The entity tag.
    pub etag: String,
    /// The links to the pages around it (RFC 8288), if it is a list.
    pub link: Option<String>,
    /// The number of articles in the whole list, if it is a list.
    pub total: Option<u64>,
    /// The article, if it is one.
    pub article: Option<Arc<Article>>,
    /// The head of the feed, if it is one. Anything else is JSON.
    pub feed: Option<FeedHead>,
    /// The articles that it shows.
    pub shown: Vec<ShownArticle>,
    /// The sections whose next article may change it; empty for an article.
    pub lists: Vec<Section>,
    /// True if the answer may be stored: it is complete and public.
    pub keep: bool,
}

impl RenderedAnswer {
    /// Returns the approximate number of bytes that it takes. An article is held twice: as the body, and as
    /// the value behind it.
    fn bytes(&self) -> usize {
        let texts = self.etag.len() + self.link.as_ref().map_or(0, String::len);
        let bodies = if self.article.is_some() { 2 } else { 1 };
        OVERHEAD + self.body.len() * bodies + texts + self.shown.len() * PER_ARTICLE
    }
}

/// The head of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedHead {
    /// The media type.
    pub media_type: &'static str,
    /// The moment of the last change of an entry; `None` without entries. It goes back when an entry leaves.
    /// So it is not a condition of a request: only the entity tag is.
    pub modified: Option<Timestamp>,
}

/// An article that an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownArticle {
    /// The id.
    pub id: ArticleId,
    /// The version.
    pub version: Version,
    /// The account whose name is shown as the byline.
    pub named: Option<UserId>,
}

impl ShownArticle {
    /// Returns the article of a correction. Corrections are read from the events, so they are never behind a
    /// version.
    pub fn of_correction(corrected: &ArticleCorrection) -> Self {
        Self { id: corrected.id, version: Version::new(u32::MAX), named: None }
    }
}

impl From<&Article> for ShownArticle {
    fn from(article: &Article) -> Self {
        let named = article.byline_of.filter(|_| !article.author.is_empty());
        Self { id: article.id, version: article.version, named }
    }
}

/// The times for which answers are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheTimes {
    /// The time for which an answer is served without a new one.
    pub fresh: Duration,
    /// The time after that in which it is served while a new one is made.
    pub renewing: Duration,
    /// The time for which it is served while its section is unavailable.
    pub stale: Duration,
    /// The time after an event in which a section's lists are not stored: until its view has surely applied
    /// the event.
    pub settling: Duration,
}

/// An answer with its source.
#[derive(Debug, Clone)]
pub struct CacheAnswer {
    /// The answer.
    pub answer: Arc<RenderedAnswer>,
    /// The source.
    pub source: Source,
}

/// The source of an answer, by its name in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The answer was made for this request, or for others at the same moment.
    Miss,
    /// The answer was stored; it has this age.
    Hit(Duration),
    /// The answer was stored; it has this age, and a new one is being made behind this request.
    Renewal(Duration),
    /// The answer was stored; it has this age, and is served because a new one can't be made.
    Stale(Duration),
}

impl Source {
    /// Returns the name in metrics.
    fn name(self) -> &'static str {
        match self {
            Source::Miss => "miss",
            Source::Hit(_) => "hit",
            Source::Renewal(_) => "renewal",
            Source::Stale(_) => "stale",
        }
    }
}

/// A stored answer.
pub(super) struct StoredAnswer {
    answer: Arc<RenderedAnswer>,
    // The moment when it was stored, by the clock that never goes back.
    at: Duration,
    // The sequence number of invalidations when its making began.
    began: u64,
    // The sequence number at which it was last found valid, so that most reads need no further check.
    valid_at: AtomicU64,
    // True while a new one is being made.
    renewing: AtomicBool,
    // True if a new one could not be made.
    overdue: AtomicBool,
}

/// A stored answer with its age and validity.
struct Lookup {
    stored: Arc<StoredAnswer>,
    age: Duration,
    validity: Validity,
}

/// The read cache.
pub struct Shelf {
    stored: Option<Cache<Key, Arc<StoredAnswer>>>,
    invalidations: Arc<Invalidations>,
    flights: Flights,
    renewals: Arc<Semaphore>,
    times: CacheTimes,
    clock: Arc<dyn Clock>,
}

type Answer = Result<Arc<RenderedAnswer>, Refusal>;

/// The number of answers that are renewed at the same time. If many expire together, requests must not wait
/// for their renewal.
const MAX_RENEWALS: usize = 8;

/// The approximate bytes that an answer takes besides its body.
const OVERHEAD: usize = 512;
/// The approximate bytes that an answer takes for each article that it shows.
const PER_ARTICLE: usize = 48;

/// The longest body of a list that is stored, in bytes. A longer one would displace hundreds of others.
pub const LARGEST_LIST: usize = 256 * 1024;

impl Shelf {
    /// Creates a cache of at most `bytes`. With 0 it stores nothing.
    pub fn new(bytes: u64, times: CacheTimes, clock: Arc<dyn Clock>) -> Self {
        let weigh = |key: &Key, stored: &Arc<StoredAnswer>| {
            u32::try_from(key.bytes() + stored.answer.bytes()).unwrap_or(u32::MAX)
        };
        let stored = (bytes > 0)
            .then(|| Cache::builder().max_capacity(bytes).weigher(weigh).time_to_live(times.stale).build());
        let renewals = Arc::new(Semaphore::new(MAX_RENEWALS));
        Self { stored, invalidations: Arc::default(), flights: Flights::default(), renewals, times, clock }
    }

    /// Returns the answer for `key`: a stored one, or the result of `make`, or the last valid one if `make`
    /// fails because a section is unavailable.
    ///
    /// Of several requests for one key at the same moment, one makes the answer and the others wait for it.
    /// `make` sends no token.
    ///
    /// # Errors
    /// Fails with the error of `make` if no stored answer may be served.
    pub async fn serve<F>(self: &Arc<Self>, key: Key, make: F) -> Result<CacheAnswer, Refusal>
    where
        F: Future<Output = Result<RenderedAnswer, Refusal>> + Send + 'static,
    {
        self.serve_to(key, None, make).await
    }

    /// As [`Shelf::serve`]. With `alone`, `make` must wait for something that only this client lacks. No
    /// request of another client waits for its answer.
    ///
    /// # Errors
    /// As [`Shelf::serve`].
    pub async fn serve_to<F>(
        self: &Arc<Self>,
        key: Key,
        alone: Option<ClientKey>,
        make: F,
    ) -> Result<CacheAnswer, Refusal>
    where
        F: Future<Output = Result<RenderedAnswer, Refusal>> + Send + 'static,
    {
        let cache = key.name();
        let result = self.find_or_make(key, alone, make).await;
        let source = result.as_ref().map_or(Source::Miss, |answer| answer.source);
        CACHE_REQUESTS.count([cache.into(), source.name().into()]);
        result
    }

    async fn find_or_make<F>(
        self: &Arc<Self>,
        key: Key,
        alone: Option<ClientKey>,
        make: F,
    ) -> Result<CacheAnswer, Refusal>
    where
        F: Future<Output = Result<RenderedAnswer, Refusal>> + Send + 'static,
    {
        let Some(all) = &self.stored else {
            return Ok(CacheAnswer { answer: Arc::new(make.await?), source: Source::Miss });
        };
        if let Some(Lookup { stored, age, validity: Validity::Valid }) = self.look_up(all, &key) {
            let hit = |source| Ok(CacheAnswer { answer: stored.answer.clone(), source });
            if age < self.times.fresh {
                return hit(Source::Hit(age));
            }
            if age < self.times.fresh + self.times.renewing && !stored.overdue.load(Ordering::Relaxed) {
                let renewed = alone.is_none() && self.renew(key, &stored, make);
                return hit(if renewed { Source::Renewal(age) } else { Source::Hit(age) });
            }
        }
        match self.make((key.clone(), alone), make).await {
            Ok(answer) => Ok(CacheAnswer { answer, source: Source::Miss }),
            Err(refusal) if may_be_replaced(refusal.kind) => {
                // A new lookup, because an event may have evicted the answer during the attempt.
                let last = self.look_up(all, &key).filter(|last| last.age < self.times.stale);
                let Lookup { stored, age, .. } = last.ok_or(refusal)?;
                Ok(CacheAnswer { answer: stored.answer.clone(), source: Source::Stale(age) })
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Makes an answer and stores it, or waits for the request that is already making it.
    fn make<F>(self: &Arc<Self>, key: FlightKey, make: F) -> impl Future<Output = Answer> + Send + 'static
    where
        F: Future<Output = Result<RenderedAnswer, Refusal>> + Send + 'static,
    {
        let began = self.invalidations.sequence();
        let (shelf, place) = (self.clone(), key.0.clone());
        let making = async move {
            let answer = Arc::new(make.await?);
            shelf.store(place, &answer, began);
            Ok(answer)
        };
        let flights = self.flights.clone();
        async move { flights.join(&key, began, making).await }
    }

    /// Starts making a new answer while the old one is served. Returns false if one is already being made, or
    /// if too many others are.
    fn renew<F>(self: &Arc<Self>, key: Key, old: &Arc<StoredAnswer>, make: F) -> bool
    where
        F: Future<Output = Result<RenderedAnswer, Refusal>> + Send + 'static,
    {
        let Ok(permit) = self.renewals.clone().try_acquire_owned() else { return false };
        if old.renewing.swap(true, Ordering::Relaxed) {
            return false;
        }
        let (shelf, old, renewal) = (self.clone(), old.clone(), self.make((key.clone(), None), make));
        let work = async move {
            let answer = renewal.await;
            match answer {
                Ok(answer) if answer.keep => old.renewing.store(false, Ordering::Relaxed),
                Err(refusal) if !may_be_replaced(refusal.kind) => shelf.evict(&key),
                _ => old.overdue.store(true, Ordering::Relaxed),
            }
            drop(permit);
        };
        // No request waits for its end, and a process that stops meanwhile loses nothing.
        chassis::spawn("orchestrator.renewal", Context::current().scope(work));
        true
    }

    /// Evicts the answers that show an older version of an article, and marks its section's lists as
    /// outdated.
    pub fn article_changed(&self, section: Section, id: ArticleId, version: Version) {
        self.invalidations.article_changed(section, id, version, self.clock.elapsed());
        self.evict(&Key::Article(section, id));
    }

    /// Evicts the answers that show a byline of an erased person.
    pub fn person_erased(&self, person: UserId) {
        self.invalidations.person_erased(person);
    }

    /// Returns the number of invalidations that were received.
    pub fn invalidations(&self) -> u64 {
        self.invalidations.sequence()
    }

    /// Returns the approximate number of stored bytes.
    pub fn bytes(&self) -> u64 {
        self.stored.as_ref().map_or(0, |stored| {
            stored.run_pending_tasks();
            stored.weighted_size()
        })
    }

    fn look_up(&self, all: &Cache<Key, Arc<StoredAnswer>>, key: &Key) -> Option<Lookup> {
        let stored = all.get(key)?;
        let valid_at = stored.valid_at.load(Ordering::Relaxed);
        let (validity, now) = self.invalidations.validity(&stored.answer, stored.began, valid_at);
        if validity == Validity::Evicted {
            all.invalidate(key);
            return None;
        }
        stored.valid_at.store(now, Ordering::Relaxed);
        let age = self.clock.elapsed().saturating_sub(stored.at);
        Some(Lookup { stored, age, validity })
    }

    fn evict(&self, key: &Key) {
        if let Some(all) = &self.stored {
            all.invalidate(key);
        }
    }

    fn store(&self, key: Key, answer: &Arc<RenderedAnswer>, began: u64) {
        let now = self.clock.elapsed();
        let (Some(all), true) = (&self.stored, answer.keep) else { return };
        let oversize = matches!(key, Key::List(_)) && answer.body.len() > LARGEST_LIST;
        if oversize || !self.invalidations.may_store(answer, now, self.times.settling) {
            return;
        }
        let new = Arc::new(StoredAnswer::new(answer.clone(), now, began));
        // An answer whose making began earlier never replaces one that began later, nor an older version a
        // newer one.
        all.entry(key).and_upsert_with(|current| match current {
            Some(current) if current.value().is_newer_than(&new) => current.into_value(),
            _ => new.clone(),
        });
    }
}

impl StoredAnswer {
    fn new(answer: Arc<RenderedAnswer>, at: Duration, began: u64) -> Self {
        let (renewing, overdue) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { answer, at, began, valid_at: AtomicU64::new(began), renewing, overdue }
    }

    fn is_newer_than(&self, other: &StoredAnswer) -> bool {
        let version = |stored: &StoredAnswer| stored.answer.article.as_ref().map(|article| article.version);
        (version(self), self.began) > (version(other), other.began)
    }
}

/// Returns true if the last valid answer may replace a failure of this kind, which is not so if the section
/// refused.
fn may_be_replaced(kind: Kind) -> bool {
    kind.is_server_error()
}
