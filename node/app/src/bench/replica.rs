//! One process of a network that is measured from outside: offers bytes that nobody executes, and writes down when they
//! are final here.
//!
//! Lines of the record, times in microseconds of Unix time: `tx SERIAL OFFERED FINAL` for every transaction whose serial
//! number is a multiple of `SAMPLE`, `block HEIGHT PROPOSED FINAL TRANSACTIONS` for every block. Processes of one machine
//! share its clock, so that records can be compared.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use neura_types::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    config::NodeConfig,
    node::{Node, StartOptions, chain::Chain, workload::OpaqueWorkload},
};

/// Every so-manieth transaction is written down.
const SAMPLE: u64 = 64;
/// Serial numbers of one replica; the next one's follow.
const SERIALS: u64 = 1 << 40;
/// Offered transactions that may wait: beyond, the network is saturated and no more are offered.
const MAX_WAITING: usize = 20_000;
/// Bytes that time and serial number take.
const STAMP: usize = 16;

/// What a replica does.
#[derive(Debug, Clone)]
pub struct ReplicaPlan {
    /// Its node.
    pub config: NodeConfig,
    /// Its place among the replicas: keeps their serial numbers apart.
    pub replica: u64,
    /// Transactions offered per second, from its first final block on.
    pub rate: u64,
    /// Bytes of each.
    pub tx_bytes: usize,
    /// Where it writes what it has seen.
    pub samples: PathBuf,
}

/// Runs a replica until `stop` is done or the node fails.
///
/// # Errors
/// If the node does not start or fails, or the record cannot be written.
pub async fn replica(plan: ReplicaPlan, stop: impl Future<Output = ()>) -> Result<()> {
    let mut record = BufWriter::new(
        File::create(&plan.samples)
            .with_context(|| format!("creating {}", plan.samples.display()))?,
    );
    let opaque = Arc::new(OpaqueWorkload::default());
    let options = StartOptions { opaque: Some(Arc::clone(&opaque)) };
    let node = Node::start(&plan.config, options).await?;
    let offering = tokio::spawn(offer(Arc::clone(&node.chain), opaque, plan));
    let ended = tokio::select! {
        reason = node.failed() => Err(reason),
        written = write_down(&node.chain, &mut record) => written.map_err(|error| format!("{error:#}")),
        () = stop => Ok(()),
    };
    offering.abort();
    node.stop().await;
    record.flush().context("writing the record")?;
    ended.or_else(|reason| bail!("{reason}"))
}

fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Offers transactions in ticks of a few milliseconds; each begins with its time and serial number.
async fn offer(chain: Arc<Chain>, opaque: Arc<OpaqueWorkload>, plan: ReplicaPlan) {
    // The sender lives as long as the chain.
    let _ = chain.committed.subscribe().wait_for(|height| *height > 0).await;
    let begun = Instant::now();
    let mut tick = interval(Duration::from_millis(4));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut offered = 0;
    loop {
        tick.tick().await;
        let due = (begun.elapsed().as_secs_f64() * plan.rate as f64) as u64;
        let now = unix_us().to_le_bytes();
        while offered < due {
            offered += 1;
            let serial = plan.replica * SERIALS + offered;
            let mut bytes = vec![0x5a; plan.tx_bytes.max(STAMP)];
            bytes[..8].copy_from_slice(&now);
            bytes[8..STAMP].copy_from_slice(&serial.to_le_bytes());
            let mut waiting = opaque.queue.lock();
            if waiting.len() < MAX_WAITING {
                waiting.push_back(Bytes::from(bytes));
            }
        }
        chain.batches.sealable.notify_one();
    }
}

/// Writes down what becomes final; ends only with an error.
async fn write_down(chain: &Chain, record: &mut impl Write) -> Result<()> {
    // Nothing is executed: a block counts as executed when it is final and its batches are here.
    let mut ordered = chain.executed.subscribe();
    let mut next = *ordered.borrow() + 1;
    loop {
        ordered.changed().await?;
        let (tip, now) = (*ordered.borrow_and_update(), unix_us());
        while next <= tip {
            let (_, block) = chain.block_at(next)?.context("a final block is not in the store")?;
            let items = chain.batches.transactions(&block)?.context("a batch is not here")?;
            let proposed = block.header.timestamp_ms.saturating_mul(1_000);
            writeln!(record, "block {next} {proposed} {now} {}", items.len())?;
            for (offered, serial) in items.iter().filter_map(|tx| stamp(tx)) {
                if serial % SAMPLE == 0 {
                    writeln!(record, "tx {serial} {offered} {now}")?;
                }
            }
            next += 1;
        }
    }
}

/// Time and serial number of a transaction.
fn stamp(tx: &[u8]) -> Option<(u64, u64)> {
    let (time, rest) = tx.split_first_chunk()?;
    Some((u64::from_le_bytes(*time), u64::from_le_bytes(*rest.first_chunk()?)))
}
