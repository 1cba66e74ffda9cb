//! Measure how batches are stored beside blocks that are durable before the vote. Prints one JSON line.
//!
//! `cargo run -p neura-storage --example batches -- [stores] [megabytes per second] [seconds]`: each store takes batches of
//! 256 kB at this rate and, every 25 ms, a synced block that names those that came, commits it and prunes.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes};
use neura_storage::{
    Committed, Demand, ExecutedBlock, Retention, Store, StoreConfig, genesis_root,
};
use neura_types::{Batch, Block, BlockId, StateChanges, codec};

/// Bytes of a batch: 500 transactions of 512 bytes.
const BATCH_BYTES: usize = 256_000;
/// Time between blocks.
const INTERVAL: Duration = Duration::from_millis(25);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What one store took.
#[derive(Default)]
struct Taken {
    batches: u64,
    put_us: Vec<u64>,
    block_us: Vec<u64>,
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let stores = arguments.next().transpose()?.unwrap_or(4);
    let megabytes = arguments.next().transpose()?.unwrap_or(20);
    let seconds = arguments.next().transpose()?.unwrap_or(20);
    let dir = tempfile::tempdir()?;
    let (cpu, disk) = (cpu_ms(), written_bytes());
    let mut all = std::thread::scope(|scope| {
        let running: Vec<_> = (0..stores)
            .map(|number| {
                let path = dir.path().join(number.to_string());
                scope.spawn(move || run(&path, megabytes, Duration::from_secs(seconds)))
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| Failure::from("a thread panicked"))?)
            .try_fold(Taken::default(), |mut all, taken| {
                let taken: Taken = taken?;
                all.batches += taken.batches;
                all.put_us.extend(taken.put_us);
                all.block_us.extend(taken.block_us);
                Ok::<_, Failure>(all)
            })
    })?;
    let taken = all.batches * BATCH_BYTES as u64;
    println!(
        "{{\"bench\":\"batches\",\"stores\":{stores},\"asked_mb_s_each\":{megabytes},\"seconds\":{seconds},\
         \"taken_mb_s_each\":{:.1},\"put_p50_us\":{},\"put_p99_us\":{},\"block_p50_us\":{},\
         \"block_p99_us\":{},\"written_per_byte\":{:.2},\"cpu_ms_per_mb\":{:.1}}}",
        taken as f64 / 1e6 / seconds as f64 / stores as f64,
        part(&mut all.put_us, 50),
        part(&mut all.put_us, 99),
        part(&mut all.block_us, 50),
        part(&mut all.block_us, 99),
        (written_bytes() - disk) / taken as f64,
        (cpu_ms() - cpu) / (taken as f64 / 1e6),
    );
    Ok(())
}

fn part(values: &mut [u64], percent: usize) -> u64 {
    values.sort_unstable();
    values.get(values.len() * percent / 100).copied().unwrap_or_default()
}

/// Bytes that this process had written to disk (Linux; else 0).
fn written_bytes() -> f64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0.0)
}

/// Processor time of this process in milliseconds (Linux with 100 ticks a second; else 0).
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = |field: usize| -> f64 {
        after_name.split(' ').nth(field).and_then(|ticks| ticks.parse().ok()).unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) * 10.0
}

fn run(path: &Path, megabytes: u64, time: Duration) -> Result<Taken, Failure> {
    let config =
        StoreConfig { retention: Retention::Blocks(300), ..StoreConfig::new(1, B256::ZERO) };
    let store = Store::open(path, config)?;
    let changes = StateChanges::default();
    let genesis = Block::genesis(B256::ZERO, 1, genesis_root(&changes, 1)?);
    let mut parent = genesis.id();
    store.init_genesis(&genesis, parent, &changes)?;
    let per_block = (megabytes * 1_000_000) as f64 * INTERVAL.as_secs_f64() / BATCH_BYTES as f64;
    let mut random =
        blake3::Hasher::new().update(path.as_os_str().as_encoded_bytes()).finalize_xof();
    let mut taken = Taken::default();
    let start = Instant::now();
    for height in 1u64.. {
        let due = (height as f64 * per_block) as u64;
        let mut named = Vec::new();
        while taken.batches < due {
            let mut item = vec![0; BATCH_BYTES];
            random.fill(&mut item);
            let batch =
                Batch { author: 0, sequence: taken.batches, items: vec![Bytes::from(item)] };
            let (digest, bytes) = (batch.digest(), codec::encode(&batch));
            let before = Instant::now();
            store.put_batches(&[(digest, &bytes)], Demand::Offered, false)?;
            taken.put_us.push(u64::try_from(before.elapsed().as_micros())?);
            taken.batches += 1;
            named.push(batch.reference());
        }
        let mut block = Block::genesis(parent, height, genesis.header.executed);
        block.header.height = height;
        block.batches = named;
        let before = Instant::now();
        parent = extend(&store, &block)?;
        taken.block_us.push(u64::try_from(before.elapsed().as_micros())?);
        let next = start + INTERVAL * u32::try_from(height)?;
        if next > start + time {
            break;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    // A store that falls behind has taken less in the same time.
    let late = start.elapsed().as_secs_f64() / time.as_secs_f64();
    taken.batches = (taken.batches as f64 / late.max(1.0)) as u64;
    Ok(taken)
}

fn extend(store: &Store, block: &Block) -> Result<BlockId, Failure> {
    let (id, height) = (block.id(), block.header.height);
    store.put_block(block, id, true)?;
    store.commit(&[Committed { id, height, proof: Some(vec![1; 300]) }])?;
    store.commit_executed(&ExecutedBlock {
        id,
        height,
        timestamp_ms: height,
        gas_used: 0,
        base_fee: 1,
        next_base_fee: 1,
        proposer: Address::ZERO,
        receipts: &[],
        included: &[],
        block_logs: &[],
        changes: &StateChanges::default(),
    })?;
    store.prune(2)?;
    Ok(id)
}
