use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bus::{Bus, Call, NO_SERVER};
use bytes::Bytes;
use chassis::{Breaker, BreakerSettings, Broken, Context, Retry, RetryRule};
use kernel::{ArticleId, Refusal, Section, Version};
use prost::Message;
use proto::news::v1 as messages;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::retry::{is_well, may_pass};
use super::{codec, past};
use crate::domain::{
    Article, ArticleBatch, ArticleCorrection, CorrectionSlice, DiffPart, History, ListSlice, Proof,
    ProofSlice, SectionDesk, SectionList, SectionPositions, State,
};
use crate::ports::{Command, Done, NewsSections, SectionError, Which};

/// The refusal of a command that is still running under the same key.
const STILL_RUNNING: &str = "still_running";
/// A call ends this long before its caller's deadline (at most a tenth of the time that is left). So the
/// caller can still see that the section was too slow, count the failure and answer.
const MARGIN: Duration = Duration::from_millis(50);

/// The pauses of a command whose section has no process. A restart takes about a second.
const RETURN: RetryRule =
    RetryRule { retries: u32::MAX, pause: Duration::from_millis(50), longest: Duration::from_millis(250) };
/// The most commands that wait for one section that has no process. Each holds a request of the edge, so any
/// more are refused immediately.
const MAX_WAITING: usize = 32;

/// The news sections over the bus: a call to `news.<section>.calls` for each request.
///
/// Each section has three breakers of its own. So a section that fails costs the others nothing; and a
/// section whose event store is unavailable, which can neither write nor answer questions about the past, can
/// still be read.
pub struct BusSections {
    bus: Arc<dyn Bus>,
    reads: Breakers,
    past: Breakers,
    writes: Breakers,
    retry: Retry,
    /// The commands that wait for a section that has no process.
    waiting: [Semaphore; Section::ALL.len()],
    until_return: Retry,
}

/// The work that a question takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    Usual,
    /// Far more than a read. A failure says nothing about the section: otherwise one client with costly
    /// requests could open the breaker for all clients.
    High,
}

/// One breaker for each section.
type Breakers = [Breaker; Section::ALL.len()];

impl BusSections {
    /// Creates the client of the sections that this bus reaches.
    pub fn new(bus: Arc<dyn Bus>, rule: RetryRule) -> Self {
        let breakers = |of: &str| {
            let name = |section: Section| format!("{}:{of}", section.service());
            Section::ALL.map(|section| Breaker::new(name(section), BreakerSettings::default()))
        };
        let (reads, past, writes) = (breakers("reads"), breakers("past"), breakers("writes"));
        Self {
            bus,
            reads,
            past,
            writes,
            retry: Retry::within_budget(rule),
            waiting: Section::ALL.map(|_| Semaphore::new(MAX_WAITING)),
            until_return: Retry::without_budget(RETURN),
        }
    }

    /// Sends a call, and sends it again if that may help and the deadline and the retry budget allow it.
    async fn send<A: Message + Default>(
        &self,
        breakers: &Breakers,
        cost: Cost,
        section: Section,
        call: Call,
    ) -> Result<A, SectionError> {
        let may_pass = |error: &SectionError| match error {
            SectionError::Refused(refusal) => may_pass(refusal),
            SectionError::Unserved { .. } => true,
            SectionError::Resting { .. } | SectionError::Unreadable { .. } => false,
        };
        let breaker = &breakers[section as usize];
        let attempt = |previous| self.attempt(breaker, cost, section, call.clone(), previous);
        self.retry.run(section.service(), may_pass, attempt).await
    }

    /// Sends a command. If no process serves its section, sends it again until one does.
    async fn send_command(
        &self,
        section: Section,
        call: Call,
    ) -> Result<messages::CommandReply, SectionError> {
        let sent = self.send(&self.writes, Cost::Usual, section, call.clone()).await;
        let Err(unserved @ SectionError::Unserved { .. }) = sent else { return sent };
        let Ok(_place) = self.waiting[section as usize].try_acquire() else { return Err(unserved) };
        let until = Instant::now() + Context::current().deadline.left() / 2;
        let may_return =
            |error: &SectionError| matches!(error, SectionError::Unserved { .. }) && Instant::now() < until;
        let mut first = Some(unserved);
        let attempt = |previous: Option<SectionError>| {
            let (breaker, previous) = (&self.writes[section as usize], previous.or_else(|| first.take()));
            self.attempt(breaker, Cost::Usual, section, call.clone(), previous)
        };
        self.until_return.run(section.service(), may_return, attempt).await
    }

    /// Sends a call, after an attempt that failed with `previous`.
    async fn attempt<A: Message + Default>(
        &self,
        breaker: &Breaker,
        cost: Cost,
        section: Section,
        call: Call,
        previous: Option<SectionError>,
    ) -> Result<A, SectionError> {
        match (self.send_once(breaker, cost, section, call).await, previous) {
            // Our own first attempt is still running, and its answer comes in a moment.
            (Err(SectionError::Refused(refusal)), Some(error)) if refusal.code == *STILL_RUNNING => {
                Err(error)
            }
            (result, _) => result,
        }
    }

    /// Sends a call once, unless the breaker is open.
    async fn send_once<A: Message + Default>(
        &self,
        breaker: &Breaker,
        cost: Cost,
        section: Section,
        call: Call,
    ) -> Result<A, SectionError> {
        // A section that has no process refuses immediately, so a pause would save nothing. It would only
        // keep calls from the next process.
        let counts = |refusal: &Refusal| cost == Cost::Usual && refusal.code != *NO_SERVER;
        match breaker.call_if(self.call(section, call), counts).await {
            Ok(Ok(reply)) => readable(section, A::decode(reply).map_err(|error| error.to_string())),
            Ok(Err(refusal)) | Err(Broken::Failed(refusal)) if refusal.code == *NO_SERVER => {
                Err(SectionError::Unserved { section })
            }
            Ok(Err(refusal)) | Err(Broken::Failed(refusal)) => Err(refusal.into()),
            Err(Broken::Resting(retry_after)) => Err(SectionError::Resting { section, retry_after }),
        }
    }

    /// Makes a call. The breaker counts the outer result, and the caller gets the inner one. They differ if
    /// the section works well and only waited in vain for a version, or has no room for one more comparison:
    /// otherwise any client could open the breaker with requests for versions that never come, or with many
    /// comparisons.
    async fn call(&self, section: Section, call: Call) -> Result<Result<Bytes, Refusal>, Refusal> {
        let context = Context::current();
        let left = context.deadline.left();
        let address = format!("news.{section}.calls");
        let call = context.within(left - MARGIN.min(left / 10)).scope(self.bus.call(&address, call));
        match call.await {
            Err(refusal) if is_well(&refusal) => Ok(Err(refusal)),
            outcome => outcome.map(Ok),
        }
    }

    /// Asks a question of which the answer does not depend on how often it is asked.
    async fn read<A: Message + Default>(
        &self,
        breakers: &Breakers,
        cost: Cost,
        section: Section,
        method: &str,
        request: &impl Message,
        token: Option<&str>,
    ) -> Result<A, SectionError> {
        self.send(breakers, cost, section, call(method, request, token, None)).await
    }
}

fn call(method: &str, request: &impl Message, token: Option<&str>, idempotency_key: Option<String>) -> Call {
    let (method, body) = (method.to_owned(), request.encode_to_vec().into());
    Call { method, body, token: token.map(str::to_owned), idempotency_key }
}

fn readable<T>(section: Section, value: Result<T, codec::Wrong>) -> Result<T, SectionError> {
    value.map_err(|reason| SectionError::Unreadable { section, reason })
}

#[async_trait]
impl NewsSections for BusSections {
    async fn get(
        &self,
        section: Section,
        id: ArticleId,
        min_version: Option<Version>,
        token: Option<&str>,
    ) -> Result<Article, SectionError> {
        let request =
            messages::GetArticleRequest { id: id.to_string(), min_version: min_version.map(Version::number) };
        let reply = self.read(&self.reads, Cost::Usual, section, "GetArticle", &request, token).await?;
        readable(section, codec::article_of(reply))
    }

    async fn get_many(
        &self,
        section: Section,
        ids: &[ArticleId],
        states: &[State],
        content: bool,
        token: Option<&str>,
    ) -> Result<ArticleBatch, SectionError> {
        let request = messages::GetArticlesRequest {
            ids: ids.iter().map(ArticleId::to_string).collect(),
            without_content: !content,
            states: codec::states(states),
            sizes_only: false,
        };
        let cost = if content { Cost::High } else { Cost::Usual };
        let reply = self.read(&self.reads, cost, section, "GetArticles", &request, token).await?;
        readable(section, codec::picked_of(reply))
    }

    async fn sizes(
        &self,
        section: Section,
        ids: &[ArticleId],
        states: &[State],
        token: Option<&str>,
    ) -> Result<Vec<(ArticleId, u64)>, SectionError> {
        let request = messages::GetArticlesRequest {
            ids: ids.iter().map(ArticleId::to_string).collect(),
            // A section of an older program does not know `sizes_only`. It leaves at least the texts out.
            without_content: true,
            states: codec::states(states),
            sizes_only: true,
        };
        let reply = self.read(&self.reads, Cost::High, section, "GetArticles", &request, token).await?;
        readable(section, codec::sizes_of(reply))
    }

    fn count_failure(&self, section: Section) {
        self.reads[section as usize].fail();
    }

    async fn list(
        &self,
        section: Section,
        slice: &ListSlice,
        token: Option<&str>,
    ) -> Result<SectionList, SectionError> {
        let reply =
            self.read(&self.reads, Cost::Usual, section, "ListArticles", &codec::slice(slice), token).await?;
        readable(section, codec::articles_of(reply))
    }

    async fn positions(
        &self,
        section: Section,
        slice: &ListSlice,
        token: Option<&str>,
    ) -> Result<SectionPositions, SectionError> {
        let request = messages::ListArticlesRequest { keys_only: true, ..codec::slice(slice) };
        let reply = self.read(&self.reads, Cost::Usual, section, "ListArticles", &request, token).await?;
        readable(section, codec::positions_of(reply))
    }

    async fn desk(&self, section: Section, token: Option<&str>) -> Result<SectionDesk, SectionError> {
        let request = messages::GetDeskRequest {};
        let reply = self.read(&self.reads, Cost::Usual, section, "GetDesk", &request, token).await?;
        readable(section, codec::desk_of(reply))
    }

    async fn command(&self, section: Section, command: Command) -> Result<Done, SectionError> {
        let Command { id, expected, action, token, key } = command;
        let request = messages::CommandRequest {
            id: id.map(|id| id.to_string()).unwrap_or_default(),
            expected: expected.as_ref().map(codec::expected),
            action: Some(action),
        };
        // Under a key the command has one effect, however often it is sent. No key of a client begins with a
        // space.
        let key = key.unwrap_or_else(|| format!(" {}", Uuid::new_v4()));
        let call = call("Command", &request, token.as_deref(), Some(key));
        readable(section, codec::done(self.send_command(section, call).await?))
    }

    async fn history(
        &self,
        section: Section,
        id: ArticleId,
        before: Option<Version>,
        limit: u32,
        token: Option<&str>,
    ) -> Result<History, SectionError> {
        let before = before.map(Version::number);
        let request = messages::GetHistoryRequest { id: id.to_string(), limit, before };
        let reply = self.read(&self.past, Cost::Usual, section, "GetHistory", &request, token).await?;
        readable(section, past::history(reply))
    }

    async fn version(
        &self,
        section: Section,
        id: ArticleId,
        which: Which,
        token: Option<&str>,
    ) -> Result<Article, SectionError> {
        let request = messages::GetVersionRequest { id: id.to_string(), which: Some(past::which(which)) };
        let reply = self.read(&self.past, Cost::Usual, section, "GetVersion", &request, token).await?;
        readable(section, codec::article_of(reply))
    }

    async fn corrections(
        &self,
        section: Section,
        slice: &CorrectionSlice,
    ) -> Result<Vec<ArticleCorrection>, SectionError> {
        let request = past::corrections_request(slice);
        let reply = self.read(&self.past, Cost::Usual, section, "ListCorrections", &request, None).await?;
        readable(section, past::corrections(section, reply))
    }

    async fn proof(
        &self,
        section: Section,
        id: ArticleId,
        slice: ProofSlice,
        token: Option<&str>,
    ) -> Result<Proof, SectionError> {
        let request = past::proof_request(id, slice);
        Ok(past::proof(self.read(&self.past, Cost::High, section, "GetProof", &request, token).await?))
    }

    async fn diff(
        &self,
        section: Section,
        id: ArticleId,
        from: Version,
        to: Version,
        token: Option<&str>,
    ) -> Result<Vec<DiffPart>, SectionError> {
        let (from, to) = (from.number(), to.number());
        let request = messages::DiffVersionsRequest { id: id.to_string(), from, to };
        Ok(past::diff(self.read(&self.past, Cost::High, section, "DiffVersions", &request, token).await?))
    }
}
