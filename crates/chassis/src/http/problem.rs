//! Problems: refusals as `application/problem+json` (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use kernel::{Code, Fault, FieldFault, Kind, Refusal};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::values::causes;

/// The media type of problems.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal on its way to the client. The edge renders it as `application/problem+json` (RFC 9457), adds the
/// id and the address of the request, and logs it once if its cause is on the server's side.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

/// The content of a problem. It is boxed because a `Result` is as large as its larger variant, and most
/// responses are not problems.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) status: StatusCode,
    pub(crate) refusal: Refusal,
    pub(crate) cause: Option<String>,
    pub(crate) headers: HeaderMap,
}

impl Problem {
    /// Creates a refusal by the rules of HTTP itself: the method, the media type or the size is not
    /// acceptable.
    pub fn of_http(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let refusal = Refusal::new(kind_of(status), code, detail);
        Self(Box::new(Parts { status, refusal, cause: None, headers: HeaderMap::new() }))
    }

    /// Sets a header of the response.
    pub fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds one more line of a header that may be repeated, such as `Set-Cookie`.
    pub fn append_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    pub(crate) fn into_parts(self) -> Parts {
        *self.0
    }

    pub(crate) fn with_cause(mut self, cause: String) -> Self {
        self.0.cause = Some(cause);
        self
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Replaces the sentence of a response that refuses a writer as stale.
    pub(super) fn explain_stale(response: &mut Response, detail: &str) {
        if let Some(Problem(parts)) = response.extensions_mut().get_mut::<Problem>()
            && parts.refusal.kind == Kind::Stale
        {
            parts.refusal.detail = detail.to_owned();
        }
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns the stable code.
    pub fn code(&self) -> &Code {
        &self.0.refusal.code
    }
}

impl<F: Fault> From<F> for Problem {
    fn from(fault: F) -> Self {
        let refusal = fault.refusal();
        let cause = refusal.kind.is_server_error().then(|| causes(&fault));
        let mut headers = HeaderMap::new();
        if refusal.kind == Kind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, challenge(refusal.code.as_str()));
        }
        // A stale writer gets the current tag, so that it can read the resource and try again.
        if let Some(current) = refusal.extra.get("current_version").and_then(Value::as_u64) {
            headers.extend(HeaderValue::from_str(&format!("\"v{current}\"")).map(|tag| (header::ETAG, tag)));
        }
        let wait = match refusal.kind {
            Kind::TooMany | Kind::Unavailable => {
                Some(refusal.retry_after.map_or(1, |wait| wait.as_secs().max(1)))
            }
            _ => None,
        };
        if let Some(seconds) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        Self(Box::new(Parts { status: status_of(refusal.kind), refusal, cause, headers }))
    }
}

/// Returns the value of `WWW-Authenticate` (RFC 6750 §3). If the client sent a token, it contains the reason
/// of the refusal.
fn challenge(code: &str) -> HeaderValue {
    HeaderValue::from_static(if code == "invalid_token" {
        "Bearer error=\"invalid_token\""
    } else {
        "Bearer"
    })
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.headers_mut().extend(self.0.headers.clone());
        response.extensions_mut().insert(self);
        response
    }
}

/// The maximum number of characters of the address in a problem.
const MAX_INSTANCE: usize = 500;

/// Returns the HTTP status of a kind of failure.
pub(crate) fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Gone => StatusCode::GONE,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Stale => StatusCode::PRECONDITION_FAILED,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn kind_of(status: StatusCode) -> Kind {
    Kind::ALL.into_iter().find(|kind| status_of(*kind) == status).unwrap_or(if status.is_server_error() {
        Kind::Internal
    } else {
        Kind::Malformed
    })
}

/// Returns the problem of a status that axum or the edge sets without a handler.
pub(crate) fn of_status(status: StatusCode) -> Problem {
    let (code, detail) = match status {
        StatusCode::NOT_FOUND => ("not_found", "There is no resource at this address."),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method_not_allowed", "This address does not support the method; see the header Allow.")
        }
        StatusCode::REQUEST_TIMEOUT => ("body_too_slow", "The body did not arrive in time."),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("body_too_large", "The body is larger than 3 MiB, the limit of all routes.")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("unsupported_media_type", "The body must be JSON, with Content-Type: application/json.")
        }
        StatusCode::PRECONDITION_REQUIRED => (
            "precondition_required",
            "Name the version that you change: send If-Match, or `version` in the body.",
        ),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            ("headers_too_large", "The headers are larger than 32 KiB in total.")
        }
        StatusCode::SERVICE_UNAVAILABLE => ("overloaded", Kind::Unavailable.sentence()),
        StatusCode::TOO_MANY_REQUESTS => {
            ("too_many_requests", "Too many requests from this client; see the header Retry-After.")
        }
        StatusCode::GATEWAY_TIMEOUT => ("deadline_exceeded", Kind::Timeout.sentence()),
        status if status.is_server_error() => ("internal", Kind::Internal.sentence()),
        _ => ("bad_request", Kind::Malformed.sentence()),
    };
    Problem::of_http(status, code, detail)
}

/// The body of every 4xx and 5xx response (RFC 9457). Some have further members, such as `current_version`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// The address of the page that explains the code.
    #[serde(rename = "type")]
    #[schema(example = "/problems/email_taken")]
    pub kind: String,
    /// The HTTP status in words.
    #[schema(example = "Conflict")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 409)]
    pub status: u16,
    /// A sentence about what happened, for people.
    pub detail: String,
    /// The path of the request, cut to 500 characters.
    pub instance: String,
    /// The stable code of the problem, for programs.
    #[schema(schema_with = super::codes::schema)]
    pub code: String,
    /// The id of the request, to be quoted in a request for help.
    pub request_id: String,
    /// The fields that break a rule, at most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldProblem>,
    /// Further members, which depend on the code.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Map<String, Value>,
}

/// One field that breaks a rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    /// A JSON pointer into the body (RFC 6901), or a slash and the name of a query parameter; cut to 200
    /// characters.
    #[schema(example = "/title")]
    pub pointer: String,
    /// The stable code of the fault, for programs.
    #[schema(example = "too_long")]
    pub code: String,
    /// A sentence about the fault, for people.
    pub detail: String,
}

impl From<FieldFault> for FieldProblem {
    fn from(fault: FieldFault) -> Self {
        Self { pointer: fault.pointer, code: fault.code.as_str().to_owned(), detail: fault.detail }
    }
}

impl Parts {
    /// Renders the response to the client.
    pub(crate) fn render(mut self, instance: &str, request_id: &str) -> Response {
        self.refusal = self.refusal.bounded();
        let code = self.refusal.code.as_str().to_owned();
        let mut instance = instance.to_owned();
        kernel::clip(&mut instance, MAX_INSTANCE);
        super::codes::check(&code);
        let body = ProblemBody {
            kind: format!("/problems/{code}"),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.refusal.detail,
            instance,
            code,
            request_id: request_id.to_owned(),
            errors: self.refusal.fields.into_iter().map(FieldProblem::from).collect(),
            extra: self.refusal.extra,
        };
        // Strings, numbers and maps with string keys can always be serialized.
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, bytes).into_response();
        let headers = response.headers_mut();
        headers.extend(self.headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_statuses_are_mapped_to_each_other() {
        for kind in Kind::ALL {
            assert_eq!(kind_of(status_of(kind)), kind);
        }
        assert_eq!(kind_of(StatusCode::METHOD_NOT_ALLOWED), Kind::Malformed);
        assert_eq!(kind_of(StatusCode::BAD_GATEWAY), Kind::Internal);
    }

    #[tokio::test]
    async fn a_problem_has_at_most_64_kib_for_every_request() {
        use http_body_util::BodyExt;

        let faults =
            (0..10_000).map(|n| FieldFault::new(format!("/{n}{}", "\u{1}".repeat(999)), "odd", "no"));
        let refusal =
            Refusal::new(Kind::Invalid, "invalid", "x".repeat(100_000)).with_fields(faults.collect());
        let response = Problem::from(refusal).into_parts().render(&"/ä".repeat(100_000), "id");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert!(body.len() < 64 * 1024, "{}", body.len());
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["instance"].as_str().map(|text| text.chars().count()), Some(500));
        let errors = body["errors"].as_array().expect("a list");
        assert!((1..=64).contains(&errors.len()));
        assert_eq!(errors[0]["pointer"].as_str().map(|text| text.chars().count()), Some(200));
    }

    #[test]
    fn a_client_with_an_invalid_token_learns_that_the_token_is_the_reason() {
        for (code, wanted) in
            [("invalid_token", "Bearer error=\"invalid_token\""), ("unauthenticated", "Bearer")]
        {
            let problem = Problem::from(Refusal::new(Kind::Unauthenticated, code, "No."));
            assert_eq!(problem.0.headers[header::WWW_AUTHENTICATE], wanted);
        }
    }

    #[test]
    fn a_stale_writer_gets_the_current_tag() {
        let refusal = Refusal::new(Kind::Stale, "stale_version", "changed").with("current_version", 8);
        let problem = Problem::from(refusal);
        assert_eq!(problem.status(), StatusCode::PRECONDITION_FAILED);
        assert_eq!(problem.0.headers[header::ETAG], "\"v8\"");
    }
}
