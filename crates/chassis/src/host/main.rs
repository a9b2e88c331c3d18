use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use figment::value::Dict;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::run::{Host, Internal};
use super::service::Service;
use super::signals::asked_to_stop;
use crate::config::{self, Settings};
use crate::observe::{complain, said, say};
use crate::{Surroundings, spawn, telemetry};

#[derive(Parser)]
#[command(version, about = "A service of the news portal, in a process of its own.")]
struct Flags {
    /// A configuration file in TOML, over the built-in defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints the effective configuration, secrets as ***, and ends.
    #[arg(long)]
    check_config: bool,
    /// Where HTTP is served, over what the configuration says.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// The whole of a service binary: reads flags and configuration, builds the service, serves it until it is asked to stop.
pub fn main<C, F>(name: &'static str, build: impl FnOnce(C, Surroundings) -> F) -> ExitCode
where
    C: Settings,
    F: Future<Output = anyhow::Result<Service>>,
{
    match run(name, Flags::parse(), build) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(name, &error),
    }
}

/// Says why a process ends, to a person.
pub fn failed(name: &str, error: &anyhow::Error) -> ExitCode {
    complain(format!("{name}: {error:#}"));
    ExitCode::FAILURE
}

/// What every process does first: it takes the one TLS provider that every client uses, small pages of memory, and as many
/// descriptors as it may have.
pub fn prepare() {
    // A second call finds it installed, which is what was wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The allocator asks for pages of 2 MiB, and a service at rest would hold dozens of them for a few kilobytes each. A system that
    // does not know the wish goes on without.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // The soft limit is for programs that can't deal with high numbers; what is left of the hard one is for connections. A system that
    // refuses leaves the process with what it has.
    let mut descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    descriptors.current = descriptors.maximum;
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, descriptors);
}

fn run<C, F>(name: &'static str, flags: Flags, build: impl FnOnce(C, Surroundings) -> F) -> anyhow::Result<()>
where
    C: Settings,
    F: Future<Output = anyhow::Result<Service>>,
{
    prepare();
    crate::keep_files_private();
    let mut over = Dict::new();
    if let Some(listen) = flags.listen {
        over.insert("process".to_owned(), Dict::from([("listen".to_owned(), listen.into())]).into());
    }
    let prefix = name.replace('-', "_").to_ascii_uppercase();
    let loaded = config::load::<C>(&prefix, flags.config.as_deref(), over)?;
    if flags.check_config {
        say(format_args!("# {name}, configuration {}\n{}", loaded.fingerprint, loaded.effective));
        return Ok(said()?);
    }
    let _log = telemetry::start(name, &loaded.process)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let asked = stop.clone();
        spawn("process.signals", async move {
            asked_to_stop().await;
            asked.cancel();
        });
        let Some(built) = stop.run_until_cancelled(build(loaded.service, Surroundings::alone())).await else {
            return Ok(());
        };
        let service = built?;
        let router = service.http.clone();
        let http = TcpListener::bind(&loaded.process.listen).await?;
        let grpc = match &service.grpc {
            Some(_) => Some(TcpListener::bind(&loaded.process.grpc_listen).await?),
            None => None,
        };
        let host = Host {
            name,
            services: vec![service],
            process: loaded.process,
            fingerprint: loaded.fingerprint,
            // A service alone stands behind the gateway, which closes what is for operators.
            internal: Internal::Beside,
        };
        host.run(http, router, grpc, stop, |_| ()).await
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn a_process_takes_as_many_descriptors_as_it_may_have() {
        let mut fewer = getrlimit(Resource::Nofile);
        fewer.current = fewer.maximum.map_or(Some(1_024), |most| Some(most - 1));
        setrlimit(Resource::Nofile, fewer).expect("a process may take less");
        prepare();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
