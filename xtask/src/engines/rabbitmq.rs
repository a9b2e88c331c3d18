//! RabbitMQ with its management plugin, and the daemon that Erlang needs to find its nodes.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use super::account::Account;
use super::place::{fill, write_private};
use super::site::{PATIENCE, Site, read, shared_text};
use super::state::{SERVICES, TESTS};
use super::{Engine, probe, programs};

/// The virtual host of the fleet.
pub const VHOST: &str = "portal";

/// Starts Erlang's port mapper. RabbitMQ would start one by itself and never stop it.
pub fn start_epmd(engine: &Engine, site: &Site) -> Result<()> {
    let port = site.state.port("epmd");
    let mut server = Command::new(programs::find("epmd").context("epmd (of Erlang) is not installed")?);
    server.args(["-port", &port.to_string(), "-address", "127.0.0.1"]).current_dir("/");
    if let Some(account) = Account::instead_of_root("rabbitmq")? {
        account.apply_to(&mut server);
    }
    site.runner.spawn(engine.name, server)?;
    site.runner.wait_ready(engine.name, PATIENCE, || probe::accepts(port))
}

/// Starts the broker. It is ready when it answers in AMQP and its definitions are loaded.
pub fn start(engine: &Engine, site: &Site) -> Result<()> {
    let folder = site.place.folder(engine.name)?;
    let file = |name: &str| folder.join(name);
    write_private(&file("definitions.json"), &definitions(&shared_text("queue/definitions.json")?, site)?)?;
    let ports = (site.state.port("amqp"), site.state.port("amqp-management"));
    let here = format!(
        "\n# This machine.\nlisteners.tcp.1 = 127.0.0.1:{}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n\
         load_definitions = {}\ndisk_free_limit.absolute = 100MB\n",
        ports.0,
        ports.1,
        file("definitions.json").display()
    );
    fs::write(file("rabbitmq.conf"), shared_text("queue/rabbitmq.conf")? + &here).context("rabbitmq.conf")?;
    fs::write(file("enabled_plugins"), shared_text("queue/enabled_plugins")?).context("its plugins")?;
    fs::write(file("env.conf"), "").context("its environment")?;

    let mut server = Command::new(programs::rabbitmq().context("rabbitmq-server is not installed")?);
    server.current_dir(&folder);
    for (name, value) in environment(site, &folder.display().to_string()) {
        server.env(name, value);
    }
    if let Some(account) = Account::instead_of_root("rabbitmq")? {
        account.take_ownership(&folder)?;
        account.apply_to(&mut server);
    }
    site.runner.spawn(engine.name, server)?;
    let (password, path) = (site.state.password(TESTS), format!("/api/vhosts/{VHOST}"));
    site.runner.wait_ready(engine.name, PATIENCE, || {
        probe::amqp(ports.0) && probe::http(ports.1, &path, Some((TESTS, password))) == Some(200)
    })?;
    // The started process is a script. On a signal it would start a second Erlang to talk to the first.
    let pid = read(&file("pid"))?.trim().parse().context("RabbitMQ's process id")?;
    site.runner.replace_pid(engine.name, pid)
}

/// Returns the variables for everything that RabbitMQ would otherwise share with the system's own server.
fn environment(site: &Site, folder: &str) -> Vec<(&'static str, String)> {
    let file = |name: &str| format!("{folder}/{name}");
    vec![
        ("HOME", folder.to_owned()), // Erlang's cookie
        ("ERL_EPMD_PORT", site.state.port("epmd").to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_NODENAME", "portal@localhost".to_owned()),
        ("RABBITMQ_DIST_PORT", site.state.port("erlang").to_string()),
        ("RABBITMQ_CONF_ENV_FILE", file("env.conf")),
        ("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", file("advanced.config")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins")),
        ("RABBITMQ_MNESIA_BASE", file("data")),
        ("RABBITMQ_LOG_BASE", file("log")),
        ("RABBITMQ_LOGS", "-".to_owned()),
        ("RABBITMQ_PID_FILE", file("pid")),
        ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}".to_owned()),
    ]
}

/// Returns the definitions that the containers load too, with the passwords of this folder, and with the user
/// and the virtual host of the tests.
fn definitions(template: &str, site: &Site) -> Result<String> {
    let names: Vec<_> = SERVICES.map(variable).to_vec();
    let values: Vec<_> = SERVICES.iter().map(|service| site.state.password(service)).collect();
    let pairs: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
    with_tests(&fill(template, &pairs), site.state.password(TESTS))
}

/// Returns `SPORTS_NEWS_PASSWORD` for `sports-news`.
fn variable(service: &str) -> String {
    format!("{}_PASSWORD", service.replace('-', "_").to_ascii_uppercase())
}

fn with_tests(definitions: &str, password: &str) -> Result<String> {
    let mut definitions: Value = serde_json::from_str(definitions).context("queue/definitions.json")?;
    let all =
        |vhost: &str| json!({"user": TESTS, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"});
    let additions = [
        ("users", vec![json!({"name": TESTS, "password": password, "tags": "administrator"})]),
        ("vhosts", vec![json!({"name": TESTS})]),
        ("permissions", vec![all(TESTS), all(VHOST)]),
    ];
    for (list, additions) in additions {
        let list = definitions.get_mut(list).and_then(Value::as_array_mut);
        list.ok_or_else(|| anyhow!("queue/definitions.json lacks a list"))?.extend(additions);
    }
    serde_json::to_string_pretty(&definitions).context("the definitions as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Value {
        let text = shared_text("queue/definitions.json").expect("is there");
        serde_json::from_str(&text).expect("is JSON")
    }

    #[test]
    fn every_service_has_a_user_with_a_password_of_its_own_and_permissions() {
        let definitions = shared();
        for service in SERVICES {
            let users = definitions["users"].as_array().expect("a list");
            let user = users.iter().find(|user| user["name"] == service).expect(service);
            assert_eq!(user["password"], format!("${{{}}}", variable(service)), "{service}");
            assert_eq!(user["tags"], "", "{service} administers nothing");
            let granted = definitions["permissions"].as_array().expect("a list");
            assert_eq!(granted.iter().filter(|grant| grant["user"] == service).count(), 1, "{service}");
        }
    }

    #[test]
    fn the_tests_have_a_user_only_in_what_this_machine_loads() {
        assert!(!shared().to_string().contains("administrator"));
        let text = with_tests(&shared().to_string(), "secret").expect("still good");
        let definitions: Value = serde_json::from_str(&text).expect("is JSON");
        assert!(definitions["users"].as_array().expect("a list").iter().any(|user| user["name"] == TESTS));
        assert!(with_tests("{}", "secret").is_err());
    }
}
