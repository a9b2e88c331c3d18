//! The service `recommendations` in a process of its own.

fn main() -> std::process::ExitCode {
    chassis::main(recommendations::NAME, recommendations::build)
}
