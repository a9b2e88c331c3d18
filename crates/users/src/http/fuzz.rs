//! A fuzz target for the cookies that a browser sends, those of other programs among them.

use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::cookie::SessionCookie;

#[test]
fn every_cookie_header_gives_some_tokens_and_never_many() {
    let cookie = SessionCookie::new("http://127.0.0.1:8080", &["/users/v1"], Duration::from_secs(60));
    testkit::fuzz!("cookies", |input| {
        let Ok(value) = HeaderValue::from_bytes(input) else { return };
        let headers = HeaderMap::from_iter([(COOKIE, value)]);
        let tokens = cookie.taken(&headers).expect("no other site sends it");
        assert!(tokens.len() <= 8, "{}", tokens.len());
    });
}
