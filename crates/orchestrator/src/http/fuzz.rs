//! Fuzz targets for what decides which part of which list is asked for.

use axum::extract::FromRequestParts;
use axum::response::IntoResponse;
use chassis::http::{Caller, Problem, Query};
use futures::executor::block_on;
use http::Request;

use super::list_query::ListQuery;
use crate::domain::{Cursor, Filter, Fingerprint, Order, Scope};

#[test]
fn every_query_of_a_list_is_read_or_refused_and_written_again_as_the_same_list() {
    testkit::fuzz!("lists", |input| {
        let text: String = input.iter().map(|byte| char::from(*byte)).collect();
        let Some(wanted) = read(&text) else { return };
        let again = read(&wanted.at(None)).expect("what was read can be written and read again");
        assert_eq!(again.fingerprint, wanted.fingerprint, "{text}");
        assert_eq!(again.list.part.limit, wanted.list.part.limit, "{text}");
    });
}

fn read(query: &str) -> Option<super::list_query::Wanted> {
    let (mut parts, ()) = Request::get(format!("/?{query}")).body(()).ok()?.into_parts();
    let query = match block_on(Query::<ListQuery>::from_request_parts(&mut parts, &())) {
        Ok(Query(query)) => query,
        Err(problem) => return refused(problem),
    };
    match query.read(Scope::All, &Caller::anonymous()) {
        Ok(wanted) => Some(wanted),
        Err(refusal) => refused(refusal.into()),
    }
}

fn refused<T>(problem: Problem) -> Option<T> {
    let status = problem.into_response().status();
    assert!(status.is_client_error(), "{status}");
    None
}

#[test]
fn a_cursor_that_is_read_is_written_as_it_came() {
    let list = Fingerprint::of(Scope::All, &Filter::default(), Order::Newest);
    testkit::fuzz!("cursors", |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        if let Ok(cursor) = Cursor::read(text, list, Scope::All) {
            assert_eq!(cursor.write(list), text);
        }
    });
}
