//! HTTP: the listener, the edge in front of all routes, the guard of each route, extractors, problems and
//! caching.

mod access;
mod api;
mod cache;
mod caller;
mod client;
mod codes;
mod conditional;
mod cors;
mod edge;
mod event_streams;
mod fair_budget;
mod forwarded;
#[cfg(test)]
mod fuzz;
mod guard;
mod idempotency;
mod input;
mod line;
mod links;
pub(crate) mod listener;
mod parameters;
mod problem;
mod problem_pages;
mod shares;
mod throttle;
mod writes;

/// The response header with the number of items of the whole collection.
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
pub use event_streams::{EventStreams, OpenStream, Stopping, event_stream};
pub use fair_budget::{ClientUnits, FairBudget, FairPermit};
pub use idempotency::{IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, IdempotencyKey, mark_replayed};
pub use input::{Json, MAX_BODY, MAX_TEXT_BODY, Path, Query, query_time};
pub use links::Links;
pub use problem::{FieldProblem, Problem, ProblemBody};
pub use problem_pages::{PROBLEM_STYLE, problem_index, problem_page};
pub(crate) use shares::Share;
pub use throttle::{FromCache, ThrottleConfig, Window};
