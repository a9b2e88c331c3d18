//! The settings of each service in the compose file, read by the service itself.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use testkit::Folder;

use crate::compose::{SERVICES, by_default, production};
use crate::secrets;

/// Values that only the one process uses. A service of the fleet that still has one of them lacks a setting.
const OF_ONE_PROCESS: [&str; 6] = ["sqlite:", "local:", "inproc:", "memory:", "\"data/", "127.0.0.1"];

/// Secrets as `deploy/secrets.sh` creates them. Outside of `/run/secrets` only the owner may read them.
fn private_secrets() -> Folder {
    let folder = Folder::new();
    secrets::make(folder.path());
    for file in std::fs::read_dir(folder.path()).expect("the folder of secrets").flatten() {
        let alone = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(file.path(), alone).expect("the mode is changed");
    }
    folder
}

/// Runs `--check-config` of a service with exactly the variables of its container, its secrets among them.
#[track_caller]
fn effective(service: &str, folder: &Folder, more: &[(&str, &str)]) -> Result<String, String> {
    let mut program = Command::new(testkit::binary(service));
    program.arg("--check-config").env_clear().current_dir(folder.path());
    let here = format!("{}/", folder.path().display());
    for (name, value) in &production().container(service).environment {
        program.env(name, by_default(value).replace("/run/secrets/", &here));
    }
    program.envs(more.iter().copied());
    let output = program.output().expect("the service can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn every_variable_that_is_set_is_known_and_every_setting_without_a_default_is_set() {
    let folder = private_secrets();
    for service in SERVICES {
        let effective = effective(service, &folder, &[])
            .unwrap_or_else(|faults| panic!("{service} refuses its settings: {faults}"));
        for line in effective.lines().filter(|line| !line.contains("grpc_listen")) {
            let left = OF_ONE_PROCESS.iter().find(|word| line.contains(**word));
            assert!(left.is_none(), "{service} has a value of the one process: {line}");
        }
    }
}

#[test]
fn a_variable_that_a_service_does_not_know_is_found() {
    let folder = private_secrets();
    let faults =
        effective("users", &folder, &[("USERS__STORE__URI", "postgres://x")]).expect_err("an unknown key");
    assert!(faults.contains("uri"), "{faults}");
}

#[test]
fn all_services_trust_the_same_issuer_and_the_same_keys() {
    let compose = production();
    for service in SERVICES {
        let prefix = service.replace('-', "_").to_ascii_uppercase();
        let value_of =
            |key: &str| compose.container(service).environment[&format!("{prefix}__{key}")].clone();
        assert_eq!(value_of("IDENTITY__ISSUER"), "${PORTAL_PUBLIC_URL:-http://localhost:8080}");
        assert_eq!(value_of("IDENTITY__KEYS"), "http://users:3000");
        assert_eq!(value_of("PROCESS__LOG_FORMAT"), "json");
    }
}
