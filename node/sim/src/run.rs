//! Run seeds and sum up what came out.

use std::{collections::BTreeSet, sync::Arc};

use neura_types::{
    Address, B256, Height, ValidatorIndex, ValidatorSet, keys::SecretKey, validator::Validator,
    vote::ChainContext,
};

use crate::{
    checker::Checker,
    node::{Chain, Node},
    plan::Plan,
    world::{Event, World, genesis_block},
};

/// Heights that every replica must add after healing.
const PROGRESS: Height = 10;

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
    /// Height of the lowest and of the highest replica at the end.
    pub heights: (Height, Height),
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
    /// Events handled, over all runs.
    pub events: u64,
}

/// Runs the plan of a seed.
pub fn run_seed(seed: u64) -> Outcome {
    run_with(Plan::from_seed(seed))
}

/// Runs seeds from `start` on; `report` sees each outcome.
pub fn run_seeds(start: u64, count: u64, mut report: impl FnMut(&Outcome)) -> Summary {
    let mut summary = Summary::default();
    for seed in start..start.saturating_add(count) {
        let outcome = run_seed(seed);
        report(&outcome);
        summary.seeds += 1;
        summary.blocks += outcome.heights.1;
        summary.events += outcome.events;
        if !outcome.violations.is_empty() {
            summary.failed.push(outcome);
        }
    }
    summary
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
    let mut world = build(plan);
    world.trace = trace;
    schedule_faults(&mut world);
    let chaos_us = world.plan.chaos_ms * 1_000;
    // Twins that split the network leave traces before they fork; the run goes on until they do.
    let split = world.plan.faults.split_twins;
    let bad = |world: &World| world.checker.has_forked() || !(split || world.checker.is_clean());
    world.run_until(chaos_us, bad);
    if world.checker.is_clean() && !split {
        heal(&mut world);
    }
    let heights = heights(&world);
    Outcome {
        seed: world.plan.seed,
        hash: world.hash(),
        chain: world.checker.chain_digest(),
        heights,
        events: world.events,
        outputs: world.nodes.iter().map(|node| node.outputs).collect(),
        virtual_ms: world.now_us / 1_000,
        violations: world.checker.into_violations(),
    }
}

fn heal(world: &mut World) {
    world.plan.faults.crash_at = None;
    world.network.heal();
    for node in 0..world.nodes.len() {
        world.nodes[node].doomed = false;
        world.start(node);
    }
    let goal = heights(world).1 + PROGRESS;
    let end_us = world.now_us + world.plan.healing_ms * 1_000;
    let everyone = |world: &World| world.nodes.iter().all(|node| node.height() >= goal);
    world.run_until(end_us, |world| everyone(world) || !world.checker.is_clean());
    if world.checker.is_clean() && !everyone(world) {
        let reached: Vec<_> = world.nodes.iter().map(Node::position).collect();
        let report = format!("no progress to {goal} after healing: {}", reached.join(", "));
        world.checker.report(report);
    }
}

fn heights(world: &World) -> (Height, Height) {
    let heights = world.nodes.iter().map(Node::height);
    (heights.clone().min().unwrap_or(0), heights.max().unwrap_or(0))
}

fn build(plan: Plan) -> World {
    let keys: Vec<SecretKey> = (0..plan.validators).map(key).collect();
    let members = keys.iter().map(|key| Validator {
        public_key: key.public_key(),
        account: Address::ZERO,
        power: 1,
    });
    let set = ValidatorSet::new(0, members.collect()).expect("a plan has one to seven validators");
    let genesis_hash = B256::repeat_byte(7);
    let chain = Chain {
        context: ChainContext { chain_id: 1, genesis: genesis_hash },
        set: Arc::new(set),
        genesis: genesis_block(genesis_hash),
    };
    let mut indices: Vec<Option<ValidatorIndex>> = (0..plan.validators).map(Some).collect();
    indices.extend(plan.faults.twins.iter().copied().map(Some));
    indices.extend((0..plan.observers).map(|_| None));
    let nodes: Vec<Node> = indices
        .iter()
        .zip(0u64..)
        .map(|(index, number)| {
            let key = index.map(|index| (index, keys[usize::from(index)].clone()));
            Node::new(key, Arc::clone(&chain.genesis), 1_000 * number)
        })
        .collect();
    let dishonest: BTreeSet<ValidatorIndex> = plan.faults.twins.iter().copied().collect();
    let context = chain.context;
    let checker = Checker::new(context, Arc::clone(&chain.set), chain.genesis.id(), dishonest);
    let split = plan.faults.split_twins;
    let validators = usize::from(plan.validators);
    let mut world = World::new(plan, chain, nodes, checker);
    if split {
        let twins: Vec<usize> = world.plan.faults.twins.iter().map(|i| usize::from(*i)).collect();
        let mut side = 0;
        let groups = (0..world.nodes.len()).map(|node| {
            if node >= validators || twins.contains(&node) {
                return u8::from(node >= validators);
            }
            side ^= 1;
            side
        });
        let groups = groups.collect();
        world.network.split(groups);
    }
    world
}

fn key(index: ValidatorIndex) -> SecretKey {
    let mut seed = [9u8; 32];
    seed[..2].copy_from_slice(&index.to_le_bytes());
    SecretKey::from_seed(&seed)
}

fn schedule_faults(world: &mut World) {
    let chaos_us = world.plan.chaos_ms * 1_000;
    for _ in 0..world.plan.crashes {
        let (at_us, node) = (world.draw(chaos_us), world.draw(world.nodes.len() as u64) as usize);
        world.schedule(at_us, Event::Crash { node });
    }
    if let Some(index) = world.plan.faults.wiped {
        let at_us = world.draw(chaos_us);
        world.schedule(at_us, Event::Crash { node: usize::from(index) });
    }
    for _ in 0..world.plan.partitions {
        let at_us = world.draw(chaos_us);
        let length_us = world.draw(3_000_000);
        world.schedule(at_us, Event::Split);
        world.schedule(at_us + length_us, Event::Join);
    }
}
