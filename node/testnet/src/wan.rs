//! Finality with a delay between the nodes: real processes, joined only through delaying proxies.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tokio::time::sleep;

use crate::{LinkKind, Network, Plan, Say, Spread, Task, network::samples_path};

/// Time before the measurement: connections are made, the pacemaker has settled, a crashed node is known.
const WARM_UP: Duration = Duration::from_secs(6);
/// Time after it, for what was offered last to become final everywhere.
const RUN_OUT: Duration = Duration::from_secs(4);
/// Time for the first blocks.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct WanPlan {
    /// Validators.
    pub validators: usize,
    /// How many of them are killed before the measurement.
    pub crashed: usize,
    /// Time that every byte takes from one node to another.
    pub delay: Duration,
    /// Opaque transactions offered per second, all nodes together.
    pub rate: u64,
    /// Bytes of each.
    pub tx_bytes: usize,
    /// Seconds measured.
    pub seconds: u64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct WanReport {
    /// Name of the measurement.
    pub bench: &'static str,
    /// What the figures say.
    pub measures: &'static str,
    /// Validators, each a process of this machine.
    pub validators: usize,
    /// Validators that were killed before.
    pub crashed: usize,
    /// Delay one way, in milliseconds.
    pub delay_ms: u64,
    /// Bytes of a transaction.
    pub tx_bytes: usize,
    /// Transactions offered per second by the nodes that run.
    pub offered_per_s: u64,
    /// Transactions that the slowest node ordered per second.
    pub ordered_per_s: u64,
    /// Distance of final blocks at the slowest node.
    pub block_interval: Option<Spread>,
    /// Of blocks that carry something, from the time that the proposer gave them.
    pub proposed_to_final: Finality,
    /// Of sampled transactions, from when they were offered to a node.
    pub offered_to_final: Finality,
}

/// Times until something was final, by who had it.
#[derive(Debug, Default, Serialize)]
pub struct Finality {
    /// At the first node.
    pub first: Option<Spread>,
    /// At as many nodes as a quorum takes.
    pub quorum: Option<Spread>,
    /// At the last node that runs.
    pub slowest: Option<Spread>,
    /// What some node had not seen final at the end.
    pub unfinished: usize,
}

impl Finality {
    /// From each node's latencies in microseconds, by what became final; a quorum are so many nodes.
    fn of(nodes: &[&BTreeMap<u64, u64>], quorum: usize) -> Self {
        let keys: BTreeSet<u64> = nodes.iter().flat_map(|node| node.keys().copied()).collect();
        let (mut first, mut at_quorum, mut slowest, mut unfinished) = (vec![], vec![], vec![], 0);
        for key in keys {
            let mut times: Vec<f64> = nodes
                .iter()
                .filter_map(|node| node.get(&key))
                .map(|us| *us as f64 / 1_000.0)
                .collect();
            times.sort_by(f64::total_cmp);
            first.extend(times.first());
            at_quorum.extend(times.get(quorum - 1));
            if times.len() == nodes.len() {
                slowest.extend(times.last());
            } else {
                unfinished += 1;
            }
        }
        Self {
            first: Spread::of(first),
            quorum: Spread::of(at_quorum),
            slowest: Spread::of(slowest),
            unfinished,
        }
    }
}

/// Runs the measurement.
///
/// # Errors
/// If the network does not start, a node ends, or nodes reach each other around the proxies.
pub async fn run(binary: &Path, plan: &WanPlan, say: Say<'_>) -> Result<WanReport> {
    ensure!(plan.crashed * 3 < plan.validators, "so many crashed nodes leave no quorum");
    let alive = plan.validators - plan.crashed;
    let rate = plan.rate / alive as u64;
    let layout = Plan {
        validators: plan.validators,
        full_nodes: 0,
        // A validator that was killed stays in the set, as a loss that nobody has noticed yet.
        params: "absence_epochs = 1000\n".to_owned(),
        accounts: Vec::new(),
        by_snapshot: Vec::new(),
        links: LinkKind::Proxies(plan.delay),
        task: Task::Order { rate, tx_bytes: plan.tx_bytes },
    };
    let mut network = Network::create(binary, &layout).await?;
    network.nodes.iter_mut().try_for_each(crate::Node::start)?;
    wait_for_blocks(&mut network).await?;
    for node in network.nodes.iter_mut().take(plan.crashed) {
        node.kill()?;
    }
    say("warming up");
    sleep(WARM_UP).await;
    let from = unix_us()?;
    for second in 0..plan.seconds {
        say(&format!("measuring: second {second} of {}", plan.seconds));
        sleep(Duration::from_secs(1)).await;
        network.none_ended()?;
    }
    let to = unix_us()?;
    none_around(&network)?;
    sleep(RUN_OUT).await;
    let mut records = Vec::new();
    for node in network.nodes.iter_mut().filter(|node| node.is_running()) {
        node.stop().await?;
        let text = fs::read_to_string(samples_path(&node.data))?;
        records.push(Record::read(&text, from..to).with_context(|| node.name())?);
    }
    Ok(report(plan, rate * alive as u64, &records))
}

/// Waits until every node has ordered a block. A node that orders executes nothing: its metrics say how far it is.
async fn wait_for_blocks(network: &mut Network) -> Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    for index in 0..network.nodes.len() {
        loop {
            network.none_ended()?;
            let node = &network.nodes[index];
            if node.status().await.is_ok_and(|status| status.ordered > 0) {
                break;
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "{} orders no block; its last words:\n{}",
                node.name(),
                node.last_words()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

fn unix_us() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}

/// Fails if a connection to a node's p2p port comes from anything but a proxy.
fn none_around(network: &Network) -> Result<()> {
    let proxies = network.links.proxy_ports();
    let nodes: BTreeSet<u16> = network.nodes.iter().map(|node| node.p2p).collect();
    let table = fs::read_to_string("/proc/net/tcp")?;
    let around =
        established(&table).filter(|(own, peer)| nodes.contains(own) && !proxies.contains(peer));
    let around = around.count();
    ensure!(
        around == 0,
        "{around} connections between nodes do not pass a proxy: the delay is not what it says"
    );
    Ok(())
}

/// Own and peer's port of each established connection in the text of `/proc/net/tcp`.
fn established(table: &str) -> impl Iterator<Item = (u16, u16)> + '_ {
    table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let mut port = || u16::from_str_radix(fields.next()?.rsplit_once(':')?.1, 16).ok();
        let ports = (port()?, port()?);
        (fields.next()? == "01").then_some(ports)
    })
}

/// What one node has seen of what was offered while it was measured.
#[derive(Debug, Default)]
struct Record {
    /// By serial number: microseconds from offering to finality here.
    transactions: BTreeMap<u64, u64>,
    /// By height: microseconds from the proposal to finality here.
    blocks: BTreeMap<u64, u64>,
    /// Distances of final blocks, in milliseconds.
    intervals: Vec<f64>,
    /// Transactions in them.
    ordered: u64,
    seconds: f64,
}

impl Record {
    /// Lines are `tx SERIAL OFFERED FINAL` and `block HEIGHT PROPOSED FINAL TRANSACTIONS`, times in microseconds of
    /// Unix time.
    fn read(text: &str, window: std::ops::Range<u64>) -> Result<Self> {
        let mut record =
            Self { seconds: (window.end - window.start) as f64 / 1e6, ..Self::default() };
        let mut before = None;
        for line in text.lines() {
            let mut words = line.split(' ');
            let kind = words.next();
            let mut number =
                || -> Result<u64> { Ok(words.next().context("a line is cut short")?.parse()?) };
            let (key, begun, done) = (number()?, number()?, number()?);
            match kind {
                Some("tx") if window.contains(&begun) => {
                    record.transactions.insert(key, done.saturating_sub(begun));
                }
                Some("block") if window.contains(&done) => {
                    if let Some(before) = before.replace(done) {
                        record.intervals.push(done.saturating_sub(before) as f64 / 1_000.0);
                    }
                    let items = number()?;
                    record.ordered += items;
                    // An empty block does not keep anyone waiting.
                    if items > 0 && window.contains(&begun) {
                        record.blocks.insert(key, done.saturating_sub(begun));
                    }
                }
                _ => {}
            }
        }
        Ok(record)
    }
}

fn report(plan: &WanPlan, offered: u64, records: &[Record]) -> WanReport {
    let quorum = plan.validators - (plan.validators - 1) / 3;
    let blocks: Vec<_> = records.iter().map(|record| &record.blocks).collect();
    let transactions: Vec<_> = records.iter().map(|record| &record.transactions).collect();
    let per_second = |record: &Record| (record.ordered as f64 / record.seconds) as u64;
    let slow = records.iter().min_by_key(|record| record.ordered);
    WanReport {
        bench: "wan",
        measures: "opaque transactions between processes joined by delaying proxies; blocks and safety record fsynced",
        validators: plan.validators,
        crashed: plan.crashed,
        delay_ms: u64::try_from(plan.delay.as_millis()).unwrap_or(u64::MAX),
        tx_bytes: plan.tx_bytes,
        offered_per_s: offered,
        ordered_per_s: slow.map_or(0, per_second),
        block_interval: slow.and_then(|record| Spread::of(record.intervals.clone())),
        proposed_to_final: Finality::of(&blocks, quorum),
        offered_to_final: Finality::of(&transactions, quorum),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finality_is_counted_at_the_first_a_quorum_and_the_slowest() {
        let plan = WanPlan {
            validators: 4,
            crashed: 0,
            delay: Duration::ZERO,
            rate: 1,
            tx_bytes: 1,
            seconds: 1,
        };
        let records: Vec<Record> = [30_000, 10_000, 40_000, 20_000]
            .iter()
            .map(|late| {
                let text = format!(
                    "tx 5 1000 {}\nblock 1 1000 1000 7\nblock 2 41000 51000 8\nblock 3 1000 {} 0\ntx 6 99 100\n",
                    1_000 + late,
                    101_000 + late
                );
                Record::read(&text, 1_000..1_001_000).unwrap()
            })
            .collect();
        let report = report(&plan, 1, &records);
        let at = |spread: &Option<Spread>| spread.unwrap().p50_ms;
        let Finality { first, quorum, slowest, .. } = &report.offered_to_final;
        assert_eq!((at(first), at(quorum), at(slowest)), (10.0, 30.0, 40.0));
        assert_eq!(at(&report.proposed_to_final.slowest), 10.0, "of two blocks, 0 and 10");
        assert_eq!(report.proposed_to_final.slowest.unwrap().count, 2, "none of the empty one");
        assert_eq!(report.ordered_per_s, 15);
        assert!(at(&report.block_interval) >= 50.0);
        assert!(Record::read("tx 5 1000", 0..1).is_err());
    }

    #[test]
    fn only_established_connections_are_read_from_the_table() {
        let table = "  sl  local_address rem_address   st\n\
            0: 0100007F:1F90 00000000:0000 0A 0\n\
            1: 0100007F:1F90 0100007F:C350 01 0\n\
            2: 0100007F:1F90 0100007F:C351 06 0\n";
        assert_eq!(established(table).collect::<Vec<_>>(), [(8_080, 50_000)]);
    }
}
