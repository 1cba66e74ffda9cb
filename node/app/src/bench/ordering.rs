//! How many opaque transactions a network orders: proposed, voted with a synced safety record, committed, stored.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use neura_types::{Bytes, Params};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{Latency, network::Network};
use crate::node::{Node, StartOptions, workload::OpaqueWorkload};

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
    /// Transactions that the slowest node committed per second.
    pub ordered_per_s: u64,
    /// Blocks per second.
    pub blocks_per_s: f64,
    /// From offering at one node to commitment at the slowest that was asked, per transaction.
    pub latency: Option<Latency>,
    /// Seconds measured.
    pub seconds: f64,
}

/// Offered transactions that may wait at one node: beyond, it is saturated and no more are offered.
const MAX_WAITING: usize = 20_000;
/// Every so-manieth transaction's latency is taken.
const SAMPLE: usize = 64;

#[derive(Debug, Default)]
struct Counter {
    transactions: AtomicU64,
    blocks: AtomicU64,
    samples: parking_lot::Mutex<Vec<f64>>,
}

/// Runs the measurement.
///
/// # Errors
/// If the network does not start.
pub async fn ordering(plan: OrderingPlan) -> Result<OrderingReport> {
    let params = Params::default();
    let max_bytes = usize::try_from(params.max_block_bytes)?;
    let queues: Vec<Arc<OpaqueWorkload>> = (0..plan.validators)
        .map(|_| Arc::new(OpaqueWorkload { max_bytes, queue: parking_lot::Mutex::default() }))
        .collect();
    let network = Network::start(plan.validators, params, Vec::new(), |index| StartOptions {
        opaque: Some(Arc::clone(&queues[index])),
    })
    .await?;
    let zero = Instant::now();
    let running = Arc::new(AtomicBool::new(true));
    let offering = tokio::spawn(offer(queues, plan, zero, Arc::clone(&running)));
    let counters: Vec<Arc<Counter>> = network.nodes.iter().map(|_| Arc::default()).collect();
    let mut counting = tokio::task::JoinSet::new();
    for (node, counter) in network.nodes.iter().zip(&counters) {
        counting.spawn(count(node_chain(node), Arc::clone(counter), zero));
    }
    sleep(Duration::from_secs(plan.seconds.min(5))).await;
    let before: Vec<(u64, u64)> = counters.iter().map(|c| read(c)).collect();
    for counter in &counters {
        counter.samples.lock().clear();
    }
    let started = Instant::now();
    sleep(Duration::from_secs(plan.seconds)).await;
    let seconds = started.elapsed().as_secs_f64();
    let (transactions, blocks) = counters
        .iter()
        .zip(&before)
        .map(|(counter, (tx, blocks))| (read(counter).0 - tx, read(counter).1 - blocks))
        .min()
        .unwrap_or_default();
    let samples = counters.iter().flat_map(|c| std::mem::take(&mut *c.samples.lock())).collect();
    running.store(false, Relaxed);
    offering.await?;
    counting.shutdown().await;
    network.stop().await;
    Ok(OrderingReport {
        bench: "ordering",
        measures: "opaque transactions committed by the slowest node; safety record and blocks fsynced, nothing executed",
        validators: plan.validators,
        tx_bytes: plan.tx_bytes,
        offered_per_s: plan.rate,
        ordered_per_s: (transactions as f64 / seconds) as u64,
        blocks_per_s: (blocks as f64 / seconds * 10.0).round() / 10.0,
        latency: Latency::of(samples),
        seconds,
    })
}

fn node_chain(node: &Node) -> Arc<crate::node::chain::Chain> {
    Arc::clone(&node.chain)
}

fn read(counter: &Counter) -> (u64, u64) {
    (counter.transactions.load(Relaxed), counter.blocks.load(Relaxed))
}

/// Offers transactions in ticks of a few milliseconds; each begins with the time at which it was offered.
async fn offer(
    queues: Vec<Arc<OpaqueWorkload>>,
    plan: OrderingPlan,
    zero: Instant,
    running: Arc<AtomicBool>,
) {
    let mut tick = interval(Duration::from_millis(4));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut offered, mut serial) = (0u64, 0u64);
    while running.load(Relaxed) {
        tick.tick().await;
        let due = (zero.elapsed().as_secs_f64() * plan.rate as f64) as u64;
        let now = u64::try_from(zero.elapsed().as_micros()).unwrap_or(u64::MAX).to_le_bytes();
        while offered < due {
            offered += 1;
            serial += 1;
            let queue = &queues[(serial as usize) % queues.len()];
            let mut waiting = queue.queue.lock();
            if waiting.len() >= MAX_WAITING {
                continue;
            }
            let mut bytes = vec![0x5a; plan.tx_bytes.max(16)];
            bytes[..8].copy_from_slice(&now);
            bytes[8..16].copy_from_slice(&serial.to_le_bytes());
            waiting.push_back(Bytes::from(bytes));
        }
    }
}

async fn count(chain: Arc<crate::node::chain::Chain>, counter: Arc<Counter>, zero: Instant) {
    let mut committed = chain.committed.subscribe();
    let mut next = *committed.borrow() + 1;
    while committed.changed().await.is_ok() {
        let tip = *committed.borrow_and_update();
        let now = zero.elapsed().as_micros() as f64;
        while next <= tip {
            if let Ok(Some((_, block))) = chain.block_at(next) {
                let mut samples = counter.samples.lock();
                for tx in block.payload.iter().step_by(SAMPLE) {
                    if let Some(Ok(offered)) = tx.get(..8).map(<[u8; 8]>::try_from) {
                        samples.push((now - u64::from_le_bytes(offered) as f64) / 1_000.0);
                    }
                }
                counter.transactions.fetch_add(block.payload.len() as u64, Relaxed);
                counter.blocks.fetch_add(1, Relaxed);
            }
            next += 1;
        }
    }
}
