//! How fast one node executes and commits, beside bare revm in memory on the same transactions in the same run.
//!
//! Signatures are recovered beforehand, on all cores, as a node does when transactions arrive; the rate is reported.
//! Then bare revm runs the transactions one after the other and commits them to its own map; the runtime executes them
//! block by block over a state in memory; and a node's store executes and commits them, tree, receipts and indices
//! included.

mod chain;

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::TxKind;
use anyhow::{Context, Result, anyhow, ensure};
use neura_runtime::evm::BareMachine;
use neura_types::{
    Address, B256, Bytes, Transaction, U256, keys::EthKey, transaction::UnsignedTransaction,
};
use rayon::prelude::*;
use serde::Serialize;

use chain::{MemoryChain, StoredChain, World};

/// Accounts that send: enough that a block is not one chain of nonces.
const SENDERS: usize = 500;
/// Gas of a block's transactions, below the default limit.
const BLOCK_GAS: u64 = 29_000_000;
/// Gas limit and cost of a transfer of coins.
const TRANSFER_GAS: u64 = 21_000;
/// Gas limit of a transfer of tokens: what the dearest costs, so that blocks are full.
const TOKEN_GAS: u64 = 75_000;
/// Gas limit of a call of the contract that hashes.
const HASHING_GAS: u64 = 120_000;
/// One call of it takes as long as many transfers: so many times fewer are made.
const HASHING_SHARE: usize = 10;
/// Base fee of bare revm's block; no one's limit is below.
const BASE_FEE: u64 = 1_000_000_000;
/// Chain id of the measurement.
const CHAIN_ID: u64 = 4_242;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct EvmPlan {
    /// Transactions of each kind.
    pub transactions: usize,
    /// Accounts of the state at first.
    pub accounts: u64,
    /// Accounts of the large state.
    pub large: u64,
    /// Threads that execute transactions ahead of their turn.
    pub threads: NonZeroUsize,
}

/// Rates of one kind of transaction, per second.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rates {
    /// Bare revm in memory.
    pub bare: u64,
    /// The runtime, in memory.
    pub executed: u64,
    /// The runtime and the store.
    pub committed: u64,
    /// The share of the runtime's execution in `bare`.
    pub executed_ratio: f64,
    /// The share of a node in `bare`.
    pub committed_ratio: f64,
    /// The same with the recovery of signatures on both sides.
    pub signed_ratio: f64,
}

/// Execution in memory on several threads: its rates as multiples of those on one.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AheadRatios {
    /// Threads.
    pub threads: NonZeroUsize,
    /// Transfers of coins.
    pub transfers: f64,
    /// Transfers of tokens.
    pub tokens: f64,
    /// Calls of a contract that hashes a thousand times.
    pub hashing: f64,
    /// Calls of a contract that reads and writes a word, always the same.
    pub contended: f64,
}

/// What was measured.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EvmReport {
    /// Name of the measurement.
    pub bench: &'static str,
    /// Transactions of each kind.
    pub transactions: usize,
    /// Signatures recovered per second, on all cores.
    pub recovered: u64,
    /// Transfers of coins.
    pub transfers: Rates,
    /// Transfers of tokens.
    pub tokens: Rates,
    /// What several threads gain or lose.
    pub ahead: AheadRatios,
    /// Accounts of the state at first.
    pub accounts: u64,
    /// Accounts of the large state.
    pub large_accounts: u64,
    /// Transfers committed per second over the large state.
    pub large_committed: u64,
    /// Its share of the rate over the small one.
    pub large_ratio: f64,
}

/// What a sender does in each of its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Transfer,
    Token,
    Hashing,
    Contended,
}

/// Measures.
///
/// # Errors
/// If a transaction does not succeed, or the store fails.
pub fn evm(plan: EvmPlan) -> Result<EvmReport> {
    let world = World::new(keys()?, plan.accounts)?;
    let signed = |kind| sign(&world, kind, plan.transactions);
    let few = plan.transactions.div_ceil(HASHING_SHARE);
    let (transfers, tokens) = (signed(Kind::Transfer)?, recover(&signed(Kind::Token)?)?);
    let started = Instant::now();
    let recovered = recover(&transfers)?;
    let recovery = started.elapsed();
    let large = World::new(keys()?, plan.large)?;
    let large_time = committed(&large, &recovered)?;
    let gain = |transactions: &[Arc<Transaction>]| gain(&world, transactions, plan.threads);
    let ahead = AheadRatios {
        threads: plan.threads,
        transfers: gain(&recovered)?,
        tokens: gain(&tokens)?,
        hashing: gain(&recover(&sign(&world, Kind::Hashing, few)?)?)?,
        contended: gain(&recover(&signed(Kind::Contended)?)?)?,
    };
    let transfers = rates(&world, &recovered, recovery)?;
    let tokens = rates(&world, &tokens, recovery)?;
    let large_committed = per_second(plan.transactions, large_time);
    Ok(EvmReport {
        bench: "evm",
        transactions: plan.transactions,
        recovered: per_second(plan.transactions, recovery),
        transfers,
        tokens,
        ahead,
        accounts: plan.accounts,
        large_accounts: plan.large,
        large_committed,
        large_ratio: ratio(large_committed, transfers.committed),
    })
}

fn keys() -> Result<Vec<EthKey>> {
    let key = |n: usize| EthKey::from_bytes(U256::from(n + 1).to_be_bytes()).context("a key");
    (0..SENDERS).map(key).collect()
}

fn sign(world: &World, kind: Kind, count: usize) -> Result<Vec<Bytes>> {
    let one = |n: usize| {
        let (sender, nonce) = (n % SENDERS, (n / SENDERS) as u64);
        let receiver = world.receiver(n);
        let (to, value, input, gas_limit) = match kind {
            Kind::Transfer => (receiver, U256::ONE, Bytes::new(), TRANSFER_GAS),
            Kind::Token => {
                let amount = B256::with_last_byte(1);
                let input = [receiver.into_word().as_slice(), amount.as_slice()].concat();
                (chain::TOKEN, U256::ZERO, input.into(), TOKEN_GAS)
            }
            Kind::Hashing => (chain::HASHER, U256::ZERO, Bytes::new(), HASHING_GAS),
            Kind::Contended => (chain::COUNTER, U256::ZERO, Bytes::new(), TOKEN_GAS),
        };
        UnsignedTransaction {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit,
            max_fee_per_gas: 1 << 60,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(to),
            value,
            input,
        }
        .sign_eth(&world.keys[sender])
    };
    Ok((0..count).into_par_iter().map(one).collect())
}

fn recover(raw: &[Bytes]) -> Result<Vec<Arc<Transaction>>> {
    let decode = |raw: &Bytes| Ok(Arc::new(Transaction::decode(raw.clone(), CHAIN_ID)?));
    raw.par_iter().map(decode).collect()
}

fn rates(world: &World, transactions: &[Arc<Transaction>], recovery: Duration) -> Result<Rates> {
    let bare = run_bare(world, transactions)?;
    let executed = executed(world, transactions, NonZeroUsize::MIN)?;
    let committed = committed(world, transactions)?;
    let rate = |time| per_second(transactions.len(), time);
    Ok(Rates {
        bare: rate(bare),
        executed: rate(executed),
        committed: rate(committed),
        executed_ratio: ratio(rate(executed), rate(bare)),
        committed_ratio: ratio(rate(committed), rate(bare)),
        signed_ratio: ratio(rate(recovery + committed), rate(recovery + bare)),
    })
}

/// Transactions in blocks that are full by their gas limits.
fn blocks(transactions: &[Arc<Transaction>]) -> std::slice::Chunks<'_, Arc<Transaction>> {
    let gas = transactions.first().map_or(TRANSFER_GAS, |transaction| transaction.gas_limit);
    transactions.chunks((BLOCK_GAS / gas.max(1)) as usize)
}

/// How many times as fast several threads execute as one does.
fn gain(world: &World, transactions: &[Arc<Transaction>], threads: NonZeroUsize) -> Result<f64> {
    let one = executed(world, transactions, NonZeroUsize::MIN)?;
    let several = executed(world, transactions, threads)?;
    let rate = |time| per_second(transactions.len(), time);
    Ok(ratio(rate(several), rate(one)))
}

fn executed(
    world: &World,
    transactions: &[Arc<Transaction>],
    threads: NonZeroUsize,
) -> Result<Duration> {
    let mut chain = MemoryChain::new(world)?;
    let mut time = Duration::ZERO;
    for block in blocks(transactions) {
        time += chain.block(block, threads)?;
    }
    Ok(time)
}

fn committed(world: &World, transactions: &[Arc<Transaction>]) -> Result<Duration> {
    let folder = tempfile::tempdir()?;
    let mut chain = StoredChain::new(world, folder.path())?;
    let blocks: Vec<_> = blocks(transactions).collect();
    let started = Instant::now();
    chain.run(&blocks)?;
    Ok(started.elapsed())
}

/// Checks that all transactions of a block succeeded: another figure would be of something else.
fn all_succeeded(execution: &neura_runtime::Execution, count: usize) -> Result<()> {
    let succeeded = execution.receipts.iter().filter(|receipt| receipt.success).count();
    ensure!(
        succeeded == count,
        "{succeeded} of {count} succeeded: {:?}",
        execution.skipped.first()
    );
    Ok(())
}

fn per_second(count: usize, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64().max(1e-9)) as u64
}

fn ratio(part: u64, whole: u64) -> f64 {
    (part as f64 / whole.max(1) as f64 * 1_000.0).round() / 1_000.0
}

/// An account of the state, by number.
fn numbered(number: u64) -> Address {
    Address::from_word(neura_types::hash::keccak(&number.to_be_bytes()))
}

/// Time of bare revm for the transactions.
fn run_bare(world: &World, transactions: &[Arc<Transaction>]) -> Result<Duration> {
    let mut machine = BareMachine::new(&world.changes, CHAIN_ID, BASE_FEE);
    let started = Instant::now();
    for transaction in transactions {
        machine.transact(transaction).map_err(|error| anyhow!("bare revm: {error}"))?;
    }
    Ok(started.elapsed())
}
