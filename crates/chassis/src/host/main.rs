use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use figment::value::Dict;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::run::{Host, Internal};
use super::service::Service;
use super::signals::stop_signal;
use crate::config::{self, Settings};
use crate::files::keep_files_private;
use crate::net::Surroundings;
use crate::observe::{finish_output, print_error, say, telemetry};
use crate::work::spawn;

#[derive(Parser)]
#[command(version, about = "A service of the news portal, in a process of its own.")]
struct Flags {
    /// A configuration file in TOML, which overrides the built-in defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints the effective configuration with secrets as *** and exits.
    #[arg(long)]
    check_config: bool,
    /// The address on which HTTP is served. It overrides the configuration.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// Runs a service binary: reads flags and configuration, builds the service, and serves it until the process
/// is asked to stop.
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

/// Prints why a process ends, for a person.
pub fn failed(name: &str, error: &anyhow::Error) -> ExitCode {
    print_error(format!("{name}: {error:#}"));
    ExitCode::FAILURE
}

/// Prepares a process: installs the TLS provider of all clients, asks for small memory pages, and for as many
/// file descriptors as it may have.
pub fn prepare() {
    // A second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The allocator asks for pages of 2 MiB, and an idle service would hold dozens of them for a few
    // kilobytes each. A system without this option goes on without it.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // The soft limit is for programs that can't handle high numbers. The rest up to the hard limit is for
    // connections. If the system refuses, the limit stays as it is.
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
    keep_files_private();
    let mut over = Dict::new();
    if let Some(listen) = flags.listen {
        over.insert("process".to_owned(), Dict::from([("listen".to_owned(), listen.into())]).into());
    }
    let prefix = name.replace('-', "_").to_ascii_uppercase();
    let loaded = config::load::<C>(&prefix, flags.config.as_deref(), over)?;
    if flags.check_config {
        say(format_args!("# {name}, configuration {}\n{}", loaded.fingerprint, loaded.effective));
        return Ok(finish_output()?);
    }
    let _log = telemetry::start(name, &loaded.process.log, loaded.process.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let signal = stop.clone();
        spawn("process.signals", async move {
            stop_signal().await;
            signal.cancel();
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
            // A gateway in front of a single service hides what is for operators.
            internal: Internal::Shared,
        };
        host.run(http, router, grpc, stop, |_| ()).await
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn a_process_raises_its_limit_of_descriptors_to_the_hard_one() {
        let mut fewer = getrlimit(Resource::Nofile);
        fewer.current = fewer.maximum.map_or(Some(1_024), |most| Some(most - 1));
        setrlimit(Resource::Nofile, fewer).expect("a process may take less");
        prepare();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
