use axum::extract::State;
use axum::response::Response;
use chassis::http::{Path, Problem, ProblemBody, Query, etag_matches};
use http::header::LINK;
use http::{HeaderMap, HeaderValue, StatusCode};
use kernel::{FieldFault, Kind, Page, PageError, Refusal, Section};
use serde::Deserialize;
use utoipa::IntoParams;

use super::caching::{Cache, answer, digest, encode, json};
use super::views::ListView;
use super::{Asking, News};

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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `content` gives the texts too.
    include: Option<String>,
}

/// The newest articles of all sections.
#[utoipa::path(get, path = "/all/{page}/{limit}", tag = "news", params(AllPath, ListQuery), responses(
    (status = 200, description = "A page of the one order of all sections; `partial` where one of them is away.", body = ListView),
    (status = 304, description = "The client has this page."),
    (status = 400, description = "Page or limit is no number.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "Page or limit is outside its range.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "No section answered.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn list_all(
    State(news): State<News>,
    Path(AllPath { page, limit }): Path<AllPath>,
    Query(query): Query<ListQuery>,
    Asking(asker): Asking,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (page, content) = (parse_page(&page, &limit)?, query.content()?);
    let found = news.app.list_all(page, content, &asker).await?;
    let view = ListView::new(found.merged.articles, page, found.merged.total, found.missing);
    let list = format!("{}/all", news.public_base);
    answer_list(view, &list, page, content, asker.identity.is_some(), &headers)
}

/// The newest articles of one section.
#[utoipa::path(get, path = "/{type}/{page}/{limit}", tag = "news", params(SectionPagePath, ListQuery), responses(
    (status = 200, description = "A page of the section.", body = ListView),
    (status = 304, description = "The client has this page."),
    (status = 400, description = "Page or limit is no number.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`unknown_type`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 422, description = "Page or limit is outside its range.", body = ProblemBody, content_type = "application/problem+json"),
    (status = 503, description = "The section is away.", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn list_section(
    State(news): State<News>,
    Path(SectionPagePath { section, page, limit }): Path<SectionPagePath>,
    Query(query): Query<ListQuery>,
    Asking(asker): Asking,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (page, content) = (parse_page(&page, &limit)?, query.content()?);
    let found = news.app.list_section(section, page, content, &asker).await?;
    let view = ListView::new(found.articles, page, found.total, Vec::new());
    let list = format!("{}/{section}", news.public_base);
    answer_list(view, &list, page, content, asker.identity.is_some(), &headers)
}

impl ListQuery {
    fn content(&self) -> Result<bool, Refusal> {
        match self.include.as_deref() {
            None => Ok(false),
            Some("content") => Ok(true),
            Some(_) => Err(out_of_range("/include", "unknown_name", "only content can be included")),
        }
    }
}

fn answer_list(
    view: ListView,
    list: &str,
    page: Page,
    content: bool,
    signed_in: bool,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let body = encode(&view)?;
    let mut response = if view.partial {
        // Neither kept nor tagged: nobody shall hold on to a page with a section missing.
        Cache::Never.on(json(StatusCode::OK, body))
    } else {
        let etag = digest(&body);
        Cache::of_public(signed_in).on(answer(etag_matches(headers, &etag), &etag, body))
    };
    if let Ok(links) = HeaderValue::from_str(&links(list, page, view.last_page(), content)) {
        response.headers_mut().insert(LINK, links);
    }
    Ok(response)
}

/// The pages around this one (RFC 8288), as far as pages reach.
fn links(list: &str, page: Page, last: u64, content: bool) -> String {
    let (number, limit) = (u64::from(page.number()), page.limit());
    let query = if content { "?include=content" } else { "" };
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

/// The page that an address names. What is no number can't be read; a number outside its range is understood and refused.
fn parse_page(page: &str, limit: &str) -> Result<Page, Refusal> {
    let (number, size) = (number("/page", page)?, number("/limit", limit)?);
    Page::new(number, size).map_err(|error| {
        let (pointer, code) = match error {
            PageError::Number => ("/page", "too_small"),
            PageError::Limit => ("/limit", "out_of_range"),
            PageError::Reach => ("/page", "too_far"),
        };
        out_of_range(pointer, code, &error.to_string())
    })
}

fn number(pointer: &str, text: &str) -> Result<u32, Refusal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let fault = FieldFault::new(pointer, "not_a_number", "must be a whole number");
        return Err(Refusal::new(Kind::Malformed, "malformed_path", "Page and limit are whole numbers.")
            .with_fields(vec![fault]));
    }
    // A negative number is below every range, one that does not fit is above; the range check says so.
    Ok(if digits == text { digits.parse().unwrap_or(u32::MAX) } else { 0 })
}

fn out_of_range(pointer: &str, code: &'static str, detail: &str) -> Refusal {
    Refusal::new(Kind::Invalid, "invalid", "The request breaks a rule.")
        .with_fields(vec![FieldFault::new(pointer, code, detail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_malformed_and_what_is_out_of_range_is_invalid() {
        for text in ["ten", "", "1.5", "+1", "0x1", "-", "١"] {
            assert_eq!(
                parse_page(text, "10").map_err(|refusal| refusal.kind),
                Err(Kind::Malformed),
                "{text}"
            );
        }
        for (page, limit) in [
            ("0", "10"),
            ("-1", "10"),
            ("1", "0"),
            ("1", "101"),
            ("101", "100"),
            ("99999999999999999999", "1"),
        ] {
            let refused = parse_page(page, limit).map_err(|refusal| refusal.kind);
            assert_eq!(refused, Err(Kind::Invalid), "{page}/{limit}");
        }
        assert!(parse_page("100", "100").is_ok());
    }

    #[test]
    fn links_never_name_a_page_that_would_be_refused() {
        let page = |number| Page::new(number, 100).expect("within reach");
        assert_eq!(
            links("/news/v1/all", page(1), 1, false),
            "</news/v1/all/1/100>; rel=\"first\", </news/v1/all/1/100>; rel=\"last\""
        );
        let view = ListView::new(Vec::new(), page(100), 1_000_000, Vec::new());
        assert_eq!(view.last_page(), 100);
        assert!(!links("/news/v1/all", page(100), view.last_page(), false).contains("next"));
    }
}
