//! The users service in a process of its own.

fn main() -> std::process::ExitCode {
    chassis::main(users::NAME, users::build)
}
