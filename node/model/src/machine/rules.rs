//! The rules as an abstract machine: what an honest key may sign next, given all that was signed before.
//!
//! A Byzantine key signs anything, so its part in a certificate is always to be had. The network delivers what it
//! likes: a key that acts knows any certificates that can be assembled, and need not know any of them in its next
//! action. A crash that leaves the record is thereby part of every state: only what was signed binds.

use super::{
    blocks::{BlockIndex, Blocks},
    state::{Life, MAX_LIVES, Naming, State},
};

/// A rule left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A commit vote may follow a timeout of its view.
    CommitAfterTimeout,
    /// A block may lie below what its timeout certificate reports.
    TimeoutReportsIgnored,
    /// A vote may follow a timeout of its view.
    VoteAfterTimeout,
    /// A commit vote does not raise the highest certificate.
    CommitKeepsHighQc,
    /// A timeout reports no certificate.
    TimeoutHidesHighQc,
    /// Half of the keys are a quorum.
    QuorumOfHalf,
    /// Two chains commit over a gap.
    TwoChainGap,
    /// A block may skip views without a timeout certificate.
    GapWithoutTimeout,
    /// A key that lost its record goes on.
    AmnesiaVotes,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::CommitAfterTimeout,
        Self::TimeoutReportsIgnored,
        Self::VoteAfterTimeout,
        Self::CommitKeepsHighQc,
        Self::TimeoutHidesHighQc,
        Self::QuorumOfHalf,
        Self::TwoChainGap,
        Self::GapWithoutTimeout,
        Self::AmnesiaVotes,
    ];
}

/// What is explored.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Views.
    pub rounds: usize,
    /// Blocks per parent and view.
    pub variants: usize,
    /// Byzantine keys among four.
    pub byzantine: usize,
    /// Whether commit votes are cast; without, two chains alone commit.
    pub commit_votes: bool,
    /// Whether honest keys may lose their record, and observe from then on.
    pub amnesia: bool,
    /// The rule left out.
    pub mutant: Option<Mutant>,
}

impl Bound {
    /// The rules as they are, with one Byzantine key and leaders that contradict themselves.
    pub fn new(rounds: usize) -> Self {
        Self { rounds, variants: 2, byzantine: 1, commit_votes: true, amnesia: false, mutant: None }
    }
}

/// One honest action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A vote for a block.
    Vote(BlockIndex),
    /// A commit vote for a block.
    Commit(BlockIndex),
    /// A timeout of a view that reports a certificate of another.
    Timeout {
        /// The view given up.
        view: u8,
        /// The view reported.
        high_qc: u8,
    },
    /// The record is lost.
    Lose,
}

/// An action and the life that takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Which life.
    pub life: usize,
    /// What it does.
    pub action: Action,
}

/// What must never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// Two final blocks neither of which descends from the other.
    Fork(BlockIndex, BlockIndex),
    /// A timeout certificate of this view reports less than a final block.
    Lock(u8, BlockIndex),
}

/// The durable state of a life, as it follows from what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Durable {
    /// Highest view voted in, or in which the vote was given away.
    pub voted: u8,
    /// Highest view given up.
    pub timed_out: u8,
    /// Highest view of a commit vote.
    pub committed: u8,
    /// View of the highest certificate.
    pub high_qc: u8,
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Machine {
    bound: Bound,
    blocks: Blocks,
    naming: Naming,
    lives: usize,
    quorum: usize,
}

/// Certificates that can be assembled.
#[derive(Debug, Clone, Copy)]
pub struct Certificates {
    /// Bit set of certified blocks, genesis included.
    pub certified: u128,
    /// Bit set of blocks with a commit certificate.
    pub committed: u128,
}

impl Machine {
    /// The machine within a bound.
    pub fn new(bound: Bound) -> Self {
        let honest = 4 - bound.byzantine;
        let second_life = bound.mutant == Some(Mutant::AmnesiaVotes);
        let lives = honest + usize::from(second_life);
        // Only the key with a second life has no equal.
        let naming =
            Naming::new(lives, usize::from(second_life)..honest, bound.amnesia || second_life);
        let blocks = Blocks::new(bound.rounds, bound.variants);
        assert!(
            lives <= MAX_LIVES && naming.bits(&blocks) <= u128::BITS,
            "states fit into 128 bits"
        );
        let quorum = if bound.mutant == Some(Mutant::QuorumOfHalf) { 2 } else { 3 };
        Self { bound, blocks, naming, lives, quorum }
    }

    /// The blocks.
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// The name of a state.
    pub fn canonical(&self, state: &State) -> u128 {
        self.naming.canonical(&self.blocks, state)
    }

    /// The state of a name.
    pub fn decode(&self, code: u128) -> State {
        self.naming.decode(&self.blocks, code)
    }

    /// What a life must remember.
    pub fn durable(&self, life: &Life) -> Durable {
        let mutant = self.bound.mutant;
        let mut durable = Durable::default();
        for (view, index) in (1u8..).zip(0..self.blocks.rounds()) {
            let vote = life.votes[index];
            if vote != 0 {
                durable.voted = view;
                durable.high_qc = durable.high_qc.max(self.blocks.view(self.blocks.parent(vote)));
            }
            if life.commits[index] != 0 {
                durable.committed = view;
                durable.voted = view;
                if mutant != Some(Mutant::CommitKeepsHighQc) {
                    durable.high_qc = durable.high_qc.max(view);
                }
            }
            if life.timeouts[index] != 0 {
                durable.timed_out = view;
                durable.high_qc = durable.high_qc.max(life.timeouts[index] - 1);
                if mutant != Some(Mutant::VoteAfterTimeout) {
                    durable.voted = view;
                }
            }
        }
        durable
    }

    /// The certificates that can be assembled, with any help of the Byzantine keys.
    pub fn certificates(&self, state: &State) -> Certificates {
        let mut certificates = Certificates { certified: 1, committed: 0 };
        for index in 0..self.blocks.rounds() {
            for life in 0..self.lives {
                let (vote, commit) =
                    (state.lives[life].votes[index], state.lives[life].commits[index]);
                if vote != 0 && self.is_quorum(state, |life| life.votes[index] == vote) {
                    certificates.certified |= 1 << vote;
                }
                if commit != 0 && self.is_quorum(state, |life| life.commits[index] == commit) {
                    certificates.committed |= 1 << commit;
                }
            }
        }
        certificates
    }

    /// Whether the keys whose lives satisfy a condition are a quorum with the Byzantine ones.
    fn is_quorum(&self, state: &State, holds: impl Fn(&Life) -> bool) -> bool {
        let honest = 4 - self.bound.byzantine;
        let mut keys = self.bound.byzantine;
        for key in 0..honest {
            // The second life belongs to the first key.
            let second = key == 0 && self.lives > honest && holds(&state.lives[honest]);
            keys += usize::from(holds(&state.lives[key]) || second);
        }
        keys >= self.quorum
    }

    /// Whether a timeout certificate of a view can be assembled that reports nothing above a view.
    pub fn timeout_certificate(&self, state: &State, view: u8, at_most: u8) -> bool {
        let given_up = |life: &Life| {
            let timeout = life.timeouts[usize::from(view) - 1];
            timeout != 0 && timeout - 1 <= at_most
        };
        view > 0 && self.is_quorum(state, given_up)
    }

    /// The lowest certificate that a key may hold as its highest when it has entered a view; none if the view cannot be
    /// entered. The certificate of the view before opens it, or a timeout certificate of that view, which brings what it
    /// reports, or another honest key that gave up this view or a later one, whose certificate comes along.
    fn least_known(&self, state: &State, certificates: &Certificates, view: u8) -> Option<u8> {
        let below = usize::from(view) - 1;
        if below == 0 {
            return Some(0);
        }
        // A timeout carries the certificate that it reports.
        let given_up = state.lives[..self.lives].iter().flat_map(|life| &life.timeouts[below..]);
        let joined = given_up.filter_map(|timeout| timeout.checked_sub(1)).min();
        let certified = |block| certificates.certified & (1u128 << block) != 0;
        let by_quorum = self.blocks.of_view(below).any(certified).then_some(view - 1);
        let reported = (0..view - 1).find(|most| self.timeout_certificate(state, view - 1, *most));
        [joined, reported, by_quorum].into_iter().flatten().min()
    }

    /// Whether a block may be voted for as far as its certificates go.
    pub fn is_justified(
        &self,
        state: &State,
        certificates: &Certificates,
        block: BlockIndex,
    ) -> bool {
        let (view, parent) = (self.blocks.view(block), self.blocks.parent(block));
        let above = self.blocks.view(parent);
        if certificates.certified & (1u128 << parent) == 0 {
            return false;
        }
        if above + 1 == view || self.bound.mutant == Some(Mutant::GapWithoutTimeout) {
            return true;
        }
        let ignored = self.bound.mutant == Some(Mutant::TimeoutReportsIgnored);
        self.timeout_certificate(state, view - 1, if ignored { u8::MAX } else { above })
    }

    /// Everything that honest keys may do.
    pub fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        steps.clear();
        let certificates = self.certificates(state);
        for life in 0..self.lives {
            if self.may_act(state, life) {
                self.steps_of(state, &certificates, life, steps);
            }
        }
    }

    fn may_act(&self, state: &State, life: usize) -> bool {
        let second = life >= 4 - self.bound.byzantine;
        !state.lives[life].lost && (!second || state.lives[0].lost)
    }

    fn steps_of(
        &self,
        state: &State,
        certificates: &Certificates,
        life: usize,
        steps: &mut Vec<Step>,
    ) {
        let mut push = |action| steps.push(Step { life, action });
        let durable = self.durable(&state.lives[life]);
        let mutant = self.bound.mutant;
        for view in 1..=self.blocks.rounds() as u8 {
            for block in self.blocks.of_view(usize::from(view)) {
                if view > durable.voted && self.is_justified(state, certificates, block) {
                    push(Action::Vote(block));
                }
                let certified = certificates.certified & (1u128 << block) != 0;
                let late = view <= durable.timed_out && mutant != Some(Mutant::CommitAfterTimeout);
                if self.bound.commit_votes && certified && view > durable.committed && !late {
                    push(Action::Commit(block));
                }
            }
            let free = view > durable.timed_out && view >= durable.voted;
            let least = self.least_known(state, certificates, view).filter(|_| free);
            for high_qc in least
                .into_iter()
                .flat_map(|least| self.reports(certificates, view, (durable.high_qc, least)))
            {
                push(Action::Timeout { view, high_qc });
            }
        }
        let may_lose = match mutant {
            Some(Mutant::AmnesiaVotes) => life == 0,
            _ => self.bound.amnesia,
        };
        if may_lose {
            push(Action::Lose);
        }
    }

    /// Views that a timeout may report: of the certificate that the record holds, or of any higher one that can be
    /// assembled, but none below what had to be known to enter the view.
    fn reports(
        &self,
        certificates: &Certificates,
        view: u8,
        (high_qc, least): (u8, u8),
    ) -> Vec<u8> {
        if self.bound.mutant == Some(Mutant::TimeoutHidesHighQc) {
            return if high_qc < view { vec![0] } else { Vec::new() };
        }
        let certified = |block| certificates.certified & (1u128 << block) != 0;
        let known = |view: &u8| self.blocks.of_view(usize::from(*view)).any(certified);
        let higher = (high_qc + 1..view).filter(known);
        std::iter::once(high_qc)
            .filter(|known| *known < view)
            .chain(higher)
            .filter(|reported| *reported >= least)
            .collect()
    }

    /// The state after a step.
    pub fn after(&self, state: &State, step: Step) -> State {
        let mut next = *state;
        let life = &mut next.lives[step.life];
        match step.action {
            Action::Vote(block) => life.votes[usize::from(self.blocks.view(block)) - 1] = block,
            Action::Commit(block) => life.commits[usize::from(self.blocks.view(block)) - 1] = block,
            Action::Timeout { view, high_qc } => {
                life.timeouts[usize::from(view) - 1] = high_qc + 1;
            }
            Action::Lose => life.lost = true,
        }
        next
    }

    /// The final blocks, each with the first view whose timeout certificates must report it.
    pub fn finals(&self, state: &State) -> Vec<(BlockIndex, u8)> {
        let certificates = self.certificates(state);
        let gap = self.bound.mutant == Some(Mutant::TwoChainGap);
        let mut finals = Vec::new();
        for view in 1..=self.blocks.rounds() {
            for block in self.blocks.of_view(view) {
                if certificates.committed & (1u128 << block) != 0 {
                    finals.push((block, view as u8));
                }
                let parent = self.blocks.parent(block);
                let above = self.blocks.view(parent);
                let chained = gap || usize::from(above) + 1 == view;
                if parent != 0 && chained && certificates.certified & (1u128 << block) != 0 {
                    finals.push((parent, view as u8));
                }
            }
        }
        finals
    }

    /// What is wrong with a state, if anything is: agreement first.
    pub fn violation(&self, state: &State) -> Option<Violation> {
        let finals = self.finals(state);
        for (index, (a, _)) in finals.iter().enumerate() {
            let other = finals[index + 1..].iter().find(|(b, _)| !self.blocks.agree(*a, *b));
            if let Some((b, _)) = other {
                return Some(Violation::Fork(*a, *b));
            }
        }
        let broken = |(block, from): &(BlockIndex, u8)| {
            let below = self.blocks.view(*block).checked_sub(1)?;
            (*from..=self.blocks.rounds() as u8)
                .find(|view| self.timeout_certificate(state, *view, below))
                .map(|view| Violation::Lock(view, *block))
        };
        finals.iter().find_map(broken)
    }
}
