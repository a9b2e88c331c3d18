//! The secrets that `deploy/secrets.sh` creates for the compose file.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use testkit::Folder;

use crate::compose::{SERVICES, production};
use crate::repository;

/// Creates the secrets of a fleet in this folder.
pub fn make(folder: &Path) {
    let output =
        Command::new(repository("deploy/secrets.sh")).arg(folder).output().expect("the script can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "deploy/secrets.sh: {errors}");
}

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
        .trim()
        .to_owned()
}

#[test]
fn the_script_creates_every_secret_of_the_containers_and_keeps_existing_ones() {
    let folder = Folder::new();
    make(folder.path());
    let before: Vec<_> = production()
        .secrets
        .iter()
        .map(|(name, secret)| {
            assert_eq!(secret.file, format!("secrets/{name}"));
            read(&folder, name)
        })
        .collect();
    let different: BTreeSet<_> = before.iter().collect();
    assert_eq!(different.len(), before.len(), "two secrets are the same");
    make(folder.path());
    for (name, before) in production().secrets.keys().zip(before) {
        // The broker's secret has a new salt each time.
        if name != "rabbitmq_definitions" {
            assert_eq!(read(&folder, name), before, "{name}");
        }
    }
}

#[cfg(unix)]
#[test]
fn only_their_owner_can_read_the_secrets_and_git_ignores_them() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    make(&folder.join("secrets"));
    let mode = std::fs::metadata(folder.join("secrets")).expect("the folder is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(read(&folder, "secrets/.gitignore"), "*");
}

#[test]
fn the_broker_receives_only_password_hashes_and_each_service_has_its_own_user() {
    let folder = Folder::new();
    make(folder.path());
    let definitions: serde_json::Value =
        serde_json::from_str(&read(&folder, "rabbitmq_definitions")).expect("definitions are JSON");
    let users = definitions["users"].as_array().expect("a list of users");
    let names: BTreeSet<_> = users.iter().filter_map(|user| user["name"].as_str()).collect();
    assert_eq!(names, SERVICES.into_iter().chain(["operator"]).collect());
    for user in users {
        assert!(
            user.get("password").is_none()
                && user["password_hash"].as_str().is_some_and(|hash| hash.len() == 48)
        );
    }
    for service in SERVICES {
        let url = read(&folder, &format!("{}_bus_url", service.replace('-', "_")));
        assert!(
            url.starts_with(&format!("amqp://{service}:")) && url.ends_with("@rabbitmq:5672/portal"),
            "{service}"
        );
    }
}

#[test]
fn a_store_and_its_service_have_the_same_password() {
    let folder = Folder::new();
    make(folder.path());
    for (url, password) in [
        ("users_store_url", "users_store_password"),
        ("famous_news_events_url", "famous_news_events_password"),
        ("sports_news_view_url", "sports_news_view_password"),
    ] {
        let password = read(&folder, password);
        assert!(read(&folder, url).contains(&format!(":{password}@")), "{url}");
    }
    let auth = read(&folder, "recommendations_neo4j_auth");
    let password = auth.strip_prefix("neo4j/").expect("Neo4j wants name/password");
    assert!(read(&folder, "recommendations_store_url").contains(&format!("neo4j:{password}@")));
    assert!(read(&folder, "users_intake_acl").starts_with("user default off\nuser users on #"));
}
