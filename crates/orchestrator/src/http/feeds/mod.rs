//! Feeds: the newest articles, or corrections, as RSS, Atom and JSON Feed.

mod atom;
mod dates;
mod entry;
mod json;
mod rss;

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Api, Caller, Path, Problem, Query};
use http::HeaderMap;
use kernel::{FieldFault, Kind, Label, Refusal, Section, UserId, match_key};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use self::entry::{Entry, Feed};
use super::articles::SectionPath;
use super::caching::{Cache, digest, respond_from_cache};
use super::list_query::{invalid, parse_include};
use super::{News, lists, refusal_of};
use crate::app::{FeedHead, Key, ListRequest, NewsList, RenderedAnswer, ShownArticle};
use crate::domain::{CorrectionFilter, CorrectionSlice, Filter, ListSlice, Scope};

/// The number of entries of a feed.
const ENTRIES: u32 = 30;

/// A format of feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Rss,
    Atom,
    Json,
}

impl Format {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Rss => "application/rss+xml",
            Self::Atom => "application/atom+xml",
            Self::Json => "application/feed+json",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Rss => "rss",
            Self::Atom => "atom",
            Self::Json => "json",
        }
    }

    fn write(self, feed: &Feed) -> Result<Vec<u8>, Refusal> {
        match self {
            Self::Rss => Ok(rss::write(feed)),
            Self::Atom => Ok(atom::write(feed)),
            Self::Json => json::write(feed)
                .map_err(|_| Refusal::new(Kind::Internal, "internal", "The feed could not be encoded.")),
        }
    }
}

/// The query parameters of a feed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FeedQuery {
    /// `content` includes the texts. Then a feed has at most 2 MiB of text, and so it may have fewer entries.
    include: Option<String>,
}

/// The path parameters of a label.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct LabelPath {
    /// The label, in any spelling: case, Unicode normalisation and outer spaces do not matter.
    label: String,
}

/// The path parameters of an author.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct AuthorPath {
    /// The account of the author.
    #[param(value_type = uuid::Uuid)]
    author_id: UserId,
}

/// The articles, or corrections, of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Portal,
    Section(Section),
    Label(String),
    Author(UserId),
    Corrections,
}

impl Subject {
    fn scope(&self) -> Scope {
        match self {
            Self::Section(section) => Scope::One(*section),
            _ => Scope::All,
        }
    }

    fn filter(&self) -> Filter {
        match self {
            Self::Label(label) => Filter { label: Some(match_key(label)), ..Filter::default() },
            Self::Author(author) => Filter { author_id: Some(*author), ..Filter::default() },
            _ => Filter::default(),
        }
    }

    /// Returns the path of the feed without its extension, below the path of the API.
    fn path(&self) -> String {
        match self {
            Self::Portal => "feed".to_owned(),
            Self::Section(section) => format!("{section}/feed"),
            Self::Label(label) => {
                let encoded: String = form_urlencoded::byte_serialize(match_key(label).as_bytes()).collect();
                format!("labels/{}/feed", encoded.replace('+', "%20"))
            }
            Self::Author(author) => format!("authors/{author}/feed"),
            Self::Corrections => "corrections/feed".to_owned(),
        }
    }

    /// Returns the title of the feed of a portal with this title.
    fn title(&self, portal: &str) -> String {
        match self {
            Self::Portal => portal.to_owned(),
            Self::Section(section) => format!("{portal}: {section}"),
            Self::Label(label) => format!("{portal}: {label}"),
            Self::Author(author) => format!("{portal}: articles of the author {author}"),
            Self::Corrections => format!("{portal}: corrections"),
        }
    }
}

impl TryFrom<SectionPath> for Subject {
    type Error = Refusal;

    fn try_from(path: SectionPath) -> Result<Self, Refusal> {
        Ok(Self::Section(path.section))
    }
}

impl TryFrom<AuthorPath> for Subject {
    type Error = Refusal;

    fn try_from(path: AuthorPath) -> Result<Self, Refusal> {
        Ok(Self::Author(path.author_id))
    }
}

impl TryFrom<LabelPath> for Subject {
    type Error = Refusal;

    fn try_from(path: LabelPath) -> Result<Self, Refusal> {
        Label::parse(&path.label)
            .map_err(|error| invalid(vec![FieldFault::new("/label", error.code(), error.to_string())]))?;
        Ok(Self::Label(path.label))
    }
}

/// Declares the handler of one feed in one format: `name`, its path, its format, its subject (or the path
/// parameters that name it), and its description.
macro_rules! feed {
    ($name:ident, $path:literal, $format:ident, $subject:expr, $description:literal) => {
        #[doc = $description]
        #[utoipa::path(get, path = $path, tag = "feeds", params(FeedQuery), responses(
            (status = 200, description = "The feed, of at most 30 entries. If a section is unavailable, its articles are missing and the feed is not cached.", body = String),
            (status = 304, description = "The client already has this feed."),
            (status = 422, description = "`invalid`: `include` has an unknown value."),
            (status = 503, description = "No section answered."),
        ))]
        pub(super) async fn $name(
            State(news): State<News>,
            Query(query): Query<FeedQuery>,
            caller: Caller,
            headers: HeaderMap,
        ) -> Result<Response, Problem> {
            Ok(answer(&news, $subject, Format::$format, &query, &caller, &headers).await?)
        }
    };
    ($name:ident, $path:literal, $format:ident, of $parameters:ty, $description:literal) => {
        #[doc = $description]
        #[utoipa::path(get, path = $path, tag = "feeds", params($parameters, FeedQuery), responses(
            (status = 200, description = "The feed, of at most 30 entries. If a section is unavailable, its articles are missing and the feed is not cached.", body = String),
            (status = 304, description = "The client already has this feed."),
            (status = 404, description = "`unknown_type`"),
            (status = 422, description = "`invalid`: `include` has an unknown value, or a label is not valid."),
            (status = 503, description = "No section answered."),
        ))]
        pub(super) async fn $name(
            State(news): State<News>,
            Path(parameters): Path<$parameters>,
            Query(query): Query<FeedQuery>,
            caller: Caller,
            headers: HeaderMap,
        ) -> Result<Response, Problem> {
            let subject = Subject::try_from(parameters)?;
            Ok(answer(&news, subject, Format::$format, &query, &caller, &headers).await?)
        }
    };
}

feed!(portal_rss, "/feed.rss", Rss, Subject::Portal, "Returns the newest articles as RSS.");
feed!(portal_atom, "/feed.atom", Atom, Subject::Portal, "Returns the newest articles as Atom.");
feed!(portal_json, "/feed.json", Json, Subject::Portal, "Returns the newest articles as JSON Feed.");
feed!(section_rss, "/{type}/feed.rss", Rss, of SectionPath, "Returns the newest articles of a section as RSS.");
feed!(section_atom, "/{type}/feed.atom", Atom, of SectionPath, "Returns the newest articles of a section as Atom.");
feed!(section_json, "/{type}/feed.json", Json, of SectionPath, "Returns the newest articles of a section as JSON Feed.");
feed!(label_rss, "/labels/{label}/feed.rss", Rss, of LabelPath, "Returns the newest articles with a label as RSS.");
feed!(label_atom, "/labels/{label}/feed.atom", Atom, of LabelPath, "Returns the newest articles with a label as Atom.");
feed!(label_json, "/labels/{label}/feed.json", Json, of LabelPath, "Returns the newest articles with a label as JSON Feed.");
feed!(author_rss, "/authors/{author_id}/feed.rss", Rss, of AuthorPath, "Returns the newest articles of an author as RSS.");
feed!(author_atom, "/authors/{author_id}/feed.atom", Atom, of AuthorPath, "Returns the newest articles of an author as Atom.");
feed!(author_json, "/authors/{author_id}/feed.json", Json, of AuthorPath, "Returns the newest articles of an author as JSON Feed.");
feed!(
    corrections_rss,
    "/corrections/feed.rss",
    Rss,
    Subject::Corrections,
    "Returns the newest corrections as RSS."
);
feed!(
    corrections_atom,
    "/corrections/feed.atom",
    Atom,
    Subject::Corrections,
    "Returns the newest corrections as Atom."
);
feed!(
    corrections_json,
    "/corrections/feed.json",
    Json,
    Subject::Corrections,
    "Returns the newest corrections as JSON Feed."
);

/// Adds the routes of all feeds.
pub(super) fn routes(api: Api<News>) -> Api<News> {
    api.routes(routes!(portal_rss))
        .routes(routes!(portal_atom))
        .routes(routes!(portal_json))
        .routes(routes!(section_rss))
        .routes(routes!(section_atom))
        .routes(routes!(section_json))
        .routes(routes!(label_rss))
        .routes(routes!(label_atom))
        .routes(routes!(label_json))
        .routes(routes!(author_rss))
        .routes(routes!(author_atom))
        .routes(routes!(author_json))
        .routes(routes!(corrections_rss))
        .routes(routes!(corrections_atom))
        .routes(routes!(corrections_json))
}

/// The parts of a feed that its request decides.
struct Request {
    subject: Subject,
    format: Format,
    title: String,
    publisher: String,
    /// The address of the portal.
    origin: String,
    /// The address of the news API.
    base: String,
}

async fn answer(
    news: &News,
    subject: Subject,
    format: Format,
    query: &FeedQuery,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let content = parse_include(query.include.as_deref()).map_err(|fault| invalid(vec![fault]))?;
    let request = Request {
        title: subject.title(&news.site.title),
        publisher: news.site.title.clone(),
        origin: format!("{}/", news.site.origin),
        base: format!("{}{}", news.site.origin, news.public_base),
        subject,
        format,
    };
    if request.subject == Subject::Corrections {
        return answer_corrections(news, request, caller, headers).await;
    }
    let list = ListRequest {
        scope: request.subject.scope(),
        slice: ListSlice { filter: request.subject.filter(), ..ListSlice::newest(0, ENTRIES) },
        excluded: Vec::new(),
        content,
        whole: false,
    };
    let address = format!("{}{}", request.address(), if content { "?include=content" } else { "" });
    let render = move |found: NewsList| {
        let shown = found.articles.iter().map(ShownArticle::from).collect();
        let entries = found.articles.into_iter().map(|article| Entry::of_article(article, &request.base));
        let entries = entries.collect();
        request.render(entries, shown, found.missing.is_empty())
    };
    // All clients get the same feed, so staff get it from the cache too.
    let reader = Caller { identity: None, token: None, ..caller.clone() };
    lists::answer(news, list, address, render, &reader, headers).await
}

async fn answer_corrections(
    news: &News,
    request: Request,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let (app, address) = (news.app.clone(), request.address());
    let make = async move {
        let slice = CorrectionSlice { filter: CorrectionFilter::default(), after: None, limit: ENTRIES };
        let found =
            app.list_corrections(Scope::All, &[], &slice).await.map_err(|error| refusal_of(&error))?;
        let shown = found.corrections.iter().map(ShownArticle::of_correction).collect();
        let entries = found.corrections.into_iter().map(|each| Entry::of_correction(each, &request.base));
        let entries = entries.collect();
        request.render(entries, shown, found.missing.is_empty())
    };
    let cached = news.app.shelf().serve(Key::List(address.into()), make).await?;
    let cache = match cached.answer.keep {
        true => Cache::of_public(caller.identity.is_some()),
        false => Cache::Never,
    };
    Ok(respond_from_cache(&cached, cache, headers))
}

impl Request {
    /// Returns the address of the feed.
    fn address(&self) -> String {
        format!("{}/{}.{}", self.base, self.subject.path(), self.format.extension())
    }

    fn render(
        &self,
        entries: Vec<Entry>,
        shown: Vec<ShownArticle>,
        keep: bool,
    ) -> Result<RenderedAnswer, Refusal> {
        let feed = Feed {
            title: self.title.clone(),
            publisher: self.publisher.clone(),
            address: self.address(),
            home: self.origin.clone(),
            entries,
        };
        let body = self.format.write(&feed)?;
        Ok(RenderedAnswer {
            etag: digest(&body),
            body: body.into(),
            link: None,
            total: None,
            article: None,
            feed: Some(FeedHead { media_type: self.format.media_type(), modified: feed.modified() }),
            shown,
            lists: self.subject.scope().sections(),
            keep,
        })
    }
}
