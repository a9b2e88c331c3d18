//! The section `famous` in a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    news::main(kernel::Section::Famous)
}
