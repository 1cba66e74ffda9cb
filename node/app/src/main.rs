//! The `neura` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    neura::cli::main()
}
