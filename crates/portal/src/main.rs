//! The command line of the portal.

use std::path::PathBuf;
use std::process::ExitCode;

use chassis::{failed, prepare, print, said, say};
use clap::{Args, Parser, Subcommand};
use portal::config::{self, Serving};
use portal::{admin, asyncapi, documents, healthcheck, metrics, openapi, replay, robot, run, seed, verify};

/// A news portal: accounts, news of three sections, recommendations.
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Serving,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the whole portal in this process (also without a subcommand).
    Run(Serving),
    /// Prints the effective configuration, secrets as ***, or every fault of it.
    CheckConfig(Serving),
    /// Prints the OpenAPI document of the whole gateway, as nginx serves it.
    Openapi,
    /// Prints the AsyncAPI document of the bus, as the portal and nginx serve it.
    Asyncapi,
    /// Prints what every process counts, as docs/metrics.md keeps it.
    Metrics,
    /// Writes every document that nginx serves into a folder: those of the API and of the bus, the page to try the API from, and
    /// the pages of problems.
    Documents(Folder),
    /// Asks a running portal or service whether it is ready.
    Healthcheck(Url),
    /// Builds what readers see anew from the events, while no portal runs.
    Replay(replay::Flags),
    /// Proves that every version that is there is what was written and none is missing between two, and names the articles where that is
    /// not so, while no portal runs; of servers at any time.
    VerifyHistory(verify::Flags),
    /// Fills the portal with believable articles, people and readings, while no portal runs.
    Seed(seed::Flags),
    /// Makes admins.
    #[command(subcommand)]
    Admin(admin::Command),
    /// Plays the original's end-to-end story against a running portal.
    Robot(robot::Flags),
}

#[derive(Args)]
struct Folder {
    /// Where they are written; `nginx/html` in the sources.
    folder: PathBuf,
}

#[derive(Args)]
struct Url {
    /// Its address, as http://127.0.0.1:8080.
    url: String,
}

fn main() -> ExitCode {
    prepare();
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Run(cli.run));
    // What is written for a web server to show must be readable; everything else is for the owner alone.
    if !matches!(command, Command::Documents(_)) {
        chassis::keep_files_private();
    }
    match act(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("portal", &error),
    }
}

fn act(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        // What it writes is lost if it can't be written: this command runs on.
        Command::Run(flags) => return runtime.block_on(run::run(&flags)),
        Command::CheckConfig(flags) => {
            let loaded = config::load_serving(&flags, None)?;
            say(format_args!("# portal, configuration {}\n{}", loaded.fingerprint, loaded.effective));
        }
        Command::Openapi => say(runtime.block_on(openapi::document())?.to_pretty_json()?),
        Command::Metrics => print(metrics::document()),
        Command::Asyncapi => print(runtime.block_on(asyncapi::document())?),
        Command::Documents(Folder { folder }) => {
            let (api, bus) = runtime.block_on(async {
                Ok::<_, anyhow::Error>((openapi::document().await?, asyncapi::document().await?))
            })?;
            documents::write(&documents::all(&api, &bus)?, &folder)?;
        }
        Command::Healthcheck(Url { url }) => runtime.block_on(healthcheck::check(&url))?,
        Command::Replay(flags) => runtime.block_on(replay::replay(&flags))?,
        Command::VerifyHistory(flags) => runtime.block_on(verify::verify(&flags))?,
        Command::Seed(flags) => runtime.block_on(seed::seed(&flags))?,
        Command::Admin(command) => runtime.block_on(admin::admin(&command))?,
        Command::Robot(flags) => runtime.block_on(robot::play(&flags))?,
    }
    Ok(said()?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn only_a_command_that_serves_or_says_what_would_be_served_offers_an_address_for_it() {
        let mut cli = Cli::command();
        let mut helps = |path: &[&str]| {
            let found = path.iter().fold(&mut cli, |command, name| {
                command.find_subcommand_mut(name).unwrap_or_else(|| panic!("there is no {name}"))
            });
            found.render_long_help().to_string()
        };
        for path in [&[][..], &["run"], &["check-config"]] {
            assert!(helps(path).contains("--listen"), "{path:?}");
        }
        for path in [&["seed"][..], &["replay"], &["verify-history"], &["admin", "create"]] {
            let help = helps(path);
            assert!(help.contains("--data-dir") && help.contains("--config"), "{path:?}: {help}");
            assert!(!help.contains("--listen"), "{path:?}: {help}");
        }
        let help = helps(&["robot"]);
        assert!(!help.contains("--listen") && !help.contains("--data-dir"), "{help}");
    }
}
