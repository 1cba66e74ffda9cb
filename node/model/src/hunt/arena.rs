//! Three honest replicas, a Byzantine key, and a network that delivers what it likes.

use std::{collections::BTreeMap, sync::Arc};

use neura_consensus_bugs::{Body, FetchRequest, Input, Output, Peer};
use neura_types::{
    B256, Block, BlockId, Bytes, ExecutedRoot, ValidatorIndex, View,
    vote::{ConsensusMessage, Signed, Statement},
};

use super::{duty::Duty, oracle, watch::Watch};
use crate::{
    real::{KEYS, Node, Realm},
    rng::Rng,
};

/// Messages under way; beyond that the oldest are lost.
const MAX_MAIL: usize = 2_000;

/// What a schedule is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Temper {
    /// Part of the events that are malice, in percent.
    pub(super) malice: u64,
    /// Part of the messages lost, in percent.
    pub(super) loss: u64,
    /// Part of the events that are timers, in percent.
    pub(super) timers: u64,
    /// Commit votes are lost, all of them.
    pub(super) mute: bool,
    /// Answers come before messages.
    pub(super) eager: bool,
    /// A replica may lose its record.
    pub(super) amnesia: bool,
    /// The Byzantine validator claims views far ahead.
    pub(super) claims: bool,
    /// It floods a replica with votes.
    pub(super) flood: bool,
    /// A replica falls far behind, and nobody answers it.
    pub(super) lag: bool,
    /// Connections are made again when the network heals.
    pub(super) reconnects: bool,
}

impl Temper {
    fn new(rng: &mut Rng) -> Self {
        Self {
            malice: 2 + rng.below(22) as u64,
            loss: [0, 5, 30, 60][rng.below(4)],
            timers: [1, 4, 12][rng.below(3)],
            mute: rng.chance(25),
            eager: rng.chance(50),
            amnesia: rng.chance(10),
            claims: rng.chance(25),
            flood: rng.chance(5),
            lag: rng.chance(2),
            reconnects: rng.chance(50),
        }
    }
}

/// A message under way.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    /// Who sends it.
    pub(super) from: Peer,
    /// To whom.
    pub(super) to: ValidatorIndex,
    /// What.
    pub(super) message: ConsensusMessage,
}

/// Everything.
#[derive(Debug)]
pub(super) struct Arena {
    /// Keys and certificates.
    pub(super) realm: Realm,
    /// Chance.
    pub(super) rng: Rng,
    /// What the schedule is like.
    pub(super) temper: Temper,
    /// The validator that signs anything.
    pub(super) byzantine: ValidatorIndex,
    /// The others by index.
    pub(super) nodes: BTreeMap<ValidatorIndex, Node>,
    /// Messages under way.
    pub(super) mail: Vec<Mail>,
    /// Answers under way.
    pub(super) chores: Vec<(ValidatorIndex, Input)>,
    /// Statements that the Byzantine validator has seen, its own too.
    pub(super) heard: BTreeMap<Statement, BTreeMap<ValidatorIndex, Signed>>,
    /// The checks of what honest replicas do.
    pub(super) watch: Watch,
    /// The checks of what they must do at once.
    pub(super) duty: Duty,
    /// Time.
    pub(super) now_ms: u64,
    /// When timers run out.
    pub(super) timers: BTreeMap<ValidatorIndex, u64>,
    /// Highest view of any honest replica.
    pub(super) view: View,
    /// Bodies built: each is another one.
    bodies: u64,
}

impl Arena {
    /// A start with everyone up.
    pub(super) fn new(realm: Realm, mut rng: Rng) -> Self {
        let byzantine = rng.below(usize::from(KEYS)) as ValidatorIndex;
        let temper = Temper::new(&mut rng);
        let mut arena = Self {
            temper,
            watch: Watch::new(&realm, byzantine),
            duty: Duty::default(),
            view: realm.anchor().view + 1,
            realm,
            rng,
            byzantine,
            nodes: BTreeMap::new(),
            mail: Vec::new(),
            chores: Vec::new(),
            heard: BTreeMap::new(),
            now_ms: 0,
            timers: BTreeMap::new(),
            bodies: 0,
        };
        for index in (0..KEYS).filter(|index| *index != byzantine) {
            let (node, outputs) = Node::start(&arena.realm, index);
            arena.nodes.insert(index, node);
            arena.carry_out(index, outputs, usize::MAX);
        }
        arena
    }

    /// Honest validators.
    pub(super) fn honest(&self) -> Vec<ValidatorIndex> {
        self.nodes.keys().copied().collect()
    }

    /// One input to one replica, which crashes after so many outputs.
    pub(super) fn step(&mut self, index: ValidatorIndex, input: Input, survives: usize) {
        self.now_ms += 1;
        let now_ms = self.now_ms;
        let Some(node) = self.nodes.get_mut(&index) else { return };
        node.now_ms = now_ms;
        let due = self.duty.before(&self.realm, self.byzantine, node, &input);
        let outputs = node.step(input);
        let done = self.duty.after(index, due, &outputs);
        if let Err(missed) = done {
            self.watch.report(missed);
        }
        self.carry_out(index, outputs, survives);
    }

    /// Ends a replica and starts it from its disk.
    pub(super) fn restart(&mut self, index: ValidatorIndex, lose_record: bool) {
        let Some(node) = self.nodes.get_mut(&index) else { return };
        self.chores.retain(|(of, _)| *of != index);
        self.duty.restarted(index);
        node.now_ms = self.now_ms;
        let outputs =
            if lose_record { node.lose_record(&self.realm) } else { node.restart(&self.realm) };
        self.watch.restarted(node);
        self.carry_out(index, outputs, usize::MAX);
    }

    fn carry_out(&mut self, index: ValidatorIndex, outputs: Vec<Output>, survives: usize) {
        for (number, output) in outputs.into_iter().enumerate() {
            if number == survives {
                return self.restart(index, false);
            }
            let Some(node) = self.nodes.get_mut(&index) else { return };
            node.absorb(&output);
            self.watch.output(&self.realm, node, &output);
            self.perform(index, output);
        }
        if let Some(node) = self.nodes.get(&index) {
            self.view = self.view.max(node.status().view);
        }
    }

    fn perform(&mut self, index: ValidatorIndex, output: Output) {
        match output {
            Output::Send { to, message } => self.send(Peer::Validator(index), to, message),
            Output::Broadcast(message) => {
                for to in (0..KEYS).filter(|to| *to != index) {
                    self.send(Peer::Validator(index), to, message.clone());
                }
            }
            Output::SetTimer { at_ms } => {
                self.timers.insert(index, at_ms);
            }
            Output::BuildPayload { view, parent, must_be_empty, ends_epoch, .. } => {
                self.bodies += 1;
                let item = Bytes::from(self.bodies.to_be_bytes().to_vec());
                let body = Body {
                    timestamp_ms: self.now_ms,
                    executed: ExecutedRoot::default(),
                    batches: Vec::new(),
                    payload: if must_be_empty { Vec::new() } else { vec![item] },
                    next_epoch: ends_epoch.then(|| B256::repeat_byte(3)),
                };
                self.chores.push((index, Input::Payload { view, parent, body: Box::new(body) }));
            }
            Output::Validate { id, block, .. } => {
                let refused = oracle::is_refused(&block);
                let verdict = if refused { Err("refused".to_owned()) } else { Ok(()) };
                self.chores.push((index, Input::Validated { block: id, verdict }));
            }
            Output::Fetch(request) => self.answer(index, &request),
            _ => {}
        }
    }

    /// The next timer runs out; it comes again only if the replica arms it again.
    pub(super) fn next_timer(&mut self) {
        let soonest = self.timers.iter().min_by_key(|(_, at_ms)| **at_ms);
        let Some((index, at_ms)) = soonest.map(|(index, at_ms)| (*index, *at_ms)) else { return };
        self.now_ms = self.now_ms.max(at_ms);
        self.timers.remove(&index);
        self.step(index, Input::Timer, usize::MAX);
    }

    /// Puts a message under way, or into the Byzantine validator's ears.
    pub(super) fn send(&mut self, from: Peer, to: ValidatorIndex, message: ConsensusMessage) {
        if to == self.byzantine {
            return self.hear(&message);
        }
        if self.mail.len() >= MAX_MAIL {
            self.mail.remove(0);
        }
        self.mail.push(Mail { from, to, message });
    }

    /// The Byzantine validator learns what is said.
    pub(super) fn hear(&mut self, message: &ConsensusMessage) {
        match message {
            ConsensusMessage::Vote(signed) | ConsensusMessage::Timeout(signed, _) => {
                self.heard.entry(signed.statement).or_default().insert(signed.author, *signed);
            }
            ConsensusMessage::Proposal(proposal) => {
                self.watch.blocks.insert(proposal.block.id(), Arc::clone(&proposal.block));
            }
            _ => {}
        }
    }

    /// Answers a fetch: truly, not at all, or with lies of the Byzantine validator.
    fn answer(&mut self, index: ValidatorIndex, request: &FetchRequest) {
        if self.duty.calm || self.rng.chance(70) {
            let answer = self.true_answer(index, request);
            return self.chores.push((index, answer));
        }
        let from = Peer::Validator(self.byzantine);
        match request {
            FetchRequest::Ancestors { of, .. } if self.rng.chance(70) => {
                let blocks = self.lie(index);
                self.chores.push((index, Input::Ancestors { from, of: *of, blocks }));
            }
            FetchRequest::Committed { .. } if self.rng.chance(70) => {
                let blocks = self.lie(index);
                let proof = self.any_proof();
                self.chores.push((index, Input::Committed { from, blocks, proof }));
            }
            _ => self.chores.push((index, Input::FetchFailed { request: request.clone() })),
        }
    }

    fn true_answer(&mut self, index: ValidatorIndex, request: &FetchRequest) -> Input {
        let helper = self.honest().into_iter().find(|other| *other != index).unwrap_or(index);
        let from = Peer::Validator(helper);
        match request {
            FetchRequest::Ancestors { of, down_to, .. } => {
                let blocks = self.ancestors(of, *down_to);
                Input::Ancestors { from, of: *of, blocks }
            }
            FetchRequest::Committed { from: first, .. } => {
                let best = self.nodes.values().max_by_key(|node| node.disk.committed.len());
                let disk = best.map(|node| (&node.disk.committed, node.disk.proof.clone()));
                let (blocks, proof) = disk.map_or((Vec::new(), None), |(committed, proof)| {
                    let blocks: Vec<Arc<Block>> = committed
                        .iter()
                        .filter(|(_, block)| block.header.height >= *first)
                        .map(|(_, block)| Arc::clone(block))
                        .collect();
                    let proof = proof.filter(|_| !blocks.is_empty());
                    (blocks, proof)
                });
                Input::Committed { from, blocks, proof }
            }
        }
    }

    fn ancestors(&self, of: &BlockId, down_to: u64) -> Vec<Arc<Block>> {
        let mut blocks = Vec::new();
        let mut next = *of;
        while let Some(block) = self.watch.blocks.get(&next)
            && block.header.height > down_to
        {
            blocks.push(Arc::clone(block));
            next = block.header.parent;
        }
        blocks.reverse();
        blocks
    }
}
