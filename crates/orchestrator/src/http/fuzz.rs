//! Fuzz targets for the query and the cursor of a list.

use axum::extract::FromRequestParts;
use axum::response::IntoResponse;
use chassis::http::{Caller, Problem, Query};
use futures::executor::block_on;
use http::Request;

use super::list_query::ListQuery;
use crate::domain::{Cursor, Filter, ListFingerprint, Order, Scope};

#[test]
fn every_query_of_a_list_is_refused_or_parsed_and_written_again_as_the_same_list() {
    testkit::fuzz!("lists", |input| {
        let text: String = input.iter().map(|byte| char::from(*byte)).collect();
        let Some(list) = parse(&text) else { return };
        let again = parse(&list.query(None)).expect("a written query can be parsed");
        assert_eq!(again.fingerprint, list.fingerprint, "{text}");
        assert_eq!(again.request.slice.limit, list.request.slice.limit, "{text}");
    });
}

fn parse(query: &str) -> Option<super::list_query::ParsedList> {
    let (mut parts, ()) = Request::get(format!("/?{query}")).body(()).ok()?.into_parts();
    let query = match block_on(Query::<ListQuery>::from_request_parts(&mut parts, &())) {
        Ok(Query(query)) => query,
        Err(problem) => return check_refusal(problem),
    };
    match query.parse(Scope::All, &Caller::anonymous()) {
        Ok(list) => Some(list),
        Err(refusal) => check_refusal(refusal.into()),
    }
}

/// Checks that a refusal blames the client.
fn check_refusal<T>(problem: Problem) -> Option<T> {
    let status = problem.into_response().status();
    assert!(status.is_client_error(), "{status}");
    None
}

#[test]
fn a_decoded_cursor_is_encoded_as_it_arrived() {
    let list = ListFingerprint::of(Scope::All, &Filter::default(), Order::Newest);
    testkit::fuzz!("cursors", |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        if let Ok(cursor) = Cursor::decode(text, list, Scope::All) {
            assert_eq!(cursor.encode(list), text);
        }
    });
}
