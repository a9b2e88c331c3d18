//! The HTTP edge: one way in, one way to refuse.

mod access;
mod api;
mod cache;
mod caller;
mod client;
mod codes;
mod conditional;
mod cors;
mod edge;
mod forwarded;
#[cfg(test)]
mod fuzz;
mod guard;
mod idempotency;
mod input;
mod line;
pub(crate) mod listener;
mod parameters;
mod problem;
mod problem_pages;
mod shares;
mod throttle;
mod writes;

/// How many items a whole collection has, of which an answer shows a page.
pub const X_TOTAL_COUNT: http::HeaderName = http::HeaderName::from_static("x-total-count");

pub use access::{Grant, Matrix, MatrixError, Row};
pub use api::Api;
pub use cache::{Cache, digest, fresh, fresh_by_content, private, tag, tagged};
pub use caller::{AccessToken, Authenticated, Caller};
pub use client::{ClientKey, TrustedProxies, X_FORWARDED_HOST, X_FORWARDED_PROTO};
pub use codes::{By, Meaning, codes};
pub use conditional::{Precondition, etag_matches};
pub use edge::{EdgeConfig, edge};
pub(crate) use edge::{edge_with, probes};
pub use idempotency::{IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, IdempotencyKey, say_replayed};
pub use input::{Json, MAX_BODY, MAX_TEXT_BODY, Path, Query, query_time};
pub use problem::{FieldProblem, Problem, ProblemBody};
pub use problem_pages::{PROBLEM_STYLE, problem_index, problem_page};
pub(crate) use shares::Share;
pub use throttle::{FromCache, ThrottleConfig, Window};
