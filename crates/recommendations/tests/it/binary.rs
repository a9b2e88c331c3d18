//! The service in a process of its own.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_recommendations")).args(arguments).output().expect("the binary runs")
}

#[test]
fn check_config_prints_what_is_in_force() {
    let output = Command::new(env!("CARGO_BIN_EXE_recommendations"))
        .arg("--check-config")
        .envs([
            ("RECOMMENDATIONS__BUS__URL", "amqp://recommendations:s3cret@broker:5672/portal"),
            ("RECOMMENDATIONS__USERS__URL", "http://users:50051"),
            ("RECOMMENDATIONS__IDENTITY__KEYS", "http://users:3000"),
        ])
        .output()
        .expect("the binary runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        output.status.success() && text.contains("budget_ms = 250") && !text.contains("s3cret"),
        "{text}"
    );
}

#[test]
fn check_config_refuses_what_a_start_would_refuse() {
    let output = run(&["--check-config"]);
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success(), "it stands alone, and its addresses are within a process");
    for key in ["bus.url", "users.url", "identity.keys"] {
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn on_its_own_it_says_what_to_set_instead_of_addresses_within_a_process_and_leaves_no_file() {
    let folder = testkit::Folder::new();
    let output = Command::new(env!("CARGO_BIN_EXE_recommendations"))
        .env("RECOMMENDATIONS__STORE__URL", folder.sqlite("recommendations.db"))
        .output()
        .expect("the binary runs");
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(
        !output.status.success() && text.contains("identity.keys") && text.contains("http://users:3000"),
        "{text}"
    );
    assert!(!folder.join("recommendations.db").exists(), "a store was opened before the refusal");
}
