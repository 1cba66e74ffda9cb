//! Four keys in one epoch, and whatever they can be made to sign.

use std::sync::Arc;

use neura_consensus_bugs::{
    Config,
    leaders::{absences, leader_after},
};
use neura_types::{
    Address, Anchor, B256, Beacon, Block, BlockId, Bytes, CommitCertificate, CommitProof, Epoch,
    ExecutedRoot, Header, Height, QuorumCertificate, TimeoutCertificate, ValidatorIndex,
    ValidatorSet, View,
    beacon::Place,
    block::payload_digest,
    certificate::Signers,
    commit_proof::TwoChain,
    keys::SecretKey,
    validator::Validator,
    vote::{ChainContext, ConsensusMessage, Proposal, Signed, Statement},
};

/// Validators: one of them may be Byzantine.
pub const KEYS: u16 = 4;

/// The epoch played in: not the first, so that its start is not the start of the chain.
const EPOCH: Epoch = 1;
/// View of the epoch's anchor.
const ANCHOR_VIEW: View = 5;
/// Height of the epoch's anchor.
const ANCHOR_HEIGHT: Height = 4;

/// Keys and set of one epoch.
#[derive(Debug, Clone)]
pub struct Realm {
    keys: Vec<SecretKey>,
    /// The validators.
    pub set: Arc<ValidatorSet>,
    /// What signatures are tied to.
    pub chain: ChainContext,
    /// The block that the epoch starts from.
    pub anchor_block: Arc<Block>,
    /// Height of the epoch's last block.
    pub last_height: Height,
}

impl Realm {
    /// An epoch of so many blocks.
    pub fn new(blocks: Height) -> Self {
        let keys: Vec<SecretKey> =
            (1..=4u8).map(|seed| SecretKey::from_seed(&[seed; 32])).collect();
        let members = keys.iter().map(|key| Validator {
            public_key: key.public_key(),
            account: Address::ZERO,
            power: 1,
        });
        let set = ValidatorSet::new(EPOCH, members.collect()).expect("four keys form a set");
        let genesis = B256::repeat_byte(1);
        let mut anchor = Block::genesis(genesis, 1_000, ExecutedRoot::default());
        anchor.header.view = ANCHOR_VIEW;
        anchor.header.height = ANCHOR_HEIGHT;
        anchor.header.epoch = EPOCH - 1;
        anchor.header.next_epoch = Some(B256::repeat_byte(2));
        Self {
            keys,
            set: Arc::new(set),
            chain: ChainContext { chain_id: 7, genesis },
            anchor_block: Arc::new(anchor),
            last_height: ANCHOR_HEIGHT.saturating_add(blocks),
        }
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        EPOCH
    }

    /// The anchor.
    pub fn anchor(&self) -> Anchor {
        Anchor { view: ANCHOR_VIEW, block: self.anchor_block.id() }
    }

    /// The certificate that needs no signatures.
    pub fn anchor_qc(&self) -> QuorumCertificate {
        QuorumCertificate::anchor(EPOCH, self.anchor())
    }

    /// A replica's configuration.
    pub fn config(&self, me: ValidatorIndex) -> Config {
        Config::new(self.chain, self.anchor(), (Arc::clone(&self.set), self.last_height), Some(me))
    }

    /// A validator's key.
    pub fn key(&self, index: ValidatorIndex) -> SecretKey {
        self.keys[usize::from(index)].clone()
    }

    /// A statement signed for this epoch.
    pub fn signed(&self, author: ValidatorIndex, statement: Statement) -> Signed {
        self.signed_in(EPOCH, author, statement)
    }

    /// A statement signed for any epoch.
    pub fn signed_in(&self, epoch: Epoch, author: ValidatorIndex, statement: Statement) -> Signed {
        let digest = statement.digest(&self.chain, epoch);
        let signature = self.keys[usize::from(author)].sign(digest.as_slice());
        Signed { epoch, author, statement, signature }
    }

    /// The vote for a block.
    pub fn vote_for(&self, block: &Block, id: BlockId) -> Statement {
        Statement::Vote { view: block.header.view, block: id, parent_view: block.justify.view }
    }

    fn signers(&self, signed: &[Signed]) -> Signers {
        Signers::collect(&self.set, signed.iter().map(|signed| (signed.author, signed.signature)))
    }

    /// The certificate of equal votes.
    pub fn qc(&self, votes: &[Signed]) -> Option<QuorumCertificate> {
        let first = votes.first()?;
        let Statement::Vote { view, block, parent_view } = first.statement else { return None };
        let signers = self.signers(votes);
        Some(QuorumCertificate { epoch: first.epoch, view, block, parent_view, signers })
    }

    /// The certificate of equal commit votes.
    pub fn commit_certificate(&self, commits: &[Signed]) -> Option<CommitCertificate> {
        let first = commits.first()?;
        let Statement::Commit { view, block } = first.statement else { return None };
        Some(CommitCertificate { epoch: first.epoch, view, block, signers: self.signers(commits) })
    }

    /// The certificate of timeouts of one view; `high_qc` is of the highest view reported.
    pub fn tc(
        &self,
        timeouts: &[Signed],
        high_qc: &QuorumCertificate,
    ) -> Option<TimeoutCertificate> {
        let mut ordered = timeouts.to_vec();
        ordered.sort_by_key(|signed| signed.author);
        let reported = ordered.iter().filter_map(|signed| match signed.statement {
            Statement::Timeout { high_qc_view, .. } => Some(high_qc_view),
            _ => None,
        });
        let first = ordered.first()?;
        Some(TimeoutCertificate {
            epoch: first.epoch,
            view: first.statement.view(),
            reported: reported.collect(),
            high_qc: high_qc.clone(),
            signers: self.signers(&ordered),
        })
    }

    /// The proof by a certified child.
    pub fn two_chain(&self, child: &Block, certificate: QuorumCertificate) -> CommitProof {
        CommitProof::TwoChain(Box::new(TwoChain {
            header: child.header.clone(),
            justify: child.justify.clone(),
            certificate,
        }))
    }

    /// The link of the beacon that a validator adds to a parent's.
    pub fn beacon(&self, parent: &Header, proposer: ValidatorIndex) -> Beacon {
        let place = Place { chain: &self.chain, epoch: EPOCH, parent };
        Beacon::next(place, &self.keys[usize::from(proposer)]).expect("every input has a proof")
    }

    /// A block that satisfies every rule; `tag` tells the variants of one parent and view apart.
    pub fn child(
        &self,
        parent: &Block,
        view: View,
        (justify, timeout): (QuorumCertificate, Option<TimeoutCertificate>),
        tag: u8,
    ) -> Block {
        let height = parent.header.height.saturating_add(1);
        let is_tail = height > self.last_height;
        let payload = if is_tail { Vec::new() } else { vec![Bytes::from(vec![tag])] };
        let proposer = leader_after(&self.set, view, &parent.header);
        let header = Header {
            epoch: EPOCH,
            view,
            height,
            parent: justify.block,
            proposer,
            timestamp_ms: parent.header.timestamp_ms.saturating_add(1 + u64::from(tag)),
            beacon: self.beacon(&parent.header, proposer),
            payload_digest: payload_digest(&[], &payload),
            executed: parent.header.executed,
            absent: Vec::new(),
            next_epoch: (height == self.last_height).then(|| B256::repeat_byte(3)),
        };
        let mut block = Block { header, justify, timeout, batches: Vec::new(), payload };
        block.header.absent = absences(&self.set, &block, &parent.header);
        block
    }

    /// The proposal of a block in its proposer's name.
    pub fn proposal(&self, block: &Arc<Block>) -> ConsensusMessage {
        let statement = Statement::Propose { view: block.header.view, block: block.id() };
        let signature = self.signed(block.header.proposer, statement).signature;
        ConsensusMessage::Proposal(Box::new(Proposal { block: Arc::clone(block), signature }))
    }
}
