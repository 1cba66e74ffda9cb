//! `neura-testnet`: run real nodes, do to them what the world does, and say whether anything was violated.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what talks to the user")]

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use neura_testnet::{
    LinkKind, Violations, binary,
    crash::{self, CrashPlan},
    netns, recovery,
    scenario::{self, Scenario},
    wan::{self, WanPlan},
};

/// Run real `neura` nodes as processes, do to them what the world does, and check from outside what must hold.
#[derive(Debug, Parser)]
#[command(name = "neura-testnet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The node's binary; default: `neura` beside this program, or what NEURA_NODE names.
    #[arg(long, global = true)]
    node: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kill nodes of a running network again and again.
    Crash {
        /// Kills, each with what follows it.
        #[arg(long, default_value_t = 100)]
        cycles: u64,
        /// What victims and moments are drawn from.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Validators.
        #[arg(long, default_value_t = 4)]
        validators: usize,
        /// Cycles between two comparisons of all nodes.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
        check_every: u64,
        /// Keep data and logs even if nothing is violated.
        #[arg(long)]
        keep: bool,
    },
    /// Run generated networks.
    Seeds {
        /// How many.
        #[arg(long, default_value_t = 10)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How nodes are cut off from each other.
        #[arg(long, value_enum, default_value_t = Links::Auto)]
        links: Links,
        /// Keep data and logs even if nothing is violated.
        #[arg(long)]
        keep: bool,
    },
    /// Measure how a network recovers; prints one line of JSON.
    Recovery {
        /// Blocks that a node misses before it is started again.
        #[arg(long, default_value_t = 10_000)]
        gap: u64,
    },
    /// Measure finality with a delay between the nodes; prints one line of JSON.
    Wan {
        /// Milliseconds that every byte between two nodes takes.
        #[arg(long, default_value_t = 25)]
        delay_ms: u64,
        /// Opaque transactions offered per second, all nodes together.
        #[arg(long, default_value_t = 10_000)]
        rate: u64,
        /// Bytes of a transaction.
        #[arg(long, default_value_t = 512)]
        tx_bytes: usize,
        /// Validators that are killed before the measurement.
        #[arg(long, default_value_t = 0)]
        crashed: usize,
        /// Validators.
        #[arg(long, default_value_t = 4)]
        validators: usize,
        /// Seconds measured.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
}

/// How nodes are cut off from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Links {
    /// Namespaces where they are permitted, else proxies.
    Auto,
    /// A network namespace per node.
    Namespaces,
    /// A TCP proxy per link.
    Proxies,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Seeds { links: Links::Auto | Links::Namespaces, .. } = cli.command
        && !netns::is_inside()
    {
        let error = netns::enter();
        eprintln!("network namespaces are not permitted here ({error:#})");
        if let Command::Seeds { links: Links::Namespaces, .. } = cli.command {
            return ExitCode::FAILURE;
        }
        eprintln!("nodes are cut off by a TCP proxy on each link instead");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(cli)));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all is well.
async fn run(cli: Cli) -> Result<bool> {
    let node = binary::find(cli.node.as_deref())?;
    match cli.command {
        Command::Crash { cycles, from, validators, check_every, keep } => {
            let plan =
                CrashPlan { binary: node, cycles, seed: from, validators, check_every, keep };
            let outcome = crash::run(&plan, &say).await?;
            end_of_line();
            report(&outcome.violations, outcome.kept.as_ref());
            println!(
                "{} kills, {} acknowledged transfers on every node, height {}",
                outcome.kills, outcome.acknowledged, outcome.height
            );
            println!("{} cycles, {} violations", outcome.cycles, outcome.violations.count());
            Ok(outcome.violations.count() == 0)
        }
        Command::Seeds { seeds, from, links, keep } => {
            let inside = netns::is_inside() && links != Links::Proxies;
            let links =
                if inside { LinkKind::Namespaces } else { LinkKind::Proxies(Duration::ZERO) };
            let mut violations = 0;
            for seed in from..from.saturating_add(seeds) {
                let scenario = Scenario::draw(seed);
                eprintln!("{}", scenario.summary());
                let outcome = scenario::run(&node, &scenario, links, keep, &say).await?;
                end_of_line();
                report(&outcome.violations, outcome.kept.as_ref());
                violations += outcome.violations.count();
                println!(
                    "seed {seed}: {} transfers, height {}, {} violations",
                    outcome.acknowledged,
                    outcome.height,
                    outcome.violations.count()
                );
            }
            println!("{seeds} seeds, {violations} violations");
            Ok(violations == 0)
        }
        Command::Recovery { gap } => print(&recovery::run(&node, gap, &say).await?),
        Command::Wan { delay_ms, rate, tx_bytes, crashed, validators, seconds } => {
            let delay = Duration::from_millis(delay_ms);
            let plan = WanPlan { validators, crashed, delay, rate, tx_bytes, seconds };
            print(&wan::run(&node, &plan, &say).await?)
        }
    }
}

fn print<T: serde::Serialize>(report: &T) -> Result<bool> {
    end_of_line();
    println!("{}", serde_json::to_string(report)?);
    Ok(true)
}

/// One line that is written over at a terminal; a line each elsewhere would say too much, so that there is none.
fn say(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K{text}");
    } else if std::env::var_os("NEURA_TESTNET_VERBOSE").is_some() {
        eprintln!("{text}");
    }
}

fn end_of_line() {
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
}

fn report(violations: &Violations, kept: Option<&PathBuf>) {
    for text in violations.texts() {
        println!("VIOLATION {text}");
    }
    if let Some(path) = kept {
        println!("logs and data: {}", path.display());
    }
}
