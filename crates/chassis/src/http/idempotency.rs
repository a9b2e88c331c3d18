//! Idempotency keys and replayed responses.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};

use super::problem::Problem;

/// The request header with the key under which a request has one effect, even if it is sent repeatedly.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The response header of a replayed response.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The maximum length of a key in characters.
const MAX: usize = 255;

/// The idempotency key of a request, if it has one: 1 to 255 visible ASCII characters without further
/// meaning. A key belongs to the account, the method and the path: stored responses are found by all of these
/// together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdempotencyKey(pub Option<String>);

impl IdempotencyKey {
    /// Parses the value of the header; `None` if it is not a valid key.
    fn parse(value: &HeaderValue) -> Option<String> {
        let visible = |byte: &u8| byte.is_ascii_graphic();
        let bytes = value.as_bytes();
        let good = (1..=MAX).contains(&bytes.len()) && bytes.iter().all(visible);
        good.then(|| String::from_utf8_lossy(bytes).into_owned())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut lines = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = lines.next() else { return Ok(Self(None)) };
        // A key that is silently ignored would be a broken promise.
        let key = IdempotencyKey::parse(value).filter(|_| lines.next().is_none());
        let detail = "Idempotency-Key must be sent once, with 1 to 255 visible ASCII characters.";
        let key = key.ok_or_else(|| Problem::of_http(StatusCode::BAD_REQUEST, "bad_request", detail))?;
        Ok(Self(Some(key)))
    }
}

/// Marks `response` as one that was already given to an earlier request.
pub fn mark_replayed(response: &mut Response) {
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    async fn read(lines: &[&str]) -> Result<Option<String>, u16> {
        let mut request = Request::builder();
        for line in lines {
            request = request.header("Idempotency-Key", *line);
        }
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        let read = IdempotencyKey::from_request_parts(&mut parts, &()).await;
        read.map(|key| key.0).map_err(|problem| problem.status().as_u16())
    }

    #[tokio::test]
    async fn a_key_is_one_line_with_1_to_255_visible_characters() {
        assert_eq!(read(&[]).await, Ok(None));
        assert_eq!(read(&["a-key"]).await, Ok(Some("a-key".to_owned())));
        assert_eq!(read(&["\"8e03978e\""]).await, Ok(Some("\"8e03978e\"".to_owned())));
        let longest = "k".repeat(255);
        assert_eq!(read(&[&longest]).await, Ok(Some(longest.clone())));
        for bad in ["", "two words", &"k".repeat(256)] {
            assert_eq!(read(&[bad]).await, Err(400), "{bad:?}");
        }
        assert_eq!(read(&["a", "b"]).await, Err(400));
    }
}
