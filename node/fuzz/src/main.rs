//! List targets, write their seeds, drill them, replay what was found. `scripts/fuzz` is the way to use it.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use neura_fuzz::{Crash, Target, drill, find, replay, targets};

/// Executions between two looks at the clock.
const ROUND: u64 = 500;

/// Feed arbitrary bytes to decoders and to the ordering core.
#[derive(Parser)]
#[command(name = "neura-fuzz", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Name all targets, with how `scripts/fuzz` runs them.
    List,
    /// Write a target's seeds into a folder.
    Seeds { target: String, folder: PathBuf },
    /// Run a target on mutations, without coverage, for some time. Prints how many.
    Drill {
        target: String,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Where an input that crashes goes.
        #[arg(long, default_value = ".")]
        crashes: PathBuf,
    },
    /// Run a target on one input.
    Replay { target: String, file: PathBuf },
}

fn say(line: impl std::fmt::Display) {
    // A closed pipe is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::List => {
            targets::covered().for_each(|target| say(format_args!("{} coverage", target.name)));
            targets::drilled().for_each(|target| say(format_args!("{} drill", target.name)));
        }
        Command::Seeds { target, folder } => {
            fs::create_dir_all(&folder)?;
            for (number, seed) in (named(&target)?.seeds)().iter().enumerate() {
                fs::write(folder.join(format!("seed-{number:04}")), seed)?;
            }
        }
        Command::Drill { target, seconds, crashes } => {
            let target = named(&target)?;
            return match drill_for(&target, Duration::from_secs(seconds)) {
                Ok(executions) => {
                    say(executions);
                    Ok(ExitCode::SUCCESS)
                }
                Err(crash) => {
                    fs::create_dir_all(&crashes)?;
                    let name = format!("{}-{:08x}", target.name, fingerprint(&crash.input));
                    fs::write(crashes.join(&name), &crash.input)?;
                    say(format_args!("{name}: {}", crash.message));
                    Ok(ExitCode::FAILURE)
                }
            };
        }
        Command::Replay { target, file } => {
            let input = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            if let Err(crash) = replay(&named(&target)?, &input) {
                say(format_args!("{target}: {}", crash.message));
                return Ok(ExitCode::FAILURE);
            }
            say(format_args!("{target}: holds for these {} bytes", input.len()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn named(name: &str) -> Result<Target> {
    find(name).with_context(|| format!("there is no target '{name}': see `scripts/fuzz --list`"))
}

fn drill_for(target: &Target, time: Duration) -> Result<u64, Crash> {
    let (start, mut executions) = (Instant::now(), 0);
    while start.elapsed() < time {
        executions += drill(target, ROUND, executions)?;
    }
    Ok(executions)
}

/// Tells files of crashes apart.
fn fingerprint(input: &[u8]) -> u32 {
    input.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
