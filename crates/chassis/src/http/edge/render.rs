//! The last changes to a response: the body of a problem, common headers and secure cookies.

use axum::response::Response;
use http::HeaderMap;
use http::header::{self, CONTENT_LENGTH, HeaderName, HeaderValue};
use kernel::Trace;

use super::{TRACEPARENT, X_REQUEST_ID};
use crate::http::problem::{Problem, of_status};
use crate::log_failure;

/// Writes the body of every refusal, also of those that axum itself makes.
pub(super) fn render(mut response: Response, instance: &str, request_id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = response.extensions_mut().remove::<Problem>();
    let has_body =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind != "text/plain; charset=utf-8");
    if problem.is_none() && has_body {
        return response;
    }
    let mut problem = problem.unwrap_or_else(|| of_status(status)).into_parts();
    if let Some(cause) = problem.cause.take() {
        let code = problem.refusal.code.as_str();
        log_failure(problem.refusal.kind, code, &cause, "a request could not be served");
    }
    let (parts, _) = response.into_parts();
    let mut rendered = problem.render(instance, request_id);
    let is_preserved =
        |name: &&HeaderName| !matches!(**name, header::CONTENT_TYPE | CONTENT_LENGTH | header::CACHE_CONTROL);
    for name in parts.headers.keys().filter(is_preserved) {
        rendered.headers_mut().remove(name);
        // A header may have several lines: two cookies are two lines.
        for value in parts.headers.get_all(name) {
            rendered.headers_mut().append(name, value.clone());
        }
    }
    *rendered.extensions_mut() = parts.extensions;
    rendered
}

/// Adds the headers that every response has.
pub(super) fn stamp(headers: &mut HeaderMap, request_id: &str, trace: Trace) {
    headers.extend(HeaderValue::from_str(request_id).map(|id| (X_REQUEST_ID, id)));
    headers.extend(HeaderValue::from_str(&trace.to_string()).map(|trace| (TRACEPARENT, trace)));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Adds `Secure` to every cookie of a response that the client receives over TLS. The public URL may not show
/// this, because a proxy may terminate TLS in front of the portal.
pub(super) fn secure_cookies(headers: &mut HeaderMap) {
    for (_, cookie) in headers.iter_mut().filter(|(name, _)| **name == header::SET_COOKIE) {
        let is_secure = cookie.to_str().is_ok_and(|text| {
            text.split(';').any(|attribute| attribute.trim().eq_ignore_ascii_case("secure"))
        });
        if is_secure {
            continue;
        }
        let sensitive = cookie.is_sensitive();
        if let Ok(mut secured) = HeaderValue::from_bytes(&[cookie.as_bytes(), b"; Secure"].concat()) {
            secured.set_sensitive(sensitive);
            *cookie = secured;
        }
    }
}
