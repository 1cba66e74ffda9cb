//! Run plans: faults first, then healing and progress; many seeds on all cores.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use neura_types::{B256, Height, vote::Evidence};

use crate::{
    node::Node,
    plan::Plan,
    world::{Event, World},
};

/// Heights that every honest node must add after healing, and more until an epoch's end has passed.
const PROGRESS: Height = 8;
/// Time after the healing within which something must become final, in milliseconds: several views of liars, with the
/// longest timer.
const RESUME_MS: u64 = 20_000;
/// Blocks that a node may be behind the head.
const BEHIND: Height = 2;

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Digest of all that happened, in order: equal seeds give equal hashes.
    pub hash: String,
    /// Digest of the agreed chain.
    pub chain: B256,
    /// What went wrong; empty if nothing did.
    pub violations: Vec<String>,
    /// Height of the lowest and of the highest honest node at the end.
    pub heights: (Height, Height),
    /// Epochs that ended.
    pub epochs: u64,
    /// Transactions executed.
    pub transactions: u64,
    /// Changes of the validators from an epoch to the next.
    pub changes: u64,
    /// What honest nodes found out about liars.
    pub evidence: Vec<Evidence>,
    /// Events handled.
    pub events: u64,
    /// Outputs carried out by each node.
    pub outputs: Vec<u64>,
    /// Virtual time at the end, in milliseconds.
    pub virtual_ms: u64,
}

/// What many runs came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Runs.
    pub seeds: u64,
    /// Runs with violations.
    pub failed: Vec<Outcome>,
    /// Blocks made final, over all runs.
    pub blocks: u64,
    /// Epochs that ended, over all runs.
    pub epochs: u64,
    /// Transactions executed, over all runs.
    pub transactions: u64,
    /// Changes of the validators, over all runs.
    pub changes: u64,
    /// Pieces of evidence, over all runs.
    pub evidence: u64,
    /// Events handled, over all runs.
    pub events: u64,
}

impl Summary {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.blocks += outcome.heights.1;
        self.epochs += outcome.epochs;
        self.transactions += outcome.transactions;
        self.changes += outcome.changes;
        self.evidence += outcome.evidence.len() as u64;
        self.events += outcome.events;
        if !outcome.violations.is_empty() {
            self.failed.push(outcome);
        }
    }

    fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.blocks += other.blocks;
        self.epochs += other.epochs;
        self.transactions += other.transactions;
        self.changes += other.changes;
        self.evidence += other.evidence;
        self.events += other.events;
        self.failed.extend(other.failed);
    }
}

/// Runs the plan of a seed.
pub fn run_seed(seed: u64) -> Outcome {
    run_with(Plan::from_seed(seed))
}

/// Runs `count` seeds from `start` on, on all cores; `report` sees each outcome.
pub fn run_seeds(start: u64, count: u64, report: impl Fn(&Outcome) + Sync) -> Summary {
    let next = AtomicU64::new(start);
    let end = start.saturating_add(count);
    let work = || {
        let mut summary = Summary::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return summary;
            }
            let outcome = run_seed(seed);
            report(&outcome);
            summary.add(outcome);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut all = Summary::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(summary) => all.join(summary),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all.failed.sort_by_key(|outcome| outcome.seed);
    all
}

/// Runs the plan of a seed and gives a line per input and output to `trace`.
pub fn run_traced(seed: u64, trace: fn(&str)) -> Outcome {
    run(Plan::from_seed(seed), Some(trace))
}

/// Runs a plan: faults first, then healing and progress.
pub fn run_with(plan: Plan) -> Outcome {
    run(plan, None)
}

fn run(plan: Plan, trace: Option<fn(&str)>) -> Outcome {
    let mut world = World::new(plan);
    world.trace = trace;
    let split = world.plan.split_twins;
    if split {
        split_twins(&mut world);
    }
    schedule_faults(&mut world);
    let chaos_us = world.plan.chaos_ms * 1_000;
    // Twins that split the network leave traces before they fork; the run goes on until they do.
    let bad = |world: &World| world.checker.has_forked() || !(split || world.checker.is_clean());
    world.run_until(chaos_us, bad);
    if world.checker.is_clean() && !split {
        heal(&mut world);
    }
    let heights = world.heights();
    let newest = world.nodes.iter().max_by_key(|node| node.executed_height());
    Outcome {
        seed: world.plan.seed,
        hash: world.hash(),
        chain: world.checker.chain_digest(),
        heights,
        epochs: world.nodes.iter().map(|node| node.config.epoch).max().unwrap_or(0),
        transactions: newest.map_or(0, |node| world.clients.executed(node)),
        changes: world.checker.set_changes(),
        evidence: world.checker.evidence().to_vec(),
        events: world.events,
        outputs: world.nodes.iter().map(|node| node.outputs).collect(),
        virtual_ms: world.now_us / 1_000,
        violations: world.checker.into_violations(),
    }
}

/// All links are good, all nodes run, clocks are right; liars go on lying.
fn heal(world: &mut World) {
    world.plan.crash_at = None;
    world.plan.damaged.clear();
    world.network.heal();
    world.plan.weather.reconnects = true;
    for node in 0..world.nodes.len() {
        let at = &mut world.nodes[node];
        (at.doomed, at.failing_disk, at.stalled_until_us, at.skew_ms) = (false, false, 0, 0);
        world.start(node);
    }
    let (_, highest) = world.heights();
    let resumed_us = world.now_us + RESUME_MS * 1_000;
    world.run_until(resumed_us, |world| world.heights().1 > highest || !world.checker.is_clean());
    if world.checker.is_clean() && world.heights().1 <= highest {
        return stuck(world, &format!("nothing is final {RESUME_MS} ms after the healing"));
    }
    let length = world.plan.epoch_blocks;
    let goal = ((highest + PROGRESS).div_ceil(length) * length) + BEHIND + 1;
    let end_us = world.now_us + world.plan.healing_ms * 1_000;
    let there = move |world: &World| {
        let (lowest, highest) = world.heights();
        lowest >= goal && highest - lowest <= BEHIND
    };
    world.run_until(end_us, |world| there(world) || !world.checker.is_clean());
    if world.checker.is_clean() && !there(world) {
        stuck(world, &format!("not everyone is at {goal} and near the head after healing"));
    }
}

fn stuck(world: &mut World, what: &str) {
    let reached: Vec<_> = world.nodes.iter().map(Node::position).collect();
    world.checker.report(format!("{what}: {}", reached.join(", ")));
}

/// Splits the network so that both halves hold a quorum with the twins.
fn split_twins(world: &mut World) {
    let twins = world.plan.twins();
    let keys = usize::from(world.plan.identities());
    let mut side = 0;
    let groups: Vec<u8> = (0..world.nodes.len())
        .map(|node| {
            if node >= keys || twins.contains(&world.nodes[node].identity) {
                return u8::from(node >= keys);
            }
            side ^= 1;
            side
        })
        .collect();
    world.network.split(&groups);
}

fn schedule_faults(world: &mut World) {
    let chaos_us = world.plan.chaos_ms * 1_000;
    let nodes = world.nodes.len() as u64;
    let weather = world.plan.weather.clone();
    let damaged: Vec<usize> = world.plan.damaged.iter().map(|i| usize::from(*i)).collect();
    let crashes = (0..weather.crashes).map(|_| None);
    for named in crashes.chain(damaged.into_iter().map(Some)) {
        let (at_us, drawn) = (world.draw(chaos_us), world.draw(nodes) as usize);
        world.schedule(at_us, Event::Doom { node: named.unwrap_or(drawn) });
    }
    for _ in 0..weather.partitions {
        let (at_us, length_us) = (world.draw(chaos_us), world.draw(3_000_000));
        world.schedule(at_us, Event::Split);
        world.schedule(at_us + length_us, Event::Join);
    }
    for _ in 0..weather.stalls {
        let (at_us, node) = (world.draw(chaos_us), world.draw(nodes) as usize);
        let for_us = world.draw(3_000_000);
        world.schedule(at_us, Event::Stall { node, for_us });
    }
    for _ in 0..weather.io_errors {
        let (at_us, node) = (world.draw(chaos_us), world.draw(nodes) as usize);
        world.schedule(at_us, Event::DiskFault { node });
    }
    for identity in world.plan.skewed.clone() {
        let hours = [-3_600_000i64, 3_600_000, -60_000, 60_000][world.draw(4) as usize];
        world.nodes[usize::from(identity)].skew_ms = hours;
    }
}
