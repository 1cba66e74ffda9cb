//! Notice validators that contradict themselves.

use neura_types::vote::{Evidence, Signed, Statement};

use crate::{
    bugs::{Bug, broken},
    output::{Outbox, Output},
    replica::Replica,
};

impl Replica {
    /// Reports a validator once; and again if it was for a double proposal, and it then does what can fork the chain.
    pub(crate) fn convict(&mut self, evidence: Evidence, out: &mut Outbox) {
        let grave = !matches!(evidence.first.statement, Statement::Propose { .. });
        let known = self.convicted.get(&evidence.first.author);
        if known.is_none_or(|was_grave| grave && !was_grave) {
            self.convicted.insert(evidence.first.author, grave);
            out.push(Output::Evidence(Box::new(evidence)));
        }
    }

    /// A vote or commit vote beside its author's latest timeout.
    pub(crate) fn compare_with_timeout(&mut self, signed: &Signed, out: &mut Outbox) {
        let Some(timeout) = self.pacemaker.latest_of(signed.author) else { return };
        // The timeout was verified when it was kept.
        let verified = || self.verifier.signed(signed) || broken(Bug::EvidenceUnverified);
        if timeout.conflicts_with(signed) && verified() && !broken(Bug::LockDenialMissed) {
            let evidence = Evidence { first: *timeout, second: *signed };
            self.convict(evidence, out);
        }
    }

    /// A verified timeout beside its author's votes and commit votes.
    pub(crate) fn compare_with_votes(&mut self, timeout: &Signed, out: &mut Outbox) {
        let verifier = &self.verifier;
        let verify = |signed: &Signed| verifier.signed(signed);
        let known = [&self.votes, &self.commits];
        let found = known.into_iter().find_map(|kept| kept.excluded_by(timeout, verify));
        if let Some(evidence) = found.filter(|_| !broken(Bug::LockDenialMissed)) {
            self.convict(evidence, out);
        }
    }
}
