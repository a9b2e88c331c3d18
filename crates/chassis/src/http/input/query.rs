//! The query of an address. A query that cannot be decoded is 400. Every other fault is 422, with the
//! parameter's name as its pointer.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use http::request::Parts;
use kernel::{FieldFault, Kind, NotATime, Refusal, Timestamp};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::complete::{complete, fields_of};
use super::malformed;
use super::node::{Node, pointer};
use crate::http::problem::Problem;

/// The parameters of a query, as a struct with their names. Other parameters are ignored here: the guard
/// refuses those that the route's document does not name.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse(parts.uri.query().unwrap_or_default()).map(Query)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let fields = fields_of::<T>().unwrap_or_default();
    let (mut members, mut faults) = (Vec::new(), Vec::new());
    for (name, value) in pairs(query)? {
        let Some(field) = fields.iter().find(|field| **field == name) else { continue };
        if members.iter().all(|(other, _)| other != field) {
            members.push((*field, Node::Parameter(value)));
            continue;
        }
        let pointer = pointer(field, "");
        if faults.iter().all(|fault: &FieldFault| fault.pointer != pointer) {
            faults.push(FieldFault::new(pointer, "duplicate_parameter", "must not be repeated"));
        }
    }
    complete(members, faults).map_err(|faults| invalid("invalid", faults))
}

/// Returns the refusal of a query.
pub(in crate::http) fn invalid(code: &'static str, faults: Vec<FieldFault>) -> Problem {
    let detail = "The query breaks a rule; see `errors`.";
    Refusal::new(Kind::Invalid, code, detail).with_fields(faults).into()
}

/// A decoded name and its decoded value.
pub(in crate::http) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Decodes the names and values of a query in their order (the URL standard,
/// "application/x-www-form-urlencoded").
pub(in crate::http) fn pairs(query: &str) -> Result<Vec<Pair<'_>>, Problem> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let pairs = parts.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        Some((decoded(name)?, decoded(value)?))
    });
    pairs.collect::<Option<_>>().ok_or_else(|| {
        let detail = "The query cannot be decoded: it must be percent-encoded UTF-8, with two hexadecimal digits after each \
                      percent sign.";
        malformed("malformed_query", detail)
    })
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    let digits = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(digits) {
        return None;
    }
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().ok();
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
}

/// Parses a time in a query. Clients often forget to encode the plus sign of an offset, and decoding turns it
/// into a space. A time never contains a space there, so `08:00:00 01:00` is read as `08:00:00+01:00`.
///
/// # Errors
/// If the text is not a time by RFC 3339.
pub fn query_time(text: &str) -> Result<Timestamp, NotATime> {
    match text.rsplit_once(' ') {
        Some((time, offset)) if time.contains('T') => format!("{time}+{offset}").parse(),
        _ => text.parse(),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Slice {
        start: Option<i64>,
        count: Option<u32>,
        #[serde(default)]
        publish: bool,
        label: Option<String>,
    }

    fn faults(query: &str) -> Vec<(String, String)> {
        let problem = parse::<Slice>(query).expect_err("a refusal");
        assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        let fields = problem.into_parts().refusal.fields;
        fields.into_iter().map(|fault| (fault.pointer, fault.code.as_str().to_owned())).collect()
    }

    fn pair(pointer: &str, code: &str) -> (String, String) {
        (pointer.to_owned(), code.to_owned())
    }

    #[test]
    fn a_query_is_parsed_by_the_names_of_its_parameters() {
        let read =
            parse::<Slice>("start=-3&count=7&publish=true&label=a%26b+c%2B&&other=1").expect("a query");
        let label = Some("a&b c+".to_owned());
        assert_eq!(read, Slice { start: Some(-3), count: Some(7), publish: true, label });
        let empty = Slice { start: None, count: None, publish: false, label: None };
        assert_eq!(parse::<Slice>("").expect("a query"), empty);
    }

    #[test]
    fn all_faults_of_a_query_are_reported_together() {
        let found = faults("start=many&count=99999999999&publish=maybe&count=1");
        for expected in [
            pair("/start", "not_a_number"),
            pair("/count", "out_of_range"),
            pair("/publish", "invalid_value"),
            pair("/count", "duplicate_parameter"),
        ] {
            assert!(found.contains(&expected), "{expected:?} {found:?}");
        }
        assert_eq!(faults("count=-1"), [pair("/count", "out_of_range")]);
        assert_eq!(faults("count="), [pair("/count", "not_a_number")]);
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "read by serde only")]
        struct Both {
            from: u32,
            to: u32,
        }
        let missing = parse::<Both>("").expect_err("a refusal").into_parts().refusal.fields;
        let missing: Vec<_> = missing.iter().map(|fault| (&*fault.pointer, fault.code.as_str())).collect();
        assert_eq!(missing, [("/from", "required"), ("/to", "required")]);
    }

    #[test]
    fn a_query_that_cannot_be_decoded_is_400() {
        for query in ["label=%FF", "label=%zz", "label=%", "%C3%28=1", "label=%E2%82"] {
            let problem = parse::<Slice>(query).expect_err("a refusal");
            assert_eq!(
                (problem.status(), problem.code().as_str()),
                (StatusCode::BAD_REQUEST, "malformed_query")
            );
        }
    }

    #[test]
    fn an_unencoded_plus_in_a_time_is_read_as_an_offset() {
        let at = query_time("2026-11-21T09:00:00+01:00").expect("a time");
        assert_eq!(query_time("2026-11-21T09:00:00 01:00"), Ok(at));
        assert_eq!(at.to_string(), "2026-11-21T08:00:00.000Z");
        for bad in
            ["2026-11-21 09:00:00", "2026-11-21T09:00:00 ", "yesterday at 5", "2026-11-21T09:00:00  01:00"]
        {
            assert_eq!(query_time(bad), Err(NotATime), "{bad}");
        }
    }
}
