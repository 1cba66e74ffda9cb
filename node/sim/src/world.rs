//! The event loop: virtual time, a totally ordered queue, and who gets what.

mod driver;
mod epochs;
mod execution;
mod messages;

use std::{collections::BTreeMap, sync::Arc};

use neura_consensus::{FetchRequest, Input};
use neura_types::{B256, Batch, Height, vote::ConsensusMessage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    chain::Chain,
    checker::Checker,
    clients::Clients,
    ledger::Ledger,
    network::Network,
    node::Node,
    plan::{Behaviour, Plan},
    trace,
};

pub(crate) use driver::PayloadRequest;

/// Distance of the clients' transactions, in microseconds.
const CLIENT_INTERVAL_US: u64 = 150_000;
/// Distance of a node's batches, in microseconds.
const BATCH_INTERVAL_US: u64 = 400_000;

/// What happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message arrives.
    Message {
        node: usize,
        sender: usize,
        message: Arc<ConsensusMessage>,
    },
    /// The answer to a fetch arrives.
    Answer {
        node: usize,
        sender: usize,
        answer: Box<Input>,
    },
    /// The node's own doing.
    Own {
        node: usize,
        life: u32,
        input: Box<Input>,
    },
    Connected {
        node: usize,
        other: usize,
    },
    Timer {
        node: usize,
        life: u32,
        at_ms: u64,
    },
    Build {
        node: usize,
        life: u32,
        request: PayloadRequest,
    },
    Execute {
        node: usize,
        life: u32,
    },
    Recheck {
        node: usize,
        life: u32,
    },
    Serve {
        node: usize,
        asker: usize,
        request: FetchRequest,
    },
    Batch {
        node: usize,
    },
    BatchArrived {
        node: usize,
        digest: B256,
    },
    Clients,
    Doom {
        node: usize,
    },
    Start {
        node: usize,
    },
    Stall {
        node: usize,
        for_us: u64,
    },
    DiskFault {
        node: usize,
    },
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
    pub(crate) ledger: Ledger,
    pub(crate) clients: Clients,
    /// All batches made, by digest.
    pub(crate) batches: BTreeMap<B256, Arc<Batch>>,
    pub(crate) now_us: u64,
    pub(crate) events: u64,
    /// Receives a line per input and output, if someone reads along.
    pub(crate) trace: Option<fn(&str)>,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    pub(crate) rng: ChaCha8Rng,
    hasher: blake3::Hasher,
}

impl World {
    /// A world in which every node starts at a time of its own.
    pub(crate) fn new(plan: Plan) -> Self {
        let chain = Chain::new(&plan);
        let mut identities: Vec<u16> = (0..plan.identities()).collect();
        identities.extend(plan.twins());
        let honest = |identity: &u16| !plan.byzantine.contains_key(identity);
        let nodes: Vec<Node> =
            identities.iter().map(|i| Node::new(&chain, *i, honest(i))).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        let mut world = Self {
            network: Network::new(&plan.weather, nodes.len()),
            checker: Checker::new(&chain, &plan),
            ledger: Ledger::default(),
            clients: Clients::new(&chain, &plan, &mut rng),
            batches: BTreeMap::new(),
            now_us: 0,
            events: 0,
            trace: None,
            queue: BTreeMap::new(),
            sequence: 0,
            rng,
            hasher: blake3::Hasher::new(),
            plan,
            chain,
            nodes,
        };
        for node in 0..world.nodes.len() {
            let after_us = world.draw(50_000);
            world.schedule(after_us, Event::Start { node });
            if world.plan.weather.batches {
                let after_us = world.draw(BATCH_INTERVAL_US);
                world.schedule(after_us, Event::Batch { node });
            }
        }
        world.schedule(0, Event::Clients);
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

    /// Notes that something happened.
    pub(crate) fn record(&mut self, node: usize, kind: u8, detail: &[u8]) {
        self.hasher.update(&self.now_us.to_le_bytes());
        self.hasher.update(&[kind, node as u8]);
        self.hasher.update(detail);
    }

    /// Tells whoever reads along.
    pub(crate) fn tell(&self, node: usize, text: impl FnOnce() -> String) {
        if let Some(trace) = self.trace {
            trace(&format!("{:>9} node {node} {}", self.now_us, text()));
        }
    }

    /// Heights of the honest nodes' final chains: the lowest and the highest.
    pub(crate) fn heights(&self) -> (Height, Height) {
        let heights = self.nodes.iter().filter(|node| node.honest).map(Node::height);
        (heights.clone().min().unwrap_or(0), heights.max().unwrap_or(0))
    }

    /// Whether a node's key does something.
    pub(crate) fn does(&self, node: usize, behaviour: Behaviour) -> bool {
        self.plan.does(self.nodes[node].identity, behaviour)
    }

    fn apply(&mut self, event: Event) {
        let Some(event) = self.postponed(event) else { return };
        match event {
            Event::Message { node, sender, message } => {
                let from = self.nodes[sender].peer_in(sender, &self.nodes[node].config);
                self.step(node, Input::Message { from, message: Arc::unwrap_or_clone(message) });
            }
            Event::Answer { node, sender, answer } => self.on_answer(node, sender, *answer),
            Event::Own { node, life, input } if self.lives(node, life) => self.step(node, *input),
            Event::Connected { node, other } => self.on_connected(node, other),
            Event::Timer { node, life, at_ms }
                if self.lives(node, life)
                    && self.nodes[node].timer_ms.take_if(|armed| *armed == at_ms).is_some() =>
            {
                self.step(node, Input::Timer);
            }
            Event::Build { node, life, request } if self.lives(node, life) => {
                self.build(node, request);
            }
            Event::Execute { node, life } if self.lives(node, life) => self.on_executed(node),
            Event::Recheck { node, life } if self.lives(node, life) => self.answer_checks(node),
            Event::Serve { node, asker, request } => self.serve(node, asker, &request),
            Event::Batch { node } => {
                self.make_batch(node);
                self.schedule(BATCH_INTERVAL_US, Event::Batch { node });
            }
            Event::BatchArrived { node, digest } => self.hold_batch(node, digest),
            Event::Clients => {
                self.clients.submit(&self.chain, &mut self.rng);
                self.schedule(CLIENT_INTERVAL_US, Event::Clients);
            }
            Event::Doom { node } => self.nodes[node].doomed = self.nodes[node].up,
            Event::Start { node } => self.start(node),
            Event::Stall { node, for_us } => {
                self.tell(node, || format!("STALL for {for_us} us"));
                self.nodes[node].stalled_until_us = self.now_us + for_us;
            }
            Event::DiskFault { node } => self.nodes[node].failing_disk = self.nodes[node].up,
            Event::Split if self.plan.weather.asymmetric => {
                self.network.cut_at_random(&mut self.rng);
            }
            Event::Split => self.network.split_at_random(&mut self.rng),
            Event::Join => {
                self.network.join();
                self.reconnect_all();
            }
            _ => {}
        }
    }

    fn lives(&self, node: usize, life: u32) -> bool {
        self.nodes[node].up && self.nodes[node].life == life
    }

    /// A stalled node handles everything later.
    fn postponed(&mut self, event: Event) -> Option<Event> {
        let node = match &event {
            Event::Message { node, .. }
            | Event::Answer { node, .. }
            | Event::Own { node, .. }
            | Event::Timer { node, .. }
            | Event::Build { node, .. }
            | Event::Execute { node, .. }
            | Event::Serve { node, .. } => *node,
            _ => return Some(event),
        };
        let until_us = self.nodes[node].stalled_until_us;
        if until_us <= self.now_us {
            return Some(event);
        }
        self.schedule(until_us - self.now_us, event);
        None
    }

    pub(crate) fn step(&mut self, node: usize, input: Input) {
        let now_ms = self.nodes[node].timer_now_ms(self.now_us);
        if self.trace.is_some() && self.nodes[node].replica.is_some() {
            self.tell(node, || format!("<- {}", trace::input(&input)));
        }
        let Some(replica) = &mut self.nodes[node].replica else { return };
        let outputs = replica.step(now_ms, input);
        let status = replica.status();
        self.checker.on_status(node, self.nodes[node].honest, &status);
        self.record(node, 1, &status.view.to_le_bytes());
        self.carry_out(node, outputs);
    }
}
