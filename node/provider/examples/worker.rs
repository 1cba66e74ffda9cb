//! The smallest worker: the program that an agent starts for each job. The binary `neura` has it as a subcommand.
//!
//! ```sh
//! request='{"device":"cpu","memory_bytes":null,"timeout_ms":60000,"work":{"kind":"probe"}}'
//! (echo "$request"; sleep 5) | cargo run -p neura-provider --example worker
//! ```
//!
//! It ends when its input does; hence the pause.

use std::process::ExitCode;

fn main() -> ExitCode {
    neura_provider::worker::main()
}
