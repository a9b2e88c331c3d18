//! Fuzz targets for the cookies of a request, those of other paths included, and for cursors.

use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::cookie::SessionCookie;
use crate::domain::{AuditCursor, AuditFilter};

#[test]
fn every_cookie_header_gives_a_bounded_number_of_tokens() {
    let cookie = SessionCookie::new("http://127.0.0.1:8080", &["/users/v1"], Duration::from_secs(60));
    testkit::fuzz!("cookies", |input| {
        let Ok(value) = HeaderValue::from_bytes(input) else { return };
        let headers = HeaderMap::from_iter([(COOKIE, value)]);
        let tokens = cookie.read(&headers).expect("the site itself");
        assert!(tokens.len() <= 8, "{}", tokens.len());
    });
}

#[test]
fn a_text_that_is_read_as_a_cursor_is_written_in_the_same_way() {
    testkit::fuzz!("audit-cursors", |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let filter = AuditFilter::default();
        if let Ok(cursor) = AuditCursor::decode(text, &filter) {
            assert_eq!(cursor.encode(&filter), text);
        }
    });
}
