//! TIMEOUT: give up a view, join others who did, and leave it together.

use neura_types::{
    QuorumCertificate, TimeoutCertificate,
    vote::{ConsensusMessage, Signed, Statement},
};

use crate::{
    bugs::{Bug, broken},
    input::Peer,
    output::{Fault, Outbox, Output},
    replica::Replica,
};

impl Replica {
    /// TIMEOUT(r): the timer of the current view ran out, or others gave it up. Again and again while stuck, with
    /// the same bytes and the best certificates, as messages may be lost.
    pub(crate) fn give_up_view(&mut self, out: &mut Outbox) {
        if self.has_ended() {
            return;
        }
        let first = self.pacemaker.own_timeout().is_none();
        if first {
            let view = self.view();
            let hidden = broken(Bug::TimeoutHidesHighQc)
                .then(|| QuorumCertificate::anchor(self.config.set.epoch(), self.config.anchor));
            let high_qc = hidden.as_ref().unwrap_or(&self.high_qc);
            let permit = self.safety.time_out(view, high_qc, self.high_tc.as_ref());
            let Some((permit, qc)) = permit else {
                self.pacemaker.rearm(self.now_ms);
                return;
            };
            let persisted = out.persist(permit);
            let Some(signed) = self.safety.sign(persisted) else { return };
            self.pacemaker.gave_up(signed, qc);
            self.asked = None;
            // Nothing came of several views: others may be in a later epoch, of which this one's set hears nothing.
            if self.pacemaker.timeouts() > 1 {
                self.sync.follow_anyone();
            }
        }
        self.pacemaker.rearm(self.now_ms);
        for message in self.best_certificates() {
            out.push(Output::Broadcast(message));
        }
        if first || !broken(Bug::TimeoutNotResent) {
            self.send_timeout(out);
        }
        self.join_timeouts(out);
    }

    /// Sends our timeout of the current view.
    pub(crate) fn send_timeout(&self, out: &mut Outbox) {
        if let Some((signed, qc)) = self.pacemaker.own_timeout() {
            let message = ConsensusMessage::Timeout(*signed, Box::new(qc.clone()));
            out.push(Output::Broadcast(message));
        }
    }

    /// A timeout arrived. Verified at once: it is rare, and kept by author for any view.
    pub(crate) fn on_timeout(
        &mut self,
        from: Peer,
        signed: Signed,
        qc: QuorumCertificate,
        out: &mut Outbox,
    ) {
        let Statement::Timeout { view, high_qc_view } = signed.statement else {
            return out.fault(from, Fault::Malformed);
        };
        if high_qc_view != qc.view || qc.view >= view {
            return out.fault(from, Fault::Malformed);
        }
        if view < self.view() {
            return self.bring_along(from, &signed, out);
        }
        if !self.pacemaker.is_news(&signed) {
            return;
        }
        if !self.verifier.signed(&signed) {
            return out.fault(from, Fault::Signature);
        }
        if !self.verifier.quorum(&qc, &self.votes) {
            return out.fault(from, Fault::Certificate);
        }
        self.pacemaker.add(signed, qc.clone());
        self.compare_with_votes(&signed, out);
        self.on_quorum(&qc, Some(from), out);
        // The leader itself gave up: waiting for its proposal is pointless.
        let leader_left = view == self.view() && signed.author == self.leader(view);
        if leader_left && self.pacemaker.own_timeout().is_none() && !self.safety.observes() {
            return self.give_up_view(out);
        }
        self.join_timeouts(out);
    }

    /// Someone is stuck in a view that we left: what let us leave helps.
    pub(crate) fn bring_along(&self, from: Peer, signed: &Signed, out: &mut Outbox) {
        if from != Peer::Validator(signed.author) || self.safety.observes() {
            return;
        }
        for message in self.best_certificates() {
            out.push(Output::Send { to: signed.author, message });
        }
    }

    /// More than a third gave up our view or higher ones: so do we, there. A quorum did: the view is over.
    fn join_timeouts(&mut self, out: &mut Outbox) {
        if let Some(tc) = self.pacemaker.certificate() {
            self.verifier.trust(tc.digest());
            if !self.safety.observes() {
                out.push(Output::Broadcast(ConsensusMessage::ViewChange(Box::new(tc.clone()))));
            }
            return self.on_view_change(tc, None, out);
        }
        if self.safety.observes() {
            return;
        }
        if let Some(view) = self.pacemaker.view_to_join() {
            self.enter(view, out);
            if self.view() == view && self.pacemaker.own_timeout().is_none() {
                self.give_up_view(out);
            }
        }
    }

    /// ENTER by TC: the certificate it carries counts, then the next view opens. Verified before.
    pub(crate) fn on_view_change(
        &mut self,
        tc: TimeoutCertificate,
        from: Option<Peer>,
        out: &mut Outbox,
    ) {
        let high_qc = tc.high_qc.clone();
        let next = tc.view.saturating_add(1);
        let known = self.high_tc.as_ref().map_or(0, |known| known.view);
        if tc.view > known.max(self.high_qc.view) {
            self.high_tc = Some(tc);
        }
        self.on_quorum(&high_qc, from, out);
        self.enter(next, out);
    }
}
