//! The binaries of the fleet.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::plan::SERVICES;
use crate::cargo::cargo;
use crate::engines::place::target;
use crate::step::seconds;

/// Where Cargo puts the binaries of a profile.
pub fn folder(release: bool) -> Result<PathBuf> {
    Ok(target()?.join(if release { "release" } else { "debug" }))
}

/// Builds the six binaries, and the portal's own, whose commands work on the stores of a fleet too.
pub fn binaries(release: bool) -> Result<()> {
    // The selection of `cargo test --workspace`, so that Cargo arrives at the same features of every
    // dependency and nothing is compiled twice; a test target turns on those of dev-dependencies.
    let mut cargo = cargo(&["build", "--locked", "--workspace", "--test", "architecture"]);
    for service in &SERVICES {
        cargo.args(["--bin", service.name]);
    }
    cargo.args(["--bin", "portal"]);
    if release {
        cargo.arg("--release");
    }
    let start = Instant::now();
    let status = cargo.status().context("Cargo can't be run")?;
    ensure!(status.success(), "the services don't compile");
    say!("{:<18}built  {:>7}", "binaries", seconds(start.elapsed()));
    Ok(())
}
