//! Cross-origin requests (the Fetch standard, "CORS protocol"): anybody's page may read, and only those that are named may write.
//!
//! Reads answer `*` and not the origin that asks, so that shared caches keep one answer for all. No cookie is ever sent across: a page
//! of another origin shows a token or nothing.

use std::sync::Once;

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What a page of another origin may send.
const SENT: &str = "authorization, baggage, cache-control, content-type, idempotency-key, if-match, if-modified-since, \
                    if-none-match, traceparent, tracestate, x-request-id";
/// What it may see of an answer, beside its body.
const SEEN: &str = "deprecation, etag, idempotency-replayed, link, location, ratelimit, ratelimit-policy, retry-after, x-request-id, x-total-count";
/// How long, in seconds, a browser may remember what it was allowed.
const REMEMBERED: &str = "600";

/// What a request says of its page: enough to answer it when the work is done.
pub(super) struct Page {
    origin: Option<HeaderValue>,
    reads: bool,
    asks: bool,
}

impl Page {
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let origin = headers.get(header::ORIGIN).cloned();
        // Before a request that is more than a form could send, a browser asks whether it may.
        let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes);
        let asks = *method == Method::OPTIONS && origin.is_some() && wanted.is_some();
        let wanted = wanted.filter(|_| asks).unwrap_or(method.as_str().as_bytes());
        Self { origin, reads: matches!(wanted, b"GET" | b"HEAD" | b"OPTIONS"), asks }
    }

    /// The answer to a browser that asks beforehand; `None` for every other request. Whether it holds for this page is said by
    /// [`Page::answered`].
    pub(super) fn preflight(&self) -> Option<Response> {
        let allowed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, SENT),
            (header::ACCESS_CONTROL_MAX_AGE, REMEMBERED),
        ];
        self.asks.then(|| (StatusCode::NO_CONTENT, allowed).into_response())
    }

    /// Says in an answer who may see it.
    pub(super) fn answered(&self, response: &mut Response, writers: &[String]) {
        let headers = response.headers_mut();
        if self.reads {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
            let named =
                |origin: &HeaderValue| writers.iter().any(|writer| writer.as_bytes() == origin.as_bytes());
            let Some(origin) = self.origin.clone() else { return };
            if !named(&origin) {
                if self.asks {
                    hint(&origin);
                }
                return;
            }
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(SEEN));
    }
}

/// Logs once which setting lets pages of another origin write.
fn hint(origin: &HeaderValue) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            ?origin,
            "a page of another origin asked whether it may write, and may not: if it is one of yours, name its origin in \
             process.edge.writing_origins"
        );
    });
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn seen() -> Vec<HeaderName> {
        SEEN.split(", ").map(|name| name.parse().expect("a header's name")).collect()
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
        vec!["https://desk.example.org".to_owned()]
    }

    #[test]
    fn every_page_may_read_and_shared_caches_keep_one_answer_for_all() {
        let mut answer = StatusCode::OK.into_response();
        page(Method::GET, &[("origin", "https://anybody.example")]).answered(&mut answer, &[]);
        assert_eq!(allowed(&answer), Some("*"));
        assert!(!answer.headers().contains_key(header::VARY));
        for name in ["etag", "link", "ratelimit", "location"] {
            assert!(seen().contains(&HeaderName::from_static(name)));
        }
    }

    #[test]
    fn only_named_pages_may_write() {
        for (origin, expected) in
            [("https://desk.example.org", Some("https://desk.example.org")), ("https://evil.example", None)]
        {
            let mut answer = StatusCode::OK.into_response();
            page(Method::POST, &[("origin", origin)]).answered(&mut answer, &writers());
            assert_eq!(allowed(&answer), expected);
            assert_eq!(answer.headers()[header::VARY], "origin");
            let asks = [("origin", origin), ("access-control-request-method", "DELETE")];
            let asking = page(Method::OPTIONS, &asks);
            let mut asked = asking.preflight().expect("an answer");
            asking.answered(&mut asked, &writers());
            assert_eq!((asked.status(), allowed(&asked)), (StatusCode::NO_CONTENT, expected));
        }
    }

    #[test]
    fn a_page_may_ask_before_it_reads_and_options_alone_are_no_question() {
        let asks = [("origin", "https://anybody.example"), ("access-control-request-method", "GET")];
        let asking = page(Method::OPTIONS, &asks);
        let mut asked = asking.preflight().expect("an answer");
        asking.answered(&mut asked, &[]);
        assert_eq!(allowed(&asked), Some("*"));
        assert!(
            asked.headers()[header::ACCESS_CONTROL_ALLOW_METHODS]
                .to_str()
                .is_ok_and(|all| all.contains("GET"))
        );
        let sent = asked.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().expect("text");
        for name in ["traceparent", "tracestate", "baggage", "cache-control", "if-modified-since", "if-match"]
        {
            assert!(sent.split(", ").any(|allowed| allowed == name), "{name} in {sent}");
        }
        assert!(page(Method::OPTIONS, &[]).preflight().is_none());
        assert!(page(Method::GET, &asks).preflight().is_none());
    }
}
