//! A fake news section with scripted behaviour, behind a real call over the bus.

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

use crate::fake_section_lists::{desk, list, pick};

/// The behaviour of a fake section.
#[derive(Default)]
pub enum Behaviour {
    /// It answers.
    #[default]
    Answer,
    /// It never answers. `FakeSection::cancelled` is set when the handler is dropped.
    Hang,
    /// It refuses every call with this refusal.
    Refuse(Refusal),
    /// It refuses one call with each of these, the last first, and then answers.
    RefuseOnce(Vec<Refusal>),
    /// It answers commands as if they had been done before.
    Replay,
    /// It makes its answer immediately, and sends it after the barrier was passed twice.
    HoldAnswers(Arc<Barrier>),
    /// It shows drafts to staff only.
    HideDrafts,
    /// It answers every call with these bytes.
    SendBytes(&'static [u8]),
    /// It waits at the barrier before it answers.
    WaitForAll(Arc<Barrier>),
}

#[derive(Default)]
struct Inner {
    behaviour: Behaviour,
    articles: Vec<Article>,
    calls: Vec<Call>,
}

/// A fake section.
pub struct FakeSection {
    section: Section,
    inner: Mutex<Inner>,
    pub cancelled: AtomicBool,
}

struct Guard<'a>(&'a AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl FakeSection {
    pub fn new(section: Section) -> Arc<Self> {
        Arc::new(Self { section, inner: Mutex::default(), cancelled: AtomicBool::new(false) })
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics while it holds the lock")
    }

    /// Sets the behaviour.
    pub fn behave(&self, behaviour: Behaviour) {
        self.inner().behaviour = behaviour;
    }

    /// Adds an article.
    pub fn put(&self, article: Article) -> ArticleId {
        let id = article.id.parse().expect("an id");
        let mut inner = self.inner();
        inner.articles.push(article);
        inner
            .articles
            .sort_by_key(|article| std::cmp::Reverse((article.published_at_ms, article.id.clone())));
        id
    }

    /// Adds a published article, with its moment in seconds after the epoch.
    pub fn add_published(&self, number: u32, second: i64) -> ArticleId {
        self.put(article(self.section, number, second, "published"))
    }

    /// Removes all articles.
    pub fn clear(&self) {
        self.inner().articles.clear();
    }

    /// Replaces an article by another version.
    pub fn replace(&self, article: Article) {
        let mut inner = self.inner();
        let current = inner.articles.iter_mut().find(|current| current.id == article.id);
        *current.expect("it exists") = article;
    }

    /// Removes an article.
    pub fn remove(&self, id: ArticleId) {
        self.inner().articles.retain(|article| article.id != id.to_string());
    }

    /// Returns all calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.inner().calls.clone()
    }

    /// Forgets all calls.
    pub fn clear_calls(&self) {
        self.inner().calls.clear();
    }

    /// Returns the methods of all calls.
    pub fn methods(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.method).collect()
    }

    /// Returns the last call, which must be a command.
    pub fn last_command(&self) -> CommandRequest {
        self.last("Command")
    }

    /// Returns the last call, which must be a `method`.
    pub fn last<M: Message + Default>(&self, method: &str) -> M {
        let call = self.calls().pop().expect("a call");
        assert_eq!(call.method, method);
        M::decode(call.body).expect("a request of that method")
    }

    fn answer(&self, call: &Call) -> Result<Bytes, Refusal> {
        let inner = self.inner();
        let replayed = matches!(inner.behaviour, Behaviour::Replay);
        let find = |id: &str| {
            let found = inner.articles.iter().find(|article| article.id == id).cloned();
            found.ok_or_else(|| Refusal::new(Kind::NotFound, "not_found", "This article does not exist."))
        };
        let body = call.body.clone();
        Ok(match call.method.as_str() {
            "GetArticle" => reply(find(&read::<GetArticleRequest>(body).id)?),
            "GetArticles" => pick(&inner.articles, &read(body)).encode_to_vec(),
            "ListArticles" => list(&inner.articles, &read(body)).encode_to_vec(),
            "Command" => {
                let CommandRequest { id, action, .. } = read(body);
                let article = match action.expect("an action") {
                    Action::Create(_) => article(self.section, 77, 0, "draft"),
                    action => next(find(&id)?, state_after(&action)),
                };
                CommandReply { article: Some(article), replayed }.encode_to_vec()
            }
            "GetHistory" => {
                let request = read::<GetHistoryRequest>(body);
                let newest = find(&request.id)?.version.min(request.before.unwrap_or(u32::MAX) - 1);
                let oldest = newest.saturating_sub(request.limit) + 1;
                GetHistoryReply {
                    entries: (oldest..=newest).rev().map(entry).collect(),
                    next_before: (oldest > 1).then_some(oldest),
                    version: newest,
                }
                .encode_to_vec()
            }
            "GetProof" => {
                chain(&find(&read::<GetProofRequest>(body.clone()).id)?, &read(body)).encode_to_vec()
            }
            "GetVersion" => {
                use get_version_request::Which;
                let request = read::<GetVersionRequest>(body);
                let mut found = find(&request.id)?;
                found.version = match request.which.expect("a version") {
                    Which::Version(version) => version,
                    Which::AtMs(_) => 5,
                };
                reply(found)
            }
            "GetDesk" => desk(&inner.articles).encode_to_vec(),
            "ListCorrections" => list_corrections(&inner.articles, &read(body)).encode_to_vec(),
            "DiffVersions" => {
                let request = read::<DiffVersionsRequest>(body);
                find(&request.id)?;
                differences().encode_to_vec()
            }
            other => panic!("no such method: {other}"),
        }
        .into())
    }
}

/// Returns the state of an article after the action, if the action changes it.
fn state_after(action: &Action) -> Option<&'static str> {
    match action {
        Action::Publish(_) | Action::Reinstate(_) => Some("published"),
        Action::Unpublish(_) => Some("unpublished"),
        Action::Delete(_) => Some("deleted"),
        Action::Create(_) | Action::Undelete(_) | Action::Return(_) => Some("draft"),
        Action::Submit(_) => Some("in_review"),
        Action::Approve(_) | Action::Unschedule(_) => Some("approved"),
        Action::Schedule(_) => Some("scheduled"),
        Action::Retract(_) => Some("retracted"),

        Action::Revise(_) | Action::Patch(_) | Action::Restore(_) | Action::Correct(_) => None,
    }
}

/// Returns the same differences for any two versions.
fn differences() -> DiffVersionsReply {
    let part = |op: DiffOp, text: &str| DiffPart {
        field: "content".to_owned(),
        op: op.into(),
        text: text.to_owned(),
    };
    let parts =
        vec![part(DiffOp::Equal, "It was "), part(DiffOp::Delete, "Monday"), part(DiffOp::Insert, "Tuesday")];
    DiffVersionsReply { parts }
}

/// The reaction to one call.
enum Reaction {
    Answer,
    Wait(Arc<Barrier>),
    Hold(Arc<Barrier>),
    Hide,
    Hang,
    Refuse(Refusal),
    Send(&'static [u8]),
}

#[async_trait]
impl CallHandler for FakeSection {
    async fn call(&self, call: &Call) -> Result<Bytes, Box<dyn Fault>> {
        let reaction = {
            let mut inner = self.inner();
            inner.calls.push(call.clone());
            match &mut inner.behaviour {
                Behaviour::Answer | Behaviour::Replay => Reaction::Answer,
                Behaviour::Hang => Reaction::Hang,
                Behaviour::Refuse(refusal) => Reaction::Refuse(refusal.clone()),
                Behaviour::RefuseOnce(refusals) => refusals.pop().map_or(Reaction::Answer, Reaction::Refuse),
                Behaviour::SendBytes(bytes) => Reaction::Send(bytes),
                Behaviour::WaitForAll(barrier) => Reaction::Wait(barrier.clone()),
                Behaviour::HoldAnswers(barrier) => Reaction::Hold(barrier.clone()),
                Behaviour::HideDrafts if call.token.as_deref().is_some_and(is_staff) => Reaction::Answer,
                Behaviour::HideDrafts => Reaction::Hide,
            }
        };
        match reaction {
            Reaction::Answer => {}
            Reaction::Refuse(refusal) => return Err(refusal.into()),
            Reaction::Send(bytes) => return Ok(Bytes::from_static(bytes)),
            Reaction::Wait(barrier) => {
                barrier.wait().await;
            }
            Reaction::Hold(barrier) => {
                let answer = self.answer(call);
                barrier.wait().await;
                barrier.wait().await;
                return Ok(answer?);
            }
            Reaction::Hide if call.method == "GetArticle" => {
                let found = ArticleReply::decode(self.answer(call)?).expect("a reply").article;
                if found.is_none_or(|article| article.state != "published") {
                    return Err(
                        Refusal::new(Kind::NotFound, "not_found", "This article does not exist.").into()
                    );
                }
            }
            Reaction::Hide => {}
            Reaction::Hang => {
                let _guard = Guard(&self.cancelled);
                std::future::pending::<()>().await;
            }
        }
        Ok(self.answer(call)?)
    }
}

/// Returns true if the token is one of staff. The orchestrator has verified it.
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

/// Lists the corrections of the published articles, as a section does.
fn list_corrections(articles: &[Article], request: &ListCorrectionsRequest) -> ListCorrectionsReply {
    let published = articles.iter().filter(|article| article.state == "published");
    let mut corrections: Vec<ArticleCorrection> = published
        .flat_map(|article| {
            article.corrections.iter().map(|correction| ArticleCorrection {
                id: article.id.clone(),
                title: article.title.clone(),
                slug: article.slug.clone(),
                correction: Some(correction.clone()),
            })
        })
        .collect();
    let position = |each: &ArticleCorrection| {
        let correction = each.correction.as_ref().expect("a correction");
        (correction.at_ms, each.id.clone(), correction.version)
    };
    corrections.sort_by_key(|each| std::cmp::Reverse(position(each)));
    let after = request.after.clone().map(|after| (after.at_ms, after.id, after.version));
    corrections.retain(|each| after.as_ref().is_none_or(|after| position(each) < *after));
    let kind = |each: &ArticleCorrection| each.correction.as_ref().map(|correction| correction.kind.clone());
    corrections.retain(|each| request.kind.is_none() || kind(each) == request.kind);
    corrections.truncate(request.limit as usize);
    ListCorrectionsReply { corrections }
}

/// Returns the chain of an article. Its second version is hidden, and its first one has no nonce.
fn chain(article: &Article, request: &GetProofRequest) -> GetProofReply {
    let digits = |version: u32| format!("{version:064x}");
    let first = request.after.unwrap_or_default() + 1;
    let last = article.version.min(first - 1 + request.limit);
    let link = |version: u32| ProofLink {
        version,
        hash: Some(digits(version)).filter(|_| version > 1),
        previous: Some(digits(version - 1)).filter(|_| version != 2),
        record: Some(format!("{{\"version\":{version}}}"))
            .filter(|_| request.include_records && version != 2),
    };
    GetProofReply {
        links: (first..=last).map(link).collect(),
        next_after: (last < article.version).then_some(last),
    }
}

fn entry(version: u32) -> HistoryEntry {
    HistoryEntry {
        version,
        event: if version == 1 { "drafted" } else { "restored" }.to_owned(),
        by: Uuid::from_u128(2).to_string(),
        at_ms: 1000,
        changed: vec!["title".to_owned()],
        from_version: (version > 1).then_some(1),
        ..HistoryEntry::default()
    }
}

fn next(mut article: Article, state: Option<&str>) -> Article {
    article.version += 1;
    article.state = state.map_or(article.state, str::to_owned);
    article
}

/// Returns an article with this number, which decides its id.
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
