//! How long a devnet takes from its command to its first final block.

use std::process::Stdio;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::{process::Command, time::Instant};

/// What was measured.
#[derive(Debug, Serialize)]
pub struct StartReport {
    /// Name of the measurement.
    pub bench: &'static str,
    /// What the number says.
    pub measures: &'static str,
    /// Validators, each a process on this machine.
    pub validators: usize,
    /// From starting the command until its first block was final, as the command itself prints it, in ms.
    pub first_final_block_ms: u64,
    /// From starting the command until it had also stopped all processes, in ms.
    pub whole_command_ms: u64,
}

/// Runs the measurement with this program's own `devnet` command.
///
/// # Errors
/// If the command fails or does not say when the first block was final.
pub async fn start(validators: usize) -> Result<StartReport> {
    let folder = tempfile::tempdir()?;
    let started = Instant::now();
    let output = Command::new(std::env::current_exe()?)
        .args(["devnet", "--once", "--no-provider", "--base-port", "0", "--validators"])
        .arg(validators.to_string())
        .arg("--data")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first_final_block_ms = text
        .lines()
        .find_map(|line| line.split(" final ").nth(1)?.split(" ms").next()?.parse().ok())
        .with_context(|| {
            format!("the devnet did not say when its first block was final: {text}")
        })?;
    Ok(StartReport {
        bench: "start",
        measures: "neura devnet on a new folder: processes started, keys and genesis made, first block final",
        validators,
        first_final_block_ms,
        whole_command_ms: u64::try_from(started.elapsed().as_millis())?,
    })
}
