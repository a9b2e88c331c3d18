//! The command line of the portal.

use std::path::PathBuf;
use std::process::ExitCode;

use chassis::{failed, finish_output, prepare, print, say};
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
    /// Runs the whole portal in this process (the default without a subcommand).
    Run(Serving),
    /// Prints the effective configuration with secrets as ***, or all of its faults.
    CheckConfig(Serving),
    /// Prints the OpenAPI document of the gateway, as nginx serves it.
    Openapi,
    /// Prints the AsyncAPI document of the bus, as the portal and nginx serve it.
    Asyncapi,
    /// Prints the list of all metrics, as in docs/metrics.md.
    Metrics,
    /// Writes the documents that nginx serves into a folder: OpenAPI, AsyncAPI, the page to try the API, the
    /// pages of problems.
    Documents(Folder),
    /// Checks that a running portal or service is ready.
    Healthcheck(Url),
    /// Rebuilds the articles that readers see from the events. Stop the portal first.
    Replay(replay::Flags),
    /// Verifies the hash chains of all articles, and names each article whose history was changed. Stop the
    /// portal first if its events are in files; a database server can be verified at any time.
    VerifyHistory(verify::Flags),
    /// Fills the portal with believable articles, people and readings. Stop the portal first.
    Seed(seed::Flags),
    /// Manages admins.
    #[command(subcommand)]
    Admin(admin::Command),
    /// Plays an end-to-end story against a running portal: articles, a reader, recommendations, erasure.
    Robot(robot::Flags),
}

#[derive(Args)]
struct Folder {
    /// The folder to write to; `nginx/html` in the sources.
    folder: PathBuf,
}

#[derive(Args)]
struct Url {
    /// The address, such as http://127.0.0.1:8080.
    url: String,
}

fn main() -> ExitCode {
    prepare();
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Run(cli.run));
    // A web server must be able to read the documents; all other files are for the owner alone.
    if !matches!(command, Command::Documents(_)) {
        chassis::keep_files_private();
    }
    match execute(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("portal", &error),
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        // This command runs on even if its output can't be written.
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
    Ok(finish_output()?)
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
    fn only_a_command_that_serves_or_shows_what_would_be_served_has_the_option_listen() {
        let mut cli = Cli::command();
        let mut helps = |path: &[&str]| {
            let found = path.iter().fold(&mut cli, |command, name| {
                command.find_subcommand_mut(name).unwrap_or_else(|| panic!("there is no subcommand {name}"))
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
