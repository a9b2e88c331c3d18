//! The bytes of a body: how many there may be, and what they are when they are unpacked.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;

use super::malformed;
use crate::http::problem::{Problem, of_status};

/// The most bytes of a body, compressed or not, on a route that does not take the text of an article.
pub const MAX_BODY: usize = 1024 * 1024;
/// The same on a route that does: the word `text` in its row of `access.toml`. A text has at most 500,000 bytes, and JSON may write
/// each of them as six (`\u0001`).
pub const MAX_TEXT_BODY: usize = 3 * 1024 * 1024;
/// Up to here a body that is too large is read to its end, so that its sender hears why it was refused.
pub(in crate::http) const MAX_DISCARDED: usize = 16 * 1024 * 1024;

/// The most bytes of the body of one request: a rule of its route, which the guard knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct BodyLimit(pub usize);

impl BodyLimit {
    /// The limit of a route that takes the text of an article, or does not.
    pub(in crate::http) fn of(takes_text: bool) -> Self {
        Self(if takes_text { MAX_TEXT_BODY } else { MAX_BODY })
    }

    /// Refuses what is larger.
    pub(in crate::http) fn check(self, size: usize) -> Result<(), Problem> {
        if size <= self.0 {
            return Ok(());
        }
        let detail = format!("The body must have at most {} MiB, unpacked.", self.0 / MAX_BODY);
        Err(Problem::of_http(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail))
    }
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self(MAX_BODY)
    }
}

/// The whole of a body, if it is not larger than any route takes. What is too large is read on for a while and thrown away: an answer
/// to a client that is still sending would be lost with the connection.
pub(in crate::http) async fn received(mut body: axum::body::Body) -> Result<Bytes, Problem> {
    let (mut taken, mut seen) = (BytesMut::new(), 0usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| malformed("malformed_body", "The body ended early."))?;
        let Some(data) = frame.data_ref() else { continue };
        seen = seen.saturating_add(data.len());
        if seen > MAX_DISCARDED {
            break;
        }
        if seen <= MAX_TEXT_BODY {
            taken.extend_from_slice(data);
        } else {
            taken = BytesMut::new();
        }
    }
    if seen > MAX_TEXT_BODY { Err(of_status(StatusCode::PAYLOAD_TOO_LARGE)) } else { Ok(taken.freeze()) }
}

/// What a body says when it is unpacked, if that is not more than `limit`.
pub(super) fn unpacked(headers: &HeaderMap, bytes: Bytes, limit: BodyLimit) -> Result<Bytes, Problem> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    let bytes = match encoding.as_deref() {
        None | Some(b"identity") => bytes,
        Some(b"gzip") => gunzipped(&bytes, limit)?,
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

/// All members of a gzip file, one behind the other (RFC 1952 §2.2). Whatever else stands behind one of them is refused: a client that
/// meant it would never learn that it was dropped.
fn gunzipped(packed: &[u8], limit: BodyLimit) -> Result<Bytes, Problem> {
    let mut plain = Vec::new();
    // One byte more than the limit tells what is too large from what just fits.
    flate2::read::MultiGzDecoder::new(packed).take(limit.0 as u64 + 1).read_to_end(&mut plain).map_err(
        |_| malformed("malformed_body", "The body is not valid gzip, or something else follows it."),
    )?;
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).expect("packs");
        encoder.finish().expect("packs")
    }

    fn read(bytes: Vec<u8>) -> Result<Bytes, StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        unpacked(&headers, bytes.into(), BodyLimit::default()).map_err(|problem| problem.status())
    }

    #[test]
    fn a_small_body_that_unpacks_to_a_large_one_is_413() {
        let large = vec![b' '; MAX_BODY + 1];
        assert_eq!(read(packed(&large)), Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(read(packed(&large[1..])).map(|plain| plain.len()), Ok(MAX_BODY));
        let halves = [packed(&large[..MAX_BODY / 2]), packed(&large[MAX_BODY / 2..])].concat();
        assert_eq!(read(halves), Err(StatusCode::PAYLOAD_TOO_LARGE), "the limit holds over all members");
    }

    #[test]
    fn the_members_of_a_gzip_file_are_one_body() {
        let members = [packed(b"{\"a\":"), packed(b""), packed(b"1}")].concat();
        assert_eq!(read(members).as_deref(), Ok(&b"{\"a\":1}"[..]));
    }

    #[test]
    fn what_is_not_gzip_behind_a_member_is_400() {
        for behind in [&b"{}"[..], b"\0", b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\xff"] {
            let body = [packed(b"{}"), behind.to_vec()].concat();
            assert_eq!(read(body), Err(StatusCode::BAD_REQUEST), "{behind:?}");
        }
        let whole = packed(b"{\"a\":1}");
        assert_eq!(read(whole[..whole.len() - 4].to_vec()), Err(StatusCode::BAD_REQUEST), "cut short");
        assert_eq!(read(Vec::new()), Err(StatusCode::BAD_REQUEST));
    }

    #[tokio::test]
    async fn a_body_is_taken_in_up_to_the_largest_limit_of_a_route() {
        let of = |size| received(axum::body::Body::from(vec![b' '; size]));
        assert_eq!(of(MAX_TEXT_BODY).await.map(|body| body.len()).ok(), Some(MAX_TEXT_BODY));
        let refused = of(MAX_TEXT_BODY + 1).await.expect_err("too large");
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(
            BodyLimit::of(false).check(MAX_BODY).is_ok() && BodyLimit::of(false).check(MAX_BODY + 1).is_err()
        );
        assert!(BodyLimit::of(true).check(MAX_TEXT_BODY).is_ok());
    }
}
