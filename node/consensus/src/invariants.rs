//! The rules as pure predicates, each with its argument.
//!
//! Notation: `QC(v)` certifies the block of view `v`, `TC(v)` proves that a quorum gave up `v`.

use neura_types::{Block, Header, Height, ValidatorSet, View, beacon::Place, vote::ChainContext};

use crate::{
    bugs::{Bug, broken},
    leaders::{absences, leader_after},
};

/// How often the view timer grows by a fifth before it stays: 1.2^8 is 4.3 times the base.
pub const MAX_BACK_OFF_STEPS: u32 = 8;

/// What is wrong with a proposed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// The proposer does not lead the view.
    #[error("the proposer does not lead the view")]
    Leader,
    /// The certificates do not justify the view or do not name the parent.
    #[error("the certificates do not justify the view")]
    Justification,
    /// The body is not the one that the header names.
    #[error("the body does not match the header")]
    Payload,
    /// The height is not the parent's plus one.
    #[error("the height does not follow the parent's")]
    Height,
    /// The certificate names another view than the parent has.
    #[error("the certificate names another view than the parent's")]
    ParentView,
    /// The time is not above the parent's.
    #[error("the time is not above the parent's")]
    Timestamp,
    /// The list of leaders passed over is not the one that follows from the parent.
    #[error("the list of leaders passed over does not follow from the parent")]
    Absent,
    /// The epoch does not continue the parent's, or the next epoch is named where it must not be or not where it must.
    #[error("the header does not fit its place in the epoch")]
    Epoch,
    /// The executed height goes back, or is not below the block.
    #[error("the executed height goes back or is not below the block")]
    Executed,
    /// The beacon's value or its proof is not what the proposer's key gives at this place.
    #[error("the beacon's value is not proved by the proposer's key for this place")]
    Beacon,
}

/// VOTE: one vote per view. Two quorums share an honest member, so at most one block per view is certified.
pub fn may_vote(view: View, voted: View) -> bool {
    view > voted || view == voted && broken(Bug::VoteTwice)
}

/// COMMIT-VOTE: not in a view given up, not twice. An honest commit voter of view `r` therefore had not given up any
/// view from `r` on, and every timeout that it signs later reports a certificate of `r` or higher; so every `TC(v)`,
/// `v >= r`, carries one.
pub fn may_commit(view: View, timed_out: View, committed: View) -> bool {
    (view > timed_out || broken(Bug::CommitAfterTimeout)) && view > committed
}

/// TIMEOUT: not twice for a view, and never for a view whose certificate is at hand.
pub fn may_time_out(view: View, timed_out: View, high_qc: View) -> bool {
    view > timed_out && view > high_qc
}

/// PROPOSE: one proposal per view, across restarts too.
pub fn may_propose(view: View, proposed: View) -> bool {
    view > proposed || broken(Bug::ProposeTwice)
}

/// A block of `view` extends the block of `parent` either directly, by `QC(view - 1)`, or over views proved dead, by
/// `TC(view - 1)` and a parent at least as high as every certificate reported in it. By the argument at
/// [`may_commit`], a block certified after a committed one then descends from it.
///
/// `timeout` is the view of the timeout certificate and the highest view reported in it.
pub fn justified(view: View, parent: View, timeout: Option<(View, View)>) -> bool {
    match timeout {
        None => {
            parent.checked_add(1) == Some(view) || parent < view && broken(Bug::GapWithoutTimeout)
        }
        Some((dead, reported)) => {
            (dead.checked_add(1) == Some(view) || broken(Bug::TimeoutOfOtherView))
                && (parent < dead || broken(Bug::TimeoutBesideDirect))
                && (parent >= reported || broken(Bug::TimeoutReportsIgnored))
        }
    }
}

/// COMMIT by two chains: a certified block and a certified child of the very next view. The votes of the child's
/// view play the part of commit votes: their signers had not given up that view.
pub fn two_chain(block: View, child: View) -> bool {
    block.checked_add(1) == Some(child) || block < child && broken(Bug::TwoChainGap)
}

/// What a header must satisfy by itself; the certificates' signatures are checked apart.
///
/// # Errors
/// The first rule broken.
pub fn check_alone(block: &Block, set: &ValidatorSet) -> Result<(), HeaderFault> {
    let (header, justify) = (&block.header, &block.justify);
    if set.get(header.proposer).is_none() {
        return Err(HeaderFault::Leader);
    }
    let timeout = block.timeout.as_ref().map(|tc| (tc.view, tc.high_qc.view));
    let same_epoch = justify.epoch == header.epoch
        && block
            .timeout
            .as_ref()
            .is_none_or(|tc| tc.epoch == header.epoch || broken(Bug::TimeoutOfOtherEpoch));
    let certified = header.parent == justify.block || broken(Bug::ParentNotCertified);
    if !certified || !same_epoch || !justified(header.view, justify.view, timeout) {
        return Err(HeaderFault::Justification);
    }
    Ok(())
}

/// What a block must satisfy beside its parent, in an epoch with this set and last height; the beacon is checked apart.
///
/// # Errors
/// The first rule broken.
pub fn check_beside(
    block: &Block,
    parent: &Block,
    (set, last_height): (&ValidatorSet, Height),
) -> Result<(), HeaderFault> {
    let (header, above): (&Header, &Header) = (&block.header, &parent.header);
    let follows = above.height.checked_add(1) == Some(header.height);
    if !follows && !broken(Bug::HeightUnchecked) {
        return Err(HeaderFault::Height);
    }
    let same_epoch = above.epoch == header.epoch;
    let parent_view = if same_epoch { parent.justify.view } else { above.view };
    let same_views = block.justify.view == above.view && block.justify.parent_view == parent_view;
    if !same_views && !broken(Bug::VoteHidesParent) && !broken(Bug::ParentNotCertified) {
        return Err(HeaderFault::ParentView);
    }
    let leads = header.proposer == leader_after(set, header.view, above);
    if !leads && !broken(Bug::LeaderUnchecked) {
        return Err(HeaderFault::Leader);
    }
    if header.absent != absences(set, block, above) && !broken(Bug::AbsentUnchecked) {
        return Err(HeaderFault::Absent);
    }
    if header.timestamp_ms <= above.timestamp_ms && !broken(Bug::TimestampUnchecked) {
        return Err(HeaderFault::Timestamp);
    }
    let executed = header.executed.height;
    let executed_fits = (above.executed.height..header.height).contains(&executed);
    if !executed_fits && !broken(Bug::ExecutedUnchecked) {
        return Err(HeaderFault::Executed);
    }
    check_epoch(block, above, last_height)
}

/// BEACON: a proposer has one value for each parent, and everyone can tell that it is that one.
///
/// # Errors
/// [`HeaderFault::Beacon`].
pub fn check_beacon(
    header: &Header,
    parent: &Header,
    (chain, set): (&ChainContext, &ValidatorSet),
) -> Result<(), HeaderFault> {
    let place = Place { chain, epoch: header.epoch, parent };
    let proposer = set.get(header.proposer);
    let follows = proposer.is_some_and(|one| header.beacon.follows(place, &one.public_key));
    if follows || broken(Bug::BeaconUnchecked) { Ok(()) } else { Err(HeaderFault::Beacon) }
}

/// The epoch's last block names the next epoch; what follows it in the same epoch is empty.
fn check_epoch(block: &Block, above: &Header, last_height: Height) -> Result<(), HeaderFault> {
    let header = &block.header;
    let is_tail = header.height > last_height;
    let entered = above.epoch != header.epoch;
    let names_next = header.next_epoch.is_some() == (header.height == last_height);
    let fits = (names_next || broken(Bug::NextEpochUnchecked))
        && (!entered
            || above.epoch.checked_add(1) == Some(header.epoch) && above.next_epoch.is_some())
        && (!is_tail
            || broken(Bug::TailNotEmpty)
            || block.is_empty() && header.executed == above.executed);
    if fits { Ok(()) } else { Err(HeaderFault::Epoch) }
}

/// Length of a view's timer: grows by a fifth per view given up since the last commit, so that it outgrows any delay
/// that is bounded at all, and is back at the base after one commit.
pub fn view_timer_ms(base_ms: u64, max_ms: u64, timeouts: u32) -> u64 {
    let mut timer = base_ms;
    for _ in 0..timeouts.min(MAX_BACK_OFF_STEPS) {
        timer = timer.saturating_add(timer / 5);
    }
    timer.min(max_ms).max(1)
}
