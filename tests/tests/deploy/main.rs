//! What production is made of: the compose files, and the gateway's configuration in the real nginx.
//!
//! What needs no engine runs always. The gateway's tests start the nginx that `PORTAL_TEST_NGINX` names, with the templates of
//! `nginx/` filled in as the official image does it, in front of small services of the test's own.

mod cache;
mod compose;
mod containers;
mod document;
mod gateway;
mod headers;
mod image;
mod instances;
mod limits;
mod problems;
mod routes;
mod secrets;
mod upstream;
mod variables;

use std::path::PathBuf;

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The text of a file of the repository.
#[track_caller]
fn text(path: &str) -> String {
    let path = repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The program that an environment variable names.
///
/// # Panics
/// Where it is unset: what was asked for and can't be run has failed.
#[track_caller]
#[allow(
    clippy::disallowed_methods,
    reason = "a test has no configuration; this names the program under test"
)]
fn program(variable: &str) -> PathBuf {
    std::env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| panic!("{variable} names no program"))
}
