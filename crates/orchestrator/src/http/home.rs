use axum::extract::State;
use axum::response::Response;
use chassis::http::{Caller, Problem, ProblemBody};
use http::HeaderMap;
use kernel::{Refusal, Section};
use serde::Serialize;
use utoipa::ToSchema;

use super::caching::{Cache, digest, encode, rendered, served};
use super::views::{ArticleView, Status};
use super::{News, refused};
use crate::app::{ForYou, Home, Key, Rendered, Shown};
use crate::domain::{Block, Suggestion, Taste};

/// The front page.
#[derive(Debug, Serialize, ToSchema)]
pub struct HomeView {
    status: Status,
    /// At most five, the first of them first: the newest of all, where each story that a section has here already sets its next one
    /// back by six hours.
    top: Vec<ArticleView>,
    /// A block for each section that answered.
    sections: Vec<BlockView>,
    /// At most eight articles that follow what the reader likes; empty where nobody is signed in, where they did not consent to
    /// personalisation or have read nothing yet, and where that could not be asked.
    for_you: Vec<SuggestionView>,
    /// Why `for_you` is as it is.
    for_you_status: ForYouStatus,
    /// True where a section did not answer in time; such an answer is never cached.
    partial: bool,
    /// The sections that did not answer.
    #[schema(value_type = Vec<String>)]
    missing: Vec<Section>,
}

/// The newest of one section.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockView {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    section: Section,
    /// At most six, newest first. Top stories are left out where the section has enough others.
    news: Vec<ArticleView>,
}

/// An article for one reader, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuggestionView {
    #[serde(flatten)]
    article: ArticleView,
    reason: ReasonView,
}

/// Why an article is suggested.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReasonView {
    /// The kind of reason, for a program.
    code: ReasonCode,
    /// The label that it follows: of those of the article, the one that the reader likes most.
    #[schema(example = "budget")]
    label: String,
    /// The same as a sentence.
    #[schema(example = "You have read about budget 3 times.")]
    text: String,
}

/// The kinds of reasons.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// The reader has read about its label.
    ReadLabel,
}

/// Why `for_you` is as it is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForYouStatus {
    /// Nobody is signed in.
    Anonymous,
    /// It holds what the reader's labels lead to, which may be nothing.
    Ready,
    /// What the reader likes could not be asked just now; the rest of the page is complete.
    Away,
}

impl From<Home> for HomeView {
    fn from(home: Home) -> Self {
        let Home { front, for_you, missing } = home;
        let (for_you_status, for_you) = match for_you {
            ForYou::Nobody => (ForYouStatus::Anonymous, Vec::new()),
            ForYou::Found(found) => (ForYouStatus::Ready, found),
            ForYou::Away => (ForYouStatus::Away, Vec::new()),
        };
        Self {
            status: Status::Success,
            top: front.top.into_iter().map(ArticleView::from).collect(),
            sections: front.blocks.into_iter().map(BlockView::from).collect(),
            for_you: for_you.into_iter().map(SuggestionView::from).collect(),
            for_you_status,
            partial: !missing.is_empty(),
            missing,
        }
    }
}

impl From<Block> for BlockView {
    fn from(block: Block) -> Self {
        Self { section: block.section, news: block.articles.into_iter().map(ArticleView::from).collect() }
    }
}

impl From<Suggestion> for SuggestionView {
    fn from(suggestion: Suggestion) -> Self {
        Self { article: suggestion.article.into(), reason: suggestion.because.into() }
    }
}

impl From<Taste> for ReasonView {
    fn from(because: Taste) -> Self {
        let times = match because.reads {
            1 => "once".to_owned(),
            reads => format!("{reads} times"),
        };
        let label = because.label.to_string();
        Self { code: ReasonCode::ReadLabel, text: format!("You have read about {label} {times}."), label }
    }
}

/// The front page in one call: top stories, sections, and for a signed-in reader what follows their labels.
///
/// It is full when nobody knows what the reader likes: then `for_you` is empty and `for_you_status` says why.
#[utoipa::path(get, path = "/home", tag = "news", responses(
    (status = 200, description = "The front page; `partial` where a section is away.", body = HomeView),
    (status = 304, description = "The client has this page."),
    (status = 503, description = "No section answered.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn home(
    State(news): State<News>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(match caller.identity {
        Some(_) => home_of(&news, &caller, &headers).await?,
        None => home_of_all(&news, &headers).await?,
    })
}

/// A page for one reader; nobody else ever gets it.
async fn home_of(news: &News, caller: &Caller, headers: &HeaderMap) -> Result<Response, Refusal> {
    let page = render(news.app.home(caller).await.map_err(|error| refused(&error))?)?;
    let cache = if page.keep { Cache::Private } else { Cache::Never };
    Ok(rendered(&page, cache, headers))
}

/// The page that everybody gets: out of the cache, or into it, as lists are.
async fn home_of_all(news: &News, headers: &HeaderMap) -> Result<Response, Refusal> {
    let app = news.app.clone();
    let make = async move { render(app.home(&Caller::anonymous()).await.map_err(|error| refused(&error))?) };
    let page = news.app.shelf.serve(Key::Home, make).await?;
    let cache = if page.answer.keep { Cache::of_public(false) } else { Cache::Never };
    Ok(served(&page, cache, headers))
}

fn render(home: Home) -> Result<Rendered, Refusal> {
    let Home { front, for_you: _, missing } = &home;
    let blocks = front.blocks.iter().flat_map(|block| &block.articles);
    let shown = front.top.iter().chain(blocks).map(Shown::from).collect();
    let keep = missing.is_empty();
    let body = encode(&HomeView::from(home))?;
    Ok(Rendered {
        etag: digest(&body),
        body: body.into(),
        link: None,
        total: None,
        article: None,
        shown,
        lists: Section::ALL.to_vec(),
        keep,
    })
}
