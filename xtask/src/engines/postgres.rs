//! PostgreSQL: one server with a database and a role for each service, and for FerretDB.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::account::Account;
use super::place::write_private;
use super::site::{PATIENCE, Site, shared_text};
use super::state::{FERRETDB, OWNER, TESTS};
use super::{Engine, programs};

/// The services that have a database, as SQL names them. The role has the same name.
pub const DATABASES: [&str; 4] = ["famous_news", "politics_news", "sports_news", "users"];
/// The services that keep a projection, in a schema of FerretDB's database.
const VIEWS: [&str; 3] = ["famous_news", "politics_news", "sports_news"];

/// Starts the server if it does not run, and creates its roles and databases.
pub fn start(engine: &Engine, site: &Site) -> Result<()> {
    let folder = site.place.folder(engine.name)?;
    let data = folder.join("data");
    let port = site.state.port("postgres");
    let account = Account::instead_of_root("postgres")?;
    if !data.exists() {
        initialise(site)?;
    }
    // Only tests and the fleet of one machine use it: many pools, little memory, and no socket, whose path
    // could be too long.
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nmax_connections = 400\n\
         shared_buffers = 128MB\nlog_min_messages = warning\nlog_checkpoints = off\n"
    );
    fs::write(data.join("postgresql.auto.conf"), settings).context("the settings of PostgreSQL")?;
    if let Some(account) = &account {
        account.take_ownership(&data.join("postgresql.auto.conf"))?;
    }
    let mut server = Command::new(program("postgres")?);
    server.arg("-D").arg(&data).current_dir(&folder);
    if let Some(account) = &account {
        account.apply_to(&mut server);
    }
    site.runner.spawn(engine.name, server)?;
    // psql needs a password and a whole connection, so it is not tried before the server listens.
    site.runner.wait_ready(engine.name, PATIENCE, || {
        super::probe::accepts(port) && psql(site, "select 1;\n").is_ok()
    })?;
    create_roles(site)
}

/// Creates the data folder. After a crash there is only `new`, which the next run deletes, and never a part
/// of `data`.
fn initialise(site: &Site) -> Result<()> {
    let folder = site.place.folder("postgres")?;
    let account = Account::instead_of_root("postgres")?;
    let (new, password) = (folder.join("new"), folder.join("password"));
    if new.exists() {
        fs::remove_dir_all(&new).context("the remains of an interrupted run")?;
    }
    write_private(&password, site.state.password(OWNER))?;
    let mut initdb = Command::new(program("initdb")?);
    initdb.args([
        "--username=postgres",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    ]);
    initdb.arg("--pwfile").arg(&password).arg("-D").arg(&new).current_dir(&folder).stdin(Stdio::null());
    if let Some(account) = &account {
        account.take_ownership(&folder)?;
        account.apply_to(&mut initdb);
    }
    let output = initdb.output().context("initdb can't be run")?;
    fs::remove_file(&password).context("the file with the password")?;
    if !output.status.success() {
        bail!("initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    fs::rename(&new, folder.join("data")).context("the data folder of PostgreSQL")
}

/// Creates roles and databases, with the same scripts that the containers load. The scripts leave existing
/// ones unchanged.
pub fn create_roles(site: &Site) -> Result<()> {
    let include = |name: &str| shared_text(&format!("db/init/{name}"));
    let mut script = tests_script(site)?;
    for service in DATABASES {
        let password = site.state.password(&service.replace('_', "-"));
        script += &format!("\\set service {service}\n\\set password {password}\n{}", include("service.sql")?);
    }
    script += &format!("\\set password {}\n{}", site.state.password(FERRETDB), include("ferretdb.sql")?);
    for service in VIEWS {
        script += &format!("\\set service {service}\n{}", include("view.sql")?);
    }
    psql(site, &script)
}

/// Returns the script that creates the role and the database of the tests.
pub fn tests_script(site: &Site) -> Result<String> {
    let text = shared_text("db/init/tests.sql")?;
    Ok(format!("\\set ON_ERROR_STOP on\n\\set password {}\n{text}", site.state.password(TESTS)))
}

/// Runs a script as the owner of the server.
pub fn psql(site: &Site, script: &str) -> Result<()> {
    psql_as(site, "postgres", site.state.password(OWNER), "postgres", script)
}

/// Runs a script as a role, in a database.
pub fn psql_as(site: &Site, role: &str, password: &str, database: &str, script: &str) -> Result<()> {
    let mut psql = Command::new(program("psql")?);
    psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--host=127.0.0.1"]);
    psql.arg(format!("--port={}", site.state.port("postgres")));
    psql.arg(format!("--username={role}")).arg(format!("--dbname={database}"));
    psql.env("PGPASSWORD", password).env("PGCONNECT_TIMEOUT", "5");
    psql.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = psql.spawn().context("psql can't be run")?;
    if let Some(mut input) = child.stdin.take() {
        // It fails if psql has ended early; the message of psql says why.
        let _ = input.write_all(script.as_bytes());
    }
    let output = child.wait_with_output().context("psql")?;
    if !output.status.success() {
        bail!("psql failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn program(name: &str) -> Result<std::path::PathBuf> {
    programs::postgres(name).with_context(|| format!("{name} of PostgreSQL is not installed"))
}
