//! A hand-driven replica among four validators, with blocks and certificates made to order.

mod aggregator;
mod beacon;
mod commit;
mod epoch;
mod evidence;
mod invariants;
mod leaders;
mod propose;
mod restart;
mod sync;
mod timeout;
mod vote;

use std::sync::Arc;

use neura_types::{
    Address, Anchor, B256, Beacon, Block, BlockId, Bytes, CommitCertificate, ExecutedRoot, Header,
    QuorumCertificate, TimeoutCertificate, ValidatorIndex, ValidatorSet, View,
    beacon::Place,
    block::payload_digest,
    certificate::Signers,
    keys::SecretKey,
    validator::Validator,
    vote::{ChainContext, ConsensusMessage, Proposal, Signed, Statement},
};

use crate::{
    Body, Config, Input, Output, Peer, Recovered, Replica, SafetyRecord,
    leaders::{absences, leader_after},
};

/// Four validators of equal power and their keys.
pub(crate) struct Rig {
    pub(crate) keys: Vec<SecretKey>,
    pub(crate) set: Arc<ValidatorSet>,
    pub(crate) chain: ChainContext,
    pub(crate) genesis: Arc<Block>,
    /// Last height of the epoch.
    pub(crate) last_height: u64,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let keys: Vec<SecretKey> = (1..=4u8).map(|i| SecretKey::from_seed(&[i; 32])).collect();
        let members = keys.iter().map(|key| Validator {
            public_key: key.public_key(),
            account: Address::ZERO,
            power: 1,
        });
        let set = Arc::new(ValidatorSet::new(0, members.collect()).unwrap());
        let hash = B256::repeat_byte(1);
        let chain = ChainContext { chain_id: 7, genesis: hash };
        let genesis = Arc::new(Block::genesis(hash, 0, ExecutedRoot::default()));
        Self { keys, set, chain, genesis, last_height: u64::MAX }
    }

    pub(crate) fn anchor(&self) -> Anchor {
        Anchor::genesis(self.genesis.id())
    }

    pub(crate) fn config(&self, me: Option<ValidatorIndex>) -> Config {
        let set = (Arc::clone(&self.set), self.last_height);
        Config::new(self.chain, self.anchor(), set, me)
    }

    /// A validator at its first start, with what it does then.
    pub(crate) fn start(&self, me: ValidatorIndex) -> (Replica, Vec<Output>) {
        self.restart(me, Recovered::genesis(Arc::clone(&self.genesis)), 0)
    }

    pub(crate) fn replica(&self, me: ValidatorIndex) -> Replica {
        self.start(me).0
    }

    pub(crate) fn observer(&self) -> Replica {
        let recovered = Recovered::genesis(Arc::clone(&self.genesis));
        Replica::new(self.config(None), None, recovered, 0).unwrap().0
    }

    pub(crate) fn restart(
        &self,
        me: ValidatorIndex,
        recovered: Recovered,
        now_ms: u64,
    ) -> (Replica, Vec<Output>) {
        let key = self.keys[usize::from(me)].clone();
        Replica::new(self.config(Some(me)), Some(key), recovered, now_ms).unwrap()
    }

    pub(crate) fn signed(&self, author: ValidatorIndex, statement: Statement) -> Signed {
        let digest = statement.digest(&self.chain, 0);
        let signature = self.keys[usize::from(author)].sign(digest.as_slice());
        Signed { epoch: 0, author, statement, signature }
    }

    fn signers(
        &self,
        authors: &[ValidatorIndex],
        statement: impl Fn(ValidatorIndex) -> Statement,
    ) -> Signers {
        let sign =
            |author: &ValidatorIndex| (*author, self.signed(*author, statement(*author)).signature);
        Signers::collect(&self.set, authors.iter().map(sign))
    }

    pub(crate) fn genesis_qc(&self) -> QuorumCertificate {
        QuorumCertificate::genesis(self.genesis.id())
    }

    /// A certificate of a block by validators 0, 1 and 2.
    pub(crate) fn qc(&self, block: &Block) -> QuorumCertificate {
        let vote = vote_for(block);
        QuorumCertificate {
            epoch: 0,
            view: block.header.view,
            block: block.id(),
            parent_view: block.justify.view,
            signers: self.signers(&[0, 1, 2], |_| vote),
        }
    }

    /// A commit certificate of a block by validators 0, 1 and 2.
    pub(crate) fn commit_certificate(&self, block: &Block) -> CommitCertificate {
        let (view, id) = (block.header.view, block.id());
        let statement = Statement::Commit { view, block: id };
        CommitCertificate {
            epoch: 0,
            view,
            block: id,
            signers: self.signers(&[0, 1, 2], |_| statement),
        }
    }

    /// A timeout certificate by validators 0, 1 and 2, who all report `high_qc`.
    pub(crate) fn tc(&self, view: View, high_qc: &QuorumCertificate) -> TimeoutCertificate {
        let statement = Statement::Timeout { view, high_qc_view: high_qc.view };
        TimeoutCertificate {
            epoch: 0,
            view,
            reported: vec![high_qc.view; 3],
            high_qc: high_qc.clone(),
            signers: self.signers(&[0, 1, 2], |_| statement),
        }
    }

    /// A block of the view's leader on a parent.
    pub(crate) fn block(&self, parent: &Block, view: View) -> Arc<Block> {
        let justify = if parent.header.view == 0 { self.genesis_qc() } else { self.qc(parent) };
        self.block_with(parent, view, justify, None)
    }

    pub(crate) fn block_with(
        &self,
        parent: &Block,
        view: View,
        justify: QuorumCertificate,
        timeout: Option<TimeoutCertificate>,
    ) -> Arc<Block> {
        let height = parent.header.height + 1;
        let payload = match height > self.last_height {
            true => Vec::new(),
            false => vec![Bytes::from(view.to_le_bytes().to_vec())],
        };
        let proposer = leader_after(&self.set, view, &parent.header);
        let header = Header {
            epoch: 0,
            view,
            height,
            parent: parent.id(),
            proposer,
            timestamp_ms: parent.header.timestamp_ms + 10,
            beacon: self.beacon(&parent.header, proposer),
            payload_digest: payload_digest(&[], &payload),
            executed: ExecutedRoot::default(),
            absent: Vec::new(),
            next_epoch: (height == self.last_height).then_some(B256::repeat_byte(9)),
        };
        let mut block = Block { header, justify, timeout, batches: Vec::new(), payload };
        block.header.absent = absences(&self.set, &block, &parent.header);
        Arc::new(block)
    }

    /// The link of the beacon that a validator adds to a parent's.
    pub(crate) fn beacon(&self, parent: &Header, proposer: ValidatorIndex) -> Beacon {
        let place = Place { chain: &self.chain, epoch: 0, parent };
        Beacon::next(place, &self.keys[usize::from(proposer)]).unwrap()
    }

    /// A chain of blocks in views 1, 2, ... on genesis.
    pub(crate) fn chain(&self, length: u64) -> Vec<Arc<Block>> {
        let mut blocks = vec![Arc::clone(&self.genesis)];
        for view in 1..=length {
            blocks.push(self.block(blocks.last().unwrap(), view));
        }
        blocks.split_off(1)
    }

    /// The proposal of a block, signed by whoever it names.
    pub(crate) fn proposal(&self, block: &Arc<Block>) -> ConsensusMessage {
        let statement = Statement::Propose { view: block.header.view, block: block.id() };
        let signature = self.signed(block.header.proposer, statement).signature;
        ConsensusMessage::Proposal(Box::new(Proposal { block: Arc::clone(block), signature }))
    }

    pub(crate) fn vote(&self, author: ValidatorIndex, block: &Block) -> ConsensusMessage {
        ConsensusMessage::Vote(self.signed(author, vote_for(block)))
    }

    pub(crate) fn commit_vote(&self, author: ValidatorIndex, block: &Block) -> ConsensusMessage {
        let statement = Statement::Commit { view: block.header.view, block: block.id() };
        ConsensusMessage::Vote(self.signed(author, statement))
    }

    pub(crate) fn timeout(
        &self,
        author: ValidatorIndex,
        view: View,
        qc: &QuorumCertificate,
    ) -> ConsensusMessage {
        let statement = Statement::Timeout { view, high_qc_view: qc.view };
        ConsensusMessage::Timeout(self.signed(author, statement), Box::new(qc.clone()))
    }
}

pub(crate) fn vote_for(block: &Block) -> Statement {
    Statement::Vote { view: block.header.view, block: block.id(), parent_view: block.justify.view }
}

/// Delivers a message from a validator.
pub(crate) fn deliver(
    replica: &mut Replica,
    from: ValidatorIndex,
    message: ConsensusMessage,
) -> Vec<Output> {
    replica.step(1, Input::Message { from: Peer::Validator(from), message })
}

/// Delivers a proposal and approves its body; returns the outputs of the approval.
pub(crate) fn propose_and_approve(
    rig: &Rig,
    replica: &mut Replica,
    block: &Arc<Block>,
) -> Vec<Output> {
    deliver(replica, block.header.proposer, rig.proposal(block));
    approve(replica, block.id())
}

pub(crate) fn approve(replica: &mut Replica, block: BlockId) -> Vec<Output> {
    replica.step(1, Input::Validated { block, verdict: Ok(()) })
}

/// Lets the view's timer run out.
pub(crate) fn expire(replica: &mut Replica, now_ms: u64) -> Vec<Output> {
    replica.step(now_ms, Input::Timer)
}

/// Statements that the outputs send, in order.
pub(crate) fn said(outputs: &[Output]) -> Vec<Statement> {
    sent(outputs)
        .into_iter()
        .filter_map(|message| match message {
            ConsensusMessage::Proposal(proposal) => {
                let (view, block) = (proposal.block.header.view, proposal.block.id());
                Some(Statement::Propose { view, block })
            }
            ConsensusMessage::Vote(signed) | ConsensusMessage::Timeout(signed, _) => {
                Some(signed.statement)
            }
            _ => None,
        })
        .collect()
}

/// Messages that the outputs send, in order.
pub(crate) fn sent(outputs: &[Output]) -> Vec<ConsensusMessage> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Broadcast(message) | Output::Send { message, .. } => Some(message.clone()),
            _ => None,
        })
        .collect()
}

/// The record that the outputs persist.
pub(crate) fn persisted(outputs: &[Output]) -> Option<SafetyRecord> {
    outputs.iter().find_map(|output| match output {
        Output::Persist(record) => Some((**record).clone()),
        _ => None,
    })
}

/// Heights that the outputs commit, in order, each with whether a proof came along.
pub(crate) fn commits(outputs: &[Output]) -> Vec<(u64, bool)> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Commit(block) => Some((block.block.header.height, block.proof.is_some())),
            _ => None,
        })
        .collect()
}

/// Peers that the outputs accuse, with the reason.
pub(crate) fn faults(outputs: &[Output]) -> Vec<(Peer, String)> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::PeerFault { peer, reason } => Some((*peer, reason.to_string())),
            _ => None,
        })
        .collect()
}

/// Changes a block, keeping everything else of it.
pub(crate) fn altered(block: &Block, change: impl FnOnce(&mut Block)) -> Arc<Block> {
    let mut copy = block.clone();
    change(&mut copy);
    Arc::new(copy)
}
