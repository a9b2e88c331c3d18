//! Redis, twice: the cache may lose everything at any time, the intake nothing that it has acknowledged.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::place::write_private;
use super::site::{PATIENCE, Site};
use super::state::TESTS;
use super::{Engine, probe, programs};

/// Kept in memory only, and the oldest goes when it is full.
const CACHE: &str = "save \"\"\nappendonly no\nmaxmemory 256mb\nmaxmemory-policy allkeys-lru\n";
/// On disk before it is acknowledged; full means refused, never forgotten.
const INTAKE: &str = "save \"\"\nappendonly yes\nappendfsync always\nmaxmemory-policy noeviction\n";

/// Starts the cache.
pub fn start_cache(engine: &Engine, site: &Site) -> Result<()> {
    start(engine, site, CACHE)
}

/// Starts the intake.
pub fn start_intake(engine: &Engine, site: &Site) -> Result<()> {
    start(engine, site, INTAKE)
}

fn start(engine: &Engine, site: &Site, keeping: &str) -> Result<()> {
    let folder = site.place.folder(engine.name)?;
    let port = site.state.port(engine.name);
    let (users, file) = (folder.join("users.acl"), folder.join("redis.conf"));
    write_private(&users, &acl(site.state.password("users"), site.state.password(TESTS)))?;
    write_private(&file, &configuration(port, &folder, &users, keeping))?;
    let mut server = Command::new(programs::find("redis-server").context("redis-server is not installed")?);
    server.arg(&file).current_dir(&folder);
    site.runner.spawn(engine.name, server)?;
    let password = site.state.password(TESTS);
    site.runner.wait_ready(engine.name, PATIENCE, || probe::redis(port, TESTS, password))
}

fn configuration(port: u16, folder: &Path, users: &Path, keeping: &str) -> String {
    format!(
        "bind 127.0.0.1\nport {port}\ndir \"{}\"\naclfile \"{}\"\ndaemonize no\nmaxclients 2000\n{keeping}",
        folder.display(),
        users.display()
    )
}

/// Nobody gets in without a name. The service touches only keys of its own, and none of the commands that are
/// for whoever runs the server; except that it may have the server's file rewritten, once somebody was
/// erased.
fn acl(service: &str, tests: &str) -> String {
    format!(
        "user default off\nuser users on >{service} ~users:* &users:* +@all -@admin -@dangerous +info +bgrewriteaof\nuser {TESTS} on >{tests} ~* &* +@all\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_enters_redis_without_a_name_and_the_service_has_its_own_keys() {
        let acl = acl("one", "two");
        assert!(acl.starts_with("user default off\n"));
        assert!(acl.contains("user users on >one ~users:* "), "{acl}");
    }

    #[test]
    fn the_intake_is_on_disk_before_it_answers_and_the_cache_never_is() {
        let of = |keeping| configuration(1, Path::new("/d"), Path::new("/d/users.acl"), keeping);
        assert!(of(INTAKE).contains("appendfsync always"));
        assert!(of(CACHE).contains("appendonly no"));
    }
}
