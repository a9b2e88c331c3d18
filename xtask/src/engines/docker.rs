//! The engines as containers, from the images that docker-compose.yml names. MongoDB is the real one here.
//!
//! Later commands find the containers by two labels. Each container keeps its data in a volume of its own,
//! which is deleted when the container is stopped.

use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::place::Place;
use super::process::pause;
use super::site::{PATIENCE, Site, shared_text};
use super::state::{OWNER, State, TESTS};
use super::{postgres, probe, programs};
use crate::step::seconds;

/// An engine in a container.
struct Container {
    name: &'static str,
    /// The name of the image in docker-compose.yml, which pins its version.
    image: &'static str,
    /// The ports inside the container, each with its name in `state.json`.
    ports: &'static [(u16, &'static str)],
    environment: fn(&State) -> Vec<(&'static str, String)>,
    arguments: fn(&State) -> Vec<String>,
    ready: fn(&Site) -> bool,
}

const CONTAINERS: [Container; 6] = [
    Container {
        name: "postgres",
        image: "postgres",
        ports: &[(5432, "postgres")],
        environment: |state| vec![("POSTGRES_PASSWORD", state.password(OWNER).to_owned())],
        arguments: |_| words("-c max_connections=400"),
        ready: |site| psql(site, "select 1;\n").is_ok(),
    },
    Container {
        name: "redis-cache",
        image: "redis",
        ports: &[(6379, "redis-cache")],
        environment: |_| Vec::new(),
        arguments: |state| redis(state, "--appendonly no --maxmemory 256mb --maxmemory-policy allkeys-lru"),
        ready: |site| probe::redis(site.state.port("redis-cache"), TESTS, site.state.password(TESTS)),
    },
    Container {
        name: "redis-intake",
        image: "redis",
        ports: &[(6379, "redis-intake")],
        environment: |_| Vec::new(),
        arguments: |state| {
            redis(state, "--appendonly yes --appendfsync always --maxmemory-policy noeviction")
        },
        ready: |site| probe::redis(site.state.port("redis-intake"), TESTS, site.state.password(TESTS)),
    },
    Container {
        name: "rabbitmq",
        image: "rabbitmq",
        ports: &[(5672, "amqp"), (15672, "amqp-management")],
        environment: |state| {
            vec![
                ("RABBITMQ_DEFAULT_USER", TESTS.to_owned()),
                ("RABBITMQ_DEFAULT_PASS", state.password(TESTS).to_owned()),
                ("RABBITMQ_DEFAULT_VHOST", TESTS.to_owned()),
            ]
        },
        arguments: |_| Vec::new(),
        ready: |site| {
            let (path, user) = (format!("/api/vhosts/{TESTS}"), (TESTS, site.state.password(TESTS)));
            probe::amqp(site.state.port("amqp"))
                && probe::http(site.state.port("amqp-management"), &path, Some(user)) == Some(200)
        },
    },
    Container {
        name: "mongodb",
        image: "mongo",
        ports: &[(27017, "mongodb")],
        environment: |state| {
            vec![
                ("MONGO_INITDB_ROOT_USERNAME", TESTS.to_owned()),
                ("MONGO_INITDB_ROOT_PASSWORD", state.password(TESTS).to_owned()),
            ]
        },
        arguments: |_| words("--wiredTigerCacheSizeGB 0.25"),
        // The published port accepts connections from the start, but the server listens on it only after its
        // preparation.
        ready: |site| exec(site, "mongodb", &["sh", "-c", MONGO_ANSWERS], "").is_ok(),
    },
    Container {
        name: "neo4j",
        image: "neo4j",
        ports: &[(7687, "bolt")],
        environment: |state| {
            vec![
                ("NEO4J_AUTH", format!("neo4j/{}", state.password(OWNER))),
                ("NEO4J_server_bolt_advertised__address", format!("127.0.0.1:{}", state.port("bolt"))),
                ("NEO4J_server_memory_pagecache_size", "128m".to_owned()),
            ]
        },
        arguments: |_| Vec::new(),
        ready: |site| probe::bolt(site.state.port("bolt")),
    },
];

const MONGO_ANSWERS: &str = "mongosh --quiet --host \"$HOSTNAME\" --username \"$MONGO_INITDB_ROOT_USERNAME\" \
                             --password \"$MONGO_INITDB_ROOT_PASSWORD\" --eval 'db.adminCommand(\"ping\").ok' | grep -q 1";

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn redis(state: &State, persistence: &str) -> Vec<String> {
    let users = format!("--user default off --user {TESTS} on >{} ~* &* +@all", state.password(TESTS));
    [words("redis-server --save"), vec![String::new()], words(persistence), words(&users)].concat()
}

/// Returns true if the engines of this place are containers.
pub fn is_used(place: &Place) -> bool {
    place.join("containers").exists()
}

/// Starts the containers that don't run, and returns when all of them answer.
pub fn up(place: Place) -> Result<Site> {
    let docker =
        programs::find("docker").context("there is no container engine: `docker` is not installed")?;
    let answers = Command::new(docker).arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
    ensure!(
        answers.is_ok_and(|status| status.success()),
        "the container engine does not answer: `docker info` shows the reason"
    );
    let running = place.runner()?.all_running();
    ensure!(
        running.is_empty(),
        "the engines already run as programs of this system: run `cargo xtask engines down` first"
    );
    let site = match Site::existing()? {
        Some(site) if !self::running(&place)?.is_empty() => site,
        _ => Site::complete(place)?,
    };
    std::fs::write(site.place.join("containers"), "").context("the folder of the engines")?;
    let compose = shared_text("docker-compose.yml")?;
    let here = self::running(&site.place)?;
    say!("containers: starting, after downloading the images that are missing");
    let start = Instant::now();
    for container in CONTAINERS.iter().filter(|container| !here.iter().any(|name| name == container.name)) {
        docker_run(&run(container, &site, &compose)?, "")?;
    }
    for container in &CONTAINERS {
        while !(container.ready)(&site) {
            ensure!(
                start.elapsed() < PATIENCE,
                "{} was not ready within {} s; `docker ps` and `docker logs` show why",
                container.name,
                PATIENCE.as_secs()
            );
            pause(std::time::Duration::from_millis(200));
        }
        say!("{:<14}up     {:>7}", container.name, seconds(start.elapsed()));
    }
    psql(&site, &postgres::tests_script(&site)?)?;
    say!("engines: up after {}, in containers", seconds(start.elapsed()));
    Ok(site)
}

/// Returns the arguments of `docker` that start a container.
fn run(container: &Container, site: &Site, compose: &str) -> Result<Vec<String>> {
    let mut run = words("run --detach --init");
    run.extend(["--label".to_owned(), label(&site.place), "--label".to_owned(), engine(container.name)]);
    for (inside, name) in container.ports {
        run.extend(["--publish".to_owned(), format!("127.0.0.1:{}:{inside}", site.state.port(name))]);
    }
    for (name, value) in (container.environment)(&site.state) {
        run.extend(["--env".to_owned(), format!("{name}={value}")]);
    }
    run.push(image(compose, container.image)?);
    run.extend((container.arguments)(&site.state));
    Ok(run)
}

/// Returns `postgres:17` for the first line `image: postgres:17`.
fn image(compose: &str, name: &str) -> Result<String> {
    let images = compose.lines().filter_map(|line| line.trim().strip_prefix("image: "));
    let found = images.map(str::trim).find(|image| image.split(':').next() == Some(name));
    found.map(str::to_owned).with_context(|| format!("docker-compose.yml has no image {name}"))
}

fn label(place: &Place) -> String {
    format!("portal.engines={}", place.join("").display())
}

fn engine(name: &str) -> String {
    format!("portal.engine={name}")
}

/// Returns the names of the running containers.
pub fn running(place: &Place) -> Result<Vec<String>> {
    let filter = format!("label={}", label(place));
    let format = "{{.Label \"portal.engine\"}}".to_owned();
    let list = [words("ps --filter"), vec![filter, "--format".to_owned(), format]].concat();
    Ok(docker_run(&list, "")?.lines().map(str::to_owned).collect())
}

/// Removes the containers that `up` started, and their data.
pub fn down(place: &Place) -> Result<()> {
    if !is_used(place) {
        return Ok(());
    }
    let filter = format!("label={}", label(place));
    let ids = docker_run(&[words("ps --all --quiet --filter"), vec![filter]].concat(), "")?;
    let ids: Vec<_> = ids.split_whitespace().map(str::to_owned).collect();
    if !ids.is_empty() {
        docker_run(&[words("rm --force --volumes"), ids].concat(), "")?;
    }
    std::fs::remove_file(place.join("containers")).context("the folder of the engines")
}

fn psql(site: &Site, script: &str) -> Result<()> {
    exec(
        site,
        "postgres",
        &["psql", "--no-psqlrc", "--quiet", "--host=127.0.0.1", "--username=postgres"],
        script,
    )
}

/// Runs a command in a container.
fn exec(site: &Site, name: &str, command: &[&str], input: &str) -> Result<()> {
    let filters = [format!("label={}", label(&site.place)), format!("label={}", engine(name))];
    let list =
        [words("ps --quiet --filter"), vec![filters[0].clone(), "--filter".to_owned(), filters[1].clone()]];
    let id = docker_run(&list.concat(), "")?;
    let password = format!("PGPASSWORD={}", site.state.password(OWNER));
    let exec = [words("exec --interactive --env"), vec![password, id.trim().to_owned()]].concat();
    let exec: Vec<_> = exec.into_iter().chain(command.iter().map(|word| (*word).to_owned())).collect();
    docker_run(&exec, input).map(drop)
}

fn docker_run(arguments: &[String], input: &str) -> Result<String> {
    let mut docker = Command::new(programs::find("docker").context("`docker` is not installed")?);
    docker.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = docker.spawn().context("docker can't be run")?;
    if let Some(mut standard_input) = child.stdin.take() {
        // It fails if docker has ended early; the message of docker says why.
        let _ = std::io::Write::write_all(&mut standard_input, input.as_bytes());
    }
    let Output { status, stdout, stderr } = child.wait_with_output().context("docker")?;
    if !status.success() {
        let what = arguments.first().map(String::as_str).unwrap_or_default();
        bail!("`docker {what}` failed:\n{}", String::from_utf8_lossy(&stderr));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_has_an_image_of_a_pinned_version_in_the_compose_file() {
        let compose = shared_text("docker-compose.yml").expect("is there");
        for container in &CONTAINERS {
            let image = image(&compose, container.image).expect(container.name);
            assert!(image.split_once(':').is_some_and(|(_, version)| version != "latest"), "{image}");
        }
        assert!(image(&compose, "oracle").is_err());
    }

    #[test]
    fn containers_publish_on_the_loopback_address_only_and_are_found_by_their_labels() {
        let mut state = State::default();
        state.complete(|_, _| true).expect("ports are free");
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::at(folder.path()).expect("a place");
        let site = Site { runner: place.runner().expect("a runner"), place, state };
        for container in &CONTAINERS {
            let run = run(container, &site, &shared_text("docker-compose.yml").expect("is there"))
                .expect("is known");
            let published: Vec<_> =
                run.windows(2).filter(|pair| pair[0] == "--publish").map(|pair| pair[1].clone()).collect();
            assert_eq!(published.len(), container.ports.len(), "{}", container.name);
            assert!(published.iter().all(|port| port.starts_with("127.0.0.1:")), "{published:?}");
            assert!(run.contains(&engine(container.name)) && run.contains(&label(&site.place)));
        }
    }
}
