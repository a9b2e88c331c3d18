//! The proof of an article's history: its hash chain.

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Caller, Links, Path, Problem, Query};
use http::HeaderMap;
use kernel::{ArticleId, FieldFault, Refusal, Section, Version};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::News;
use super::articles::ArticlePath;
use super::caching::{Cache, digest, encode_json, respond};
use super::history::{encode_cursor, parse_cursor};
use super::list_query::invalid;
use super::views::Status;
use crate::app::RenderedAnswer;
use crate::domain::{Proof, ProofLink, ProofSlice};

/// The default number of links on a page.
const DEFAULT_LIMIT: u32 = 20;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProofQuery {
    /// The number of links, 1 to 100. The default is 20.
    limit: Option<u32>,
    /// The position to continue from: `next_cursor` of the page before.
    cursor: Option<String>,
    /// `record` includes the records of the versions that the caller may see. Such a page ends at 2 MiB of
    /// records but has at least one link, and `next_cursor` continues.
    include: Option<String>,
}

impl ProofQuery {
    fn parse(self) -> Result<ProofSlice, Refusal> {
        let records = match self.include.as_deref() {
            None => false,
            Some("record") => true,
            Some(_) => {
                let fault = FieldFault::new("/include", "unknown_name", "the only value is `record`");
                return Err(invalid(vec![fault]));
            }
        };
        let after = self.cursor.as_deref().map(|cursor| parse_cursor("after", cursor)).transpose()?;
        Ok(ProofSlice { after, limit: self.limit.unwrap_or(DEFAULT_LIMIT), records })
    }
}

/// A page of the hash chain of an article.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProofView {
    status: Status,
    /// The links in the order of their versions, the first one first.
    proof: Vec<ProofLinkView>,
    page: ProofPageView,
}

/// A link of the hash chain.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProofLinkView {
    /// The version.
    #[schema(value_type = u32)]
    version: Version,
    /// SHA-256 over `previous`, a line feed and the record in UTF-8, as 64 hexadecimal digits. Null if it
    /// could confirm a guess of a hidden version that an older release stored without a nonce: that version
    /// itself, or one that was hidden before this one.
    hash: Option<String>,
    /// The hash of the version before; 64 zeros for the first version. Null if that hash is.
    previous: Option<String>,
    /// The exact text that was hashed: JSON with the article, the event and the account that caused it. Only
    /// with `include=record`, and only of versions that the caller may see.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
}

/// The position of a page in the chain.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProofPageView {
    /// The largest number of links on a page.
    limit: u32,
    /// The cursor of later versions; null if there are none.
    next_cursor: Option<String>,
}

impl From<ProofLink> for ProofLinkView {
    fn from(link: ProofLink) -> Self {
        let ProofLink { version, hash, previous, record } = link;
        Self { version, hash, previous, record }
    }
}

/// Returns the hash chain of an article, which proves that its history was not rewritten.
///
/// Each hash covers the record of its version and the hash before it. A client that keeps a hash can check
/// later that the versions up to it are still the same. `docs/proof` in the source has a script and a test
/// vector.
#[utoipa::path(get, path = "/{type}/{id}/proof", tag = "news", params(ArticlePath, ProofQuery), responses(
    (status = 200, description = "A page of the chain. It has a link for every version, also for versions that the caller may not see. Their records are left out.", body = ProofView),
    (status = 304, description = "The client already has this page."),
    (status = 404, description = "`unknown_type`, or `not_found`: also for an article that the caller may not see."),
    (status = 410, description = "`retracted`, with `reason` and `retracted_at`."),
    (status = 422, description = "`bad_cursor`: the cursor is not valid. `invalid`: `limit` is outside its range, or a name is unknown."),
    (status = 503, description = "The section's command side is unavailable, or `busy`: too many pages with records are being made."),
))]
pub(super) async fn get_proof(
    State(news): State<News>,
    Path(ArticlePath { section, id }): Path<ArticlePath>,
    Query(query): Query<ProofQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let slice = query.parse()?;
    // A page with records is as large as a list with texts, so it needs the same part of the memory.
    let permit = match slice.records {
        true => Some(news.app.text_budget().acquire(caller.client(), None).await?),
        false => None,
    };
    let proof = news.app.get_proof(section, id, slice, &caller).await?;
    let mut answer = render(&news, section, id, slice, proof)?;
    if let Some(permit) = permit {
        answer.body = permit.attach_to(answer.body);
    }
    Ok(respond(&answer, Cache::of_public(caller.identity.is_some()), &headers))
}

fn render(
    news: &News,
    section: Section,
    id: ArticleId,
    slice: ProofSlice,
    proof: Proof,
) -> Result<RenderedAnswer, Refusal> {
    let next_cursor = proof.next.map(|version| encode_cursor("after", version));
    let include = if slice.records { "&include=record" } else { "" };
    let base = format!("{}/{section}/{id}/proof?limit={}{include}", news.public_base, slice.limit);
    let next = next_cursor.as_ref().map(|cursor| format!("{base}&cursor={cursor}"));
    let links = Links::default().with("first", base).with_some("next", next);
    let body = encode_json(&ProofView {
        status: Status::Success,
        proof: proof.links.into_iter().map(ProofLinkView::from).collect(),
        page: ProofPageView { limit: slice.limit, next_cursor },
    })?;
    Ok(RenderedAnswer {
        etag: digest(&body),
        body: body.into(),
        link: Some(links.to_string()),
        total: None,
        article: None,
        feed: None,
        shown: Vec::new(),
        lists: Vec::new(),
        keep: true,
    })
}
