//! The gateway under test, with the requests of these tests.

pub use system_tests::gateway::{Gateway, Settings, UNREACHABLE, documented, templates};

use crate::upstream::Upstream;

/// The gateway's settings with this as the only instance of users.
pub fn in_front_of(upstream: &Upstream) -> Settings {
    Settings::new().with("GATEWAY_USERS", &upstream.server("max_fails=0"))
}

/// Returns the status of a raw answer.
#[track_caller]
pub fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("this is not a response: {answer:?}"))
}

/// Returns the problem in a raw response, if there is one.
pub fn problem(answer: &str) -> serde_json::Value {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    assert!(head.contains("Content-Type: application/problem+json"), "{answer}");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}
