//! Query parameters that a route does not know. A misspelled name would otherwise be ignored, and the client
//! would not notice that the response does not match its request.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;
use kernel::{FieldFault, MAX_ECHO, MAX_FAULTS};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, ParameterIn};

use super::input::{invalid_query, pairs};
use super::problem::Problem;

/// The documented query parameters of each method of one path.
#[derive(Clone, Default)]
pub(super) struct Parameters(Arc<[(Method, Vec<String>)]>);

impl Parameters {
    /// Collects the parameters from the document of these operations.
    pub(super) fn of<'a>(operations: impl Iterator<Item = (Method, &'a mut Operation)>) -> Self {
        let names = |operation: &Operation| {
            let all = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
                RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(&parameter.name),
                _ => None,
            });
            all.cloned().collect()
        };
        Self(operations.map(|(method, operation)| (method, names(operation))).collect())
    }

    /// Refuses a query that cannot be decoded or that has an unknown name.
    pub(super) fn check(&self, method: &Method, query: Option<&str>) -> Result<(), Problem> {
        let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(()) };
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let known = self.0.iter().find(|(known, _)| known == method).map_or(&[][..], |(_, names)| names);
        let pairs = pairs(query)?;
        let unknown =
            pairs.iter().filter(|(name, _)| !is_ignored(name) && !known.iter().any(|other| other == name));
        let faults: Vec<_> = unknown.take(MAX_FAULTS).map(|(name, _)| fault(name, known)).collect();
        if faults.is_empty() { Ok(()) } else { Err(invalid_query("unknown_parameter", faults)) }
    }
}

fn fault(name: &str, known: &[String]) -> FieldFault {
    let mut name = name.to_owned();
    kernel::clip(&mut name, MAX_ECHO);
    // Short names are similar to everything, so at most half of a name may differ.
    let distance = |known: &&String| strsim::osa_distance(known, &name.to_ascii_lowercase());
    let nearest = known.iter().min_by_key(distance).filter(|known| distance(known) * 2 <= known.len());
    let detail = match nearest {
        Some(nearest) => format!("is not a parameter of this address; did you mean {nearest}?"),
        None if known.is_empty() => "is not a parameter of this address, which has none".to_owned(),
        None => format!("is not a parameter of this address; its parameters are {}", known.join(", ")),
    };
    let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    FieldFault::new(pointer, "unknown_parameter", detail)
}

/// Returns true if a parameter is always ignored: web pages and mail programs add such names to track readers
/// or to bypass a cache. nginx has the same rule (`$shared_args`).
fn is_ignored(name: &str) -> bool {
    name.starts_with('_') || name.starts_with("utm_")
}

/// Removes the ignored parameters from an address, so that it can be compared with others.
pub(super) fn without_ignored(address: &str) -> Cow<'_, str> {
    let Some((path, query)) = address.split_once('?') else { return Cow::Borrowed(address) };
    let is_known = |part: &&str| {
        let name = part.split('=').next().unwrap_or_default();
        pairs(name).is_ok_and(|names| names.first().is_some_and(|(name, _)| !is_ignored(name)))
    };
    if query.split('&').all(|part| is_known(&part)) {
        return Cow::Borrowed(address);
    }
    let kept: Vec<&str> = query.split('&').filter(is_known).collect();
    if kept.is_empty() { Cow::Borrowed(path) } else { Cow::Owned(format!("{path}?{}", kept.join("&"))) }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn parameters(names: &[&str]) -> Parameters {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Parameters(Arc::new([(Method::GET, names), (Method::POST, Vec::new())]))
    }

    fn faults(method: &Method, query: &str) -> Vec<FieldFault> {
        let known = parameters(&["label", "author", "author_id", "limit", "from", "to"]);
        let Err(problem) = known.check(method, Some(query)) else { return Vec::new() };
        assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem.code().as_str(), "unknown_parameter");
        problem.into_parts().refusal.fields
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_most_similar_known_one() {
        for (query, pointer, detail) in [
            ("lable=x&label=y", "/lable", "is not a parameter of this address; did you mean label?"),
            ("Limit=5", "/Limit", "is not a parameter of this address; did you mean limit?"),
            ("authorid=5", "/authorid", "is not a parameter of this address; did you mean author_id?"),
            (
                "q%2Fz=5",
                "/q~1z",
                "is not a parameter of this address; its parameters are label, author, author_id, limit, from, to",
            ),
        ] {
            let found = faults(&Method::GET, query);
            assert_eq!(found.len(), 1, "{query}");
            assert_eq!((found[0].pointer.as_str(), found[0].detail.as_str()), (pointer, detail));
        }
        let none = faults(&Method::POST, "label=x");
        assert_eq!(none[0].detail, "is not a parameter of this address, which has none");
        assert_eq!(faults(&Method::HEAD, "lable=x").len(), 1);
        assert_eq!(faults(&Method::GET, &"x=1&".repeat(1_000)).len(), MAX_FAULTS);
        assert_eq!(faults(&Method::GET, &"x".repeat(10_000))[0].pointer.chars().count(), MAX_ECHO + 1);
    }

    #[test]
    fn parameters_of_trackers_and_caches_are_ignored_but_must_be_valid_utf_8() {
        for query in
            ["", "_=1764280000", "utm_source=mail&utm_campaign=x&label=a", "%5Ft=1", "_&&utm_=", "limit=x"]
        {
            assert!(faults(&Method::GET, query).is_empty(), "{query}");
        }
        for query in ["label=%FF", "_=%FF"] {
            let problem = parameters(&["label"]).check(&Method::GET, Some(query)).expect_err("a refusal");
            assert_eq!(
                (problem.status(), problem.code().as_str()),
                (StatusCode::BAD_REQUEST, "malformed_query")
            );
        }
    }

    #[test]
    fn addresses_that_differ_only_in_ignored_parameters_are_equal() {
        for (address, same) in [
            ("/a", "/a"),
            ("/a?_=1", "/a"),
            ("/a?utm_source=x&limit=5&_=2", "/a?limit=5"),
            ("/a?limit=5&%5Fx=1&utm%5Fid=2", "/a?limit=5"),
            ("/a?limit=5", "/a?limit=5"),
            ("/a?x_=1", "/a?x_=1"),
        ] {
            assert_eq!(without_ignored(address), same, "{address}");
        }
    }
}
