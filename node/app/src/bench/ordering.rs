//! How many opaque transactions a network orders: sealed into batches, pushed, stored by every voter before it votes,
//! proposed, voted with a synced safety record, committed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use neura_types::{Block, Bytes, Params};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{Latency, network::Network};
use crate::node::{StartOptions, batches::block_items, chain::Chain, workload::OpaqueWorkload};

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct OrderingPlan {
    /// Validators.
    pub validators: usize,
    /// Transactions offered per second, all nodes together.
    pub rate: u64,
    /// Bytes of each.
    pub tx_bytes: usize,
    /// How long is measured, after as long again has warmed up (at most 5 s).
    pub seconds: u64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct OrderingReport {
    /// Name of the measurement.
    pub bench: &'static str,
    /// What the number says.
    pub measures: &'static str,
    /// Validators, all on this machine.
    pub validators: usize,
    /// Bytes of a transaction.
    pub tx_bytes: usize,
    /// Transactions offered per second.
    pub offered_per_s: u64,
    /// Transactions that the slowest node had final and at hand per second.
    pub ordered_per_s: u64,
    /// Blocks per second.
    pub blocks_per_s: f64,
    /// Views given up.
    pub timeouts: u64,
    /// From offering at one node until it is final and at hand at the first node.
    pub first: Option<Latency>,
    /// Until it is at a quorum of the nodes.
    pub quorum: Option<Latency>,
    /// Until it is at every node.
    pub slowest: Option<Latency>,
    /// Each node by itself.
    pub replicas: Vec<ReplicaReport>,
    /// Seconds measured.
    pub seconds: f64,
}

/// What one node saw.
#[derive(Debug, Serialize)]
pub struct ReplicaReport {
    /// Transactions final and at hand per second.
    pub ordered_per_s: u64,
    /// From offering at any node until final and at hand here.
    pub latency: Option<Latency>,
    /// Longest time in which nothing became final here, in seconds.
    pub longest_pause_s: f64,
    /// Furthest that it was behind the first node that had a block, in seconds.
    pub max_lag_s: f64,
}

/// Offered transactions that may wait at one node: beyond, it is saturated and no more are offered.
const MAX_WAITING: usize = 20_000;
/// Every so-manieth transaction's latency is taken.
const SAMPLE: u64 = 64;
/// Transactions are offered in ticks of this length.
const TICK: Duration = Duration::from_millis(4);
/// An epoch that outlasts the measurement: where nothing is executed, no state says what follows.
const EPOCH_BLOCKS: u64 = 1 << 24;

/// What one node saw of one block: when, how many transactions, and when those sampled had been offered. Microseconds.
#[derive(Debug)]
struct Seen {
    height: u64,
    at: u64,
    transactions: u64,
    offered: Vec<u64>,
}

type Record = Arc<Mutex<Vec<Seen>>>;

/// Runs the measurement.
///
/// # Errors
/// If the network does not start.
pub async fn ordering(plan: OrderingPlan) -> Result<OrderingReport> {
    let params = Params { epoch_blocks: EPOCH_BLOCKS, ..Params::default() };
    let queues: Vec<Arc<OpaqueWorkload>> = (0..plan.validators).map(|_| Arc::default()).collect();
    let options = |index: usize| StartOptions { opaque: Some(Arc::clone(&queues[index])) };
    let network = Network::start(plan.validators, params, Vec::new(), options).await?;
    let chains: Vec<Arc<Chain>> = network.nodes.iter().map(|n| Arc::clone(&n.chain)).collect();
    let zero = Instant::now();
    let running = Arc::new(AtomicBool::new(true));
    let doors = queues.into_iter().zip(chains.iter().cloned()).collect();
    let offering = tokio::spawn(offer(doors, plan, zero, Arc::clone(&running)));
    let records: Vec<Record> = chains.iter().map(|_| Record::default()).collect();
    let mut counting = tokio::task::JoinSet::new();
    for (chain, record) in chains.iter().zip(&records) {
        counting.spawn(count(Arc::clone(chain), Arc::clone(record), zero));
    }
    sleep(Duration::from_secs(plan.seconds.min(5))).await;
    let views =
        |chain: &Arc<Chain>| chain.consensus().map_or((0, 0), |s| (s.view, s.committed_height));
    let before = chains.first().map(views).unwrap_or_default();
    let from = zero.elapsed();
    sleep(Duration::from_secs(plan.seconds)).await;
    let until = zero.elapsed();
    let after = chains.first().map(views).unwrap_or_default();
    running.store(false, Relaxed);
    offering.await?;
    counting.shutdown().await;
    drop(chains);
    network.stop().await;
    let records: Vec<Vec<Seen>> = records.iter().map(|r| std::mem::take(&mut *r.lock())).collect();
    let gone = (after.0 - before.0).saturating_sub(after.1 - before.1);
    Ok(report(plan, &records, (from, until), gone))
}

/// Offers transactions in ticks of a few milliseconds; each begins with the time at which it was offered.
async fn offer(
    doors: Vec<(Arc<OpaqueWorkload>, Arc<Chain>)>,
    plan: OrderingPlan,
    zero: Instant,
    running: Arc<AtomicBool>,
) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut serial = 0u64;
    while running.load(Relaxed) {
        tick.tick().await;
        let due = (zero.elapsed().as_secs_f64() * plan.rate as f64) as u64;
        let now = micros(zero).to_le_bytes();
        while serial < due {
            serial += 1;
            let (queue, _) = &doors[(serial as usize) % doors.len()];
            let mut waiting = queue.queue.lock();
            if waiting.len() >= MAX_WAITING {
                continue;
            }
            let mut bytes = vec![0x5a; plan.tx_bytes.max(16)];
            bytes[..8].copy_from_slice(&now);
            bytes[8..16].copy_from_slice(&serial.to_le_bytes());
            waiting.push_back(Bytes::from(bytes));
        }
        for (_, chain) in &doors {
            chain.batches.sealable.notify_one();
        }
    }
}

fn micros(zero: Instant) -> u64 {
    u64::try_from(zero.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Notes each block when it is final and its batches are here: where nothing is executed, that is when it counts as
/// executed.
async fn count(chain: Arc<Chain>, record: Record, zero: Instant) {
    let mut ordered = chain.executed.subscribe();
    let mut next = *ordered.borrow() + 1;
    while ordered.changed().await.is_ok() {
        let tip = *ordered.borrow_and_update();
        let at = micros(zero);
        for height in next..=tip {
            let Ok(Some((_, block))) = chain.block_at(height) else { continue };
            let offered = sampled(&chain, &block);
            let transactions = block_items(&block);
            record.lock().push(Seen { height, at, transactions, offered });
        }
        next = tip + 1;
    }
}

/// Times at which the sampled transactions of a block were offered.
fn sampled(chain: &Chain, block: &Block) -> Vec<u64> {
    let items = chain.batches.transactions(block).ok().flatten().unwrap_or_default();
    let stamp = |tx: &Bytes| -> Option<(u64, u64)> {
        let (time, rest) = tx.split_first_chunk()?;
        Some((u64::from_le_bytes(*time), u64::from_le_bytes(*rest.first_chunk()?)))
    };
    let stamps = items.iter().filter_map(stamp);
    stamps.filter(|(_, serial)| serial % SAMPLE == 0).map(|(time, _)| time).collect()
}

fn report(
    plan: OrderingPlan,
    records: &[Vec<Seen>],
    (from, until): (Duration, Duration),
    timeouts: u64,
) -> OrderingReport {
    let window = from.as_micros() as u64..until.as_micros() as u64;
    let seconds = (until - from).as_secs_f64();
    let within = |record: &'_ [Seen]| -> Vec<usize> {
        (0..record.len()).filter(|index| window.contains(&record[*index].at)).collect()
    };
    let first_at = |height: u64| {
        let times = records.iter().filter_map(|record| find(record, height).map(|seen| seen.at));
        times.min().unwrap_or_default()
    };
    let replica = |record: &Vec<Seen>| {
        let seen: Vec<&Seen> = within(record).into_iter().map(|index| &record[index]).collect();
        let samples = seen.iter().flat_map(|s| latencies(s, s.at)).collect();
        let pauses = seen.windows(2).map(|pair| pair[1].at - pair[0].at);
        let lags = seen.iter().map(|seen| seen.at - first_at(seen.height));
        ReplicaReport {
            ordered_per_s: (seen.iter().map(|s| s.transactions).sum::<u64>() as f64 / seconds)
                as u64,
            latency: Latency::of(samples),
            longest_pause_s: pauses.max().unwrap_or_default() as f64 / 1e6,
            max_lag_s: lags.max().unwrap_or_default() as f64 / 1e6,
        }
    };
    let replicas: Vec<ReplicaReport> = records.iter().map(replica).collect();
    // When a block was at the first, at a quorum, at the last of the nodes.
    let nth = |rank: usize| {
        let mut samples = Vec::new();
        for seen in records.first().into_iter().flatten() {
            let mut times: Vec<u64> =
                records.iter().filter_map(|r| find(r, seen.height).map(|s| s.at)).collect();
            times.sort_unstable();
            if let Some(at) = times.get(rank).filter(|at| window.contains(at)) {
                samples.extend(latencies(seen, *at));
            }
        }
        Latency::of(samples)
    };
    let quorum = plan.validators * 2 / 3;
    let blocks = records.first().map_or(0, |record| within(record).len());
    OrderingReport {
        bench: "ordering",
        measures: "opaque transactions final and at hand at the slowest node; batches, blocks and safety record durable before each vote, nothing executed",
        validators: plan.validators,
        tx_bytes: plan.tx_bytes,
        offered_per_s: plan.rate,
        ordered_per_s: replicas.iter().map(|r| r.ordered_per_s).min().unwrap_or_default(),
        blocks_per_s: (blocks as f64 / seconds * 10.0).round() / 10.0,
        timeouts,
        first: nth(0),
        quorum: nth(quorum),
        slowest: nth(plan.validators - 1),
        replicas,
        seconds,
    }
}

fn find(record: &[Seen], height: u64) -> Option<&Seen> {
    let at = record.binary_search_by_key(&height, |seen| seen.height).ok()?;
    record.get(at)
}

/// Milliseconds from offering until `at`.
fn latencies(seen: &Seen, at: u64) -> impl Iterator<Item = f64> {
    seen.offered.iter().map(move |offered| at.saturating_sub(*offered) as f64 / 1_000.0)
}
