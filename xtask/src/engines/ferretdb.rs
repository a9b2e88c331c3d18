//! FerretDB: MongoDB's protocol over PostgreSQL.

use std::process::Command;

use anyhow::{Result, ensure};

use super::site::{PATIENCE, Site};
use super::state::FERRETDB;
use super::{Engine, install, probe};

/// Starts the server; PostgreSQL runs already.
pub fn start(engine: &Engine, site: &Site) -> Result<()> {
    let program = install::ferretdb_program(&site.place);
    ensure!(program.is_file(), "FerretDB is not built");
    let port = site.state.port("mongodb");
    let mut server = Command::new(program);
    server.current_dir(site.place.folder(engine.name)?).env("FERRETDB_LISTEN", format!("127.0.0.1:{port}"));
    // Each client gets a pool of its own, with its own role.
    let database = format!(
        "postgres://127.0.0.1:{}/{FERRETDB}?sslmode=disable&pool_max_conns=20",
        site.state.port("postgres")
    );
    server.env("FERRETDB_POSTGRESQL_URL", database);
    server.env("FERRETDB_USER", FERRETDB).env("FERRETDB_PASSWORD", site.state.password(FERRETDB));
    site.runner.spawn(engine.name, server)?;
    site.runner.wait_ready(engine.name, PATIENCE, || probe::accepts(port))
}
