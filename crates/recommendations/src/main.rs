//! The service `recommendations` in its own process.

fn main() -> std::process::ExitCode {
    chassis::main(recommendations::NAME, recommendations::build)
}
