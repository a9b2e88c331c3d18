//! The image of the services.

use std::collections::BTreeSet;

use crate::compose::SERVICES;
use crate::text;

#[test]
fn the_image_has_every_program_and_the_toolchain_of_the_repository() {
    let dockerfile = text("Dockerfile");
    for program in SERVICES.into_iter().chain(["portal"]) {
        assert!(dockerfile.contains(&format!(" {program}")), "{program}");
    }
    let toolchain = text("rust-toolchain.toml");
    let version = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).expect("a version");
    assert!(dockerfile.contains(&format!("FROM rust:{}-slim-bookworm", version.trim_matches('"'))));
}

#[test]
fn the_last_stage_of_the_image_runs_unprivileged_and_checks_its_own_readiness() {
    let dockerfile = text("Dockerfile");
    let last = dockerfile.rsplit("\nFROM ").next().expect("a last stage");
    for line in ["USER 10001:10001", "HEALTHCHECK", "COPY --from=builder /out/ /usr/local/bin/"] {
        assert!(last.contains(line), "{line}");
    }
    let images: Vec<_> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    for image in images.iter().map(|line| line.split(' ').next().unwrap_or_default()) {
        assert!(
            image == "chef" || image.contains(|c: char| c.is_ascii_digit()),
            "{image} is pinned to no version"
        );
    }
}

/// The build context is a list of included paths. A new folder that the sources need must be on it.
#[test]
fn the_build_context_contains_everything_that_the_sources_need() {
    let ignore = text(".dockerignore");
    let included: BTreeSet<_> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let is_shown =
        |path: &str| included.iter().any(|open| path == *open || path.starts_with(&format!("{open}/")));
    let root = std::fs::canonicalize(crate::repository(".")).expect("the repository has a path");
    let metadata =
        cargo_metadata::MetadataCommand::new().current_dir(&root).no_deps().exec().expect("Cargo answers");
    for package in &metadata.packages {
        let manifest = package.manifest_path.as_std_path();
        let inside = manifest.strip_prefix(&root).expect("a package of the workspace").display().to_string();
        assert!(is_shown(&inside), "{inside}");
    }
    for path in [
        "Cargo.lock",
        ".cargo/config.toml",
        "db/bus/outbox.sql",
        "nginx/html/asyncapi.json",
        "proto/portal/users/v1/users.proto",
    ] {
        assert!(is_shown(path) && crate::repository(path).is_file(), "{path}");
    }
    for path in ["secrets/admin_password", "data/users.db", "target/debug/users", ".git/HEAD"] {
        assert!(!is_shown(path), "{path} must stay outside");
    }
}
