//! Say what each adapter of this machine offers and whether it passes the self-test: a row of a table each.
//!
//! ```sh
//! cargo run -p neura-gpu --example adapters
//! ```

use neura_gpu::{Backend, DeviceInfo, Selector, WgpuBackend, discover};
use std::process::ExitCode;

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]
fn main() -> ExitCode {
    let adapters = discover();
    if adapters.is_empty() {
        eprintln!("no adapter was found");
        return ExitCode::FAILURE;
    }
    for (index, adapter) in adapters.iter().enumerate() {
        let DeviceInfo { name, driver, features, .. } = adapter;
        println!("{name} | {driver} | {} | {}", features.join(", "), outcome(index));
    }
    ExitCode::SUCCESS
}

/// What came of the self-test of the adapter at this index.
fn outcome(index: usize) -> String {
    match WgpuBackend::new(&Selector::Index(index)) {
        Ok(backend) => match backend.info().loop_limit {
            Some(limit) => format!("passed; loops end after {limit} iterations"),
            None => "passed".to_owned(),
        },
        Err(error) => error.to_string(),
    }
}
