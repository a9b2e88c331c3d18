use axum::extract::State;
use axum::response::Response;
use chassis::http::{Caller, Problem};
use http::HeaderMap;
use kernel::{Refusal, Section};
use serde::Serialize;
use utoipa::ToSchema;

use super::caching::{Cache, digest, encode_json, respond, respond_from_cache};
use super::views::{ArticleView, Status};
use super::{News, refusal_of};
use crate::app::{ForYou, HomePage, Key, RenderedAnswer, ShownArticle};
use crate::domain::{SectionBlock, Suggestion, Taste};

/// The front page.
#[derive(Debug, Serialize, ToSchema)]
pub struct HomeView {
    status: Status,
    /// At most five top stories, in order: the newest of all. Each story that a section already has here
    /// moves its next one back by six hours.
    top: Vec<ArticleView>,
    /// A block for each section that answered.
    sections: Vec<BlockView>,
    /// At most eight suggestions that follow the reader's labels. The list is empty if the caller is not
    /// signed in, did not consent to personalisation or has read nothing yet, or if the labels are not
    /// available.
    for_you: Vec<SuggestionView>,
    /// The reason for the state of `for_you`.
    for_you_status: ForYouStatus,
    /// True if a section did not answer in time. Such an answer is never cached.
    partial: bool,
    /// The sections that did not answer.
    #[schema(value_type = Vec<String>)]
    missing: Vec<Section>,
}

/// The newest articles of one section.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockView {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    section: Section,
    /// At most six articles, newest first. Top stories are left out if the section has enough others.
    news: Vec<ArticleView>,
}

/// An article that is suggested to the reader, with its reason.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuggestionView {
    #[serde(flatten)]
    article: ArticleView,
    reason: ReasonView,
}

/// The reason for a suggestion.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReasonView {
    /// The kind of reason, for programs.
    code: ReasonCode,
    /// Of the article's labels, the one that the reader likes most.
    #[schema(example = "budget")]
    label: String,
    /// The reason as a sentence.
    #[schema(example = "You have read about budget 3 times.")]
    text: String,
}

/// The kinds of reasons.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// The reader has read articles with its label.
    ReadLabel,
}

/// The state of `for_you`.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForYouStatus {
    /// The caller is not signed in.
    Anonymous,
    /// It contains the suggestions for the reader, if there are any.
    Ready,
    /// The reader's labels are not available now. The rest of the page is complete.
    Away,
}

impl From<HomePage> for HomeView {
    fn from(home: HomePage) -> Self {
        let HomePage { front, for_you, missing } = home;
        let (for_you_status, for_you) = match for_you {
            ForYou::Anonymous => (ForYouStatus::Anonymous, Vec::new()),
            ForYou::Ready(suggestions) => (ForYouStatus::Ready, suggestions),
            ForYou::Unavailable => (ForYouStatus::Away, Vec::new()),
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

impl From<SectionBlock> for BlockView {
    fn from(block: SectionBlock) -> Self {
        Self { section: block.section, news: block.articles.into_iter().map(ArticleView::from).collect() }
    }
}

impl From<Suggestion> for SuggestionView {
    fn from(suggestion: Suggestion) -> Self {
        Self { article: suggestion.article.into(), reason: suggestion.reason.into() }
    }
}

impl From<Taste> for ReasonView {
    fn from(taste: Taste) -> Self {
        let times = match taste.reads {
            1 => "once".to_owned(),
            reads => format!("{reads} times"),
        };
        let label = taste.label.to_string();
        Self { code: ReasonCode::ReadLabel, text: format!("You have read about {label} {times}."), label }
    }
}

/// Returns the front page in one call: top stories, sections, and suggestions for a signed-in reader.
///
/// The page is also complete if the reader's labels are not available. Then `for_you` is empty and
/// `for_you_status` says why.
#[utoipa::path(get, path = "/home", tag = "news", responses(
    (status = 200, description = "The front page. `partial` is true if a section is unavailable.", body = HomeView),
    (status = 304, description = "The client already has this page."),
    (status = 503, description = "No section answered."),
))]
pub(super) async fn home(
    State(news): State<News>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(match caller.identity {
        Some(_) => home_of_reader(&news, &caller, &headers).await?,
        None => public_home(&news, &headers).await?,
    })
}

/// Answers the page of one reader, which no other client ever gets.
async fn home_of_reader(news: &News, caller: &Caller, headers: &HeaderMap) -> Result<Response, Refusal> {
    let page = render(news.app.home(caller).await.map_err(|error| refusal_of(&error))?)?;
    let cache = if page.keep { Cache::Private } else { Cache::Never };
    Ok(respond(&page, cache, headers))
}

/// Answers the public page. Like a list, it comes from the cache or goes into it.
async fn public_home(news: &News, headers: &HeaderMap) -> Result<Response, Refusal> {
    let app = news.app.clone();
    let make =
        async move { render(app.home(&Caller::anonymous()).await.map_err(|error| refusal_of(&error))?) };
    let page = news.app.shelf().serve(Key::Home, make).await?;
    let cache = if page.answer.keep { Cache::of_public(false) } else { Cache::Never };
    Ok(respond_from_cache(&page, cache, headers))
}

fn render(home: HomePage) -> Result<RenderedAnswer, Refusal> {
    let HomePage { front, for_you: _, missing } = &home;
    let blocks = front.blocks.iter().flat_map(|block| &block.articles);
    let shown = front.top.iter().chain(blocks).map(ShownArticle::from).collect();
    let keep = missing.is_empty();
    let body = encode_json(&HomeView::from(home))?;
    Ok(RenderedAnswer {
        etag: digest(&body),
        body: body.into(),
        link: None,
        total: None,
        article: None,
        feed: None,
        shown,
        lists: Section::ALL.to_vec(),
        keep,
    })
}
