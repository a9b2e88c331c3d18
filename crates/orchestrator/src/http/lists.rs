use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Caller, ClientKey, Links, Path, Problem, Query};
use http::HeaderMap;
use kernel::{Page, Refusal, Section};
use serde::Deserialize;
use utoipa::IntoParams;

use super::articles::SectionPath;
use super::caching::{Cache, digest, encode_json, respond, respond_from_cache};
use super::list_query::{FieldSelection, ListQuery, PageQuery, ParsedList, parse_page};
use super::views::{ListView, PageView};
use super::{News, refusal_of};
use crate::app::{App, Key, ListRequest, NewsList, RenderedAnswer, ShownArticle, TextShare};
use crate::domain::{Cursor, Direction, ListFingerprint, ListSlice, Position, Scope};

/// The path parameters of a page of all sections.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct AllPath {
    /// The number of the page, from 1.
    #[param(value_type = u32)]
    page: String,
    /// The number of articles on a page, 1 to 100.
    #[param(value_type = u32)]
    limit: String,
}

/// The path parameters of a page of one section.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct SectionPagePath {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[param(value_type = String)]
    section: Section,
    /// The number of the page, from 1.
    #[param(value_type = u32)]
    page: String,
    /// The number of articles on a page, 1 to 100.
    #[param(value_type = u32)]
    limit: String,
}

/// Lists the newest articles of all sections, by page.
#[utoipa::path(get, path = "/all/{page}/{limit}", tag = "news", params(AllPath, PageQuery), responses(
    (status = 200, description = "A page of the merged list of all sections. `partial` is true if a section is unavailable.", body = ListView),
    (status = 304, description = "The client already has this page."),
    (status = 400, description = "Page or limit is not a number."),
    (status = 422, description = "`page_too_large`: with content, the texts of the page exceed 2 MiB. `invalid`: page or limit is outside its range, or a name is unknown."),
    (status = 503, description = "No section answered."),
))]
pub(super) async fn page_of_all(
    State(news): State<News>,
    Path(AllPath { page, limit }): Path<AllPath>,
    Query(query): Query<PageQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let page =
        PageRequest { scope: Scope::All, page: parse_page(&page, &limit)?, selection: query.selection()? };
    Ok(answer_page(&news, page, &caller, &headers).await?)
}

/// Lists the newest articles of one section, by page.
#[utoipa::path(get, path = "/{type}/{page}/{limit}", tag = "news", params(SectionPagePath, PageQuery), responses(
    (status = 200, description = "A page of the section.", body = ListView),
    (status = 304, description = "The client already has this page."),
    (status = 400, description = "Page or limit is not a number."),
    (status = 404, description = "`unknown_type`"),
    (status = 422, description = "`page_too_large`: with content, the texts of the page exceed 2 MiB. `invalid`: page or limit is outside its range, or a name is unknown."),
    (status = 503, description = "The section is unavailable."),
))]
pub(super) async fn page_of_section(
    State(news): State<News>,
    Path(SectionPagePath { section, page, limit }): Path<SectionPagePath>,
    Query(query): Query<PageQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let page = PageRequest {
        scope: Scope::One(section),
        page: parse_page(&page, &limit)?,
        selection: query.selection()?,
    };
    Ok(answer_page(&news, page, &caller, &headers).await?)
}

/// Lists the articles of all sections that pass a filter, by cursor.
#[utoipa::path(get, path = "/all", tag = "news", params(ListQuery), responses(
    (status = 200, description = "A page of the merged list of all sections. `partial` is true if a section is unavailable. The cursors of such a page lead through a list without that section, and every page of it says so.", body = ListView),
    (status = 304, description = "The client already has this page."),
    (status = 401, description = "`unauthenticated`: `state`, `mine` and `order=waiting` are for staff."),
    (status = 403, description = "`role_required`: `state`, `mine` and `order=waiting` are for staff."),
    (status = 422, description = "`bad_cursor`: the cursor is not valid, or belongs to another list. `invalid`: a value breaks a rule or a name is unknown."),
    (status = 503, description = "No section answered."),
))]
pub(super) async fn list_all(
    State(news): State<News>,
    Query(query): Query<ListQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(answer_list(&news, query.parse(Scope::All, &caller)?, &caller, &headers).await?)
}

/// Lists the articles of one section that pass a filter, by cursor.
#[utoipa::path(get, path = "/{type}", tag = "news", params(SectionPath, ListQuery), responses(
    (status = 200, description = "A page of the section's list.", body = ListView),
    (status = 304, description = "The client already has this page."),
    (status = 401, description = "`unauthenticated`: `state`, `mine` and `order=waiting` are for staff."),
    (status = 403, description = "`role_required`: `state`, `mine` and `order=waiting` are for staff."),
    (status = 404, description = "`unknown_type`"),
    (status = 422, description = "`bad_cursor`: the cursor is not valid, or belongs to another list. `invalid`: a value breaks a rule or a name is unknown."),
    (status = 503, description = "The section is unavailable."),
))]
pub(super) async fn list_section(
    State(news): State<News>,
    Path(SectionPath { section }): Path<SectionPath>,
    Query(query): Query<ListQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parsed = query.parse(Scope::One(section), &caller)?;
    Ok(answer_list(&news, parsed, &caller, &headers).await?)
}

/// A request for a page by number.
struct PageRequest {
    scope: Scope,
    page: Page,
    selection: FieldSelection,
}

async fn answer_page(
    news: &News,
    request: PageRequest,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let PageRequest { scope, page, selection } = request;
    let slice = ListSlice::newest(page.offset(), page.limit());
    let fingerprint = ListFingerprint::of(scope, &slice.filter, slice.order);
    let list = ListRequest { scope, slice, excluded: Vec::new(), content: selection.content, whole: true };
    let base = format!("{}/{}", news.public_base, scope.as_str());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(selection.pairs()).finish();
    let address = format!("{base}/{}/{}?{query}", page.number(), page.limit());
    let render = move |found: NewsList| {
        let next = cursor(Direction::Next, found.after, &found, fingerprint);
        let page_view = PageView::by_number(page, found.total, next);
        let link = page_links(&base, page, page_view.last(), &query);
        render(found, page_view, &selection, link, scope)
    };
    answer(news, list, address, render, caller, headers).await
}

async fn answer_list(
    news: &News,
    parsed: ParsedList,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let base = format!("{}/{}", news.public_base, parsed.request.scope.as_str());
    let address = format!("{base}?{}", parsed.query(parsed.cursor.as_deref()));
    let list = parsed.request.clone();
    let render = move |found: NewsList| {
        let next = cursor(Direction::Next, found.after, &found, parsed.fingerprint);
        let previous = cursor(Direction::Previous, found.before, &found, parsed.fingerprint);
        let target = |cursor: Option<&str>| format!("{base}?{}", parsed.query(cursor));
        let links = Links::default()
            .with("first", target(None))
            .with_some("prev", previous.as_deref().map(|cursor| target(Some(cursor))))
            .with_some("next", next.as_deref().map(|cursor| target(Some(cursor))));
        let page_view = PageView::by_cursor(parsed.request.slice.limit, found.total, next, previous);
        render(found, page_view, &parsed.selection, links.to_string(), parsed.request.scope)
    };
    answer(news, list, address, render, caller, headers).await
}

/// Answers a list. A public list comes from the cache, or goes into it, and is requested from the sections
/// without a token.
pub(super) async fn answer(
    news: &News,
    list: ListRequest,
    address: String,
    render: impl FnOnce(NewsList) -> Result<RenderedAnswer, Refusal> + Send + 'static,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let public = caller.is_reader() && list.slice.filter.is_public();
    let section_caller = if public { Caller::anonymous() } else { caller.clone() };
    let client = caller.client();
    let share = if list.content { news.app.text_budget().try_take(client) } else { None };
    // If this client has to wait for its own share, clients that have theirs must not wait with it.
    let alone = client.filter(|_| list.content && share.is_none());
    let make = make(news.app.clone(), list, section_caller, client, share, render);
    if !public {
        let answer = make.await?;
        let cache = if answer.keep { Cache::Private } else { Cache::Never };
        return Ok(respond(&answer, cache, headers));
    }
    let cached = news.app.shelf().serve_to(Key::List(Arc::from(address)), alone, make).await?;
    let cache = match cached.answer.keep {
        true => Cache::of_public(caller.identity.is_some()),
        false => Cache::Never,
    };
    Ok(respond_from_cache(&cached, cache, headers))
}

/// Makes the answer. An answer with texts holds a part of the memory for texts until it is sent. `share` is
/// what its client has taken for it already.
async fn make(
    app: Arc<App>,
    list: ListRequest,
    caller: Caller,
    client: Option<ClientKey>,
    share: Option<TextShare>,
    render: impl FnOnce(NewsList) -> Result<RenderedAnswer, Refusal>,
) -> Result<RenderedAnswer, Refusal> {
    let permit = if list.content { Some(app.text_budget().acquire(client, share).await?) } else { None };
    let found = app.list(&list, &caller).await.map_err(|error| refusal_of(&error))?;
    let mut answer = render(found)?;
    if let Some(permit) = permit {
        answer.body = permit.attach_to(answer.body);
    }
    Ok(answer)
}

fn render(
    found: NewsList,
    page: PageView,
    selection: &FieldSelection,
    link: String,
    scope: Scope,
) -> Result<RenderedAnswer, Refusal> {
    let shown: Vec<ShownArticle> = found.articles.iter().map(ShownArticle::from).collect();
    let (total, keep) = (found.total, found.missing.is_empty());
    let body =
        encode_json(&ListView::new(found.articles, page, found.missing, selection.fields.as_deref())?)?;
    let etag = digest(&body);
    Ok(RenderedAnswer {
        body: body.into(),
        etag,
        link: Some(link),
        total: Some(total),
        article: None,
        feed: None,
        shown,
        lists: scope.sections(),
        keep,
    })
}

/// Encodes the cursor at a position. The sections that are missing from the page are left out of the rest of
/// the walk.
fn cursor(
    direction: Direction,
    position: Option<Position>,
    found: &NewsList,
    fingerprint: ListFingerprint,
) -> Option<String> {
    let position = position?;
    Some(Cursor { direction, position, excluded: found.missing.clone() }.encode(fingerprint))
}

/// Builds the links to the pages around this one (RFC 8288), as far as pages by number reach.
fn page_links(list: &str, page: Page, last: u64, query: &str) -> String {
    let (number, limit) = (u64::from(page.number()), page.limit());
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let target = |number: u64| format!("{list}/{number}/{limit}{query}");
    Links::default()
        .with("first", target(1))
        .with_some("prev", (number > 1).then(|| target((number - 1).min(last))))
        .with_some("next", (number < last).then(|| target(number + 1)))
        .with("last", target(last))
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_never_name_a_page_that_would_be_refused() {
        let page = |number| Page::new(number, 100).expect("within reach");
        assert_eq!(
            page_links("/news/v1/all", page(1), 1, ""),
            "</news/v1/all/1/100>; rel=\"first\", </news/v1/all/1/100>; rel=\"last\""
        );
        let last = PageView::by_number(page(100), 1_000_000, None).last();
        assert_eq!(last, 100);
        assert!(!page_links("/news/v1/all", page(100), last, "").contains("next"));
    }
}
