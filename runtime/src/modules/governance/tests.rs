use alloy_primitives::Address;
use neura_types::{Amount, Epoch, Params, abi::SolCall, epoch::PROTOCOL_VERSION, system};

use super::*;
use crate::modules::{
    staking,
    testing::{ALICE, World, operator, params, refusal},
};

/// Validators 0 to 3 with powers 1 to 4: 7 of 10 are two thirds.
fn world() -> World {
    World::with(Params { epoch_blocks: 16, voting_epochs: 3, ..params() })
}

fn call<C: SolCall>(world: &mut World, who: Address, function: C) -> Result<C::Return, Fault> {
    world.call(who, Amount::ZERO, system::GOVERNANCE, &function)
}

fn changes(of: &[(&str, u128)]) -> Vec<IGovernance::Change> {
    of.iter()
        .map(|(name, value)| IGovernance::Change { name: (*name).into(), value: *value })
        .collect()
}

fn propose(world: &mut World, index: u8, of: &[(&str, u128)]) -> Result<u64, Fault> {
    let function = IGovernance::proposeParamsCall { changes: changes(of), title: "why not".into() };
    call(world, operator(index), function)
}

fn upgrade(world: &mut World, index: u8, version: u16, epoch: Epoch) -> Result<u64, Fault> {
    call(
        world,
        operator(index),
        IGovernance::proposeUpgradeCall { version, epoch, title: String::new() },
    )
}

fn vote(world: &mut World, index: u8, id: u64, approve: bool) -> Result<(), Fault> {
    call(world, operator(index), IGovernance::voteCall { id, approve }).map(|_| ())
}

fn votes(world: &mut World, indices: &[u8], id: u64) {
    indices.iter().for_each(|index| vote(world, *index, id, true).unwrap());
}

fn status(world: &mut World, id: u64) -> Status {
    get(world, id).unwrap().unwrap().status
}

fn params_of(world: &mut World, epoch: Epoch) -> Params {
    staking::config(world, epoch).unwrap().params
}

/// Ends the last epoch before one that this program does not speak.
fn end_last_epoch(world: &mut World) {
    world.block.height = world.block.epoch.last;
    crate::modules::end_block(world).unwrap();
}

#[test]
fn two_thirds_of_the_power_change_a_parameter_from_the_second_epoch_after() {
    let mut world = world();
    let id = propose(&mut world, 0, &[("slash_bps", 700), ("epoch_blocks", 32)]).unwrap();
    votes(&mut world, &[2, 3], id);
    let view = world.view(system::GOVERNANCE, &IGovernance::supportCall { id }).unwrap();
    assert_eq!((view.approving, view.totalPower), (7, 10));
    world.end_epoch();
    assert_eq!(status(&mut world, id), Status::Passed);
    assert_eq!(params_of(&mut world, 1).slash_bps, 500, "was fixed before");
    let config = staking::config(&mut world, 2).unwrap();
    assert_eq!((config.params.slash_bps, config.last - config.first), (700, 31));
    let parameter = IGovernance::parameterCall { name: "slash_bps".into() };
    assert_eq!(world.view(system::GOVERNANCE, &parameter), Ok(500));
    world.end_epoch();
    assert_eq!(params_of(&mut world, 3).slash_bps, 700, "it stays");
    assert_eq!(world.view(system::GOVERNANCE, &parameter), Ok(700));
    let ended = &world.events::<IGovernance::Ended>()[0];
    assert_eq!((ended.id, ended.approving, ended.totalPower), (id, 7, 10));
}

#[test]
fn less_than_two_thirds_change_nothing_and_a_proposal_expires() {
    let mut world = world();
    let id = propose(&mut world, 0, &[("slash_bps", 700)]).unwrap();
    votes(&mut world, &[1, 3], id);
    for _ in 0..2 {
        world.end_epoch();
        assert_eq!(status(&mut world, id), Status::Open);
    }
    world.end_epoch();
    assert_eq!(status(&mut world, id), Status::Expired);
    assert_eq!(params_of(&mut world, 4).slash_bps, 500);
    assert_eq!(refusal(vote(&mut world, 2, id, true)), code::PROPOSAL_ENDED);
    propose(&mut world, 0, &[("slash_bps", 700)]).unwrap();
}

#[test]
fn a_vote_can_be_taken_back_and_counts_once() {
    let mut world = world();
    let id = propose(&mut world, 0, &[("slash_bps", 700)]).unwrap();
    votes(&mut world, &[3, 3, 3, 2], id);
    vote(&mut world, 2, id, false).unwrap();
    assert_eq!(approving(&mut world, id), Ok(4));
    world.end_epoch();
    assert_eq!(status(&mut world, id), Status::Open);
}

#[test]
fn only_operators_of_the_present_set_propose_and_vote() {
    let mut world = world();
    let id = propose(&mut world, 0, &[("slash_bps", 700)]).unwrap();
    let function = IGovernance::proposeParamsCall {
        changes: changes(&[("slash_bps", 1)]),
        title: String::new(),
    };
    assert_eq!(refusal(call(&mut world, ALICE, function)), code::NOT_VALIDATOR);
    let vote = call(&mut world, ALICE, IGovernance::voteCall { id, approve: true }).map(|_| ());
    assert_eq!(refusal(vote), code::NOT_VALIDATOR);
    assert_eq!(refusal(propose(&mut world, 0, &[("slash_bps", 1)])), code::PROPOSAL_OPEN);
}

#[test]
fn the_power_that_counts_is_that_of_the_epoch_in_which_the_votes_are_counted() {
    let mut world = world();
    let id = propose(&mut world, 0, &[("slash_bps", 700)]).unwrap();
    votes(&mut world, &[1, 3], id);
    let delegate = neura_types::abi::IStaking::delegateCall { operator: operator(1) };
    world.call(ALICE, Amount::ankr(3), system::STAKING, &delegate).unwrap();
    (0..2).for_each(|_| world.end_epoch());
    // From epoch 2 on validator 1 has 5 of 13, with validator 3 that makes 9.
    world.end_epoch();
    assert_eq!(status(&mut world, id), Status::Passed);
}

#[test]
fn a_proposal_whose_proposer_was_away_at_its_end_is_not_accepted_later() {
    use neura_types::abi::IStaking::{enlistCall, retireCall};
    let mut world = world();
    let id = propose(&mut world, 1, &[("slash_bps", 700)]).unwrap();
    world.call(operator(1), Amount::ZERO, system::STAKING, &retireCall {}).unwrap();
    world.end_epoch();
    let back = enlistCall { instead: Address::ZERO };
    world.call(operator(1), Amount::ZERO, system::STAKING, &back).unwrap();
    world.end_epoch();
    assert!(world.block.epoch.set.iter().all(|(_, member)| member.account != operator(1)));
    votes(&mut world, &[2, 3], id);
    world.end_epoch();
    assert_eq!(status(&mut world, id), Status::Open, "nobody counted it");
    assert_eq!(refusal(vote(&mut world, 0, id, true)), code::PROPOSAL_ENDED);
    world.end_epoch();
    assert_eq!(status(&mut world, id), Status::Expired);
    assert_eq!(params_of(&mut world, 5).slash_bps, 500);
}

#[test]
fn proposals_that_cannot_be_are_refused() {
    let mut world = world();
    let cases: [&[(&str, u128)]; 8] = [
        &[],
        &[("slash_bps", 1); 9],
        &[("slash_bps", 0)],
        &[("slash_bps", 5_001)],
        &[("slash_bps", 1 << 100)],
        &[("execution_lag", 8)],
        &[("epoch_blocks", 15)],
        &[("fee_split.validators_bps", 9_800)],
    ];
    for case in cases {
        assert_eq!(refusal(propose(&mut world, 0, case)), code::INVALID_PROPOSAL, "{case:?}");
    }
    for (version, epoch) in [(0, 9), (PROTOCOL_VERSION, 9), (PROTOCOL_VERSION + 1, 1)] {
        assert_eq!(refusal(upgrade(&mut world, 0, version, epoch)), code::INVALID_PROPOSAL);
    }
    let long = IGovernance::proposeParamsCall {
        changes: changes(&[("slash_bps", 1)]),
        title: "x".repeat(129),
    };
    assert_eq!(refusal(call(&mut world, operator(0), long)), code::TEXT_TOO_LONG);
    assert_eq!(refusal(vote(&mut world, 0, 1, true)), code::UNKNOWN_PROPOSAL);
    let unknown = IGovernance::parameterCall { name: "execution_lag".into() };
    assert_eq!(refusal(world.view(system::GOVERNANCE, &unknown)), code::INVALID_PROPOSAL);
    let unknown = IGovernance::supportCall { id: 5 };
    assert_eq!(
        refusal(world.view(system::GOVERNANCE, &unknown).map(|_| ())),
        code::UNKNOWN_PROPOSAL
    );
}

#[test]
fn of_two_changes_that_exclude_each_other_the_first_takes_effect() {
    let mut world = world();
    let first = propose(&mut world, 0, &[("fee_split.validators_bps", 9_000)]).unwrap();
    let second = propose(&mut world, 1, &[("fee_split.treasury_bps", 9_000)]).unwrap();
    votes(&mut world, &[1, 2, 3], first);
    votes(&mut world, &[1, 2, 3], second);
    world.end_epoch();
    assert_eq!([first, second].map(|id| status(&mut world, id)), [Status::Passed, Status::Failed]);
    let split = params_of(&mut world, 2).fee_split;
    assert_eq!((split.validators_bps, split.treasury_bps), (9_000, 300));
    assert_eq!(params_of(&mut world, 2).validate(), Ok(()));
}

#[test]
fn an_accepted_upgrade_waits_for_its_epoch() {
    let mut world = world();
    let next = PROTOCOL_VERSION + 1;
    let id = upgrade(&mut world, 2, next, 5).unwrap();
    votes(&mut world, &[0, 2, 3], id);
    world.end_epoch();
    assert_eq!(status(&mut world, id), Status::Passed);
    assert_eq!(scheduled_upgrade(&mut world), Ok(Some(Upgrade { version: next, epoch: 5 })));
    (0..3).for_each(|_| world.end_epoch());
    let versions = [3, 4, 5].map(|epoch| staking::config(&mut world, epoch).unwrap().version);
    assert_eq!(versions, [PROTOCOL_VERSION, PROTOCOL_VERSION, next]);
    assert!(scheduled_upgrade(&mut world).unwrap().is_some(), "its epoch is fixed, but not begun");
    end_last_epoch(&mut world);
    assert_eq!(scheduled_upgrade(&mut world), Ok(None));
    assert_eq!(refusal(upgrade(&mut world, 2, next, 9)), code::INVALID_PROPOSAL, "no way back");
}

/// It took effect with the next epoch to be fixed, so that no node had notice of it.
#[test]
fn an_upgrade_that_is_not_accepted_with_notice_lapses() {
    let mut world = world();
    let last = upgrade(&mut world, 2, PROTOCOL_VERSION + 1, UPGRADE_NOTICE).unwrap();
    let late = upgrade(&mut world, 1, PROTOCOL_VERSION + 1, UPGRADE_NOTICE).unwrap();
    let later = upgrade(&mut world, 0, PROTOCOL_VERSION + 1, UPGRADE_NOTICE + 1).unwrap();
    world.end_epoch();
    votes(&mut world, &[0, 2, 3], last);
    world.end_epoch();
    let ended = [last, late, later].map(|id| status(&mut world, id));
    assert_eq!(ended, [Status::Lapsed, Status::Lapsed, Status::Open]);
    assert_eq!(refusal(vote(&mut world, 1, late, true)), code::PROPOSAL_ENDED);
    votes(&mut world, &[0, 2, 3], later);
    world.end_epoch();
    assert_eq!(status(&mut world, later), Status::Lapsed);
    for epoch in 1..=4 {
        assert_eq!(staking::config(&mut world, epoch).unwrap().version, PROTOCOL_VERSION);
    }
    let ended = world.events::<IGovernance::Ended>();
    assert!(ended.iter().all(|event| event.status == IGovernance::Status::Lapsed));
    assert_eq!(ended.len(), 3);
    assert!(world.events::<IGovernance::UpgradeScheduled>().is_empty());
    propose(&mut world, 2, &[("slash_bps", 700)]).expect("the proposer is free for another");
}

#[test]
fn an_upgrade_accepted_with_the_shortest_notice_is_known_for_a_whole_epoch() {
    let mut world = world();
    let id = upgrade(&mut world, 2, PROTOCOL_VERSION + 1, UPGRADE_NOTICE).unwrap();
    votes(&mut world, &[0, 2, 3], id);
    world.end_epoch();
    assert_eq!((world.epoch(), status(&mut world, id)), (1, Status::Passed));
    assert_eq!(staking::config(&mut world, 1).unwrap().version, PROTOCOL_VERSION);
    assert_eq!(staking::config(&mut world, 2).unwrap().version, PROTOCOL_VERSION + 1);
}

/// A second one took the place of the first without a word.
#[test]
fn a_scheduled_upgrade_gives_way_to_none_for_another_epoch_and_is_replaced_within_its_own() {
    let mut world = world();
    let next = PROTOCOL_VERSION + 1;
    let first = upgrade(&mut world, 0, next, 6).unwrap();
    let others = [(1, next, 7), (2, next + 1, 5), (3, next + 1, 6)];
    let others =
        others.map(|(by, version, epoch)| upgrade(&mut world, by, version, epoch).unwrap());
    votes(&mut world, &[0, 2, 3], first);
    world.end_epoch();
    let plan = Upgrade { version: next, epoch: 6 };
    assert_eq!(scheduled_upgrade(&mut world), Ok(Some(plan)));
    for id in &others[..2] {
        votes(&mut world, &[0, 2, 3], *id);
    }
    world.end_epoch();
    let ended = others.map(|id| status(&mut world, id));
    assert_eq!(ended, [Status::Failed, Status::Failed, Status::Open]);
    assert_eq!(scheduled_upgrade(&mut world), Ok(Some(plan)));
    votes(&mut world, &[0, 2, 3], others[2]);
    world.end_epoch();
    assert_eq!(status(&mut world, others[2]), Status::Passed);
    let scheduled = world.events::<IGovernance::UpgradeScheduled>();
    let scheduled: Vec<_> = scheduled.iter().map(|event| (event.version, event.epoch)).collect();
    assert_eq!(scheduled, [(next, 6), (next + 1, 6)]);
    // Fixed at the end of epoch 4; the plan keeps its place until its epoch begins.
    (0..2).for_each(|_| world.end_epoch());
    assert_eq!(staking::config(&mut world, 6).unwrap().version, next + 1);
    let after = upgrade(&mut world, 0, next + 2, 9).unwrap();
    votes(&mut world, &[0, 2, 3], after);
    end_last_epoch(&mut world);
    assert_eq!((world.epoch(), status(&mut world, after)), (5, Status::Failed));
    assert_eq!(scheduled_upgrade(&mut world), Ok(None));
}

#[test]
fn a_scheduled_upgrade_is_cancelled_by_name_until_its_epoch_is_fixed() {
    let mut world = world();
    let cancel = |world: &mut World, index: u8| {
        let title = "not yet".into();
        call(world, operator(index), IGovernance::proposeCancellationCall { title })
    };
    assert_eq!(refusal(cancel(&mut world, 0)), code::INVALID_PROPOSAL, "nothing is scheduled");
    let next = PROTOCOL_VERSION + 1;
    let id = upgrade(&mut world, 0, next, 3).unwrap();
    votes(&mut world, &[0, 2, 3], id);
    world.end_epoch();
    let [first, same] = [0, 1].map(|index| cancel(&mut world, index).unwrap());
    let shown = world.view(system::GOVERNANCE, &IGovernance::proposalCall { id: first }).unwrap();
    assert_eq!((shown.version, shown.versionEpoch, shown.cancels), (next, 3, true));
    votes(&mut world, &[0, 2, 3], first);
    votes(&mut world, &[0, 2, 3], same);
    world.end_epoch();
    assert_eq!([first, same].map(|id| status(&mut world, id)), [Status::Passed, Status::Failed]);
    assert_eq!(scheduled_upgrade(&mut world), Ok(None));
    assert_eq!(staking::config(&mut world, 3).unwrap().version, PROTOCOL_VERSION);
    let cancelled = &world.events::<IGovernance::UpgradeCancelled>()[0];
    assert_eq!((cancelled.version, cancelled.epoch), (next, 3));

    let id = upgrade(&mut world, 0, next, 5).unwrap();
    votes(&mut world, &[0, 2, 3], id);
    world.end_epoch();
    let late = cancel(&mut world, 1).unwrap();
    world.end_epoch();
    assert_eq!(refusal(cancel(&mut world, 2)), code::INVALID_PROPOSAL, "its epoch is fixed");
    votes(&mut world, &[0, 2, 3], late);
    end_last_epoch(&mut world);
    assert_eq!((world.epoch(), status(&mut world, late)), (4, Status::Lapsed));
    assert_eq!(staking::config(&mut world, 5).unwrap().version, next);
}

#[test]
fn proposals_are_read_back_in_pages() {
    let mut world = world();
    let first = propose(&mut world, 3, &[("slash_bps", 700)]).unwrap();
    let second = upgrade(&mut world, 1, 9, 40).unwrap();
    assert_eq!((first, second, count(&mut world)), (1, 2, Ok(2)));
    let page = IGovernance::proposalsCall { start: 0, limit: 100 };
    let page = world.view(system::GOVERNANCE, &page).unwrap();
    assert_eq!(page.iter().map(|p| p.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(page[0].changes, changes(&[("slash_bps", 700)]));
    assert_eq!((page[1].version, page[1].versionEpoch, page[1].changes.len()), (9, 40, 0));
    assert_eq!((page[0].createdAt, page[0].expiresAt, page[0].proposer), (0, 2, operator(3)));
    let late = world.view(system::GOVERNANCE, &IGovernance::proposalsCall { start: 3, limit: 1 });
    assert_eq!(late.map(|page| page.len()), Ok(0));
    let none = world.view(system::GOVERNANCE, &IGovernance::proposalCall { id: 3 });
    assert_eq!(refusal(none), code::UNKNOWN_PROPOSAL);
}
