//! Every code that an answer of the portal can carry: one list, which the document shows and every test of an answer checks.

use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// The codes of refusals, alphabetically.
pub const CODES: &[&str] = &[
    "bad_cursor",
    "bad_request",
    "body_too_large",
    "body_too_slow",
    "bus_unavailable",
    "busy",
    "deadline_exceeded",
    "dependency_failed",
    "dependency_unavailable",
    "email_taken",
    "foreign_origin",
    "headers_too_large",
    "idempotency_key_reused",
    "illegal_transition",
    "internal",
    "invalid",
    "invalid_refresh_token",
    "invalid_token",
    "keys_unavailable",
    "last_admin",
    "malformed_body",
    "malformed_call",
    "malformed_json",
    "malformed_path",
    "malformed_query",
    "method_not_allowed",
    "not_found",
    "not_yet_projected",
    "overloaded",
    "precondition_required",
    "retracted",
    "role_required",
    "section_unavailable",
    "self_review",
    "slug_taken",
    "stale_version",
    "still_running",
    "store_unavailable",
    "too_many_attempts",
    "too_many_requests",
    "too_slow",
    "unauthenticated",
    "unavailable",
    "unknown_type",
    "unsupported_encoding",
    "unsupported_media_type",
    "users_unavailable",
    "wrong_credentials",
    "wrong_password",
];

/// The schema of a code: a text, and which texts there are.
pub(super) fn schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("What happened, for a program: stable."))
        .enum_values(Some(CODES.iter().copied()))
        .build()
}

/// In debug builds, which is where tests run: a code that the document does not show is a defect.
pub(super) fn check(code: &str) {
    debug_assert!(CODES.contains(&code), "the code {code} is not in chassis/src/http/codes.rs");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_stand_in_order_and_none_twice() {
        assert!(CODES.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
