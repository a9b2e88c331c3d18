//! The orchestrator in its own process.

fn main() -> std::process::ExitCode {
    chassis::main(orchestrator::NAME, orchestrator::build)
}
