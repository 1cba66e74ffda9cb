//! The nodes of a scenario: replicas that store at once, links that a script cuts.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use neura_consensus::{
    Body, CommittedBlock, Config, FetchRequest, Input, MAX_RANGE_BLOCKS, Output, Peer, Recovered,
    Replica, bugs::script_leaders,
};
use neura_types::{
    Address, Anchor, B256, Block, BlockId, ExecutedRoot, Height, ValidatorIndex, ValidatorSet,
    View,
    keys::SecretKey,
    validator::Validator,
    vote::{ChainContext, ConsensusMessage, Evidence, Signed},
};

use super::{Scenario, Verdict};

/// Times that the timers run out without anyone moving, after which the network becomes good.
const PATIENCE: u32 = 2;
/// Timers that may run out before everyone must have moved on: several views of twins.
const MAX_ROUNDS_HEALED: u32 = 24;
/// Blocks that every honest node must add.
const PROGRESS: Height = 3;
/// Height of the epoch's last block, which no scenario reaches.
const LAST_HEIGHT: Height = 1 << 32;

#[derive(Debug)]
struct Seat {
    replica: Replica,
    deadline_ms: u64,
    stored: BTreeMap<BlockId, Arc<Block>>,
    committed: Vec<CommittedBlock>,
}

/// What scenarios of one size share.
#[derive(Debug)]
pub(super) struct Cast {
    keys: Vec<SecretKey>,
    set: Arc<ValidatorSet>,
    context: ChainContext,
    genesis: Arc<Block>,
}

impl Cast {
    /// A cast of this many keys.
    pub(super) fn new(keys: u8) -> Self {
        let keys: Vec<SecretKey> =
            (0..keys).map(|key| SecretKey::from_seed(&[key + 1; 32])).collect();
        let members = keys.iter().map(|key| Validator {
            public_key: key.public_key(),
            account: Address::ZERO,
            power: 1,
        });
        let set = Arc::new(ValidatorSet::new(0, members.collect()).expect("distinct keys"));
        let context = ChainContext { chain_id: 1, genesis: B256::repeat_byte(7) };
        let genesis = Arc::new(Block::genesis(context.genesis, 0, ExecutedRoot::default()));
        Self { keys, set, context, genesis }
    }
}

/// A scenario under way.
#[derive(Debug)]
pub(super) struct Arena<'a> {
    scenario: &'a Scenario,
    seats: Vec<Seat>,
    queue: VecDeque<(usize, Input)>,
    now_ms: u64,
    /// Views whose partitions are in force.
    scripted: View,
    canonical: BTreeMap<Height, BlockId>,
    set: Arc<ValidatorSet>,
    context: ChainContext,
    verdict: Verdict,
    evidence: Vec<Evidence>,
    /// All that was signed, whether it arrived or not.
    signed: Vec<Signed>,
}

impl<'a> Arena<'a> {
    /// All nodes at genesis.
    pub(super) fn new(scenario: &'a Scenario, cast: &'a Cast) -> Self {
        script_leaders(scenario.rounds.iter().map(|(leader, _)| *leader).collect());
        let Cast { keys, set, context, genesis } = cast;
        let (id, context) = (genesis.id(), *context);
        let mut arena = Self {
            scenario,
            seats: Vec::new(),
            queue: VecDeque::new(),
            now_ms: 0,
            scripted: scenario.rounds.len() as View,
            canonical: BTreeMap::new(),
            set: Arc::clone(set),
            context,
            verdict: Verdict::default(),
            evidence: Vec::new(),
            signed: Vec::new(),
        };
        for node in 0..scenario.nodes() {
            let index = scenario.key_of(node);
            let epoch = (Arc::clone(set), LAST_HEIGHT);
            let config = Config::new(context, Anchor::genesis(id), epoch, Some(index));
            let recovered = Recovered::genesis(Arc::clone(genesis));
            let signer = keys.get(usize::from(index)).cloned();
            let (replica, outputs) =
                Replica::new(config, signer, recovered, 0).expect("the key is in the set");
            let first = CommittedBlock { id, block: Arc::clone(genesis), proof: None };
            arena.seats.push(Seat {
                replica,
                deadline_ms: u64::MAX,
                stored: BTreeMap::new(),
                committed: vec![first],
            });
            arena.carry_out(node, outputs);
        }
        arena
    }

    /// The scripted views, then progress over good links.
    pub(super) fn run(mut self) -> Verdict {
        let mut patience = PATIENCE;
        let mut views = self.views();
        self.settle();
        while patience > 0 && self.lowest_view() <= self.scripted {
            self.time_passes();
            self.settle();
            let now = self.views();
            patience = if now == views { patience - 1 } else { PATIENCE };
            views = now;
        }
        self.scripted = 0;
        let goal = self.heights().1 + PROGRESS;
        let mut rounds = 0;
        while self.heights().0 < goal && rounds < MAX_ROUNDS_HEALED && !self.verdict.forked {
            self.time_passes();
            self.settle_until(goal);
            rounds += 1;
        }
        self.judge(goal)
    }

    fn judge(mut self, goal: Height) -> Verdict {
        script_leaders(Vec::new());
        self.verdict.height = self.heights().1;
        for evidence in &self.evidence {
            let author = evidence.first.author;
            if !evidence.verify(&self.set, &self.context) {
                self.verdict.violation =
                    Some(format!("evidence that does not verify: {evidence:?}"));
            } else if author >= u16::from(self.scenario.twins) {
                self.verdict.violation = Some(format!("honest key {author} was convicted"));
            }
        }
        if self.verdict.forked {
            self.verdict.convicted = self.guilty();
        }
        if !self.verdict.forked && self.heights().0 < goal {
            let stuck = self.seats.iter().map(|seat| format!("{:?}", seat.replica.status()));
            let stuck: Vec<String> = stuck.collect();
            self.verdict.violation = Some(format!("not everyone is at {goal}: {stuck:?}"));
        }
        self.verdict
    }

    /// The keys that all statements of a run together convict.
    fn guilty(&self) -> BTreeSet<ValidatorIndex> {
        let pairs = self.signed.iter().enumerate().flat_map(|(place, first)| {
            self.signed[..place]
                .iter()
                .map(move |second| Evidence { first: *first, second: *second })
        });
        let excluding = pairs.filter(|pair| pair.first.conflicts_with(&pair.second));
        let proved = excluding.filter(|pair| pair.verify(&self.set, &self.context));
        proved.map(|pair| pair.first.author).collect()
    }

    fn honest(&self) -> impl Iterator<Item = &Seat> + Clone {
        self.seats.iter().enumerate().filter(|(n, _)| self.scenario.is_honest(*n)).map(|(_, s)| s)
    }

    fn heights(&self) -> (Height, Height) {
        let heights = self.honest().map(|seat| seat.committed.len() as Height - 1);
        (heights.clone().min().unwrap_or(0), heights.max().unwrap_or(0))
    }

    fn views(&self) -> Vec<View> {
        self.seats.iter().map(|seat| seat.replica.status().view).collect()
    }

    fn lowest_view(&self) -> View {
        self.views().into_iter().min().unwrap_or(0)
    }

    /// Delivers until nothing is under way, or the scripted views are over.
    fn settle(&mut self) {
        // The highest view that any message of the script can reach bounds this; past it chains grow for ever.
        while self.views().into_iter().max().unwrap_or(0) <= self.scripted + 1 {
            let Some((node, input)) = self.queue.pop_front() else { return };
            self.step(node, input);
        }
    }

    fn settle_until(&mut self, goal: Height) {
        let mut steps = 0;
        while self.heights().0 < goal && !self.verdict.forked && steps < 20_000 {
            let Some((node, input)) = self.queue.pop_front() else { return };
            self.step(node, input);
            steps += 1;
        }
    }

    /// The next timers run out.
    fn time_passes(&mut self) {
        let deadlines = self.seats.iter().map(|seat| seat.deadline_ms);
        let Some(next) = deadlines.filter(|at_ms| *at_ms < u64::MAX).min() else { return };
        self.now_ms = self.now_ms.max(next);
        for node in 0..self.seats.len() {
            // Timers of one view run out together: nobody's clock decides a scenario.
            if self.seats[node].deadline_ms <= self.now_ms + 50 {
                self.seats[node].deadline_ms = u64::MAX;
                self.queue.push_back((node, Input::Timer));
            }
        }
        self.now_ms += 50;
    }

    fn step(&mut self, node: usize, input: Input) {
        let outputs = self.seats[node].replica.step(self.now_ms, input);
        self.carry_out(node, outputs);
    }

    fn carry_out(&mut self, node: usize, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::StoreBlock { id, block } => _ = self.seats[node].stored.insert(id, block),
                Output::Persist(_) | Output::PeerFault { .. } => {}
                Output::Send { to, message } => self.send(node, Some(to), &message),
                Output::Broadcast(message) => self.send(node, None, &message),
                Output::SetTimer { at_ms } => self.seats[node].deadline_ms = at_ms,
                Output::BuildPayload { view, parent, parent_timestamp_ms, .. } => {
                    // Instances of one key propose different blocks.
                    let timestamp_ms = parent_timestamp_ms + 1 + node as u64;
                    let body = Box::new(Body { timestamp_ms, ..Body::default() });
                    self.queue.push_back((node, Input::Payload { view, parent, body }));
                }
                Output::Validate { id, .. } => {
                    self.queue.push_back((node, Input::Validated { block: id, verdict: Ok(()) }));
                }
                Output::Fetch(request) => self.fetch(node, request),
                Output::Commit(committed) => self.commit(node, committed),
                Output::Evidence(evidence) if self.scenario.is_honest(node) => {
                    self.evidence.push(*evidence);
                }
                Output::Evidence(_) => {}
            }
        }
    }

    fn commit(&mut self, node: usize, committed: CommittedBlock) {
        let height = committed.block.header.height;
        if self.scenario.is_honest(node) {
            let known = *self.canonical.entry(height).or_insert(committed.id);
            self.verdict.forked |= known != committed.id;
            if height != self.seats[node].committed.len() as Height {
                self.verdict.violation = Some(format!("node {node} skipped to height {height}"));
            }
        }
        self.seats[node].stored.insert(committed.id, Arc::clone(&committed.block));
        self.seats[node].committed.push(committed);
    }

    fn linked(&self, view: View, from: usize, to: usize) -> bool {
        if view > self.scripted || view == 0 {
            return true;
        }
        let (_, partition) = &self.scenario.rounds[view as usize - 1];
        partition[from] == partition[to]
    }

    fn send(&mut self, node: usize, to: Option<ValidatorIndex>, message: &ConsensusMessage) {
        let me = self.scenario.key_of(node);
        let view = view_of(message);
        if let ConsensusMessage::Vote(signed) | ConsensusMessage::Timeout(signed, _) = message
            && !self.signed.contains(signed)
        {
            self.signed.push(*signed);
        }
        for other in 0..self.seats.len() {
            let key = self.scenario.key_of(other);
            let meant = to.map_or(key != me, |to| key == to && other != node);
            if meant && self.linked(view, node, other) {
                let from = Peer::Validator(me);
                self.queue.push_back((other, Input::Message { from, message: message.clone() }));
            }
        }
    }

    /// The first of the peers named that can be reached answers; if none is named, anyone.
    fn fetch(&mut self, node: usize, request: FetchRequest) {
        let (FetchRequest::Ancestors { ask, .. } | FetchRequest::Committed { ask, .. }) = &request;
        let view = self.seats[node].replica.status().view;
        let named = |other: &usize| {
            ask.is_empty() || ask.contains(&Peer::Validator(self.scenario.key_of(*other)))
        };
        let reached = (0..self.seats.len())
            .filter(|other| *other != node && self.linked(view, node, *other))
            .filter(named);
        let answers: Vec<Input> =
            reached.filter_map(|other| self.answer(other, &request)).collect();
        match answers.into_iter().next() {
            Some(answer) => self.queue.push_back((node, answer)),
            None => self.queue.push_back((node, Input::FetchFailed { request })),
        }
    }

    fn answer(&self, node: usize, request: &FetchRequest) -> Option<Input> {
        let (seat, from) = (&self.seats[node], Peer::Validator(self.scenario.key_of(node)));
        match request {
            FetchRequest::Ancestors { of, down_to, .. } => {
                let mut blocks = Vec::new();
                let mut next = *of;
                while let Some(block) = seat.stored.get(&next) {
                    if block.header.height <= *down_to || blocks.len() == MAX_RANGE_BLOCKS {
                        break;
                    }
                    next = block.header.parent;
                    blocks.push(Arc::clone(block));
                }
                blocks.reverse();
                (!blocks.is_empty()).then_some(Input::Ancestors { from, of: *of, blocks })
            }
            FetchRequest::Committed { from: height, .. } => {
                let above = seat.committed.get(*height as usize..)?;
                let last = above.iter().take(MAX_RANGE_BLOCKS).rposition(|b| b.proof.is_some())?;
                let blocks = above[..=last].iter().map(|block| Arc::clone(&block.block)).collect();
                Some(Input::Committed { from, blocks, proof: above[last].proof.clone() })
            }
        }
    }
}

/// The view whose partition a message is subject to: a certificate's is the one that it opens.
fn view_of(message: &ConsensusMessage) -> View {
    match message {
        ConsensusMessage::Proposal(proposal) => proposal.block.header.view,
        ConsensusMessage::Vote(signed) | ConsensusMessage::Timeout(signed, _) => {
            signed.statement.view()
        }
        ConsensusMessage::Quorum(qc) => qc.view + 1,
        ConsensusMessage::ViewChange(tc) => tc.view + 1,
        ConsensusMessage::Committed(proof) => proof.view() + 1,
    }
}
