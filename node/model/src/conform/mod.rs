//! The same steps in the abstract machine and in real replicas.
//!
//! A walk of the machine chooses steps; for each, the real replica is given the messages that make it possible: a
//! proposal, a certificate, a timer. Whatever the replica signs must be a step of the machine in the state at hand, and
//! the step wanted must be among it. After each, the durable state, the highest certificate and the final block of
//! the replica are compared with what follows from the machine's state.

mod artifacts;
mod drive;

use std::{collections::BTreeMap, sync::Arc};

use neura_consensus_bugs::{
    FetchRequest, Input, Output, Peer,
    bugs::{Bug, activate},
};
use neura_types::{
    Block, BlockId, QuorumCertificate, ValidatorIndex, View,
    vote::{ConsensusMessage, Signed, Statement},
};

use crate::{
    machine::{Action, BlockIndex, Bound, Durable, Machine, State, Step},
    real::{Node, Realm},
    rng::Rng,
};

/// The Byzantine key; the others are the machine's lives in order.
const BYZANTINE: ValidatorIndex = 3;
/// A real replica may refuse what the machine allows only because it knows of later final blocks; a trace ends when
/// nothing but that is left, or after this many steps.
const MAX_STEPS: usize = 60;

/// Where machine and replica differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step}: {what}")]
pub struct Difference {
    /// Number of the step in the trace.
    pub step: usize,
    /// What differs.
    pub what: String,
}

/// Counts of what was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Traces.
    pub traces: u64,
    /// Steps of the machine taken by a real replica.
    pub steps: u64,
    /// Crashes with a durable record, and losses of it.
    pub crashes: u64,
    /// Steps that a replica refused because it holds a later final block.
    pub refused: u64,
    /// Proofs of finality delivered.
    pub finals: u64,
}

/// One machine and its three honest replicas.
#[derive(Debug)]
pub struct Pair {
    machine: Machine,
    state: State,
    realm: Realm,
    nodes: Vec<Node>,
    /// The real blocks of the machine's, and their ids.
    blocks: BTreeMap<BlockIndex, (Arc<Block>, BlockId)>,
    /// Highest certificate that each replica was shown since it started.
    shown: Vec<View>,
    /// Views of the Byzantine key's timeouts: each must be news.
    claims: View,
    /// What the last delivery made a replica sign.
    signed: Vec<Statement>,
    taken: usize,
}

impl Pair {
    /// Machine and replicas at their start.
    pub fn new(bound: Bound) -> Self {
        let realm = Realm::new(1_000);
        let start = |index| Node::start(&realm, index).0;
        let nodes = (0..BYZANTINE).map(start).collect();
        let base = realm.anchor().view;
        Self {
            machine: Machine::new(bound),
            state: State::default(),
            nodes,
            blocks: BTreeMap::new(),
            shown: vec![base; usize::from(BYZANTINE)],
            claims: base + 1_000,
            signed: Vec::new(),
            taken: 0,
            realm,
        }
    }

    fn base(&self) -> View {
        self.realm.anchor().view
    }

    fn real_view(&self, view: u8) -> View {
        self.base() + View::from(view)
    }

    fn differ(&self, what: impl Into<String>) -> Difference {
        Difference { step: self.taken, what: what.into() }
    }

    /// Replays steps that lead the machine to two final blocks, and makes both final at real replicas.
    ///
    /// # Errors
    /// The first [`Difference`]: replicas that keep all rules do not follow a machine that breaks one.
    pub fn replay(
        mut self,
        steps: &[Step],
        fork: (BlockIndex, BlockIndex),
        rng: &mut Rng,
    ) -> Result<(BlockId, BlockId), Difference> {
        for step in steps {
            self.taken += 1;
            if !self.take(*step, rng)? {
                return Err(self.differ(format!("{step:?} is refused")));
            }
        }
        let first = self.finalize(0, fork.0, rng)?;
        let second = self.finalize(1, fork.1, rng)?;
        Ok((first, second))
    }

    /// One random trace.
    ///
    /// # Errors
    /// The first [`Difference`].
    pub fn walk(mut self, rng: &mut Rng, compared: &mut Compared) -> Result<(), Difference> {
        let mut steps = Vec::new();
        compared.traces += 1;
        while self.taken < MAX_STEPS {
            self.taken += 1;
            if rng.chance(12) {
                let life = rng.below(self.nodes.len());
                self.crash(life, rng.chance(4))?;
                compared.crashes += 1;
                continue;
            }
            if rng.chance(10) {
                compared.finals += u64::from(self.deliver_final(rng)?);
            }
            self.machine.steps(&self.state, &mut steps);
            let Some(step) = rng.pick(&steps).copied() else { return Ok(()) };
            if self.take(step, rng)? {
                compared.steps += 1;
            } else {
                compared.refused += 1;
            }
        }
        Ok(())
    }

    /// Makes a real replica take a step of the machine. False if it refuses for a reason that the machine does not
    /// know: a later final block.
    ///
    /// # Errors
    /// [`Difference`] if it does something else.
    pub fn take(&mut self, step: Step, rng: &mut Rng) -> Result<bool, Difference> {
        for attempt in 0..2 {
            if attempt == 1 {
                // What it learned beside its record may stand in the way.
                self.crash(step.life, false)?;
            }
            if self.has_taken(step) || self.try_step(step, rng)? {
                self.compare(step.life)?;
                return Ok(true);
            }
        }
        let settled = self.nodes[step.life].status().committed_view;
        let view = match step.action {
            Action::Vote(block) | Action::Commit(block) => self.machine.blocks().view(block),
            Action::Timeout { view, .. } => view,
            Action::Lose => return Ok(true),
        };
        let entered = matches!(step.action, Action::Timeout { .. });
        if self.real_view(view) <= settled + View::from(entered) || self.state.lives[step.life].lost
        {
            return Ok(false);
        }
        let status = self.nodes[step.life].status();
        Err(self
            .differ(format!("replica {} does not take {:?}: {status:?}", step.life, step.action)))
    }

    /// Whether an earlier delivery led to the step already.
    fn has_taken(&self, step: Step) -> bool {
        let life = &self.state.lives[step.life];
        let slot = |view: u8| usize::from(view) - 1;
        match step.action {
            Action::Vote(block) => life.votes[slot(self.machine.blocks().view(block))] == block,
            Action::Commit(block) => life.commits[slot(self.machine.blocks().view(block))] == block,
            Action::Timeout { view, .. } => life.timeouts[slot(view)] != 0,
            Action::Lose => life.lost,
        }
    }

    fn try_step(&mut self, step: Step, rng: &mut Rng) -> Result<bool, Difference> {
        match step.action {
            Action::Vote(block) => {
                let block = self.real_block(block, rng);
                let proposer = Peer::Validator(block.header.proposer);
                let message = self.realm.proposal(&block);
                self.show_qc(step.life, &block.justify.clone());
                if let Some(tc) = &block.timeout {
                    self.show_qc(step.life, &tc.high_qc.clone());
                }
                self.deliver(step.life, proposer, message)?;
                // A block over a gap, which only broken replicas vote for, opens no view.
                if self.nodes[step.life].status().view < block.header.view {
                    let view = (block.header.view - self.base()) as u8;
                    self.open(step.life, view, u8::MAX, rng)?;
                }
            }
            Action::Commit(block) => {
                let qc = self.qc(block, rng);
                self.claim(step.life, &qc)?;
            }
            Action::Timeout { view, high_qc } => {
                self.drive_timeout(step.life, view, high_qc, rng)?
            }
            Action::Lose => self.crash(step.life, true)?,
        }
        Ok(self.has_taken(step))
    }

    /// Ends a replica's process and starts it from its disk.
    fn crash(&mut self, life: usize, lost: bool) -> Result<(), Difference> {
        let node = &mut self.nodes[life];
        let outputs = if lost { node.lose_record(&self.realm) } else { node.restart(&self.realm) };
        if lost {
            self.state.lives[life].lost = true;
            self.shown[life] = self.base();
        } else {
            let durable = self.machine.durable(&self.state.lives[life]);
            self.shown[life] = self.real_view(durable.high_qc);
        }
        if self.state.lives[life].lost {
            self.shown[life] = self.base();
        }
        self.carry_out(life, outputs)?;
        self.compare(life)
    }

    fn deliver(
        &mut self,
        life: usize,
        from: Peer,
        message: ConsensusMessage,
    ) -> Result<(), Difference> {
        let outputs = self.nodes[life].step(Input::Message { from, message });
        self.carry_out(life, outputs)
    }

    /// Carries out outputs, answers questions, and takes each signature as a step of the machine.
    fn carry_out(&mut self, life: usize, outputs: Vec<Output>) -> Result<(), Difference> {
        let mut open = outputs;
        while !open.is_empty() {
            let mut answers = Vec::new();
            for output in std::mem::take(&mut open) {
                self.nodes[life].absorb(&output);
                match output {
                    Output::Broadcast(message) | Output::Send { message, .. } => {
                        self.observe(life, &message)?;
                    }
                    Output::Validate { id, .. } => {
                        answers.push(Input::Validated { block: id, verdict: Ok(()) });
                    }
                    Output::Fetch(request) => answers.extend(self.answer(&request)),
                    Output::PeerFault { peer, reason } => {
                        return Err(self.differ(format!("{peer:?} is accused: {reason}")));
                    }
                    _ => {}
                }
            }
            for answer in answers {
                open.extend(self.nodes[life].step(answer));
            }
        }
        Ok(())
    }

    fn answer(&self, request: &FetchRequest) -> Option<Input> {
        let FetchRequest::Ancestors { of, down_to, .. } = request else {
            return Some(Input::Committed {
                from: Peer::Other(1),
                blocks: Vec::new(),
                proof: None,
            });
        };
        let mut blocks = Vec::new();
        let mut next = *of;
        while let Some((block, id)) = self.blocks.values().find(|(_, id)| *id == next)
            && block.header.height > *down_to
        {
            blocks.push(Arc::clone(block));
            next = block.header.parent;
            debug_assert_ne!(next, *id);
        }
        blocks.reverse();
        Some(Input::Ancestors { from: Peer::Other(1), of: *of, blocks })
    }

    /// A statement of a replica must be a step of the machine, or one that was taken before.
    fn observe(&mut self, life: usize, message: &ConsensusMessage) -> Result<(), Difference> {
        let signed: &Signed = match message {
            ConsensusMessage::Vote(signed) | ConsensusMessage::Timeout(signed, _) => signed,
            _ => return Ok(()),
        };
        if usize::from(signed.author) != life {
            return Ok(());
        }
        let Some(action) = self.action(&signed.statement) else {
            return Err(self.differ(format!("{:?} is about nothing known", signed.statement)));
        };
        let step = Step { life, action };
        if self.is_recorded(step) {
            return Ok(());
        }
        let mut steps = Vec::new();
        self.machine.steps(&self.state, &mut steps);
        if !steps.contains(&step) {
            let durable = self.machine.durable(&self.state.lives[life]);
            return Err(self.differ(format!("replica {life} may not {action:?}: {durable:?}")));
        }
        self.state = self.machine.after(&self.state, step);
        self.signed.push(signed.statement);
        Ok(())
    }

    fn is_recorded(&self, step: Step) -> bool {
        self.machine.after(&self.state, step) == self.state
    }

    fn action(&self, statement: &Statement) -> Option<Action> {
        let named = |id: &BlockId| {
            self.blocks.iter().find(|(_, (_, known))| known == id).map(|(index, _)| *index)
        };
        let abstract_view = |view: View| u8::try_from(view.checked_sub(self.base())?).ok();
        match statement {
            Statement::Vote { block, .. } => named(block).map(Action::Vote),
            Statement::Commit { block, .. } => named(block).map(Action::Commit),
            Statement::Timeout { view, high_qc_view } => Some(Action::Timeout {
                view: abstract_view(*view)?,
                high_qc: abstract_view(*high_qc_view)?,
            }),
            Statement::Propose { .. } => None,
        }
    }

    /// Durable state, highest certificate and final block of one replica beside the machine's.
    fn compare(&self, life: usize) -> Result<(), Difference> {
        let node = &self.nodes[life];
        let expected = self.machine.durable(&self.state.lives[life]);
        let status = node.status();
        if !self.state.lives[life].lost {
            let view = |view: View| view.saturating_sub(self.base()) as u8;
            let real = node.disk.record.as_ref().map_or(Durable::default(), |record| Durable {
                voted: view(record.voted),
                timed_out: view(record.timed_out),
                committed: view(record.committed),
                high_qc: view(record.high_qc.view),
            });
            if real != expected {
                return Err(
                    self.differ(format!("record of {life}: {real:?}, machine: {expected:?}"))
                );
            }
        }
        if status.high_qc_view != self.shown[life] {
            let (real, shown) = (status.high_qc_view, self.shown[life]);
            return Err(
                self.differ(format!("replica {life} holds QC({real}), was shown QC({shown})"))
            );
        }
        let finals = self.machine.finals(&self.state);
        let is_final = finals.iter().any(|(block, _)| {
            self.blocks.get(block).is_some_and(|(_, id)| *id == status.committed_id)
        });
        if status.committed_id != self.realm.anchor().block && !is_final {
            return Err(self.differ(format!("replica {life} holds final what is not: {status:?}")));
        }
        Ok(())
    }

    fn show_qc(&mut self, life: usize, qc: &QuorumCertificate) {
        self.shown[life] = self.shown[life].max(qc.view);
    }

    fn timeout(&self, view: u8, high_qc: u8) -> Statement {
        let (view, high_qc_view) = (self.real_view(view), self.real_view(high_qc));
        Statement::Timeout { view, high_qc_view }
    }
}

/// Walks with a rule broken in the replicas until they differ from the machine: the number of the trace.
pub fn hunt(bug: Bug, bound: Bound, traces: u64) -> Option<(u64, Difference)> {
    activate(Some(bug));
    let mut compared = Compared::default();
    let found = (1..=traces).find_map(|number| {
        let walked = Pair::new(bound).walk(&mut Rng::new(number), &mut compared);
        walked.err().map(|difference| (number, difference))
    });
    activate(None);
    found
}
