//! Fuzz targets for what comes in over HTTP. Whatever a client sends, it gets an answer that is worded,
//! bounded and its own fault.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::IntoResponse;
use futures::executor::block_on;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use kernel::Trace;
use serde::Deserialize;

use super::problem::Problem;
use super::{Json, Precondition, Query, etag_matches};

/// The largest answer to a request of at most 2 kB.
const MAX_ANSWER: usize = 64 * 1024;

/// A body with every kind of member that the portal's bodies have.
#[derive(Debug, PartialEq, Deserialize)]
struct Body {
    title: String,
    content: String,
    #[serde(default)]
    tags: Vec<String>,
    count: Option<u32>,
    lang: Option<String>,
}

/// A query with every kind of parameter that the portal's queries have.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by serde only")]
struct Parameters {
    cursor: Option<String>,
    label: Option<String>,
    limit: Option<u32>,
    from: Option<String>,
}

fn read_body(bytes: &[u8], encoding: Option<&'static str>) -> Result<Body, Problem> {
    let mut request = Request::new(axum::body::Body::from(bytes.to_vec()));
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let encoding = encoding.map(|encoding| (CONTENT_ENCODING, HeaderValue::from_static(encoding)));
    request.headers_mut().extend(encoding);
    block_on(Json::<Body>::from_request(request, &())).map(|Json(body)| body)
}

/// The refusal is the client's fault and small.
fn check(problem: Problem, sent: usize) {
    assert!(problem.status().is_client_error(), "{:?}", problem.status());
    let parts = problem.clone().into_parts();
    let rendered = parts.render("/bodies", "a-request");
    let body = block_on(axum::body::to_bytes(rendered.into_response().into_body(), usize::MAX));
    let length = body.expect("a body in memory").len();
    assert!(sent > 2_000 || length <= MAX_ANSWER, "{sent} bytes were answered with {length}");
}

#[test]
fn every_body_is_read_or_refused_and_what_is_read_is_an_object_of_json() {
    testkit::fuzz!("bodies", |input| match read_body(input, None) {
        Ok(_) => {
            let text = std::str::from_utf8(input).expect("what is read is UTF-8");
            let tree: serde_json::Value =
                serde_json::from_str(text.trim_start_matches('\u{feff}')).expect("what is read is JSON");
            assert!(tree.is_object(), "{tree}");
        }
        Err(problem) => check(problem, input.len()),
    });
}

#[test]
fn a_packed_body_is_read_as_the_plain_one_or_refused() {
    testkit::fuzz!("gzip", |input| {
        let packed = read_body(input, Some("gzip"));
        let mut plain = Vec::new();
        let unpacked = std::io::copy(&mut flate2::read::MultiGzDecoder::new(input), &mut plain);
        match (packed, unpacked) {
            (Ok(body), Ok(_)) => assert_eq!(Some(body), read_body(&plain, None).ok()),
            (Ok(body), Err(error)) => panic!("{body:?} was read out of what is not gzip: {error}"),
            // A packed body may unpack to more than one answer's worth of faults.
            (Err(problem), _) => check(problem, input.len()),
        }
    });
}

#[test]
fn every_query_is_read_or_refused() {
    testkit::fuzz!("queries", |input| {
        let text: String = input.iter().map(|byte| char::from(*byte)).collect();
        let Ok(request) = Request::get(format!("/?{text}")).body(axum::body::Body::empty()) else { return };
        let (mut parts, ()) = request.map(drop).into_parts();
        if let Err(problem) = block_on(Query::<Parameters>::from_request_parts(&mut parts, &())) {
            check(problem, input.len());
        }
    });
}

#[test]
fn every_condition_is_read_or_refused() {
    testkit::fuzz!("conditions", |input| {
        let Ok(value) = HeaderValue::from_bytes(input) else { return };
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.headers.insert(IF_MATCH, value.clone());
        if let Err(refusal) = block_on(Precondition::from_request_parts(&mut parts, &())) {
            assert!(refusal.into_response().status().is_client_error());
        }
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, value);
        etag_matches(&headers, "\"v7\"");
    });
}

#[test]
fn a_trace_that_is_read_is_written_as_it_came() {
    testkit::fuzz!("traces", |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let Ok(trace) = text.parse::<Trace>() else { return };
        // Of a later version only the part is passed on that this version knows.
        assert!(text[2..].starts_with(&trace.to_string()[2..]), "{text}");
    });
}
