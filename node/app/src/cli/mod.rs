//! Commands: `neura devnet`, `node`, `genesis`, `validator`, `governance`, `epoch`, `snapshot`, `provider`, `task`,
//! `model`, `wallet`, `faucet`, `status`, `bench`, `evm`.
//!
//! Results go to standard output, progress and logs to standard error. With `--json` the result is one JSON value.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what talks to the user")]

mod account;
mod act;
mod bench;
mod devnet;
mod epoch;
mod evm;
mod genesis;
mod governance;
mod identity;
mod logs;
mod model;
mod node;
mod provider;
mod screen;
mod snapshot;
mod status;
mod task;
mod validator;
mod wallet;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, parser::ValueSource};

use crate::plain;
pub use account::Account;
pub use screen::Screen;
#[doc(hidden)]
pub use snapshot::parse_epochs;

/// Hire GPUs from strangers, or lend yours, on a chain of its own.
#[derive(Debug, Parser)]
#[command(name = "neura", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    shared: Shared,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Shared {
    /// Nodes to speak to; further ones, after a comma, stand in for the first.
    #[arg(
        long,
        global = true,
        env = "NEURA_URL",
        default_value = "http://127.0.0.1:8545",
        value_delimiter = ','
    )]
    pub url: Vec<String>,
    /// Whether the user named them.
    #[arg(skip)]
    pub is_url_given: bool,
    /// Key file of the account that signs; default: wallet/default.key in NEURA_HOME, made when it is first needed.
    #[arg(long, global = true, env = "NEURA_KEY")]
    pub key: Option<std::path::PathBuf>,
    /// One JSON value in place of text.
    #[arg(long, global = true)]
    pub json: bool,
}

impl Shared {
    /// The first node that the user named, if one was named.
    fn given_url(&self) -> Option<String> {
        self.url.first().filter(|_| self.is_url_given).cloned()
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a local network of validators and a provider.
    Devnet(devnet::Args),
    /// Run a node: a validator in every epoch whose set holds its identity key, in others a full node that follows.
    Node(node::Args),
    /// Make a genesis file.
    Genesis(genesis::Args),
    /// Show an identity key's public key, account and peer id; makes the key if there is none.
    Identity(identity::Args),
    /// Become a validator, delegate to one, look at them, leave.
    #[command(subcommand)]
    Validator(validator::Command),
    /// Propose and vote on parameters and upgrades.
    #[command(subcommand)]
    Governance(governance::Command),
    /// Write, look at, take over snapshots of the state.
    #[command(subcommand)]
    Snapshot(snapshot::Command),
    /// Show an epoch: its blocks, validators, how it ended.
    Epoch(epoch::Args),
    /// Lend this machine: join, run, look after it.
    #[command(subcommand)]
    Provider(provider::Command),
    /// Have a job done: submit it, watch it, get its result.
    #[command(subcommand)]
    Task(task::Command),
    /// Work with models: convert float ones to integers, look at them, run them, make jobs of them.
    #[command(subcommand)]
    Model(model::Command),
    /// Keep accounts: make, list, look at, send from.
    #[command(subcommand)]
    Wallet(wallet::Command),
    /// Ask a devnet's faucet for coins.
    Faucet(wallet::FaucetArgs),
    /// Show where a node stands.
    Status,
    /// Measure: ordering, transfers, finality, start, calls, evm, compute.
    #[command(
        subcommand,
        after_help = "Delayed links (wan) and killed validators (recovery) are measured on networks of processes by \
                      neura-testnet, which the source tree has: scripts/bench wan|recovery"
    )]
    Bench(bench::Command),
    /// Check the EVM against Ethereum's own suites.
    #[command(subcommand)]
    Evm(evm::Command),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// A command failed and has said so itself.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
struct Failed;

/// Runs the command line and returns the exit code: 0 done, 1 failed, 2 used wrongly.
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.shared.is_url_given =
        matches.value_source("url").is_some_and(|source| source != ValueSource::DefaultValue);
    let json = cli.shared.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Failed>() => ExitCode::FAILURE,
        Err(error) => {
            if json {
                let value = serde_json::json!({
                    "error": { "code": error_code(&error), "message": format!("{error:#}") }
                });
                screen::print(&plain::json(&value.to_string()));
            } else {
                eprintln!("error: {}", plain::text(&format!("{error:#}")));
            }
            ExitCode::FAILURE
        }
    }
}

/// The stable code of an error, where one of its causes has one.
fn error_code(error: &anyhow::Error) -> String {
    error
        .chain()
        .find_map(|cause| {
            let of_node = cause.downcast_ref::<neura_client::ClientError>().map(|e| e.code());
            let of_provider =
                cause.downcast_ref::<neura_provider::ProviderError>().map(|e| e.code());
            let of_offer = cause.downcast_ref::<crate::job::Refusal>().map(|e| e.code);
            let of_file = cause.downcast_ref::<crate::job::JobError>().map(|e| e.code());
            of_node.or(of_provider).or(of_offer).or(of_file)
        })
        .unwrap_or("failed")
        .to_owned()
}

fn run(cli: Cli) -> Result<()> {
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "neura", &mut std::io::stdout());
        return Ok(());
    }
    if let Command::Provider(provider::Command::Worker(args)) = cli.command {
        return provider::worker(args);
    }
    if let Command::Evm(command) = cli.command {
        return evm::run(command, &cli.shared);
    }
    if let Command::Model(command) = cli.command {
        return model::run(command, &cli.shared);
    }
    let shared = cli.shared;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        match cli.command {
            Command::Devnet(args) => devnet::run(args, shared).await,
            Command::Node(args) => node::run(args).await,
            Command::Genesis(args) => genesis::run(args, &shared),
            Command::Identity(args) => identity::run(&args, &shared),
            Command::Validator(command) => validator::run(command, shared).await,
            Command::Governance(command) => governance::run(command, shared).await,
            Command::Snapshot(command) => snapshot::run(command, &shared),
            Command::Epoch(args) => epoch::run(args, shared).await,
            Command::Provider(command) => provider::run(command, shared).await,
            Command::Task(command) => task::run(command, shared).await,
            Command::Wallet(command) => wallet::run(command, shared).await,
            Command::Faucet(args) => wallet::faucet(args, shared).await,
            Command::Status => status::run(shared).await,
            Command::Bench(command) => bench::run(command).await,
            Command::Completions { .. } | Command::Evm(_) | Command::Model(_) => Ok(()),
        }
    })
}
