//! How a network recovers: from one validator less, of one that was away, from having been without a quorum.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use neura_client::{Client, EventStream};
use neura_types::rest::ChainEvent;
use serde::Serialize;
use tokio::{task::JoinHandle, time::sleep};

use crate::{LinkKind, Network, Payments, Plan, Say, Task, network::LOOK_EVERY, workload};

/// Blocks as fast as they come, the victim's turns lost quickly: the gap is wide in a minute.
const FAST: &str = "view_timeout_ms = 100\nidle_block_interval_ms = 1\nabsence_epochs = 1000\n";
/// Time for the network to go on by one block of the gap.
const STALL: Duration = Duration::from_secs(60);
/// Validators.
const VALIDATORS: usize = 4;
/// Accounts that pay meanwhile.
const PAYERS: usize = 4;
/// Final blocks awaited before and after a kill.
const BLOCKS_AROUND: u64 = 30;
/// Time for the network to do what is awaited.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a network is left without a quorum: some timeouts, so that they have grown.
const WITHOUT_QUORUM: Duration = Duration::from_secs(8);
/// Rounds without a quorum.
const QUORUM_ROUNDS: usize = 3;
/// The last blocks of a gap, whose time is the figure.
const LAST_BLOCKS: u64 = 1_000;
/// Blocks that a node that keeps up may lie behind at one look.
const KEEPS_UP: u64 = 8;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct RecoveryReport {
    /// Name of the measurement.
    pub bench: &'static str,
    /// Validators, each a process of this machine.
    pub validators: usize,
    /// One view's timer at its shortest, in milliseconds: a leader that is gone costs this.
    pub timeout_ms: u64,
    /// One of the validators killed, each in its turn.
    pub one_killed: OneKilled,
    /// One of them started again after the others have gone on.
    pub restarted: Restarted,
    /// One more of them down than the protocol bears, and back.
    pub quorum_lost: QuorumLost,
}

/// One of the validators killed.
#[derive(Debug, Serialize)]
pub struct OneKilled {
    /// What the figure says.
    pub measures: &'static str,
    /// The longest of the distances below.
    pub longest_gap_ms: u64,
    /// For each victim: the longest distance between two final blocks at any survivor.
    pub by_victim_ms: Vec<u64>,
    /// What it must not exceed.
    pub goal_ms: u64,
}

/// One of the validators away for a while.
#[derive(Debug, Serialize)]
pub struct Restarted {
    /// What the figure says.
    pub measures: &'static str,
    /// Blocks that it missed.
    pub missed_blocks: u64,
    /// From its start until it kept up.
    pub caught_up_ms: u64,
    /// The part of that for the last 1,000 blocks.
    pub last_1000_blocks_ms: u64,
    /// What that must not exceed.
    pub goal_ms: u64,
}

/// One more down than the protocol bears.
#[derive(Debug, Serialize)]
pub struct QuorumLost {
    /// What the figure says.
    pub measures: &'static str,
    /// For each round: from their start until the next final block was executed at every node.
    pub final_again_ms: Vec<u64>,
    /// What it must not exceed.
    pub goal_ms: u64,
}

/// Measures all three.
///
/// # Errors
/// If a network does not start or does not recover at all.
pub async fn run(binary: &Path, gap: u64, say: Say<'_>) -> Result<RecoveryReport> {
    let payers = workload::payers(PAYERS)?;
    let accounts: Vec<_> = payers.iter().map(|payer| payer.key.address()).collect();
    let plan = |params: &str| Plan {
        validators: VALIDATORS,
        full_nodes: 0,
        params: params.to_owned(),
        accounts: accounts.clone(),
        by_snapshot: Vec::new(),
        links: LinkKind::Direct,
        task: Task::Serve,
    };
    let mut network = Network::start(binary, &plan("")).await?;
    let mut payments = Payments::start(&network, payers, 0);
    let params = network.nodes[0].client.params().await?;
    let timeout_ms = params.view_timeout_ms + params.idle_block_interval_ms;
    let one_killed = one_killed(&mut network, timeout_ms, say).await?;
    let quorum_lost = quorum_lost(&mut network, say).await?;
    payments.finish(PATIENCE).await?;
    drop(network);
    let mut network = Network::start(binary, &plan(FAST)).await?;
    let restarted = restarted(&mut network, gap, say).await?;
    Ok(RecoveryReport {
        bench: "recovery",
        validators: VALIDATORS,
        timeout_ms,
        one_killed,
        restarted,
        quorum_lost,
    })
}

async fn one_killed(network: &mut Network, timeout_ms: u64, say: Say<'_>) -> Result<OneKilled> {
    let mut by_victim = Vec::new();
    for victim in 0..network.nodes.len() {
        say(&format!("killing validator {victim}"));
        network.all_advance(BLOCKS_AROUND, PATIENCE).await?;
        let watches: Vec<Watch> = network
            .nodes
            .iter()
            .filter(|node| node.index != victim)
            .map(|node| Watch::start(node.client.clone()))
            .collect();
        for watch in &watches {
            watch.seen(BLOCKS_AROUND / 2).await?;
        }
        network.nodes[victim].kill()?;
        let killed = Instant::now();
        network.all_advance(BLOCKS_AROUND, PATIENCE).await?;
        let gaps = watches.into_iter().map(|watch| watch.longest_gap(killed));
        let gaps: Vec<Duration> = gaps.collect::<Result<_>>()?;
        by_victim.push(millis(gaps.into_iter().max().unwrap_or_default()));
        network.nodes[victim].start()?;
        network.all_advance(BLOCKS_AROUND, PATIENCE).await?;
    }
    Ok(OneKilled {
        measures: "longest distance between two final blocks at any survivor, the kill included; payments going on",
        longest_gap_ms: by_victim.iter().copied().max().unwrap_or(0),
        by_victim_ms: by_victim,
        goal_ms: 2 * timeout_ms,
    })
}

async fn quorum_lost(network: &mut Network, say: Say<'_>) -> Result<QuorumLost> {
    let down = network.tolerated() + 1;
    let mut final_again = Vec::new();
    for round in 0..QUORUM_ROUNDS {
        say(&format!("round {round} without a quorum"));
        let victims: Vec<usize> = (0..down).map(|turn| (round + turn) % VALIDATORS).collect();
        victims.iter().try_for_each(|victim| network.nodes[*victim].kill())?;
        sleep(WITHOUT_QUORUM).await;
        let stopped_at = network.highest().await;
        let begun = Instant::now();
        victims.iter().try_for_each(|victim| network.nodes[*victim].start())?;
        network.all_reach(stopped_at + 1, PATIENCE).await?;
        final_again.push(millis(begun.elapsed()));
        network.all_advance(BLOCKS_AROUND, PATIENCE).await?;
    }
    Ok(QuorumLost {
        measures: "from the start of the nodes that were down until the next final block was executed at every node",
        final_again_ms: final_again,
        goal_ms: 10_000,
    })
}

async fn restarted(network: &mut Network, gap: u64, say: Say<'_>) -> Result<Restarted> {
    network.all_advance(BLOCKS_AROUND, PATIENCE).await?;
    let victim = VALIDATORS - 1;
    network.nodes[victim].kill()?;
    let missed_from = network.highest().await;
    let (mut missed, mut since) = (0, Instant::now());
    while missed < gap {
        let now = network.highest().await.saturating_sub(missed_from);
        if now > missed {
            (missed, since) = (now, Instant::now());
        }
        say(&format!("validator {victim} has missed {missed} of {gap} blocks"));
        ensure!(since.elapsed() < STALL, "the others stopped at {missed} of {gap} blocks");
        network.none_ended()?;
        sleep(Duration::from_millis(200)).await;
    }
    let begun = Instant::now();
    network.nodes[victim].start()?;
    let mut heights: Vec<(Instant, u64)> = Vec::new();
    let (caught_up, at) = loop {
        ensure!(begun.elapsed() < PATIENCE, "the node does not catch up: {:?}", heights.last());
        network.none_ended()?;
        let node = &network.nodes[victim];
        // Its own height first: the others have gone on since, which counts against it.
        let own = node.height().await;
        let seen = Instant::now();
        let others = network.nodes[0].height().await;
        if let (Some(own), Some(others)) = (own, others) {
            heights.push((seen, own));
            if own + KEEPS_UP >= others {
                break (seen, own);
            }
        }
        sleep(LOOK_EVERY).await;
    };
    let last_from = heights
        .iter()
        .rev()
        .find(|(_, height)| height + LAST_BLOCKS <= at)
        .map_or(begun, |(when, _)| *when);
    Ok(Restarted {
        measures: "from the start of the node until it is as high as another that goes on; empty blocks, made as fast as \
                   the others can",
        missed_blocks: missed,
        caught_up_ms: millis(caught_up - begun),
        last_1000_blocks_ms: millis(caught_up - last_from),
        goal_ms: 10_000,
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Notes when a node says that a block is final.
struct Watch {
    times: std::sync::Arc<parking_lot::Mutex<Vec<Instant>>>,
    task: JoinHandle<()>,
}

impl Watch {
    fn start(client: Client) -> Self {
        let times = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
        let noted = std::sync::Arc::clone(&times);
        let task = tokio::spawn(async move {
            let mut events = EventStream::new(client);
            loop {
                match events.next().await {
                    Ok(ChainEvent::BlockOrdered { .. }) => noted.lock().push(Instant::now()),
                    Ok(_) => {}
                    Err(_) => sleep(LOOK_EVERY).await,
                }
            }
        });
        Self { times, task }
    }

    /// Waits until so many blocks were seen.
    async fn seen(&self, blocks: u64) -> Result<()> {
        let wait = async {
            while (self.times.lock().len() as u64) < blocks {
                sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.context("no events of final blocks arrive")
    }

    /// The longest distance between two final blocks of which the later came after `from`.
    fn longest_gap(self, from: Instant) -> Result<Duration> {
        let times = self.times.lock();
        let gaps = times.windows(2).filter(|pair| pair[1] > from).map(|pair| pair[1] - pair[0]);
        gaps.max().context("no block became final after the kill")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
