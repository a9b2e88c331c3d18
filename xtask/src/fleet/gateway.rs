//! nginx in front of the fleet, from the same templates as in its container.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::plan::Plan;
use crate::engines::place::fill;
use crate::engines::programs;
use crate::engines::site::{read, shared};

/// The gateway's name among the processes.
pub const NAME: &str = "gateway";

/// Returns the command that starts the gateway, after writing its configuration into `folder`.
pub fn command(plan: &Plan, folder: &Path) -> Result<Command> {
    let nginx = programs::find("nginx").context("nginx is not installed")?;
    let variables = variables(&read(&shared("nginx/gateway.env"))?, plan, &shared("nginx/html"));
    let pairs: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fs::create_dir_all(folder).with_context(|| format!("the folder {}", folder.display()))?;
    for (name, template) in templates()? {
        fs::write(folder.join(&name), fill(&template, &pairs)).with_context(|| format!("the file {name}"))?;
    }
    let mut command = Command::new(nginx);
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(folder.join("nginx.conf")).arg("-g");
    // If we are root, its workers would run as another user, who may not enter our folder.
    command.arg(if rustix::process::geteuid().is_root() { "daemon off; user root;" } else { "daemon off;" });
    Ok(command)
}

fn templates() -> Result<Vec<(String, String)>> {
    let folder = shared("nginx/templates");
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("the folder {}", folder.display()))? {
        let path: PathBuf = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(name) = name.strip_suffix(".template") {
            found.push((name.to_owned(), read(&path)?));
        }
    }
    Ok(found)
}

/// Returns the variables of the containers, except for what differs here: addresses, folders, and no
/// resolver.
fn variables(defaults: &str, plan: &Plan, html: &Path) -> Vec<(String, String)> {
    let upstream = |service: &str| {
        let lines = plan.addresses(service);
        lines
            .iter()
            .map(|it| format!("server {it} max_fails=3 fail_timeout=2s;"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let here = [
        ("GATEWAY_LISTEN", plan.listen.clone()),
        ("GATEWAY_HEALTH_LISTEN", format!("127.0.0.1:{}", plan.port("gateway.health"))),
        ("GATEWAY_WORKERS", "2".to_owned()),
        ("GATEWAY_HTML", html.display().to_string()),
        ("GATEWAY_RESOLVER", String::new()),
        ("GATEWAY_USERS", upstream("users")),
        ("GATEWAY_NEWS", upstream("orchestrator")),
        ("GATEWAY_RECOMMENDATIONS", upstream("recommendations")),
    ];
    let lines =
        defaults.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let mut variables: Vec<_> = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for (name, value) in here {
        variables.retain(|(other, _)| other != name);
        variables.push((name.to_owned(), value));
    }
    // The operator's own values take precedence, as for the container.
    for (name, value) in &mut variables {
        if let Some(theirs) = crate::cargo::variable(name) {
            *value = theirs;
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_knows_every_instance_and_has_the_other_settings_of_the_container() {
        let plan = Plan::new("127.0.0.1:28081", 2, Vec::new()).expect("ports are free");
        let defaults =
            "# a comment\nGATEWAY_LISTEN=8080\nGATEWAY_BURST=200\nGATEWAY_RESOLVER=resolver 127.0.0.11;\n";
        let variables = variables(defaults, &plan, Path::new("/html"));
        let value =
            |name: &str| variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        assert_eq!(value("GATEWAY_LISTEN"), Some("127.0.0.1:28081"));
        assert_eq!(value("GATEWAY_BURST"), Some("200"));
        assert_eq!(value("GATEWAY_RESOLVER"), Some(""));
        let users = value("GATEWAY_USERS").expect("is set");
        for address in plan.addresses("users") {
            assert!(users.contains(&format!("server {address} max_fails=3")), "{users}");
        }
    }

    #[test]
    fn no_template_keeps_a_variable_that_has_no_value() {
        let plan = Plan::new("127.0.0.1:28082", 1, Vec::new()).expect("ports are free");
        let defaults = read(&shared("nginx/gateway.env")).expect("is there");
        let variables = variables(&defaults, &plan, Path::new("/html"));
        let pairs: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (name, template) in templates().expect("are there") {
            assert!(!fill(&template, &pairs).contains("${GATEWAY_"), "{name}");
        }
    }
}
