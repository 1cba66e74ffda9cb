//! `neura bench`: measurements of whole networks, each one line of JSON.

use std::num::NonZeroUsize;

use anyhow::Result;
use serde::Serialize;

use super::{logs, node};
use crate::bench::{
    self, CallsPlan, ComputePlan, EvmPlan, OrderingPlan, ReplicaPlan, TransfersPlan,
};

/// Commands of `neura bench`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Opaque transactions ordered per second.
    Ordering {
        /// Validators.
        #[arg(long, default_value_t = 4)]
        validators: usize,
        /// Transactions offered per second.
        #[arg(long, default_value_t = 25_000)]
        rate: u64,
        /// Bytes of a transaction.
        #[arg(long, default_value_t = 512)]
        tx_bytes: usize,
        /// Seconds measured.
        #[arg(long, default_value_t = 15)]
        seconds: u64,
    },
    /// Signed transfers per second, end to end.
    Transfers {
        /// Validators.
        #[arg(long, default_value_t = 4)]
        validators: usize,
        /// Transfers.
        #[arg(long, default_value_t = 60_000)]
        count: usize,
        /// Accounts that send them.
        #[arg(long, default_value_t = 500)]
        senders: usize,
        /// Transfers sent per second; as fast as they are taken if left out.
        #[arg(long)]
        rate: Option<u64>,
    },
    /// Time until a transfer on an idle network is final.
    Finality {
        /// Validators.
        #[arg(long, default_value_t = 4)]
        validators: usize,
        /// Transfers, one at a time.
        #[arg(long, default_value_t = 100)]
        samples: usize,
    },
    /// Time from `neura devnet` to its first final block.
    Start {
        /// Validators.
        #[arg(long, default_value_t = 4)]
        validators: usize,
    },
    /// `eth_call`s that one node answers over HTTP.
    Calls {
        /// Calls in all.
        #[arg(long, default_value_t = 50_000)]
        count: usize,
        /// Connections, each with one call under way.
        #[arg(long, default_value_t = 32)]
        connections: usize,
    },
    /// Transactions executed and committed by one node, beside bare revm in memory.
    Evm {
        /// Transactions of each kind.
        #[arg(long, default_value_t = 20_000)]
        transactions: usize,
        /// Accounts of the state.
        #[arg(long, default_value_t = 10_000)]
        accounts: u64,
        /// Accounts of the large state; they are built in memory first.
        #[arg(long, default_value_t = 1_000_000)]
        large: u64,
        /// Threads that execute transactions ahead of their turn; default: one for each core.
        #[arg(long)]
        threads: Option<NonZeroUsize>,
    },
    /// Int8 products and models, a worker's start, a sealed payload: what computes here.
    Compute(ComputePlan),
    /// One node of a network that is measured from outside: orders bytes that nobody executes.
    #[command(hide = true)]
    Replica(Box<ReplicaArgs>),
}

/// Arguments of `neura bench replica`.
#[derive(Debug, clap::Args)]
pub(super) struct ReplicaArgs {
    #[command(flatten)]
    node: node::Args,
    /// Its place among the replicas.
    #[arg(long)]
    replica: u64,
    /// Transactions that it offers per second.
    #[arg(long)]
    rate: u64,
    /// Bytes of a transaction.
    #[arg(long, default_value_t = 512)]
    tx_bytes: usize,
    /// Where it writes what it has seen.
    #[arg(long)]
    samples: std::path::PathBuf,
}

pub(super) async fn run(command: Command) -> Result<()> {
    logs::start("warn");
    match command {
        Command::Ordering { validators, rate, tx_bytes, seconds } => {
            print(&bench::ordering(OrderingPlan { validators, rate, tx_bytes, seconds }).await?)
        }
        Command::Transfers { validators, count, senders, rate } => {
            print(&bench::transfers(TransfersPlan { validators, count, senders, rate }).await?)
        }
        Command::Finality { validators, samples } => {
            print(&bench::finality(validators, samples).await?)
        }
        Command::Start { validators } => print(&bench::start(validators).await?),
        Command::Calls { count, connections } => {
            print(&bench::calls(CallsPlan { count, connections }).await?)
        }
        Command::Evm { transactions, accounts, large, threads } => {
            let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            let threads = threads.unwrap_or_else(cores);
            let plan = EvmPlan { transactions, accounts, large, threads };
            print(&tokio::task::spawn_blocking(move || bench::evm(plan)).await??)
        }
        Command::Compute(plan) => {
            print(&tokio::task::spawn_blocking(move || bench::compute(&plan)).await??)
        }
        Command::Replica(args) => {
            crate::devnet::end_with_supervisor();
            let ReplicaArgs { node, replica, rate, tx_bytes, samples } = *args;
            let plan = ReplicaPlan { config: node.config()?, replica, rate, tx_bytes, samples };
            bench::replica(plan, super::node::stop_signal()).await
        }
    }
}

fn print<T: Serialize>(report: &T) -> Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}
