use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chassis::http::{Caller, Path, Problem, ProblemBody, Query};
use http::HeaderMap;
use kernel::{Page, Refusal, Section};
use serde::Deserialize;
use utoipa::IntoParams;

use super::articles::SectionPath;
use super::caching::{Cache, digest, encode, rendered, served};
use super::list_query::{ListQuery, PageQuery, Show, Wanted, parse_page};
use super::views::{ListView, PageView};
use super::{News, refused};
use crate::app::{App, Key, ListNews, NewsList, Rendered, Shown};
use crate::domain::{Cursor, Fingerprint, Part, Position, Scope, Toward};

/// A page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct AllPath {
    /// The page, from 1.
    #[param(value_type = u32)]
    page: String,
    /// How many articles it holds, 1 to 100.
    #[param(value_type = u32)]
    limit: String,
}

/// A page of a section.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct SectionPagePath {
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[param(value_type = String)]
    section: Section,
    /// The page, from 1.
    #[param(value_type = u32)]
    page: String,
    /// How many articles it holds, 1 to 100.
    #[param(value_type = u32)]
    limit: String,
}

/// The newest articles of all sections.
#[utoipa::path(get, path = "/all/{page}/{limit}", tag = "news", params(AllPath, PageQuery), responses(
    (status = 200, description = "A page of the one order of all sections; `partial` where one of them is away.", body = ListView),
    (status = 304, description = "The client has this page."),
    (status = 400, description = "Page or limit is no number.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "`page_too_large`: with content, the texts of the page exceed 2 MiB. `invalid`: page or limit is outside its range, or a name is unknown.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "No section answered.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn page_of_all(
    State(news): State<News>,
    Path(AllPath { page, limit }): Path<AllPath>,
    Query(query): Query<PageQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let page = Paged { scope: Scope::All, page: parse_page(&page, &limit)?, show: query.show()? };
    Ok(answer_page(&news, page, &caller, &headers).await?)
}

/// The newest articles of one section.
#[utoipa::path(get, path = "/{type}/{page}/{limit}", tag = "news", params(SectionPagePath, PageQuery), responses(
    (status = 200, description = "A page of the section.", body = ListView),
    (status = 304, description = "The client has this page."),
    (status = 400, description = "Page or limit is no number.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "`page_too_large`: with content, the texts of the page exceed 2 MiB. `invalid`: page or limit is outside its range, or a name is unknown.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "The section is away.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn page_of_section(
    State(news): State<News>,
    Path(SectionPagePath { section, page, limit }): Path<SectionPagePath>,
    Query(query): Query<PageQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let page = Paged { scope: Scope::One(section), page: parse_page(&page, &limit)?, show: query.show()? };
    Ok(answer_page(&news, page, &caller, &headers).await?)
}

/// The articles of all sections that pass a filter, from any place on.
#[utoipa::path(get, path = "/all", tag = "news", params(ListQuery), responses(
    (status = 200, description = "A part of the one list of all sections. `partial` where one of them is away; then its cursors lead through a list without that section, and every page of it says so.", body = ListView),
    (status = 304, description = "The client has this page."),
    (status = 401, description = "`unauthenticated`: `state` is for staff.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`role_required`: `state` is for staff.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "`bad_cursor`: it is none, or of another list. `invalid`: a value breaks a rule or a name is unknown.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "No section answered.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn list_all(
    State(news): State<News>,
    Query(query): Query<ListQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(answer_list(&news, query.read(Scope::All, &caller)?, &caller, &headers).await?)
}

/// The articles of one section that pass a filter, from any place on.
#[utoipa::path(get, path = "/{type}", tag = "news", params(SectionPath, ListQuery), responses(
    (status = 200, description = "A part of the section's list.", body = ListView),
    (status = 304, description = "The client has this page."),
    (status = 401, description = "`unauthenticated`: `state` is for staff.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`role_required`: `state` is for staff.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "`bad_cursor`: it is none, or of another list. `invalid`: a value breaks a rule or a name is unknown.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "The section is away.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn list_section(
    State(news): State<News>,
    Path(SectionPath { section }): Path<SectionPath>,
    Query(query): Query<ListQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = query.read(Scope::One(section), &caller)?;
    Ok(answer_list(&news, wanted, &caller, &headers).await?)
}

/// A list by page.
struct Paged {
    scope: Scope,
    page: Page,
    show: Show,
}

async fn answer_page(
    news: &News,
    paged: Paged,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let Paged { scope, page, show } = paged;
    let part = Part::newest(page.offset(), page.limit());
    let fingerprint = Fingerprint::of(scope, &part.filter, part.order);
    let list = ListNews { scope, part, without: Vec::new(), content: show.content, whole: true };
    let base = format!("{}/{}", news.public_base, scope.as_str());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(show.pairs()).finish();
    let address = format!("{base}/{}/{}?{query}", page.number(), page.limit());
    let render = move |found: NewsList| {
        let next = cursor(Toward::Next, found.after, &found, fingerprint);
        let place = PageView::by_number(page, found.total, next);
        let link = page_links(&base, page, place.last(), &query);
        render(found, place, &show, link, scope)
    };
    answer(news, list, address, render, caller, headers).await
}

async fn answer_list(
    news: &News,
    wanted: Wanted,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let base = format!("{}/{}", news.public_base, wanted.list.scope.as_str());
    let address = format!("{base}?{}", wanted.at(wanted.cursor.as_deref()));
    let list = wanted.list.clone();
    let render = move |found: NewsList| {
        let next = cursor(Toward::Next, found.after, &found, wanted.fingerprint);
        let previous = cursor(Toward::Previous, found.before, &found, wanted.fingerprint);
        let link = |cursor: Option<&str>, relation: &str| {
            format!("<{base}?{}>; rel=\"{relation}\"", wanted.at(cursor))
        };
        let mut links = vec![link(None, "first")];
        links.extend(previous.as_deref().map(|cursor| link(Some(cursor), "prev")));
        links.extend(next.as_deref().map(|cursor| link(Some(cursor), "next")));
        let place = PageView::by_cursor(wanted.list.part.limit, found.total, next, previous);
        render(found, place, &wanted.show, links.join(", "), wanted.list.scope)
    };
    answer(news, list, address, render, caller, headers).await
}

/// The list for whoever asks: what everybody gets comes from the cache or goes into it, and is asked for in nobody's name.
async fn answer(
    news: &News,
    list: ListNews,
    address: String,
    render: impl FnOnce(NewsList) -> Result<Rendered, Refusal> + Send + 'static,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let public = caller.is_reader() && list.part.filter.is_public();
    let caller_of_list = if public { Caller::anonymous() } else { caller.clone() };
    let make = make(news.app.clone(), list, caller_of_list, render);
    if !public {
        let answer = make.await?;
        let cache = if answer.keep { Cache::Private } else { Cache::Never };
        return Ok(rendered(&answer, cache, headers));
    }
    let answer = news.app.shelf.serve(Key::List(Arc::from(address)), make).await?;
    let cache = match answer.answer.keep {
        true => Cache::of_public(caller.identity.is_some()),
        false => Cache::Never,
    };
    Ok(served(&answer, cache, headers))
}

/// Makes the answer. One with texts has a share of the memory for those, until it is sent.
async fn make(
    app: Arc<App>,
    list: ListNews,
    caller: Caller,
    render: impl FnOnce(NewsList) -> Result<Rendered, Refusal>,
) -> Result<Rendered, Refusal> {
    let permit = if list.content { Some(app.text_budget.acquire().await?) } else { None };
    let found = app.list(&list, &caller).await.map_err(|error| refused(&error))?;
    let mut answer = render(found)?;
    if let Some(permit) = permit {
        answer.body = permit.hold(answer.body);
    }
    Ok(answer)
}

fn render(
    found: NewsList,
    place: PageView,
    show: &Show,
    link: String,
    scope: Scope,
) -> Result<Rendered, Refusal> {
    let shown: Vec<Shown> = found.articles.iter().map(Shown::from).collect();
    let (total, keep) = (found.total, found.missing.is_empty());
    let body = encode(&ListView::new(found.articles, place, found.missing, show.fields.as_deref())?)?;
    let etag = digest(&body);
    Ok(Rendered {
        body: body.into(),
        etag,
        link: Some(link),
        total: Some(total),
        article: None,
        shown,
        lists: scope.sections(),
        keep,
    })
}

/// The cursor at a place. What the page is without, the rest of the walk is without.
fn cursor(
    toward: Toward,
    place: Option<Position>,
    found: &NewsList,
    fingerprint: Fingerprint,
) -> Option<String> {
    let place = place?;
    Some(Cursor { toward, place, without: found.missing.clone() }.write(fingerprint))
}

/// The pages around this one (RFC 8288), as far as pages reach.
fn page_links(list: &str, page: Page, last: u64, query: &str) -> String {
    let (number, limit) = (u64::from(page.number()), page.limit());
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let link = |number: u64, relation: &str| format!("<{list}/{number}/{limit}{query}>; rel=\"{relation}\"");
    let mut links = vec![link(1, "first")];
    if number > 1 {
        links.push(link((number - 1).min(last), "prev"));
    }
    if number < last {
        links.push(link(number + 1, "next"));
    }
    links.push(link(last, "last"));
    links.join(", ")
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
