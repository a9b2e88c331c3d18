//! Two Redis servers: the cache may lose everything at any time, the intake loses nothing that it has
//! acknowledged.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::place::write_private;
use super::site::{PATIENCE, Site};
use super::state::TESTS;
use super::{Engine, probe, programs};

/// In memory only. When it is full, the keys that were not used for longest are evicted.
const CACHE: &str = "save \"\"\nappendonly no\nmaxmemory 256mb\nmaxmemory-policy allkeys-lru\n";
/// On disk before it is acknowledged. When it is full, it refuses writes and evicts nothing.
const INTAKE: &str = "save \"\"\nappendonly yes\nappendfsync always\nmaxmemory-policy noeviction\n";

/// Starts the cache.
pub fn start_cache(engine: &Engine, site: &Site) -> Result<()> {
    start(engine, site, CACHE)
}

/// Starts the intake.
pub fn start_intake(engine: &Engine, site: &Site) -> Result<()> {
    start(engine, site, INTAKE)
}

fn start(engine: &Engine, site: &Site, persistence: &str) -> Result<()> {
    let folder = site.place.folder(engine.name)?;
    let port = site.state.port(engine.name);
    let (users, file) = (folder.join("users.acl"), folder.join("redis.conf"));
    write_private(&users, &acl(site.state.password("users"), site.state.password(TESTS)))?;
    write_private(&file, &configuration(port, &folder, &users, persistence))?;
    let mut server = Command::new(programs::find("redis-server").context("redis-server is not installed")?);
    server.arg(&file).current_dir(&folder);
    site.runner.spawn(engine.name, server)?;
    let password = site.state.password(TESTS);
    site.runner.wait_ready(engine.name, PATIENCE, || probe::redis(port, TESTS, password))
}

fn configuration(port: u16, folder: &Path, users: &Path, persistence: &str) -> String {
    format!(
        "bind 127.0.0.1\nport {port}\ndir \"{}\"\naclfile \"{}\"\ndaemonize no\nmaxclients 2000\n{persistence}",
        folder.display(),
        users.display()
    )
}

/// Returns the users. Anonymous clients are refused. The service may use its own keys only, and no
/// administrative command, except for one: it may rewrite the file of the server after an erasure.
fn acl(service: &str, tests: &str) -> String {
    format!(
        "user default off\nuser users on >{service} ~users:* &users:* +@all -@admin -@dangerous +info +bgrewriteaof\nuser {TESTS} on >{tests} ~* &* +@all\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_clients_are_refused_and_the_service_has_its_own_keys() {
        let acl = acl("one", "two");
        assert!(acl.starts_with("user default off\n"));
        assert!(acl.contains("user users on >one ~users:* "), "{acl}");
    }

    #[test]
    fn the_intake_is_on_disk_before_it_answers_and_the_cache_never_is() {
        let of = |persistence| configuration(1, Path::new("/d"), Path::new("/d/users.acl"), persistence);
        assert!(of(INTAKE).contains("appendfsync always"));
        assert!(of(CACHE).contains("appendonly no"));
    }
}
