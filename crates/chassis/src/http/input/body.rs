//! The bytes of a body: size limits and decompression.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;

use super::malformed;
use crate::http::problem::{Problem, of_status};

/// The maximum size of a body in bytes, compressed and decompressed, on a route that does not accept the text
/// of an article.
pub const MAX_BODY: usize = 1024 * 1024;
/// The maximum size of a body in bytes on a route that accepts the text of an article: the word `text` in its
/// row of `access.toml`. A text has at most 500,000 bytes, and JSON may use six for each of them (`\u0001`).
pub const MAX_TEXT_BODY: usize = 3 * 1024 * 1024;
/// The number of bytes up to which a body that is too large is still read, so that its sender gets the
/// refusal.
pub(in crate::http) const MAX_DISCARDED: usize = 16 * 1024 * 1024;

/// The maximum size of the body of a request in bytes. The guard sets it by the row of the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct BodyLimit(pub usize);

impl BodyLimit {
    /// Returns the limit of a route that accepts the text of an article, or does not.
    pub(in crate::http) fn of(accepts_text: bool) -> Self {
        Self(if accepts_text { MAX_TEXT_BODY } else { MAX_BODY })
    }

    /// Refuses a body that is larger.
    pub(in crate::http) fn check(self, size: usize) -> Result<(), Problem> {
        if size <= self.0 {
            return Ok(());
        }
        let detail = format!("The body must have at most {} MiB after decompression.", self.0 / MAX_BODY);
        Err(Problem::of_http(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail))
    }
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self(MAX_BODY)
    }
}

/// Receives a whole body, if it is not larger than any route allows. A larger body is read for a while and
/// discarded: the refusal of a client that is still sending would be lost with the connection.
pub(in crate::http) async fn receive_body(mut body: axum::body::Body) -> Result<Bytes, Problem> {
    let (mut bytes, mut size) = (BytesMut::new(), 0usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| malformed("malformed_body", "The body ended early."))?;
        let Some(data) = frame.data_ref() else { continue };
        size = size.saturating_add(data.len());
        if size > MAX_DISCARDED {
            break;
        }
        if size <= MAX_TEXT_BODY {
            bytes.extend_from_slice(data);
        } else {
            bytes = BytesMut::new();
        }
    }
    if size > MAX_TEXT_BODY { Err(of_status(StatusCode::PAYLOAD_TOO_LARGE)) } else { Ok(bytes.freeze()) }
}

/// Decompresses a body, if the result does not exceed `limit`.
pub(super) fn decompress(headers: &HeaderMap, bytes: Bytes, limit: BodyLimit) -> Result<Bytes, Problem> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    let bytes = match encoding.as_deref() {
        None | Some(b"identity") => bytes,
        Some(b"gzip") => gunzip(&bytes, limit)?,
        Some(_) => {
            let detail = "The body must be plain or compressed with gzip.";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::of_http(status, "unsupported_encoding", detail)
                .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")));
        }
    };
    limit.check(bytes.len())?;
    Ok(bytes)
}

/// Decompresses all members of a gzip file (RFC 1952 §2.2). Other data after a member is refused: otherwise
/// the client would not learn that it was ignored.
fn gunzip(compressed: &[u8], limit: BodyLimit) -> Result<Bytes, Problem> {
    let mut plain = Vec::new();
    // One byte more than the limit distinguishes a body that is too large from one that just fits.
    flate2::read::MultiGzDecoder::new(compressed)
        .take(limit.0 as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_| malformed("malformed_body", "The body is not valid gzip, or other data follows it."))?;
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).expect("compresses");
        encoder.finish().expect("compresses")
    }

    fn read(bytes: Vec<u8>) -> Result<Bytes, StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        decompress(&headers, bytes.into(), BodyLimit::default()).map_err(|problem| problem.status())
    }

    #[test]
    fn a_small_body_that_decompresses_to_a_large_one_is_413() {
        let large = vec![b' '; MAX_BODY + 1];
        assert_eq!(read(gzip(&large)), Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(read(gzip(&large[1..])).map(|plain| plain.len()), Ok(MAX_BODY));
        let halves = [gzip(&large[..MAX_BODY / 2]), gzip(&large[MAX_BODY / 2..])].concat();
        assert_eq!(read(halves), Err(StatusCode::PAYLOAD_TOO_LARGE), "the limit holds over all members");
    }

    #[test]
    fn the_members_of_a_gzip_file_are_one_body() {
        let members = [gzip(b"{\"a\":"), gzip(b""), gzip(b"1}")].concat();
        assert_eq!(read(members).as_deref(), Ok(&b"{\"a\":1}"[..]));
    }

    #[test]
    fn other_data_after_a_gzip_member_is_400() {
        for behind in [&b"{}"[..], b"\0", b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\xff"] {
            let body = [gzip(b"{}"), behind.to_vec()].concat();
            assert_eq!(read(body), Err(StatusCode::BAD_REQUEST), "{behind:?}");
        }
        let whole = gzip(b"{\"a\":1}");
        assert_eq!(read(whole[..whole.len() - 4].to_vec()), Err(StatusCode::BAD_REQUEST), "cut short");
        assert_eq!(read(Vec::new()), Err(StatusCode::BAD_REQUEST));
    }

    #[tokio::test]
    async fn a_body_is_received_up_to_the_largest_limit_of_a_route() {
        let of = |size| receive_body(axum::body::Body::from(vec![b' '; size]));
        assert_eq!(of(MAX_TEXT_BODY).await.map(|body| body.len()).ok(), Some(MAX_TEXT_BODY));
        let refused = of(MAX_TEXT_BODY + 1).await.expect_err("too large");
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(
            BodyLimit::of(false).check(MAX_BODY).is_ok() && BodyLimit::of(false).check(MAX_BODY + 1).is_err()
        );
        assert!(BodyLimit::of(true).check(MAX_TEXT_BODY).is_ok());
    }
}
