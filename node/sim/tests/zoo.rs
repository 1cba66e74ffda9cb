//! Rules broken on purpose are noticed: a choice of those that only a driver, or only a lie, can show. `scripts/sim zoo`
//! runs all of them.

use neura_consensus::bugs::Bug;
use neura_sim::{
    DriverBug,
    zoo::{Broken, by_simulator},
};

/// Seeds within which each must be noticed: several times what it took when this was written.
const SEEDS: u64 = 150;

#[track_caller]
fn noticed(broken: Broken) {
    assert!(by_simulator(broken, SEEDS).is_some(), "{broken:?} goes unnoticed in {SEEDS} seeds");
}

#[test]
fn every_broken_driver_is_noticed() {
    DriverBug::ALL.into_iter().map(Broken::Driver).for_each(noticed);
}

#[test]
fn broken_rules_of_voting_are_noticed() {
    let rules =
        [Bug::VoteTwice, Bug::VerdictIgnored, Bug::VotedBlockNotStored, Bug::CommitAfterTimeout];
    rules.into_iter().map(Broken::Core).for_each(noticed);
}

#[test]
fn broken_rules_of_durability_are_noticed() {
    let rules = [Bug::PersistAfterSend, Bug::ForgetsOnRestart, Bug::CommitNotPersisted];
    rules.into_iter().map(Broken::Core).for_each(noticed);
}

#[test]
fn broken_rules_of_order_and_quorum_are_noticed() {
    let rules =
        [Bug::CommitReversed, Bug::CommitSkipsAncestors, Bug::QuorumOfHalf, Bug::StakeTwice];
    rules.into_iter().map(Broken::Core).for_each(noticed);
}
