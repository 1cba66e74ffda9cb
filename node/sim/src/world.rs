//! The event loop: virtual time, a totally ordered queue, and the carrying out of outputs.

use std::{collections::BTreeMap, sync::Arc};

use neura_consensus::{CommittedBlock, FetchRequest, Input, Output};
use neura_types::{
    Block, BlockId, Bytes, Height, ValidatorIndex, View, codec, vote::ConsensusMessage,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    checker::Checker,
    network::Network,
    node::{Chain, Node, Waiting},
    plan::Plan,
    trace,
};

/// Longest time a body waits for the parent's executed height before it is asked for again, in microseconds.
const EXECUTION_POLL_US: u64 = 5_000;
/// Length of the longest transaction in a simulated body.
const MAX_TRANSACTION_BYTES: usize = 40;

/// Blocks that a replica may keep in memory, however bad the network.
const MAX_KEPT_BLOCKS: usize = 500;

/// A request for a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PayloadRequest {
    view: View,
    parent: BlockId,
    height: Height,
    parent_executed: Height,
    must_be_empty: bool,
}

/// What happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    Input { node: usize, life: Option<u32>, input: Input },
    Timer { node: usize, life: u32, at_ms: u64 },
    Build { node: usize, life: u32, request: PayloadRequest },
    Execute { node: usize, life: u32, id: BlockId },
    Serve { node: usize, asker: usize, request: FetchRequest },
    Crash { node: usize },
    Start { node: usize },
    Split,
    Join,
}

/// All nodes, the network between them, the queue, and the judge.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) chain: Chain,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) checker: Checker,
    pub(crate) now_us: u64,
    pub(crate) events: u64,
    /// Receives a line per input and output, if someone reads along.
    pub(crate) trace: Option<fn(&str)>,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    rng: ChaCha8Rng,
    hasher: blake3::Hasher,
}

impl World {
    /// A world in which every node starts at a time of its own.
    pub(crate) fn new(plan: Plan, chain: Chain, nodes: Vec<Node>, checker: Checker) -> Self {
        let network = Network::new(&plan, nodes.len());
        let rng = ChaCha8Rng::seed_from_u64(plan.seed);
        let mut world = Self {
            plan,
            chain,
            nodes,
            network,
            checker,
            now_us: 0,
            events: 0,
            trace: None,
            queue: BTreeMap::new(),
            sequence: 0,
            rng,
            hasher: blake3::Hasher::new(),
        };
        for node in 0..world.nodes.len() {
            let after_us = world.rng.random_range(0..50_000);
            world.schedule(after_us, Event::Start { node });
        }
        world
    }

    /// Draws a number below `bound`.
    pub(crate) fn draw(&mut self, bound: u64) -> u64 {
        self.rng.random_range(0..bound.max(1))
    }

    /// Adds an event.
    pub(crate) fn schedule(&mut self, after_us: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now_us + after_us, self.sequence), event);
    }

    /// Runs events up to a time, or until `done`.
    pub(crate) fn run_until(&mut self, end_us: u64, done: impl Fn(&Self) -> bool) {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end_us) {
            self.now_us = entry.key().0;
            let event = entry.remove();
            self.events += 1;
            self.apply(event);
            if done(self) {
                return;
            }
        }
        self.now_us = end_us;
    }

    /// A digest of everything that happened, in order.
    pub(crate) fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    /// A crash within the next step that has outputs.
    pub(crate) fn doom(&mut self, node: usize) {
        self.nodes[node].doomed = self.nodes[node].replica.is_some();
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Input { node, life, input } => {
                if life.is_none_or(|life| life == self.nodes[node].life) {
                    self.step(node, input);
                }
            }
            Event::Timer { node, life, at_ms } => {
                if self.nodes[node].life == life && self.nodes[node].timer_ms == Some(at_ms) {
                    self.nodes[node].timer_ms = None;
                    self.step(node, Input::Timer);
                }
            }
            Event::Build { node, life, request } => self.build(node, life, request),
            Event::Execute { node, life, id } => {
                if self.nodes[node].life == life {
                    self.nodes[node].executor.execute(id);
                    self.answer_checks(node);
                }
            }
            Event::Serve { node, asker, request } => self.serve(node, asker, &request),
            Event::Crash { node } => self.doom(node),
            Event::Start { node } => self.start(node),
            Event::Split => self.network.split_at_random(&mut self.rng),
            Event::Join => {
                self.network.join();
                self.reconnect_all();
            }
        }
    }

    /// Starts a node that is down.
    pub(crate) fn start(&mut self, node: usize) {
        if self.nodes[node].replica.is_some() {
            return;
        }
        self.record(node, 0, &[]);
        let outputs = self.nodes[node].start(&self.chain, self.now_us);
        self.carry_out(node, outputs);
        if self.plan.reconnects {
            self.reconnect(node);
        }
    }

    fn reconnect_all(&mut self) {
        if self.plan.reconnects {
            (0..self.nodes.len()).for_each(|node| self.reconnect(node));
        }
    }

    /// Connections of this node come up: both ends are told.
    fn reconnect(&mut self, node: usize) {
        let Some(index) = self.nodes[node].index() else { return };
        for other in 0..self.nodes.len() {
            if other != node {
                let after_us = 1_000 + self.draw(1_000);
                let input = Input::Connected { peer: index };
                self.schedule(after_us, Event::Input { node: other, life: None, input });
            }
        }
    }

    fn step(&mut self, node: usize, input: Input) {
        let now_ms = self.nodes[node].now_ms(self.now_us);
        if let Some(trace) = self.trace
            && self.nodes[node].replica.is_some()
        {
            trace(&format!("{:>9} node {node} <- {}", self.now_us, trace::input(&input)));
        }
        let Some(replica) = &mut self.nodes[node].replica else { return };
        let outputs = replica.step(now_ms, input);
        let status = replica.status();
        let kept = status.orphan_blocks + status.tree_blocks;
        if kept > MAX_KEPT_BLOCKS {
            self.checker.report(format!("node {node} keeps {kept} blocks"));
        }
        self.record(node, 1, &status.view.to_le_bytes());
        self.carry_out(node, outputs);
    }

    /// Carries out outputs in order; a doomed node crashes between two of them.
    fn carry_out(&mut self, node: usize, outputs: Vec<Output>) {
        let crash_after = (self.nodes[node].doomed && !outputs.is_empty())
            .then(|| self.rng.random_range(0..=outputs.len()));
        for (done, output) in outputs.into_iter().enumerate() {
            let at = (node, self.nodes[node].outputs);
            if crash_after == Some(done) || self.plan.faults.crash_at == Some(at) {
                return self.crash(node);
            }
            self.nodes[node].outputs += 1;
            if let Some(trace) = self.trace {
                trace(&format!("{:>9} node {node} -> {}", self.now_us, trace::output(&output)));
            }
            self.checker.on_output(self.nodes[node].index(), &output);
            self.perform(node, output);
        }
        if crash_after.is_some() {
            self.crash(node);
        }
    }

    fn crash(&mut self, node: usize) {
        if let Some(trace) = self.trace {
            trace(&format!("{:>9} node {node} CRASH", self.now_us));
        }
        self.record(node, 2, &[]);
        if self.plan.faults.crash_at.is_some_and(|(crashing, _)| crashing == node) {
            self.plan.faults.crash_at = None;
        }
        let down = &mut self.nodes[node];
        down.replica = None;
        down.doomed = false;
        down.disk.crash(&mut self.rng);
        if self.plan.faults.forget_record {
            down.disk.lose_record();
        }
        if down.index().is_some() && down.index() == self.plan.faults.wiped {
            down.disk.lose_record();
            down.must_observe = true;
        }
        let after_us = 10_000 + self.draw(3_000_000);
        self.schedule(after_us, Event::Start { node });
    }

    fn perform(&mut self, node: usize, output: Output) {
        let life = self.nodes[node].life;
        match output {
            Output::StoreBlock { id, block } => self.nodes[node].disk.store(id, block),
            Output::Persist(record) => self.nodes[node].disk.persist(&record),
            Output::Send { to, message } => self.send(node, Some(to), &message),
            Output::Broadcast(message) => self.send(node, None, &message),
            Output::SetTimer { at_ms } => {
                let now_ms = self.nodes[node].now_ms(self.now_us);
                let after_us = at_ms.saturating_sub(now_ms) * 1_000 + self.draw(3_000);
                self.nodes[node].timer_ms = Some(at_ms);
                self.schedule(after_us, Event::Timer { node, life, at_ms });
            }
            Output::BuildPayload {
                view, parent, height, parent_executed, must_be_empty, ..
            } => {
                let request =
                    PayloadRequest { view, parent, height, parent_executed, must_be_empty };
                let after_us = self.draw(self.plan.max_work_us);
                self.schedule(after_us, Event::Build { node, life, request });
            }
            Output::Validate { id, block, .. } => {
                self.nodes[node].waiting.push(Waiting { id, block });
                self.answer_checks(node);
            }
            Output::Fetch(request) => self.fetch(node, request),
            Output::Commit(committed) => self.commit(node, committed),
            Output::Evidence(_) | Output::PeerFault { .. } => {}
        }
    }

    fn commit(&mut self, node: usize, committed: CommittedBlock) {
        let life = self.nodes[node].life;
        let height = self.nodes[node].height();
        self.checker.on_commit(node, height, &committed);
        let id = committed.id;
        let announcement = committed.proof.clone();
        self.record(node, 3, id.as_slice());
        self.nodes[node].disk.commit(committed);
        // One duration for all, so that a node executes in the order of its commits.
        let after_us = self.plan.max_work_us / 4;
        self.schedule(after_us, Event::Execute { node, life, id });
        if let Some(proof) = announcement.filter(|_| self.nodes[node].index().is_some()) {
            let message = ConsensusMessage::Committed(Box::new(proof));
            let observers = usize::from(self.plan.observers);
            for observer in self.nodes.len() - observers..self.nodes.len() {
                self.deliver(node, observer, &message);
            }
        }
    }

    fn send(&mut self, node: usize, to: Option<ValidatorIndex>, message: &ConsensusMessage) {
        for other in 0..self.nodes.len() {
            let index = self.nodes[other].index();
            let meant = match to {
                Some(to) => index == Some(to),
                None => index.is_some() && index != self.nodes[node].index(),
            };
            if meant && other != node {
                self.deliver(node, other, message);
            }
        }
    }

    fn deliver(&mut self, node: usize, other: usize, message: &ConsensusMessage) {
        for after_us in self.network.delays(node, other, &mut self.rng) {
            let from = self.nodes[node].peer(node);
            let input = Input::Message { from, message: message.clone() };
            self.schedule(after_us, Event::Input { node: other, life: None, input });
        }
        let digest = blake3::hash(&codec::encode(message));
        self.record(other, 4, digest.as_bytes());
    }

    fn build(&mut self, node: usize, life: u32, request: PayloadRequest) {
        let PayloadRequest { view, parent, height, parent_executed, must_be_empty } = request;
        if self.nodes[node].life != life {
            return;
        }
        let Some(executed) = self.nodes[node].executor.newest_for(height, parent_executed) else {
            return self.schedule(EXECUTION_POLL_US, Event::Build { node, life, request });
        };
        let count = if must_be_empty { 0 } else { self.draw(4) };
        let payload = (0..count).map(|_| {
            let mut bytes = vec![0u8; self.rng.random_range(0..MAX_TRANSACTION_BYTES)];
            self.rng.fill(&mut bytes[..]);
            Bytes::from(bytes)
        });
        let payload = payload.collect();
        let timestamp_ms = self.nodes[node].now_ms(self.now_us);
        self.step(node, Input::Payload { view, parent, timestamp_ms, executed, payload });
    }

    /// Answers the checks for which execution has come far enough.
    fn answer_checks(&mut self, node: usize) {
        let life = self.nodes[node].life;
        for Waiting { id, block } in std::mem::take(&mut self.nodes[node].waiting) {
            let claimed = block.header.executed;
            let Some(own) = self.nodes[node].executor.root(claimed.height) else {
                self.nodes[node].waiting.push(Waiting { id, block });
                continue;
            };
            let verdict = if own == claimed { Ok(()) } else { Err("another root".to_owned()) };
            if verdict.is_err() && self.plan.faults.twins.is_empty() {
                self.checker.report(format!("node {node} has another root than a proposer"));
            }
            let after_us = self.draw(self.plan.max_work_us);
            let input = Input::Validated { block: id, verdict };
            self.schedule(after_us, Event::Input { node, life: Some(life), input });
        }
    }

    fn fetch(&mut self, node: usize, request: FetchRequest) {
        let ask = match &request {
            FetchRequest::Ancestors { ask, .. } | FetchRequest::Committed { ask, .. } => ask,
        };
        let named = ask.first().copied();
        let candidates: Vec<usize> = (0..self.nodes.len())
            .filter(|other| *other != node)
            .filter(|other| named.is_none_or(|peer| self.nodes[*other].peer(*other) == peer))
            .collect();
        if candidates.is_empty() {
            return;
        }
        let chosen = candidates[self.draw(candidates.len() as u64) as usize];
        let life = self.nodes[node].life;
        let delay = self.network.delays(node, chosen, &mut self.rng).first().copied();
        match delay {
            Some(after_us) => {
                self.schedule(after_us, Event::Serve { node: chosen, asker: node, request });
            }
            None => {
                let input = Input::FetchFailed { request };
                self.schedule(20_000, Event::Input { node, life: Some(life), input });
            }
        }
    }

    fn serve(&mut self, node: usize, asker: usize, request: &FetchRequest) {
        if self.nodes[node].replica.is_none() {
            return;
        }
        let answer = self.nodes[node].disk.serve(self.nodes[node].peer(node), request);
        for after_us in self.network.delays(node, asker, &mut self.rng) {
            let input = answer.clone();
            self.schedule(after_us, Event::Input { node: asker, life: None, input });
        }
    }

    fn record(&mut self, node: usize, kind: u8, detail: &[u8]) {
        self.hasher.update(&self.now_us.to_le_bytes());
        self.hasher.update(&[kind, node as u8]);
        self.hasher.update(detail);
    }
}

/// The block of genesis in every run.
pub(crate) fn genesis_block(genesis: neura_types::B256) -> Arc<Block> {
    Arc::new(Block::genesis(genesis, 0, neura_types::ExecutedRoot::default()))
}
