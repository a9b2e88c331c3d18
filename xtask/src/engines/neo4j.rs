//! Neo4j Community, run from its jars.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::place::fill;
use super::site::{PATIENCE, Site, shared_text};
use super::state::OWNER;
use super::{Engine, install, probe, programs};

/// The modules of Java that the server's own start script opens.
const OPENED: [&str; 5] = [
    "java.base/java.nio",
    "java.base/java.io",
    "java.base/sun.nio.ch",
    "java.base/java.lang",
    "java.base/java.util.concurrent",
];

/// Starts the server. It is ready when its log says so and it answers in Bolt.
pub fn start(engine: &Engine, site: &Site) -> Result<()> {
    let home = site.place.folder(engine.name)?;
    let port = site.state.port("bolt");
    fs::create_dir_all(home.join("conf")).context("Neo4j's folder")?;
    let template = shared_text("xtask/engines/neo4j/neo4j.conf")?;
    let configuration = fill(&template, &[("BOLT_PORT", &port.to_string())]);
    fs::write(home.join("conf/neo4j.conf"), configuration).context("neo4j.conf")?;
    set_password(site, &home)?;

    let mut server = java(site, "512m")?;
    for package in OPENED {
        server.arg(format!("--add-opens={package}=ALL-UNNAMED"));
    }
    server.arg("org.neo4j.server.CommunityEntryPoint");
    server
        .arg(format!("--home-dir={}", home.display()))
        .arg(format!("--config-dir={}", home.join("conf").display()));
    server.current_dir(&home);
    // The log shows when it is ready, so the lines of the last start must go.
    let log = home.join("logs/neo4j.log");
    let _ = fs::remove_file(&log);
    site.runner.spawn(engine.name, server)?;
    site.runner.wait_ready(engine.name, PATIENCE, || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("INFO  Started.")) && probe::bolt(port)
    })
}

/// Sets the first password, which has an effect only before the first start.
fn set_password(site: &Site, home: &Path) -> Result<()> {
    let done = home.join("password-is-set");
    if done.exists() {
        return Ok(());
    }
    // An interrupted run may have started it without a password.
    if home.join("data").exists() {
        fs::remove_dir_all(home.join("data")).context("the remains of an interrupted run")?;
    }
    let mut tool = java(site, "128m")?;
    tool.args(["org.neo4j.cli.AdminTool", "dbms", "set-initial-password", site.state.password(OWNER)]);
    tool.env("NEO4J_HOME", home).env("NEO4J_CONF", home.join("conf")).stdin(Stdio::null());
    let output = tool.output().context("Java can't be run")?;
    if !output.status.success() {
        bail!("Neo4j did not accept the first password:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    fs::write(done, "").context("Neo4j's folder")
}

/// Returns a Java that starts fast and uses little memory. Four threads of the garbage collector are too many
/// here, and the second compiler would take CPU time from the first queries for seconds.
fn java(site: &Site, memory: &str) -> Result<Command> {
    let mut java = Command::new(programs::java().context("Java is not installed")?);
    let jars = install::neo4j_jars(&site.place).join("*");
    java.arg(format!("-Xmx{memory}"));
    java.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp"]).arg(jars);
    Ok(java)
}
