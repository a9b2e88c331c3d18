//! A news section that does what a test tells it, behind a real call over the bus.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bus::{Call, CallHandler};
use bytes::Bytes;
use kernel::{ArticleId, Fault, Kind, Refusal, Section};
use prost::Message;
use proto::news::v1::command_request::Action;
use proto::news::v1::*;
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::desk_lists::{list, pick};

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
    /// As it should, to commands as to ones that were done before.
    Replaying,
    /// As it should, but what it reads it only hands out once the barrier was passed twice: before that, anything can happen.
    Held(Arc<Barrier>),
    /// As a section that knows its readers: to staff it shows everything, to others what is published.
    Discreet,
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

    /// Takes everything away.
    pub fn clear(&self) {
        self.inner().articles.clear();
    }

    /// Puts another version of an article in its place.
    pub fn replace(&self, article: Article) {
        let mut inner = self.inner();
        let there = inner.articles.iter_mut().find(|there| there.id == article.id);
        *there.expect("it is there") = article;
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

    /// The last call, which must be a command.
    pub fn last_command(&self) -> CommandRequest {
        self.last("Command")
    }

    /// The last call, which must be a `method`.
    pub fn last<M: Message + Default>(&self, method: &str) -> M {
        let call = self.calls().pop().expect("a call");
        assert_eq!(call.method, method);
        M::decode(call.body).expect("a request of that method")
    }

    fn answer(&self, call: &Call) -> Result<Bytes, Refusal> {
        let inner = self.inner();
        let replayed = matches!(inner.mood, Mood::Replaying);
        let done = |article: Article| CommandReply { article: Some(article), replayed }.encode_to_vec();
        let find = |id: &str| {
            let found = inner.articles.iter().find(|article| article.id == id).cloned();
            found.ok_or_else(|| Refusal::new(Kind::NotFound, "not_found", "There is no such article."))
        };
        let body = call.body.clone();
        Ok(match call.method.as_str() {
            "GetArticle" => reply(find(&read::<GetArticleRequest>(body).id)?),
            "GetArticles" => pick(&inner.articles, &read(body)).encode_to_vec(),
            "ListArticles" => list(&inner.articles, &read(body)).encode_to_vec(),
            "Command" => {
                let request = read::<CommandRequest>(body);
                let state = match request.action.expect("an action") {
                    Action::Create(_) => return Ok(done(article(self.section, 77, 0, "draft")).into()),
                    Action::Publish(_) => Some("published"),
                    Action::Unpublish(_) => Some("unpublished"),
                    Action::Delete(_) => Some("deleted"),
                    Action::Undelete(_) => Some("draft"),
                    Action::Revise(_) | Action::Patch(_) | Action::Restore(_) => None,
                };
                done(next(find(&request.id)?, state))
            }
            "GetHistory" => {
                let asked = read::<GetHistoryRequest>(body);
                let newest = find(&asked.id)?.version.min(asked.before.unwrap_or(u32::MAX) - 1);
                let oldest = newest.saturating_sub(asked.limit) + 1;
                GetHistoryReply {
                    entries: (oldest..=newest).rev().map(entry).collect(),
                    next_before: (oldest > 1).then_some(oldest),
                    version: newest,
                }
                .encode_to_vec()
            }
            "GetVersion" => {
                use get_version_request::Which;
                let asked = read::<GetVersionRequest>(body);
                let mut found = find(&asked.id)?;
                found.version = match asked.which.expect("a version") {
                    Which::Version(version) => version,
                    Which::AtMs(_) => 5,
                };
                reply(found)
            }
            "DiffVersions" => {
                let asked = read::<DiffVersionsRequest>(body);
                find(&asked.id)?;
                let part = |op: DiffOp, text: &str| DiffPart {
                    field: "content".to_owned(),
                    op: op.into(),
                    text: text.to_owned(),
                };
                let parts = vec![
                    part(DiffOp::Equal, "It was "),
                    part(DiffOp::Delete, "Monday"),
                    part(DiffOp::Insert, "Tuesday"),
                ];
                DiffVersionsReply { parts }.encode_to_vec()
            }
            other => panic!("no such method: {other}"),
        }
        .into())
    }
}

enum Now {
    Answer,
    Wait(Arc<Barrier>),
    Hold(Arc<Barrier>),
    Hide,
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
                Mood::Well | Mood::Replaying => Now::Answer,
                Mood::Silent => Now::Never,
                Mood::Refusing(refusal) => Now::Refuse(refusal.clone()),
                Mood::RefusingOnce(refusals) => refusals.pop().map_or(Now::Answer, Now::Refuse),
                Mood::Saying(bytes) => Now::Say(bytes),
                Mood::Together(barrier) => Now::Wait(barrier.clone()),
                Mood::Held(barrier) => Now::Hold(barrier.clone()),
                Mood::Discreet if call.token.as_deref().is_some_and(is_staff) => Now::Answer,
                Mood::Discreet => Now::Hide,
            }
        };
        match now {
            Now::Answer => {}
            Now::Refuse(refusal) => return Err(refusal.into()),
            Now::Say(bytes) => return Ok(Bytes::from_static(bytes)),
            Now::Wait(barrier) => {
                barrier.wait().await;
            }
            Now::Hold(barrier) => {
                let answer = self.answer(call);
                barrier.wait().await;
                barrier.wait().await;
                return Ok(answer?);
            }
            Now::Hide if call.method == "GetArticle" => {
                let found = ArticleReply::decode(self.answer(call)?).expect("a reply").article;
                if found.is_none_or(|article| article.state != "published") {
                    return Err(Refusal::new(Kind::NotFound, "not_found", "There is no such article.").into());
                }
            }
            Now::Hide => {}
            Now::Never => {
                let _guard = Guard(&self.abandoned);
                std::future::pending::<()>().await;
            }
        }
        Ok(self.answer(call)?)
    }
}

/// Whether a token is one of staff; who made it was asked before.
fn is_staff(token: &str) -> bool {
    let claims = token.split('.').nth(1).expect("a payload");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    claims["role"] != "reader"
}

fn read<M: Message + Default>(body: Bytes) -> M {
    M::decode(body).expect("a request of its method")
}

fn reply(article: Article) -> Vec<u8> {
    ArticleReply { article: Some(article) }.encode_to_vec()
}

fn entry(version: u32) -> HistoryEntry {
    HistoryEntry {
        version,
        event: if version == 1 { "drafted" } else { "restored" }.to_owned(),
        by: Uuid::from_u128(2).to_string(),
        at_ms: 1000,
        changed: vec!["title".to_owned()],
        from_version: (version > 1).then_some(1),
    }
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
