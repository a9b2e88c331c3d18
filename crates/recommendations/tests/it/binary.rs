//! The service in its own process.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_recommendations")).args(arguments).output().expect("the binary runs")
}

#[test]
fn check_config_prints_the_settings_in_force() {
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
fn check_config_refuses_the_settings_that_a_start_refuses() {
    let output = run(&["--check-config"]);
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success(), "the default addresses work only inside the one process");
    for key in ["bus.url", "users.url", "identity.keys"] {
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn a_start_with_addresses_inside_a_process_says_what_to_set_and_leaves_no_file() {
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
