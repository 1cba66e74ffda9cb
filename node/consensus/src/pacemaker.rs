//! Keep the current view, its timer, and each validator's latest timeout.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use neura_types::{
    QuorumCertificate, TimeoutCertificate, ValidatorIndex, ValidatorSet, View,
    certificate::Signers,
    vote::{Signed, Statement},
};

use crate::{
    aggregator::is_quorum,
    bugs::{Bug, broken},
    invariants::view_timer_ms,
};

/// The current view and what may end it without a certificate.
///
/// One timeout per validator is kept, the highest: bounded by the set however far ahead views are claimed. A validator
/// that left a view behind re-sends the certificate that let it, so its older timeouts are not needed.
#[derive(Debug)]
pub(crate) struct Pacemaker {
    set: Arc<ValidatorSet>,
    base_ms: u64,
    max_ms: u64,
    view: View,
    deadline_ms: u64,
    timeouts: u32,
    latest: BTreeMap<ValidatorIndex, (Signed, QuorumCertificate)>,
    /// The last timeout of each validator, of views left behind too: it may yet convict.
    seen: BTreeMap<ValidatorIndex, Signed>,
    own: Option<(Signed, QuorumCertificate)>,
}

impl Pacemaker {
    /// Starts in a view.
    pub(crate) fn new(
        set: Arc<ValidatorSet>,
        (base_ms, max_ms): (u64, u64),
        view: View,
        now_ms: u64,
    ) -> Self {
        let mut pacemaker = Self {
            set,
            base_ms,
            max_ms,
            view,
            deadline_ms: 0,
            timeouts: 0,
            latest: BTreeMap::new(),
            seen: BTreeMap::new(),
            own: None,
        };
        pacemaker.rearm(now_ms);
        pacemaker
    }

    /// The current view.
    pub(crate) fn view(&self) -> View {
        self.view
    }

    /// When the view's timer runs out.
    pub(crate) fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// Views given up since the last commit.
    pub(crate) fn timeouts(&self) -> u32 {
        self.timeouts
    }

    /// Our own timeout of the current view.
    pub(crate) fn own_timeout(&self) -> Option<&(Signed, QuorumCertificate)> {
        self.own.as_ref()
    }

    /// Enters a higher view.
    pub(crate) fn enter(&mut self, view: View, now_ms: u64) {
        self.view = view;
        self.own = None;
        self.latest.retain(|_, (signed, _)| signed.statement.view() >= view);
        self.rearm(now_ms);
    }

    /// Starts the view's timer again.
    pub(crate) fn rearm(&mut self, now_ms: u64) {
        let timer = view_timer_ms(self.base_ms, self.max_ms, self.timeouts);
        self.deadline_ms = now_ms.saturating_add(timer);
    }

    /// Something became final: timers are short again.
    pub(crate) fn on_commit(&mut self) {
        self.timeouts = 0;
    }

    /// Remembers our own timeout of the current view.
    pub(crate) fn gave_up(&mut self, signed: Signed, qc: QuorumCertificate) {
        self.timeouts = self.timeouts.saturating_add(1);
        self.add(signed, qc.clone());
        self.own = Some((signed, qc));
    }

    /// A validator's latest timeout.
    pub(crate) fn latest_of(&self, author: ValidatorIndex) -> Option<&Signed> {
        self.seen.get(&author)
    }

    /// Whether a timeout tells anything new.
    pub(crate) fn is_news(&self, signed: &Signed) -> bool {
        let view = signed.statement.view();
        view >= self.view
            && self
                .latest
                .get(&signed.author)
                .is_none_or(|(known, _)| known.statement.view() < view)
    }

    /// Keeps a verified timeout.
    pub(crate) fn add(&mut self, signed: Signed, qc: QuorumCertificate) {
        if self.is_news(&signed) {
            self.seen.insert(signed.author, signed);
            self.latest.insert(signed.author, (signed, qc));
        }
    }

    /// The highest view that more than a third of the power gave up, or a view above it: an honest one among them
    /// had entered it, so it may be entered and given up as well.
    pub(crate) fn view_to_join(&self) -> Option<View> {
        let views: BTreeSet<View> = self.views();
        views.into_iter().rev().find(|view| {
            let power = self.power(|given_up| given_up >= *view);
            self.set.includes_honest(power) || broken(Bug::JoinsOne)
        })
    }

    /// A certificate for the highest view, from the current one on, that a quorum gave up.
    pub(crate) fn certificate(&self) -> Option<TimeoutCertificate> {
        let quorum = |view: &View| is_quorum(&self.set, self.power(|given_up| given_up == *view));
        let view = self.views().into_iter().rev().find(quorum)?;
        let members: BTreeMap<_, _> =
            self.latest.iter().filter(|(_, (signed, _))| signed.statement.view() == view).collect();
        let (_, high_qc) = members.values().max_by_key(|(_, qc)| qc.view)?;
        let reported = members.values().map(|(signed, _)| match signed.statement {
            Statement::Timeout { high_qc_view, .. } => high_qc_view,
            _ => 0,
        });
        let signatures = members.iter().map(|(author, (signed, _))| (**author, signed.signature));
        Some(TimeoutCertificate {
            epoch: self.set.epoch(),
            view,
            reported: reported.collect(),
            high_qc: high_qc.clone(),
            signers: Signers::collect(&self.set, signatures),
        })
    }

    fn views(&self) -> BTreeSet<View> {
        self.latest
            .values()
            .map(|(signed, _)| signed.statement.view())
            .filter(|view| *view >= self.view)
            .collect()
    }

    fn power(&self, counts: impl Fn(View) -> bool) -> u64 {
        self.latest
            .iter()
            .filter(|(_, (signed, _))| counts(signed.statement.view()))
            .filter_map(|(author, _)| self.set.get(*author))
            .map(|member| member.power)
            .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
impl Pacemaker {
    /// Timeouts kept.
    pub(crate) fn size(&self) -> usize {
        self.latest.len()
    }
}
