//! The binaries of the fleet.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::plan::SERVICES;
use crate::cargo::cargo;
use crate::engines::place::target;
use crate::step::seconds;

/// Returns the folder in which Cargo puts the binaries of a profile.
pub fn folder(release: bool) -> Result<PathBuf> {
    Ok(target()?.join(if release { "release" } else { "debug" }))
}

/// Builds the six services and the program `portal`, whose commands also work on the stores of a fleet.
pub fn binaries(release: bool) -> Result<()> {
    // This is the selection of `cargo test --workspace`: Cargo chooses the same features of every dependency,
    // so nothing is compiled twice. A test target turns on the features of dev-dependencies.
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
