//! `portal seed`, as an operator runs it, on both shapes.

use std::path::Path;
use std::process::Command;

use testkit::portal_binary;

/// An account that the seed has created.
#[derive(Debug, Clone)]
pub struct Seeded {
    /// Their e-mail.
    pub email: String,
    /// Their password.
    pub password: String,
    /// Their role.
    pub role: String,
}

/// Fills stores with `articles` articles and returns the accounts. `variables` name the stores that are not
/// in the folder.
///
/// # Panics
/// If the command fails. The message contains its output.
pub(crate) fn seed(data: &Path, articles: u16, variables: &[(String, String)]) -> Vec<Seeded> {
    let mut command = Command::new(portal_binary());
    command.args(["seed", "--articles", &articles.to_string()]).arg("--data-dir").arg(data);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let result = command.output().expect("the portal can be run");
    let output = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "`portal seed`: {output}");
    people(&data.join("seed-accounts"))
}

fn people(file: &Path) -> Vec<Seeded> {
    let text = std::fs::read_to_string(file).expect("the seed lists its accounts");
    let table: toml::Table = text.parse().expect("TOML");
    let accounts = table["account"].as_array().expect("a list of accounts");
    let word = |account: &toml::Value, key: &str| account[key].as_str().expect("a text").to_owned();
    let seeded = |account| Seeded {
        email: word(account, "email"),
        password: word(account, "password"),
        role: word(account, "role"),
    };
    accounts.iter().map(seeded).collect()
}
