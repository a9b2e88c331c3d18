#![doc = include_str!("../README.md")]

/// Prints a line to the standard output. If the reader has closed it, as in `| head`, the line is dropped and
/// the command continues.
macro_rules! say {
    ($($words:tt)*) => { $crate::step::say(&format!("{}\n", format_args!($($words)*))) };
}

mod bench;
mod cargo;
mod ci;
mod engines;
mod fleet;
mod fuzz;
mod step;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The developers' commands of the news portal.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check everything: format, lints, documentation, tests; stop at the first failure.
    Ci(ci::Ci),
    /// Run all tests, with the servers that they need: start the engines, test, stop them.
    Test(test::Test),
    /// Fuzz every parser of outside input with random changes of its corpus.
    Fuzz(fuzz::Fuzz),
    /// Start, stop and show the private servers that the adapters are tested against.
    Engines(engines::Engines),
    /// Run the portal as in production, on this machine: six services, the gateway, the real servers.
    Fleet(fleet::Fleet),
    /// Compare the portal with floors: ratios with their goals, as a table and as JSON in target/bench.
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Ci(ci) => ci.run(),
        Command::Test(test) => test.run(),
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::Engines(engines) => engines.run(),
        Command::Fleet(fleet) => fleet.run(),
        Command::Bench(bench) => bench.run(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_and_every_option_has_a_help_text() {
        for command in Arguments::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for option in command.get_arguments() {
                assert!(option.get_help().is_some(), "{} {}", command.get_name(), option.get_id());
            }
        }
    }
}
