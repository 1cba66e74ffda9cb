//! The smallest worker: the program that an agent starts for each job. The binary `neura` has it as a subcommand.
//!
//! ```sh
//! bounds='{"memory_bytes":1073741824,"max_result":1048576,"timeout_ms":60000}'
//! request='{"device":"cpu","memory_bytes":null,"bounds":'$bounds',"work":{"kind":"probe"}}'
//! (echo "$request"; sleep 5) | cargo run -p neura-provider --example worker
//! ```
//!
//! It ends when its input does; hence the pause.

use std::process::ExitCode;

fn main() -> ExitCode {
    neura_provider::worker::main()
}
