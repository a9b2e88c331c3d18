//! The orchestrator in a process of its own.

fn main() -> std::process::ExitCode {
    chassis::main("orchestrator", orchestrator::build)
}
