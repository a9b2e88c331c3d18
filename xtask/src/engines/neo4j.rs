//! Neo4j Community, run from its jars.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::place::fill;
use super::site::{PATIENCE, Site, shared_text};
use super::state::OWNER;
use super::{Engine, install, probe, programs};

/// What the server's own start script opens of Java.
const OPENED: [&str; 5] = [
    "java.base/java.nio",
    "java.base/java.io",
    "java.base/sun.nio.ch",
    "java.base/java.lang",
    "java.base/java.util.concurrent",
];

/// Starts the server. It is ready when it says so and speaks Bolt.
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
    // Its log says when it is ready; the last start's words would mislead.
    let log = home.join("logs/neo4j.log");
    let _ = fs::remove_file(&log);
    site.runner.spawn(engine.name, server)?;
    site.runner.wait_ready(engine.name, PATIENCE, || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("INFO  Started.")) && probe::bolt(port)
    })
}

/// The first password, which counts only before the first start.
fn set_password(site: &Site, home: &Path) -> Result<()> {
    let done = home.join("password-is-set");
    if done.exists() {
        return Ok(());
    }
    // An unfinished run may have started it without.
    if home.join("data").exists() {
        fs::remove_dir_all(home.join("data")).context("what an unfinished run left")?;
    }
    let mut tool = java(site, "128m")?;
    tool.args(["org.neo4j.cli.AdminTool", "dbms", "set-initial-password", site.state.password(OWNER)]);
    tool.env("NEO4J_HOME", home).env("NEO4J_CONF", home.join("conf")).stdin(Stdio::null());
    let output = tool.output().context("Java can't be run")?;
    if !output.status.success() {
        bail!("Neo4j took no first password:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    fs::write(done, "").context("Neo4j's folder")
}

/// A Java that starts fast and stays small: nobody needs four collector threads here, and the second compiler
/// takes seconds of the processors that the first queries wait for.
fn java(site: &Site, memory: &str) -> Result<Command> {
    let mut java = Command::new(programs::java().context("Java is not installed")?);
    let jars = install::neo4j_jars(&site.place).join("*");
    java.arg(format!("-Xmx{memory}"));
    java.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp"]).arg(jars);
    Ok(java)
}
