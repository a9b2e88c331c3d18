//! Cross-origin requests (the Fetch standard, "CORS protocol"): pages of every origin may read, and pages of
//! configured origins may write.
//!
//! Responses to reads allow `*` and not the requesting origin, so that shared caches store one response for
//! all. Cookies are never sent across origins: a page of another origin uses an access token.

use std::sync::Once;

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// The request headers that a page of another origin may send.
const REQUEST_HEADERS: &str = "authorization, baggage, cache-control, content-type, idempotency-key, if-match, if-modified-since, \
                    if-none-match, traceparent, tracestate, x-request-id";
/// The response headers that a page of another origin may read.
const RESPONSE_HEADERS: &str = "deprecation, etag, idempotency-replayed, link, location, ratelimit, ratelimit-policy, retry-after, x-request-id, x-total-count";
/// The time for which a browser may cache the permission, in seconds.
const MAX_AGE: &str = "600";

/// The page that sent a request: the information needed to add CORS headers to the response.
pub(super) struct Page {
    origin: Option<HeaderValue>,
    reads: bool,
    is_preflight: bool,
}

impl Page {
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let origin = headers.get(header::ORIGIN).cloned();
        // A browser sends a preflight before a request that a plain form could not send.
        let method_of_request = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes);
        let is_preflight = *method == Method::OPTIONS && origin.is_some() && method_of_request.is_some();
        let method = method_of_request.filter(|_| is_preflight).unwrap_or(method.as_str().as_bytes());
        Self { origin, reads: matches!(method, b"GET" | b"HEAD" | b"OPTIONS"), is_preflight }
    }

    /// Returns the response to a preflight; `None` for every other request. [`Page::allow`] then decides
    /// about this page.
    pub(super) fn preflight(&self) -> Option<Response> {
        let allowed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ];
        self.is_preflight.then(|| (StatusCode::NO_CONTENT, allowed).into_response())
    }

    /// Sets the header that allows the page to read the response, if it may.
    pub(super) fn allow(&self, response: &mut Response, writers: &[String]) {
        let headers = response.headers_mut();
        if self.reads {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
            let may_write =
                |origin: &HeaderValue| writers.iter().any(|writer| writer.as_bytes() == origin.as_bytes());
            let Some(origin) = self.origin.clone() else { return };
            if !may_write(&origin) {
                if self.is_preflight {
                    log_refused(&origin);
                }
                return;
            }
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
    }
}

/// Logs once which setting allows pages of another origin to write.
fn log_refused(origin: &HeaderValue) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            ?origin,
            "a page of another origin may not write: if the page is one of yours, add its origin to \
             process.edge.writing_origins"
        );
    });
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn exposed() -> Vec<HeaderName> {
        RESPONSE_HEADERS.split(", ").map(|name| name.parse().expect("a header's name")).collect()
    }

    fn page(method: Method, headers: &[(&'static str, &'static str)]) -> Page {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Page::of(&method, &headers)
    }

    fn allowed(response: &Response) -> Option<&str> {
        response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN)?.to_str().ok()
    }

    fn writers() -> Vec<String> {
        vec!["https://editors.example.org".to_owned()]
    }

    #[test]
    fn every_page_may_read_and_shared_caches_store_one_response_for_all() {
        let mut answer = StatusCode::OK.into_response();
        page(Method::GET, &[("origin", "https://other.example")]).allow(&mut answer, &[]);
        assert_eq!(allowed(&answer), Some("*"));
        assert!(!answer.headers().contains_key(header::VARY));
        for name in ["etag", "link", "ratelimit", "location"] {
            assert!(exposed().contains(&HeaderName::from_static(name)));
        }
    }

    #[test]
    fn only_pages_of_configured_origins_may_write() {
        for (origin, expected) in [
            ("https://editors.example.org", Some("https://editors.example.org")),
            ("https://evil.example", None),
        ] {
            let mut answer = StatusCode::OK.into_response();
            page(Method::POST, &[("origin", origin)]).allow(&mut answer, &writers());
            assert_eq!(allowed(&answer), expected);
            assert_eq!(answer.headers()[header::VARY], "origin");
            let preflight = [("origin", origin), ("access-control-request-method", "DELETE")];
            let page_of_preflight = page(Method::OPTIONS, &preflight);
            let mut response = page_of_preflight.preflight().expect("an answer");
            page_of_preflight.allow(&mut response, &writers());
            assert_eq!((response.status(), allowed(&response)), (StatusCode::NO_CONTENT, expected));
        }
    }

    #[test]
    fn a_preflight_for_a_read_is_allowed_and_other_options_requests_are_not_preflights() {
        let preflight = [("origin", "https://other.example"), ("access-control-request-method", "GET")];
        let page_of_preflight = page(Method::OPTIONS, &preflight);
        let mut response = page_of_preflight.preflight().expect("an answer");
        page_of_preflight.allow(&mut response, &[]);
        assert_eq!(allowed(&response), Some("*"));
        assert!(
            response.headers()[header::ACCESS_CONTROL_ALLOW_METHODS]
                .to_str()
                .is_ok_and(|all| all.contains("GET"))
        );
        let sent = response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().expect("text");
        for name in ["traceparent", "tracestate", "baggage", "cache-control", "if-modified-since", "if-match"]
        {
            assert!(sent.split(", ").any(|allowed| allowed == name), "{name} in {sent}");
        }
        assert!(page(Method::OPTIONS, &[]).preflight().is_none());
        assert!(page(Method::GET, &preflight).preflight().is_none());
    }
}
