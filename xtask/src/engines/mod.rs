//! `cargo xtask engines`: the real servers that the adapters are tested against, private to this checkout.

mod account;
#[cfg(test)]
mod credentials;
mod docker;
pub mod env;
mod ferretdb;
mod install;
mod neo4j;
pub mod place;
mod postgres;
pub mod probe;
pub mod process;
pub mod programs;
mod rabbitmq;
mod redis;
pub mod site;
pub mod state;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::step::seconds;
use place::Place;
use process::Runner;
use site::Site;

pub use rabbitmq::VHOST;

/// One server.
#[derive(Debug)]
pub struct Engine {
    /// Its name, also of its folder and its log.
    pub name: &'static str,
    /// The ports it listens on.
    pub ports: &'static [&'static str],
    /// The chain of engines that wait for one another. The engines of a chain start in the order of
    /// `ENGINES`.
    chain: &'static str,
    /// The signal that stops it in order.
    stop_signal: Signal,
    start: fn(&Engine, &Site) -> Result<()>,
    /// Work that `up` does if the engine already runs, because the files that it depends on may have changed.
    refresh: fn(&Site) -> Result<()>,
}

/// All engines, within a chain in the order of their start. The chains start in parallel.
pub const ENGINES: [Engine; 7] = [
    Engine {
        name: "postgres",
        ports: &["postgres"],
        chain: "sql",
        stop_signal: Signal::INT, // "fast" shutdown: does not wait for clients
        start: postgres::start,
        refresh: postgres::create_roles,
    },
    Engine {
        name: "ferretdb",
        ports: &["mongodb"],
        chain: "sql",
        stop_signal: Signal::TERM,
        start: ferretdb::start,
        refresh: nothing,
    },
    Engine {
        name: "redis-cache",
        ports: &["redis-cache"],
        chain: "redis",
        stop_signal: Signal::TERM,
        start: redis::start_cache,
        refresh: nothing,
    },
    Engine {
        name: "redis-intake",
        ports: &["redis-intake"],
        chain: "redis",
        stop_signal: Signal::TERM,
        start: redis::start_intake,
        refresh: nothing,
    },
    Engine {
        name: "epmd",
        ports: &["epmd"],
        chain: "broker",
        stop_signal: Signal::TERM,
        start: rabbitmq::start_epmd,
        refresh: nothing,
    },
    Engine {
        name: "rabbitmq",
        ports: &["amqp", "amqp-management", "erlang"],
        chain: "broker",
        stop_signal: Signal::TERM,
        start: rabbitmq::start,
        refresh: nothing,
    },
    Engine {
        name: "neo4j",
        ports: &["bolt"],
        chain: "graph",
        stop_signal: Signal::TERM,
        start: neo4j::start,
        refresh: nothing,
    },
];

fn nothing(_: &Site) -> Result<()> {
    Ok(())
}

const CHAINS: [&str; 4] = ["graph", "broker", "sql", "redis"];

/// Start, stop and show private servers for the tests and the fleet.
///
/// PostgreSQL, two Redis servers, RabbitMQ, FerretDB (instead of MongoDB) and Neo4j, on free ports of the
/// loopback address, with their data in target/engines. nginx is only checked for. Missing programs are
/// listed and then installed.
#[derive(Debug, clap::Args)]
pub struct Engines {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Start the engines that don't run; install and build missing programs first
    Up(How),
    /// Stop the engines that `up` started, and nothing else; the data stays
    Down {
        /// Remove the data as well
        #[arg(long)]
        wipe: bool,
    },
    /// Show which engines run, and their ports
    Status,
    /// Print the variables by which the tests find the engines: eval "$(cargo xtask engines env)"
    Env,
    /// Kill one engine, like a crash (SIGKILL)
    Kill {
        /// Its name, as `status` shows it
        engine: String,
    },
    /// Start one engine again on its data, and return when it answers
    Start {
        /// Its name, as `status` shows it
        engine: String,
    },
}

/// The options of a start.
#[derive(Debug, Default, clap::Args)]
pub struct How {
    /// Install without asking
    #[arg(long)]
    pub yes: bool,
    /// Use the images of docker-compose.yml instead of programs of this system
    #[arg(long)]
    pub docker: bool,
}

impl Engines {
    /// Runs the chosen command.
    pub fn run(self) -> Result<ExitCode> {
        match self.action {
            Action::Up(how) => {
                up(&how, true)?;
            }
            Action::Down { wipe: false } => down(&[])?,
            Action::Down { wipe: true } => {
                down(&[])?;
                wipe()?;
            }
            Action::Status => return status(),
            Action::Env => return print_variables(),
            Action::Kill { engine } => kill(&engine)?,
            Action::Start { engine } => start(&engine)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Starts the engines that don't run, in parallel, and returns when all are ready. `for_tests` also installs
/// the tools of the tests.
pub fn up(how: &How, for_tests: bool) -> Result<Site> {
    let place = Place::find()?;
    let _lock = place.lock()?;
    if how.docker {
        return docker::up(place);
    }
    ensure!(
        !docker::is_used(&place),
        "the engines already run in containers: run `cargo xtask engines down` first"
    );
    install::ensure(&place, how.yes, for_tests)?;
    let start = Instant::now();
    let site = Site::complete(place)?;
    say!("engines: in {}", site.place.join("").display());
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let chains = CHAINS.map(|chain| scope.spawn(|| start_chain(chain, &site)));
        chains.into_iter().map(|thread| thread.join().expect("starting an engine doesn't panic")).collect()
    });
    let failures: Vec<_> =
        results.iter().filter_map(|it| it.as_ref().err()).map(|it| format!("{it:#}")).collect();
    if !failures.is_empty() {
        bail!("{}\nThe other engines still run: `cargo xtask engines down` stops them.", failures.join("\n"));
    }
    say!("engines: up after {}", seconds(start.elapsed()));
    Ok(site)
}

fn start_chain(chain: &str, site: &Site) -> Result<()> {
    let mut chained = ENGINES.iter().filter(|engine| engine.chain == chain);
    chained.try_for_each(|engine| start_one(engine, site))
}

fn start_one(engine: &Engine, site: &Site) -> Result<()> {
    let start = Instant::now();
    if site.runner.running(engine.name).is_some() {
        (engine.refresh)(site)?;
        say!("{:<14}already runs", engine.name);
        return Ok(());
    }
    (engine.start)(engine, site)?;
    say!("{:<14}up     {:>7}", engine.name, seconds(start.elapsed()));
    Ok(())
}

/// Returns the names of the running engines.
pub fn running() -> Result<Vec<String>> {
    let place = Place::find()?;
    if docker::is_used(&place) { docker::running(&place) } else { Ok(place.runner()?.all_running()) }
}

/// Stops everything that `up` started, except for the engines in `keep`.
pub fn down(keep: &[String]) -> Result<()> {
    let place = Place::find()?;
    let _lock = place.lock()?;
    if keep.is_empty() {
        docker::down(&place)?;
    }
    let start = Instant::now();
    match stop_all(&place.runner()?, keep) {
        0 => say!("engines: nothing to stop"),
        _ => say!("engines: down after {}", seconds(start.elapsed())),
    }
    Ok(())
}

/// Removes the folder of the engines if it is outside the checkout and nothing runs in it. For build servers,
/// which delete the checkout afterwards.
pub fn clear_outside() -> Result<()> {
    if running()?.is_empty() { Place::find()?.clear_outside() } else { Ok(()) }
}

/// Removes the data of engines that don't run.
fn wipe() -> Result<()> {
    let place = Place::find()?;
    let _lock = place.lock()?;
    site::wipe(&place)
}

/// Stops the engines, the chains in parallel and each from its end. Returns how many were stopped.
fn stop_all(runner: &Runner, keep: &[String]) -> usize {
    std::thread::scope(|scope| {
        let chains = CHAINS.map(|chain| scope.spawn(move || stop_chain(chain, runner, keep)));
        chains.into_iter().map(|thread| thread.join().expect("stopping an engine doesn't panic")).sum()
    })
}

fn stop_chain(chain: &str, runner: &Runner, keep: &[String]) -> usize {
    let chained = ENGINES.iter().rev().filter(|engine| engine.chain == chain);
    let chained = chained.filter(|engine| !keep.iter().any(|name| name == engine.name));
    let stopped = chained.filter(|engine| {
        let start = Instant::now();
        let ran = runner.stop(engine.name, engine.stop_signal, Duration::from_secs(20));
        if ran {
            say!("{:<14}down   {:>7}", engine.name, seconds(start.elapsed()));
        }
        ran
    });
    stopped.count()
}

fn status() -> Result<ExitCode> {
    let Some(site) = Site::existing()? else {
        say!("engines: never started here; `cargo xtask engines up` starts them");
        return Ok(ExitCode::FAILURE);
    };
    if docker::is_used(&site.place) {
        let running = docker::running(&site.place)?;
        say!("in containers: {}", running.join(", "));
        return Ok(if running.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let mut all = true;
    for engine in &ENGINES {
        let ports: Vec<_> =
            engine.ports.iter().map(|name| format!("{name} 127.0.0.1:{}", site.state.port(name))).collect();
        let state = match site.runner.running(engine.name) {
            Some(pid) => format!("runs   {pid:>8}  {}", ports.join("  ")),
            None => "down".to_owned(),
        };
        all &= state != "down";
        say!("{:<14}{state}", engine.name);
    }
    say!("logs: {}", site.place.join("log").display());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_variables() -> Result<ExitCode> {
    let Some(site) = Site::existing()? else {
        bail!("the engines were never started here: run `cargo xtask engines up`")
    };
    let running = running()?;
    ensure!(!running.is_empty(), "the engines are down: `cargo xtask engines up` starts them");
    let down = ENGINES.iter().map(|engine| engine.name).filter(|name| !running.iter().any(|it| it == name));
    let down: Vec<_> = down.filter(|_| !docker::is_used(&site.place)).collect();
    ensure!(
        down.is_empty(),
        "these engines do not run: {}; `cargo xtask engines up` starts them",
        down.join(", ")
    );
    for (name, value) in env::variables(&site) {
        say!("{}", env::line(name, &value));
    }
    Ok(ExitCode::SUCCESS)
}

fn named(name: &str) -> Result<&'static Engine> {
    let names: Vec<_> = ENGINES.iter().map(|engine| engine.name).collect();
    let found = ENGINES.iter().find(|engine| engine.name == name);
    found.with_context(|| format!("there is no engine `{name}`; the engines are {}", names.join(", ")))
}

fn start(name: &str) -> Result<()> {
    let engine = named(name)?;
    let Some(site) = Site::existing()? else {
        bail!("the engines were never started here: run `cargo xtask engines up`")
    };
    let _lock = site.place.lock()?;
    ensure!(
        !docker::is_used(&site.place),
        "the engines run in containers: use docker compose to start one of them"
    );
    start_one(engine, &site)
}

fn kill(name: &str) -> Result<()> {
    let ran = Place::find()?.runner()?.kill(named(name)?.name);
    say!("{name}: {}", if ran { "killed" } else { "was not running" });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_belongs_to_one_engine_and_every_engine_to_a_chain() {
        for port in state::PORTS {
            assert_eq!(ENGINES.iter().filter(|engine| engine.ports.contains(&port)).count(), 1, "{port}");
        }
        assert!(ENGINES.iter().all(|engine| CHAINS.contains(&engine.chain)));
    }
}
