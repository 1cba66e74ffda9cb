//! Decide what may be signed, and sign it: the only holder of the key.
//!
//! Each rule returns a [`Permit`] with the record that remembers it. [`Outbox::persist`](crate::output::Outbox) puts
//! the record into the outputs and turns the permit into a [`Persisted`] one, and only that can be signed.
//! Certificates given to this module were verified before.

use neura_types::{
    Beacon, Block, BlockId, Header, QuorumCertificate, TimeoutCertificate, ValidatorIndex, View,
    beacon::Place,
    hash::{Domain, hash_value},
    keys::SecretKey,
    vote::{Signed, Statement},
};

use crate::{
    bugs::{Bug, broken, remembered},
    invariants::{justified, may_commit, may_propose, may_time_out, may_vote},
    output::Persisted,
    record::SafetyRecord,
};

/// Leave to sign one statement once its record is durable.
#[derive(Debug)]
pub(crate) struct Permit {
    statement: Statement,
    record: Box<SafetyRecord>,
}

impl Permit {
    /// The statement, and the record that must be durable before it is signed.
    pub(crate) fn into_parts(self) -> (Statement, Box<SafetyRecord>) {
        (self.statement, self.record)
    }
}

/// A validator's right to sign.
#[derive(Debug)]
struct Signer {
    index: ValidatorIndex,
    key: SecretKey,
    record: SafetyRecord,
}

/// The signing rules; without a signer, every request is refused.
#[derive(Debug)]
pub(crate) struct Safety {
    signer: Option<Signer>,
}

/// What was signed before a restart; the same statements get the same bytes.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    /// The last vote.
    pub(crate) vote: Option<Signed>,
    /// The last commit vote.
    pub(crate) commit: Option<Signed>,
    /// The last timeout with the certificate that it reports.
    pub(crate) timeout: Option<(Signed, QuorumCertificate)>,
    /// The last proposal.
    pub(crate) proposal: Option<Signed>,
}

impl Safety {
    /// A validator with its durable record.
    pub(crate) fn validator(index: ValidatorIndex, key: SecretKey, record: SafetyRecord) -> Self {
        Self { signer: Some(Signer { index, key, record }) }
    }

    /// Signs nothing.
    pub(crate) fn observer() -> Self {
        Self { signer: None }
    }

    /// Whether nothing will ever be signed.
    pub(crate) fn observes(&self) -> bool {
        self.signer.is_none()
    }

    /// The record as it stands.
    pub(crate) fn record(&self) -> Option<&SafetyRecord> {
        self.signer.as_ref().map(|signer| &signer.record)
    }

    /// Whether a vote in this view is still free.
    pub(crate) fn vote_is_free(&self, view: View) -> bool {
        self.record().is_some_and(|record| may_vote(view, record.voted))
    }

    /// Whether a proposal in this view is still free.
    pub(crate) fn proposal_is_free(&self, view: View) -> bool {
        self.record().is_some_and(|record| may_propose(view, record.proposed))
    }

    /// VOTE: `view > vr`, and the certificates justify the view.
    pub(crate) fn vote(&mut self, block: &Block, id: BlockId) -> Option<Permit> {
        let record = &mut self.signer.as_mut()?.record;
        let view = block.header.view;
        if !may_vote(view, record.voted) || !extends(block, record) {
            return None;
        }
        let parent_view = if broken(Bug::VoteHidesParent) { 0 } else { block.justify.view };
        let statement = Statement::Vote { view, block: id, parent_view };
        record.voted = view;
        if !broken(Bug::VoteKeepsHighQc) {
            record.raise(&block.justify, block.timeout.as_ref());
        }
        record.last_vote = Some(statement);
        Some(record.permit(statement))
    }

    /// COMMIT-VOTE: `view > tr` and `view > cr`; raises `vr` and the high certificate too. `block` is the certified one,
    /// or the epoch's last one if that is its ancestor.
    pub(crate) fn commit(&mut self, qc: &QuorumCertificate, block: BlockId) -> Option<Permit> {
        let record = &mut self.signer.as_mut()?.record;
        if qc.epoch != record.epoch || !may_commit(qc.view, record.timed_out, record.committed) {
            return None;
        }
        let statement = Statement::Commit { view: qc.view, block };
        record.committed = qc.view;
        record.voted = record.voted.max(qc.view);
        if !broken(Bug::CommitKeepsHighQc) {
            record.raise(qc, None);
        }
        record.last_commit = Some(statement);
        Some(record.permit(statement))
    }

    /// TIMEOUT: `view > tr`; gives away the vote of the view and reports the highest certificate. Returns it too.
    pub(crate) fn time_out(
        &mut self,
        view: View,
        high_qc: &QuorumCertificate,
        high_tc: Option<&TimeoutCertificate>,
    ) -> Option<(Permit, QuorumCertificate)> {
        let record = &mut self.signer.as_mut()?.record;
        record.raise(high_qc, high_tc);
        if !may_time_out(view, record.timed_out, record.high_qc.view) {
            return None;
        }
        let hides = broken(Bug::TimeoutHidesHighQc);
        let reported = if hides { high_qc.clone() } else { record.high_qc.clone() };
        let statement = Statement::Timeout { view, high_qc_view: reported.view };
        record.timed_out = view;
        if !broken(Bug::VoteAfterTimeout) {
            record.voted = record.voted.max(view);
        }
        record.last_timeout = Some((statement, reported.clone()));
        Some((record.permit(statement), reported))
    }

    /// PROPOSE: `view > pr`, and the certificates justify the view.
    pub(crate) fn propose(&mut self, block: &Block, id: BlockId) -> Option<Permit> {
        let signer = self.signer.as_mut()?;
        let record = &mut signer.record;
        let view = block.header.view;
        let own = block.header.proposer == signer.index;
        if !own || !may_propose(view, record.proposed) || !extends(block, record) {
            return None;
        }
        let statement = Statement::Propose { view, block: id };
        record.proposed = view;
        record.raise(&block.justify, block.timeout.as_ref());
        record.last_proposal = Some(statement);
        Some(record.permit(statement))
    }

    /// The link of the beacon that this validator adds to a block. It needs no permit: there is only one.
    pub(crate) fn beacon(&self, parent: &Header) -> Option<Beacon> {
        let signer = self.signer.as_ref()?;
        let SafetyRecord { ref chain, epoch, key, .. } = signer.record;
        let place = Place { chain, epoch, parent };
        remembered(
            || hash_value(Domain::BeaconInput, &(key, place.input())),
            || Beacon::next(place, &signer.key),
        )
    }

    /// Signs what [`Persisted`] allows.
    pub(crate) fn sign(&self, persisted: Persisted) -> Option<Signed> {
        self.signer.as_ref().map(|signer| signer.seal(persisted.statement()))
    }

    /// The signatures of the record as it was read from disk: their permits were persisted in an earlier run.
    pub(crate) fn recovered(&self) -> Signatures {
        let Some(signer) = &self.signer else { return Signatures::default() };
        let record = &signer.record;
        Signatures {
            vote: record.last_vote.map(|statement| signer.seal(statement)),
            commit: record.last_commit.map(|statement| signer.seal(statement)),
            timeout: record
                .last_timeout
                .as_ref()
                .map(|(statement, qc)| (signer.seal(*statement), qc.clone())),
            proposal: record.last_proposal.map(|statement| signer.seal(statement)),
        }
    }
}

impl Signer {
    fn seal(&self, statement: Statement) -> Signed {
        let digest = statement.digest(&self.record.chain, self.record.epoch);
        Signed {
            epoch: self.record.epoch,
            author: self.index,
            statement,
            signature: remembered(
                || hash_value(Domain::Message, &(self.record.key, digest)),
                || self.key.sign(digest.as_slice()),
            ),
        }
    }
}

impl SafetyRecord {
    fn permit(&self, statement: Statement) -> Permit {
        Permit { statement, record: Box::new(self.clone()) }
    }

    /// Keeps the highest certificate, and a timeout certificate only while it lies above it.
    fn raise(&mut self, qc: &QuorumCertificate, tc: Option<&TimeoutCertificate>) {
        if qc.view > self.high_qc.view {
            self.high_qc = qc.clone();
        }
        let known = self.high_tc.as_ref().map_or(0, |known| known.view);
        if let Some(tc) = tc.filter(|tc| tc.view > known) {
            self.high_tc = Some(tc.clone());
        }
        let high = self.high_qc.view;
        self.high_tc = self.high_tc.take().filter(|tc| tc.view > high);
    }
}

fn extends(block: &Block, record: &SafetyRecord) -> bool {
    let timeout = block.timeout.as_ref().map(|tc| (tc.view, tc.high_qc.view));
    block.header.epoch == record.epoch && justified(block.header.view, block.justify.view, timeout)
}
