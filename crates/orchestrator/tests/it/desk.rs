//! A news section that does what a test tells it, behind a real call over the bus.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bus::{Call, CallHandler};
use bytes::Bytes;
use kernel::{ArticleId, Fault, Kind, Refusal, Section};
use prost::Message;
use proto::news::v1::*;
use tokio::sync::Barrier;
use uuid::Uuid;

/// How a desk answers.
#[derive(Default)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// Never. Whoever waits is told by `Desk::abandoned` when the handler is dropped.
    Silent,
    /// With this, to everything.
    Refusing(Refusal),
    /// With these first, one each call, and well from then on.
    RefusingOnce(Vec<Refusal>),
    /// To everything with these bytes.
    Saying(&'static [u8]),
    /// To lists only once as many desks as the barrier has are asked.
    Together(Arc<Barrier>),
}

#[derive(Default)]
struct Inner {
    mood: Mood,
    articles: Vec<Article>,
    calls: Vec<Call>,
}

/// A scripted section.
pub struct Desk {
    section: Section,
    inner: Mutex<Inner>,
    pub abandoned: AtomicBool,
}

struct Guard<'a>(&'a AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Desk {
    pub fn new(section: Section) -> Arc<Self> {
        Arc::new(Self { section, inner: Mutex::default(), abandoned: AtomicBool::new(false) })
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics while it holds the lock")
    }

    pub fn set(&self, mood: Mood) {
        self.inner().mood = mood;
    }

    /// Puts an article there; the newest of its state.
    pub fn put(&self, article: Article) -> ArticleId {
        let id = article.id.parse().expect("an id");
        let mut inner = self.inner();
        inner.articles.push(article);
        inner
            .articles
            .sort_by_key(|article| std::cmp::Reverse((article.published_at_ms, article.id.clone())));
        id
    }

    /// A published article, so many seconds after the epoch.
    pub fn published(&self, number: u32, second: i64) -> ArticleId {
        self.put(article(self.section, number, second, "published"))
    }

    pub fn take_away(&self, id: ArticleId) {
        self.inner().articles.retain(|article| article.id != id.to_string());
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.inner().calls.clone()
    }

    pub fn forget(&self) {
        self.inner().calls.clear();
    }

    pub fn methods(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.method).collect()
    }

    /// The last call, which must be a `method`.
    pub fn last<M: Message + Default>(&self, method: &str) -> M {
        let call = self.calls().pop().expect("a call");
        assert_eq!(call.method, method);
        M::decode(call.body).expect("a request of that method")
    }

    fn answer(&self, call: &Call) -> Result<Bytes, Refusal> {
        let inner = self.inner();
        let find = |id: &str| {
            let found = inner.articles.iter().find(|article| article.id == id).cloned();
            found.ok_or_else(|| Refusal::new(Kind::NotFound, "not_found", "There is no such article."))
        };
        let body = call.body.clone();
        Ok(match call.method.as_str() {
            "GetArticle" => reply(find(&read::<GetArticleRequest>(body).id)?),
            "GetArticles" => {
                let ids = read::<GetArticlesRequest>(body).ids;
                let articles = ids.iter().filter_map(|id| find(id).ok()).collect();
                ListArticlesReply { articles, total: 0 }.encode_to_vec()
            }
            "ListArticles" => {
                let asked = read::<ListArticlesRequest>(body);
                let public = inner.articles.iter().filter(|article| article.state == "published");
                let total = public.clone().count() as u64;
                let window = public.skip(asked.offset as usize).take(asked.limit as usize).cloned();
                let articles = window.map(|mut article| {
                    article.content = article.content.filter(|_| asked.include_content);
                    article
                });
                ListArticlesReply { articles: articles.collect(), total }.encode_to_vec()
            }
            "CreateArticle" => reply(article(self.section, 77, 0, "draft")),
            "ReviseArticle" => reply(next(find(&read::<ReviseArticleRequest>(body).id)?, None)),
            "PublishArticle" => {
                reply(next(find(&read::<PublishArticleRequest>(body).id)?, Some("published")))
            }
            "DeleteArticle" => {
                let found = next(find(&read::<DeleteArticleRequest>(body).id)?, None);
                DeleteArticleReply { id: found.id, version: found.version }.encode_to_vec()
            }
            other => panic!("no such method: {other}"),
        }
        .into())
    }
}

enum Now {
    Answer,
    Wait(Arc<Barrier>),
    Never,
    Refuse(Refusal),
    Say(&'static [u8]),
}

#[async_trait]
impl CallHandler for Desk {
    async fn call(&self, call: &Call) -> Result<Bytes, Box<dyn Fault>> {
        let now = {
            let mut inner = self.inner();
            inner.calls.push(call.clone());
            match &mut inner.mood {
                Mood::Well => Now::Answer,
                Mood::Silent => Now::Never,
                Mood::Refusing(refusal) => Now::Refuse(refusal.clone()),
                Mood::RefusingOnce(refusals) => refusals.pop().map_or(Now::Answer, Now::Refuse),
                Mood::Saying(bytes) => Now::Say(bytes),
                Mood::Together(barrier) => Now::Wait(barrier.clone()),
            }
        };
        match now {
            Now::Answer => {}
            Now::Refuse(refusal) => return Err(refusal.into()),
            Now::Say(bytes) => return Ok(Bytes::from_static(bytes)),
            Now::Wait(barrier) => {
                barrier.wait().await;
            }
            Now::Never => {
                let _guard = Guard(&self.abandoned);
                std::future::pending::<()>().await;
            }
        }
        Ok(self.answer(call)?)
    }
}

fn read<M: Message + Default>(body: Bytes) -> M {
    M::decode(body).expect("a request of its method")
}

fn reply(article: Article) -> Vec<u8> {
    ArticleReply { article: Some(article) }.encode_to_vec()
}

fn next(mut article: Article, state: Option<&str>) -> Article {
    article.version += 1;
    article.state = state.map_or(article.state, str::to_owned);
    article
}

/// An article of this number; the same number is the same id.
pub fn article(section: Section, number: u32, second: i64, state: &str) -> Article {
    let id = Uuid::from_u128(u128::from(number) << 8 | section as u128);
    Article {
        id: id.to_string(),
        section: section.to_string(),
        version: 7,
        state: state.to_owned(),
        slug: format!("article-{number}"),
        title: format!("Article {number}"),
        content: Some(format!("The text of article {number}.")),
        author: "Ada Byron".to_owned(),
        author_id: Uuid::from_u128(1).to_string(),
        tags: vec!["budget".to_owned(), "tax".to_owned()],
        created_at_ms: 1000,
        updated_at_ms: 2000,
        published_at_ms: (state == "published").then_some(second * 1000),
        ..Article::default()
    }
}
