//! Measures four validators in this process that send batches to each other at a fixed rate, and
//! how long votes take meanwhile.
//!
//! `cargo run -p neura-p2p --example mesh [tcp|quic] [transactions per second] [seconds]` prints one
//! JSON line. A transaction has 512 bytes; all validators together take in so many.

// The line is the program's output.
#![allow(clippy::print_stdout)]

use std::{
    collections::BTreeSet,
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use neura_p2p::{
    Class, Event, EventKind, Events, Network, NetworkConfig, NetworkHandle, chain_tag,
    peer_id_from_seed,
};
use tokio::time::{MissedTickBehavior, interval};

const VALIDATORS: usize = 4;
const BATCH_BYTES: usize = 256 * 1024;
const TRANSACTION_BYTES: usize = 512;
const VOTE_BYTES: usize = 200;
const VOTE_INTERVAL: Duration = Duration::from_millis(5);

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the nodes have seen together.
struct Seen {
    start: Instant,
    batch_bytes: AtomicU64,
    refused: AtomicU64,
    /// Microseconds from sending to receiving, of each vote.
    votes: Mutex<Vec<u64>>,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let transport = args.next().unwrap_or_else(|| "tcp".to_owned());
    let per_second: f64 = args.next().map_or(Ok(40_000.0), |n| n.parse())?;
    let seconds: u64 = args.next().map_or(Ok(10), |n| n.parse())?;
    let listen = match transport.as_str() {
        "quic" => "/ip4/127.0.0.1/udp/0/quic-v1",
        _ => "/ip4/127.0.0.1/tcp/0",
    };
    let handles_and_events = start(listen).await?;
    let seen = Arc::new(Seen {
        start: Instant::now(),
        batch_bytes: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        votes: Mutex::default(),
    });
    let share = per_second * TRANSACTION_BYTES as f64 / VALIDATORS as f64;
    let pause = Duration::from_secs_f64(BATCH_BYTES as f64 / share);
    let cpu = cpu_seconds()?;
    for (handle, mut events) in handles_and_events {
        let votes = events.split_off(&[EventKind::Consensus]);
        tokio::spawn(take(votes, seen.clone()));
        tokio::spawn(take(events, seen.clone()));
        tokio::spawn(send_batches(handle.clone(), pause, seen.clone()));
        tokio::spawn(send_votes(handle, seen.clone()));
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let elapsed = seen.start.elapsed().as_secs_f64();
    let used = (cpu_seconds()? - cpu) / elapsed;
    let mut votes = seen.votes.lock().map_err(|_| "a task panicked")?.clone();
    votes.sort_unstable();
    let percentile = |p: usize| votes.get(votes.len() * p / 100).copied().unwrap_or_default();
    let bytes = seen.batch_bytes.load(Ordering::Relaxed) as f64;
    let delivered = bytes / TRANSACTION_BYTES as f64 / (VALIDATORS - 1) as f64 / elapsed;
    println!(
        "{{\"bench\":\"p2p-mesh\",\"transport\":\"{transport}\",\"validators\":{VALIDATORS},\
         \"offered_per_s\":{per_second:.0},\"delivered_per_s\":{delivered:.0},\
         \"wire_mb_per_s\":{:.1},\"refused_batches\":{},\"cpus_used\":{used:.2},\
         \"vote_us_p50\":{},\"vote_us_p99\":{},\"votes\":{}}}",
        bytes / 1e6 / elapsed,
        seen.refused.load(Ordering::Relaxed),
        percentile(50),
        percentile(99),
        votes.len(),
    );
    Ok(())
}

/// A full mesh of validators, connected.
async fn start(listen: &str) -> Outcome<Vec<(NetworkHandle, Events)>> {
    let seeds: Vec<[u8; 32]> = (1..=VALIDATORS as u8).map(|n| [n; 32]).collect();
    let validators: Result<BTreeSet<_>, _> = seeds.iter().map(peer_id_from_seed).collect();
    let validators = validators?;
    let mut started: Vec<(NetworkHandle, Events)> = Vec::new();
    for seed in seeds {
        let mut config = NetworkConfig::new(seed, chain_tag(1, &[7; 32]));
        config.listen = vec![listen.parse()?];
        config.validators = validators.clone();
        for (handle, _) in &started {
            config.bootstrap.push((handle.local_peer_id(), handle.listen_addrs().remove(0)));
        }
        let Network { handle, events } = Network::start(config).await?;
        started.push((handle, events));
    }
    while started.iter().any(|(handle, _)| handle.linked_validators().len() < VALIDATORS - 1) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(started)
}

async fn send_batches(handle: NetworkHandle, pause: Duration, seen: Arc<Seen>) {
    let batch = Bytes::from(vec![42; BATCH_BYTES]);
    let mut due = interval(pause);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        due.tick().await;
        if let Ok(sent) = handle.broadcast(Class::Batch, batch.clone()) {
            seen.refused.fetch_add(sent.refused.len() as u64, Ordering::Relaxed);
        }
    }
}

async fn send_votes(handle: NetworkHandle, seen: Arc<Seen>) {
    let mut due = interval(VOTE_INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let mut vote = vec![0; VOTE_BYTES];
        vote[..8].copy_from_slice(&micros(seen.start).to_le_bytes());
        // Sizes are right, and a validator that is away misses it.
        let _ = handle.broadcast(Class::Consensus, vote.into());
    }
}

async fn take(mut events: Events, seen: Arc<Seen>) {
    while let Some(event) = events.next().await {
        let Event::Message { class, bytes, .. } = event else { continue };
        match (class, bytes.first_chunk::<8>()) {
            (Class::Consensus, Some(sent)) => {
                let took = micros(seen.start).saturating_sub(u64::from_le_bytes(*sent));
                if let Ok(mut votes) = seen.votes.lock() {
                    votes.push(took);
                }
            }
            _ => {
                seen.batch_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
        }
    }
}

fn micros(start: Instant) -> u64 {
    start.elapsed().as_micros() as u64
}

/// Processor time of this process, from the system's counters of hundredths of a second.
fn cpu_seconds() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
