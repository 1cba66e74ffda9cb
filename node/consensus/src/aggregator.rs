//! Collect statements of one kind until a quorum has made the same one.
//!
//! Signatures are checked when a quorum is at hand, not before. A statement that came from its author's own
//! connection takes the author's only place in the view; one that was relayed must be verified first, so nobody can
//! take another's place with garbage.

use std::{collections::BTreeMap, sync::Arc};

use neura_types::{
    ValidatorIndex, ValidatorSet, View,
    certificate::Signers,
    keys::Signature,
    vote::{Evidence, Signed, Statement},
};

use crate::bugs::{Bug, broken};

/// Views above the current one whose statements are kept: a replica that far behind is brought along by
/// certificates.
pub(crate) const FUTURE_VIEWS: View = 16;
/// Views below the current one whose statements are kept: late ones still complete certificates and convict.
pub(crate) const PAST_VIEWS: View = 32;

/// One validator's statement in one view.
#[derive(Debug)]
struct Entry {
    signed: Signed,
    verified: bool,
    convicted: bool,
}

#[derive(Debug, Default)]
struct Round {
    entries: BTreeMap<ValidatorIndex, Entry>,
    formed: bool,
}

/// What became of a statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// Kept; it may complete a quorum.
    Kept,
    /// Known already, or outside the window.
    Ignored,
    /// Its signature does not verify.
    Invalid,
    /// The author said something else in this view before.
    Conflict(Box<Evidence>),
}

/// What a quorum check found.
#[derive(Debug)]
pub(crate) struct Collected {
    /// The signers, if they are a quorum.
    pub(crate) signers: Option<Signers>,
    /// Authors whose signatures turned out invalid; their statements are dropped.
    pub(crate) faulty: Vec<ValidatorIndex>,
}

/// Statements of one kind by view and author.
#[derive(Debug)]
pub(crate) struct Aggregator {
    set: Arc<ValidatorSet>,
    low: View,
    high: View,
    rounds: BTreeMap<View, Round>,
}

impl Aggregator {
    /// An empty one whose window starts at view 1.
    pub(crate) fn new(set: Arc<ValidatorSet>) -> Self {
        Self { set, low: 1, high: FUTURE_VIEWS, rounds: BTreeMap::new() }
    }

    /// Moves the window to the current view. Statements of settled views stay in it: they may yet convict.
    pub(crate) fn advance(&mut self, view: View) {
        self.low = view.saturating_sub(PAST_VIEWS).max(1);
        self.high = view.saturating_add(FUTURE_VIEWS);
        self.rounds = self.rounds.split_off(&self.low);
    }

    /// Adds a statement; `verify` is asked when the signature must be known to be good.
    pub(crate) fn add(
        &mut self,
        signed: Signed,
        trusted_place: bool,
        verify: impl Fn(&Signed) -> bool,
    ) -> Added {
        let view = signed.statement.view();
        let too_high = view > self.high && !broken(Bug::FutureUnbounded);
        if view < self.low || too_high || self.set.get(signed.author).is_none() {
            return Added::Ignored;
        }
        let round = self.rounds.entry(view).or_default();
        let Some(known) = round.entries.get_mut(&signed.author) else {
            let verified = !trusted_place && !broken(Bug::PlaceTaken);
            if verified && !verify(&signed) {
                return Added::Invalid;
            }
            round.entries.insert(signed.author, Entry { signed, verified, convicted: false });
            return Added::Kept;
        };
        let same = known.signed.statement == signed.statement;
        let told = same && (known.verified || known.signed.signature == signed.signature);
        if told || known.convicted || broken(Bug::EquivocationMissed) {
            return Added::Ignored;
        }
        let verify = |signed: &Signed| verify(signed) || broken(Bug::EvidenceUnverified);
        if !verify(&signed) {
            return Added::Invalid;
        }
        if !known.verified && !verify(&known.signed) {
            *known = Entry { signed, verified: true, convicted: false };
            return Added::Kept;
        }
        known.verified = true;
        if same {
            return Added::Ignored;
        }
        known.convicted = true;
        Added::Conflict(Box::new(Evidence { first: known.signed, second: signed }))
    }

    /// Adds a statement of our own.
    pub(crate) fn add_own(&mut self, signed: Signed) {
        if self.add(signed, true, |_| true) == Added::Kept
            && let Some(entry) = self.entry(signed.statement.view(), signed.author)
        {
            entry.verified = true;
        }
    }

    /// The signers of a statement once they are a quorum, the first time only.
    pub(crate) fn collect(
        &mut self,
        statement: &Statement,
        verify: impl Fn(&Signed) -> bool,
    ) -> Collected {
        let mut faulty = Vec::new();
        let set = Arc::clone(&self.set);
        let Some(round) = self.rounds.get_mut(&statement.view()).filter(|round| !round.formed)
        else {
            return Collected { signers: None, faulty };
        };
        if !is_quorum(&set, round.power(&set, statement)) {
            return Collected { signers: None, faulty };
        }
        for (author, entry) in &mut round.entries {
            if entry.signed.statement == *statement && !entry.verified {
                entry.verified = verify(&entry.signed);
                if !entry.verified && !broken(Bug::FaultyKept) {
                    faulty.push(*author);
                }
            }
        }
        round.entries.retain(|author, _| !faulty.contains(author));
        round.formed = is_quorum(&set, round.power(&set, statement));
        let signers = round.formed.then(|| {
            let signatures = round
                .entries
                .iter()
                .filter(|(_, entry)| entry.signed.statement == *statement)
                .map(|(author, entry)| (*author, entry.signed.signature));
            Signers::collect(&set, signatures)
        });
        Collected { signers, faulty }
    }

    /// Whether this very signature was verified here.
    pub(crate) fn verified(
        &self,
        author: ValidatorIndex,
        statement: &Statement,
        signature: &Signature,
    ) -> bool {
        self.rounds.get(&statement.view()).and_then(|round| round.entries.get(&author)).is_some_and(
            |entry| {
                entry.verified
                    && entry.signed.statement == *statement
                    && entry.signed.signature == *signature
            },
        )
    }

    /// A statement of the same author that excludes this one, both verified, if there is one. What does not verify is
    /// no evidence; it stays, as only a quorum is worth its check.
    pub(crate) fn excluded_by(
        &self,
        signed: &Signed,
        verify: impl Fn(&Signed) -> bool,
    ) -> Option<Evidence> {
        let own = self.rounds.values().filter_map(|round| round.entries.get(&signed.author));
        let conflicting = own.filter(|entry| entry.signed.conflicts_with(signed));
        let verify = |signed: &Signed| verify(signed) || broken(Bug::EvidenceUnverified);
        let known = conflicting.map(|entry| entry.signed).find(|first| verify(first))?;
        verify(signed).then_some(Evidence { first: known, second: *signed })
    }

    fn entry(&mut self, view: View, author: ValidatorIndex) -> Option<&mut Entry> {
        self.rounds.get_mut(&view)?.entries.get_mut(&author)
    }
}

impl Round {
    fn power(&self, set: &ValidatorSet, statement: &Statement) -> u64 {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.signed.statement == *statement)
            .filter_map(|(author, _)| set.get(*author))
            .map(|member| member.power)
            .map(|power| if broken(Bug::StakeTwice) { power.saturating_mul(2) } else { power })
            .fold(0, u64::saturating_add)
    }
}

/// Whether a power suffices for a certificate.
pub(crate) fn is_quorum(set: &ValidatorSet, power: u64) -> bool {
    set.is_quorum(power)
        || broken(Bug::QuorumOfHalf) && power.saturating_mul(2) >= set.total_power()
}

#[cfg(test)]
impl Aggregator {
    /// Statements kept.
    pub(crate) fn size(&self) -> usize {
        self.rounds.values().map(|round| round.entries.len()).sum()
    }
}
