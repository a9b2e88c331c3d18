//! The architecture as tests: which crate may use which, and what every crate and every file keeps to.
//!
//! A rule is a function from plain values to a list of what breaks it. Each is applied twice: to the
//! workspace, and to something made up that breaks it, so that a rule that finds nothing is known to look.

mod arrows;
mod circles;
mod dependencies;
mod english;
mod layers;
mod modules;
mod proof;
mod rooms;
mod routes;
mod sources;
mod tokens;
mod widths;
mod workspace;

/// Fails with everything that breaks the rule, a line for each.
fn none(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}
