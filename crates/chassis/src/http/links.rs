//! The header `Link` of lists (RFC 8288).

use std::fmt::{self, Display, Write};

use axum::response::Response;
use http::HeaderValue;
use http::header::LINK;

/// The links from a part of a list to other parts, such as `</all?start=10>; rel="next"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links(String);

impl Links {
    /// Adds a link with a relation such as `first`, `prev`, `next` or `last`.
    #[must_use]
    pub fn with(mut self, relation: &str, target: impl Display) -> Self {
        let separator = if self.0.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{separator}<{target}>; rel=\"{relation}\"");
        self
    }

    /// Adds a link if there is a target.
    #[must_use]
    pub fn with_some(self, relation: &str, target: Option<impl Display>) -> Self {
        match target {
            Some(target) => self.with(relation, target),
            None => self,
        }
    }

    /// Sets the header of a response.
    pub fn set(&self, response: &mut Response) {
        let value = HeaderValue::from_str(&self.0).ok().filter(|value| !value.is_empty());
        response.headers_mut().extend(value.map(|value| (LINK, value)));
    }
}

impl Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn links_are_separated_by_commas_and_a_missing_target_adds_none() {
        let links = Links::default()
            .with("first", "/all?start=0")
            .with_some("prev", None::<&str>)
            .with_some("next", Some(format_args!("/all?start={}", 10)));
        let expected = "</all?start=0>; rel=\"first\", </all?start=10>; rel=\"next\"";
        assert_eq!(links.to_string(), expected);
        let mut response = ().into_response();
        links.set(&mut response);
        assert_eq!(response.headers()[LINK], expected);
    }

    #[test]
    fn a_response_without_links_has_no_header() {
        let mut response = ().into_response();
        Links::default().set(&mut response);
        assert!(!response.headers().contains_key(LINK));
    }
}
