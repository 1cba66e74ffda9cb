//! How the examples end: with a line of JSON for each thing measured, or the reason why there is none.

use serde_json::Value;
use std::{fmt::Display, process::ExitCode};

/// Prints what was measured.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "for programs of the command line")]
pub(crate) fn finish(outcome: Result<Vec<Value>, impl Display>) -> ExitCode {
    match outcome {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
