//! Rules that tests break on purpose, one at a time.
//!
//! A suite that never fails proves nothing: each switch removes one condition, and the model, the simulator or Twins
//! must notice. The feature exists only in the package `neura-consensus-bugs`, which compiles these sources a second
//! time; in `neura-consensus` every switch is the constant `false`.
#![allow(unexpected_cfgs, reason = "the feature is declared only where broken replicas are built")]

#[cfg(not(feature = "bugs"))]
use neura_types::{B256, ValidatorIndex, View};

macro_rules! bugs {
    ($( $(#[doc = $rule:literal])+ $name:ident, )+) => {
        /// A rule broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug { $( $(#[doc = $rule])+ $name, )+ }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$( Self::$name, )+];

            /// What is wrong, in words.
            pub const fn describe(self) -> &'static str {
                match self { $( Self::$name => concat!($( $rule ),+).trim_ascii(), )+ }
            }
        }
    };
}

bugs! {
    /// A second block of a view is voted for.
    VoteTwice,
    /// A view that was given up is voted in.
    VoteAfterTimeout,
    /// A vote does not make its parent's certificate durable.
    VoteKeepsHighQc,
    /// A vote names view 0 as its parent's.
    VoteHidesParent,
    /// A block that the driver refused is voted for.
    VerdictIgnored,
    /// The block voted for is not stored.
    VotedBlockNotStored,
    /// A commit vote is cast in a view that was given up.
    CommitAfterTimeout,
    /// A commit vote does not make its certificate durable.
    CommitKeepsHighQc,
    /// A commit vote's record is not made durable.
    CommitNotPersisted,
    /// A commit vote on a block behind the epoch's last one names that block.
    CommitNamesTail,
    /// A timeout reports the lowest certificate.
    TimeoutHidesHighQc,
    /// A second block is proposed in a view.
    ProposeTwice,
    /// Records are made durable after what depends on them was sent.
    PersistAfterSend,
    /// A restart begins with an empty record.
    ForgetsOnRestart,
    /// A replica that lost its record signs.
    AmnesiaVotes,
    /// A block may skip views without proof that they are dead.
    GapWithoutTimeout,
    /// A block may lie below certificates that its timeout certificate reports.
    TimeoutReportsIgnored,
    /// The timeout certificate of any view justifies a block.
    TimeoutOfOtherView,
    /// A block may carry a timeout certificate of its parent's view.
    TimeoutBesideDirect,
    /// The timeout certificate of another epoch justifies a block.
    TimeoutOfOtherEpoch,
    /// A block may name another parent than its certificate.
    ParentNotCertified,
    /// Two chains commit without consecutive views.
    TwoChainGap,
    /// Blocks behind the epoch's last one become final by two chains.
    TailCommits,
    /// Newly final blocks leave newest first.
    CommitReversed,
    /// Of newly final blocks only the newest leaves.
    CommitSkipsAncestors,
    /// The highest certificate is replaced by lower ones.
    HighQcRegresses,
    /// Half of the power is a quorum.
    QuorumOfHalf,
    /// The power behind a vote counts twice.
    StakeTwice,
    /// The shape of a certificate is not checked: one signer may stand for many.
    SignersNotDistinct,
    /// Signatures of votes, timeouts and proposals are not checked.
    SignatureUnchecked,
    /// Quorum certificates are not checked.
    QuorumUnchecked,
    /// Timeout certificates are not checked.
    TimeoutUnchecked,
    /// A timeout certificate need not carry the highest certificate that it reports.
    TimeoutHighUnchecked,
    /// Proofs of finality are not checked.
    ProofUnchecked,
    /// A certificate of the anchor's view is accepted for any block.
    AnchorUnchecked,
    /// Certificates of other epochs are accepted.
    EpochUnchecked,
    /// Anyone may propose.
    LeaderUnchecked,
    /// The list of leaders passed over is not checked.
    AbsentUnchecked,
    /// Heights are not checked.
    HeightUnchecked,
    /// Times of blocks are not checked.
    TimestampUnchecked,
    /// Executed heights are not checked.
    ExecutedUnchecked,
    /// The next epoch may be named anywhere or nowhere.
    NextEpochUnchecked,
    /// Blocks behind the epoch's last one may carry transactions.
    TailNotEmpty,
    /// The beacon's value and proof are not checked.
    BeaconUnchecked,
    /// The body need not be the one that the header names.
    PayloadUnchecked,
    /// Fetched blocks need not lead to the block asked for.
    RangeUnchecked,
    /// One validator's claim is enough to give up a view.
    JoinsOne,
    /// A statement relayed by another takes its author's place unverified.
    PlaceTaken,
    /// A certificate is assembled with signatures that do not verify.
    FaultyKept,
    /// Two votes of one author in a view go unnoticed.
    EquivocationMissed,
    /// A second proposal of a view goes unnoticed.
    ProposalPairMissed,
    /// Timeouts that deny a lock go unnoticed.
    LockDenialMissed,
    /// Evidence is reported without checking its signatures.
    EvidenceUnverified,
    /// A timeout is sent only once.
    TimeoutNotResent,
    /// Old views' votes are never forgotten and new views' never taken.
    WindowStays,
    /// Votes of any future view are kept.
    FutureUnbounded,
    /// A replica goes on after the epoch's last block is final.
    EndIgnored,
}

/// Whether a rule is broken here and now.
#[cfg(not(feature = "bugs"))]
#[inline]
pub(crate) const fn broken(_: Bug) -> bool {
    false
}

/// The leader that a script names for a view.
#[cfg(not(feature = "bugs"))]
#[inline]
pub(crate) const fn scripted_leader(_: View) -> Option<ValidatorIndex> {
    None
}

/// The result of a check or the bytes of a signature: a pure function of its key, so it may be remembered.
#[cfg(not(feature = "bugs"))]
#[inline]
pub(crate) fn remembered<T>(_: impl FnOnce() -> B256, compute: impl FnOnce() -> T) -> T {
    compute()
}

#[cfg(feature = "bugs")]
pub use switched::{activate, remember_checks, script_leaders};
#[cfg(feature = "bugs")]
pub(crate) use switched::{broken, remembered, scripted_leader};

#[cfg(feature = "bugs")]
mod switched {
    use std::{
        any::Any,
        cell::{Cell, RefCell},
        collections::BTreeMap,
    };

    use neura_types::{B256, ValidatorIndex, View};

    use super::Bug;

    /// Results remembered before all are forgotten: some hundred megabytes.
    const MAX_REMEMBERED: usize = 1 << 20;

    thread_local! {
        static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
        static SCRIPT: RefCell<Vec<ValidatorIndex>> = const { RefCell::new(Vec::new()) };
        static REMEMBERED: RefCell<Option<BTreeMap<B256, Box<dyn Any>>>> = const { RefCell::new(None) };
    }

    /// Names the leaders of views 1, 2 and so on, for all replicas of this thread; later views are led by the table,
    /// and while there is a script nobody is passed over.
    pub fn script_leaders(leaders: Vec<ValidatorIndex>) {
        SCRIPT.set(leaders);
    }

    pub(crate) fn scripted_leader(view: View) -> Option<ValidatorIndex> {
        let place = usize::try_from(view.checked_sub(1)?).ok()?;
        SCRIPT.with_borrow(|script| script.get(place).copied())
    }

    /// Whether checks of signatures, and signatures, are remembered on this thread, so that the same one in another
    /// replica or another run costs nothing. Forgets what was remembered.
    pub fn remember_checks(remember: bool) {
        REMEMBERED.set(remember.then(BTreeMap::new));
    }

    pub(crate) fn remembered<T: Clone + 'static>(
        key: impl FnOnce() -> B256,
        compute: impl FnOnce() -> T,
    ) -> T {
        // A broken rule may change what a check says.
        if ACTIVE.get().is_some() || REMEMBERED.with_borrow(Option::is_none) {
            return compute();
        }
        let key = key();
        let known =
            REMEMBERED.with_borrow(|all| all.as_ref()?.get(&key)?.downcast_ref::<T>().cloned());
        known.unwrap_or_else(|| {
            let value = compute();
            REMEMBERED.with_borrow_mut(|all| {
                if let Some(all) = all {
                    if all.len() >= MAX_REMEMBERED {
                        all.clear();
                    }
                    all.insert(key, Box::new(value.clone()));
                }
            });
            value
        })
    }

    /// Breaks one rule, or none, in all replicas of this thread, until it is called again.
    pub fn activate(bug: Option<Bug>) {
        ACTIVE.set(bug);
    }

    pub(crate) fn broken(bug: Bug) -> bool {
        ACTIVE.get() == Some(bug)
    }
}
