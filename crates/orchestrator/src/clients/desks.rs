use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::{Bus, Call};
use bytes::Bytes;
use chassis::{Breaker, BreakerSettings, Broken, Context};
use kernel::{ArticleId, Expected, Refusal, Section, Version};
use prost::Message;
use proto::news::v1 as wire;
use uuid::Uuid;

use super::past;
use super::retry::{Retries, RetryRule};
use super::wire as codec;
use crate::domain::{
    Article, Change, DiffPart, Fields, History, Part, Picked, SectionList, SectionPositions, State,
};
use crate::ports::{DeskError, Done, Giver, NewsDesks, Which};

/// The section has waited for a version that was asked for and does not have it yet.
const NOT_YET_PROJECTED: &str = "not_yet_projected";
/// The section has no room for one more comparison.
const BUSY: &str = "busy";
/// The same command, under the same key, is being done.
const STILL_RUNNING: &str = "still_running";
/// A call ends so much before its caller's deadline (a tenth of short ones), so that somebody is still there to see that the
/// section was too slow, count it and answer.
const MARGIN: Duration = Duration::from_millis(50);

/// True where a section that is away for this request works well: to ask it again at once, or to leave it in peace, would help nobody.
pub(super) fn is_well(refusal: &Refusal) -> bool {
    [NOT_YET_PROJECTED, BUSY].contains(&refusal.code.as_str())
}

/// The desks over the bus: a call to `news.<section>.calls` for each request.
///
/// Each section has three breakers of its own: one that is away costs the others nothing, and one whose command side is away, so that it
/// can neither write nor tell of the past, can still be read.
pub struct BusDesks {
    bus: Arc<dyn Bus>,
    reads: Breakers,
    past: Breakers,
    writes: Breakers,
    retries: Retries,
}

/// How much work a question takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    Usual,
    /// Far more than a read. If it fails that says nothing about the section: otherwise a client that asks for much could open
    /// the breaker for everybody.
    High,
}

/// One for each section.
type Breakers = [Breaker; Section::ALL.len()];

impl BusDesks {
    /// Desks behind this bus.
    pub fn new(bus: Arc<dyn Bus>, rule: RetryRule) -> Self {
        let breakers = |of: &str| {
            let name = |section: Section| format!("{}:{of}", section.service());
            Section::ALL.map(|section| Breaker::new(name(section), BreakerSettings::default()))
        };
        let (reads, past, writes) = (breakers("reads"), breakers("past"), breakers("writes"));
        Self { bus, reads, past, writes, retries: Retries::new(rule) }
    }

    /// A command: tried again as a read is, always under the same key, so that it has one effect. Where the client gave no key it gets
    /// one of its own, marked by a space, which no client's key has.
    async fn write<A: Message + Default>(
        &self,
        section: Section,
        method: &'static str,
        request: &impl Message,
        giver: Giver<'_>,
    ) -> Result<A, DeskError> {
        let key = giver.key.map_or_else(|| format!(" {}", Uuid::new_v4()), str::to_owned);
        self.retries.earn();
        let deadline = Context::current().deadline;
        let (mut tried, mut away) = (1, None);
        loop {
            let breaker = &self.writes[section as usize];
            let call = call(method, request, giver.token, Some(key.clone()));
            let asked = self.ask(breaker, Cost::Usual, section, call);
            let error = match (asked.await, away) {
                (Ok(reply), _) => return Ok(reply),
                // Our own first attempt is still at work, and its answer can be had in a moment.
                (Err(DeskError::Refused(refusal)), Some(first)) if refusal.code == *STILL_RUNNING => first,
                (Err(error), _) => error,
            };
            let dependency = section.service();
            let Some(pause) = self.retries.pause(dependency, tried, &error, deadline) else {
                return Err(error);
            };
            tracing::debug!(section = section.as_str(), method, tried, "a command failed and is sent again");
            chassis::pause(pause).await;
            (tried, away) = (tried + 1, Some(error));
        }
    }

    /// One call, sent once.
    async fn ask<A: Message + Default>(
        &self,
        breaker: &Breaker,
        cost: Cost,
        section: Section,
        call: Call,
    ) -> Result<A, DeskError> {
        let counts = |_: &Refusal| cost == Cost::Usual;
        match breaker.call_if(self.send(section, call), counts).await {
            Ok(Ok(reply)) => readable(section, A::decode(reply).map_err(|error| error.to_string())),
            Ok(Err(refusal)) | Err(Broken::Failed(refusal)) => Err(refusal.into()),
            Err(Broken::Resting(retry_after)) => Err(DeskError::Resting { section, retry_after }),
        }
    }

    /// The outer result is what the breaker counts, the inner one what the caller gets. They differ where the section works well
    /// and has only waited in vain for a version, or has no room for one more comparison: else anybody could open the breaker by asking for
    /// versions that will never be, or for many comparisons.
    async fn send(&self, section: Section, call: Call) -> Result<Result<Bytes, Refusal>, Refusal> {
        let context = Context::current();
        let left = context.deadline.left();
        let address = format!("news.{section}.calls");
        let call = context.within(left - MARGIN.min(left / 10)).scope(self.bus.call(&address, call));
        match call.await {
            Err(refusal) if is_well(&refusal) => Ok(Err(refusal)),
            outcome => outcome.map(Ok),
        }
    }

    /// A read: tried again where that may help and the deadline and the budget of retries allow it.
    async fn read<A: Message + Default>(
        &self,
        breakers: &Breakers,
        cost: Cost,
        section: Section,
        method: &'static str,
        request: &impl Message,
        token: Option<&str>,
    ) -> Result<A, DeskError> {
        self.retries.earn();
        let deadline = Context::current().deadline;
        let mut tried = 1;
        loop {
            let asked =
                self.ask(&breakers[section as usize], cost, section, call(method, request, token, None));
            let error = match asked.await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let dependency = section.service();
            let Some(pause) = self.retries.pause(dependency, tried, &error, deadline) else {
                return Err(error);
            };
            tracing::debug!(section = section.as_str(), method, tried, "a call failed and is tried again");
            chassis::pause(pause).await;
            tried += 1;
        }
    }
}

fn call(
    method: &'static str,
    request: &impl Message,
    token: Option<&str>,
    idempotency_key: Option<String>,
) -> Call {
    let (method, body) = (method.to_owned(), request.encode_to_vec().into());
    Call { method, body, token: token.map(str::to_owned), idempotency_key }
}

fn readable<T>(section: Section, value: Result<T, codec::Wrong>) -> Result<T, DeskError> {
    value.map_err(|reason| DeskError::Unreadable { section, reason })
}

#[async_trait]
impl NewsDesks for BusDesks {
    async fn get(
        &self,
        section: Section,
        id: ArticleId,
        min_version: Option<Version>,
        token: Option<&str>,
    ) -> Result<Article, DeskError> {
        let request =
            wire::GetArticleRequest { id: id.to_string(), min_version: min_version.map(Version::number) };
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
    ) -> Result<Picked, DeskError> {
        let request = wire::GetArticlesRequest {
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
    ) -> Result<Vec<(ArticleId, u64)>, DeskError> {
        let request = wire::GetArticlesRequest {
            ids: ids.iter().map(ArticleId::to_string).collect(),
            // A section of an older program does not know `sizes_only`, and leaves at least the texts out.
            without_content: true,
            states: codec::states(states),
            sizes_only: true,
        };
        let reply = self.read(&self.reads, Cost::High, section, "GetArticles", &request, token).await?;
        readable(section, codec::sizes_of(reply))
    }

    fn given_up(&self, section: Section) {
        self.reads[section as usize].fail();
    }

    async fn list(
        &self,
        section: Section,
        part: &Part,
        token: Option<&str>,
    ) -> Result<SectionList, DeskError> {
        let reply =
            self.read(&self.reads, Cost::Usual, section, "ListArticles", &codec::part(part), token).await?;
        readable(section, codec::articles_of(reply))
    }

    async fn positions(
        &self,
        section: Section,
        part: &Part,
        token: Option<&str>,
    ) -> Result<SectionPositions, DeskError> {
        let request = wire::ListArticlesRequest { keys_only: true, ..codec::part(part) };
        let reply = self.read(&self.reads, Cost::Usual, section, "ListArticles", &request, token).await?;
        readable(section, codec::positions_of(reply))
    }

    async fn create(
        &self,
        section: Section,
        fields: Fields,
        publish: bool,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError> {
        let request = wire::CreateArticleRequest { fields: Some(codec::fields(fields)), publish };
        readable(section, codec::done(self.write(section, "CreateArticle", &request, giver).await?))
    }

    async fn revise(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        change: Change,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError> {
        let request = wire::ReviseArticleRequest {
            id: id.to_string(),
            expected: Some(codec::expected(expected)),
            change: Some(codec::change(change)),
        };
        readable(section, codec::done(self.write(section, "ReviseArticle", &request, giver).await?))
    }

    async fn publish(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError> {
        let request =
            wire::PublishArticleRequest { id: id.to_string(), expected: Some(codec::expected(expected)) };
        readable(section, codec::done(self.write(section, "PublishArticle", &request, giver).await?))
    }

    async fn delete(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        giver: Giver<'_>,
    ) -> Result<Done<Version>, DeskError> {
        let request =
            wire::DeleteArticleRequest { id: id.to_string(), expected: Some(codec::expected(expected)) };
        let reply: wire::DeleteArticleReply = self.write(section, "DeleteArticle", &request, giver).await?;
        Ok(Done { value: Version::new(reply.version), replayed: reply.replayed })
    }

    async fn unpublish(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError> {
        let request =
            wire::UnpublishArticleRequest { id: id.to_string(), expected: Some(codec::expected(expected)) };
        readable(section, codec::done(self.write(section, "UnpublishArticle", &request, giver).await?))
    }

    async fn restore(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        old: Version,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError> {
        let request = wire::RestoreArticleRequest {
            id: id.to_string(),
            expected: Some(codec::expected(expected)),
            version: old.number(),
        };
        readable(section, codec::done(self.write(section, "RestoreArticle", &request, giver).await?))
    }

    async fn undelete(
        &self,
        section: Section,
        id: ArticleId,
        expected: &Expected,
        giver: Giver<'_>,
    ) -> Result<Done<Article>, DeskError> {
        let request =
            wire::UndeleteArticleRequest { id: id.to_string(), expected: Some(codec::expected(expected)) };
        readable(section, codec::done(self.write(section, "UndeleteArticle", &request, giver).await?))
    }

    async fn history(
        &self,
        section: Section,
        id: ArticleId,
        before: Option<Version>,
        limit: u32,
        token: Option<&str>,
    ) -> Result<History, DeskError> {
        let before = before.map(Version::number);
        let request = wire::GetHistoryRequest { id: id.to_string(), limit, before };
        let reply = self.read(&self.past, Cost::Usual, section, "GetHistory", &request, token).await?;
        readable(section, past::history(reply))
    }

    async fn version(
        &self,
        section: Section,
        id: ArticleId,
        which: Which,
        token: Option<&str>,
    ) -> Result<Article, DeskError> {
        let request = wire::GetVersionRequest { id: id.to_string(), which: Some(past::which(which)) };
        let reply = self.read(&self.past, Cost::Usual, section, "GetVersion", &request, token).await?;
        readable(section, codec::article_of(reply))
    }

    async fn diff(
        &self,
        section: Section,
        id: ArticleId,
        from: Version,
        to: Version,
        token: Option<&str>,
    ) -> Result<Vec<DiffPart>, DeskError> {
        let (from, to) = (from.number(), to.number());
        let request = wire::DiffVersionsRequest { id: id.to_string(), from, to };
        Ok(past::diff(self.read(&self.past, Cost::High, section, "DiffVersions", &request, token).await?))
    }
}
