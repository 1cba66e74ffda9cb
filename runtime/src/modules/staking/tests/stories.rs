use super::*;
use crate::modules::testing::{ALICE, BOB, FUNDS, operator, refusal};

/// Divides an amount among the validators at the end of the epoch.
fn reward(world: &mut World, amount: Amount) {
    world.force(system::REWARDS, amount);
    world.end_epoch();
}

#[test]
fn the_validators_of_genesis_have_bonded_their_power() {
    let mut world = world();
    assert_eq!(world.wei(system::STAKING), Amount::ankr(10).0);
    let view = world.view(system::STAKING, &IStaking::candidateCall { operator: operator(2) });
    let found = view.unwrap();
    assert_eq!((found.stake, found.shares, found.power), (Amount::ankr(3).0, Amount::ankr(3).0, 3));
    assert!(found.listed && !found.tombstoned && found.jailedUntil == 0);
    let members = world.view(system::STAKING, &IStaking::validatorsCall { start: 1, limit: 2 });
    let powers: Vec<u64> = members.unwrap().iter().map(|member| member.power).collect();
    assert_eq!(powers, [2, 3]);
    assert_eq!(world.view(system::STAKING, &IStaking::countCall {}), Ok(4));
    assert_eq!(world.view(system::STAKING, &IStaking::candidateCountCall {}), Ok(4));
    assert_eq!(world.view(system::STAKING, &IStaking::totalPowerCall {}), Ok(10));
    let one = world.view(system::STAKING, &IStaking::validatorCall { index: 3 }).unwrap();
    assert_eq!((one.account, one.power), (operator(3), 4));
    let all =
        world.view(system::STAKING, &IStaking::candidatesCall { start: 3, limit: 9 }).unwrap();
    assert_eq!(all.iter().map(|c| c.operator).collect::<Vec<_>>(), [operator(3)]);
    let epoch = world.view(system::STAKING, &IStaking::epochCall {}).unwrap();
    assert_eq!((epoch.number, epoch.first, epoch.last), (0, 1, 16));
}

#[test]
fn stake_goes_in_earns_and_comes_back_after_the_delay() {
    let mut world = world();
    let own = join(&mut world, 1, 5);
    let shares = delegate(&mut world, ALICE, own, Amount::ankr(5));
    assert_eq!(operator_of(&mut world, &key(1).public_key()), Ok(Some(own)));
    assert_eq!(operator_of(&mut world, &key(2).public_key()), Ok(None));
    assert_eq!(shares, Amount::ankr(5).0, "a share is a wei");
    assert_eq!(world.wei(ALICE), FUNDS.0 - Amount::ankr(5).0);
    world.end_epoch();

    let half = shares / 2;
    assert_eq!(undelegate(&mut world, ALICE, own, half), Ok(half));
    let begun = world.epoch();
    let entries =
        world.view(system::STAKING, &IStaking::unbondingsCall { operator: own, delegator: ALICE });
    let entries = entries.unwrap();
    assert_eq!(
        (entries[0].begun, entries[0].releasedAt, entries[0].amount),
        (begun, begun + 4, half)
    );
    while world.epoch() < begun + 4 {
        assert_eq!(refusal(withdraw(&mut world, ALICE, own)), code::BOND_LOCKED);
        world.end_epoch();
    }
    assert_eq!(withdraw(&mut world, ALICE, own), Ok(half));
    assert_eq!(refusal(withdraw(&mut world, ALICE, own)), code::BOND_LOCKED);
    assert_eq!(world.wei(ALICE), FUNDS.0 - Amount::ankr(5).0 + half);
    let view = IStaking::delegationCall { operator: own, delegator: ALICE };
    let left = world.view(system::STAKING, &view).unwrap();
    assert_eq!((left.shares, left.amount, left.rewards), (half, half, 0));
    world.check();
}

#[test]
fn a_reward_is_shared_by_stake_after_the_commission() {
    let mut world = world();
    // Validator 3 has 4 of 10; Alice brings it from 4 to 8 ANKR of stake, which its power does not show yet.
    delegate(&mut world, ALICE, operator(3), Amount::ankr(4));
    reward(&mut world, Amount(100_000_000_000));
    assert_eq!(world.wei(operator(3)), 4_000_000_000, "a tenth of 40 gwei");
    // Half of the rest, rounded down.
    assert_eq!(claim(&mut world, ALICE, operator(3)), Ok(17_999_999_999));
    assert_eq!(claim(&mut world, ALICE, operator(3)), Ok(0));
    // Bob comes later and shares in what is earned from then on only.
    delegate(&mut world, BOB, operator(3), Amount::ankr(8));
    assert_eq!(claim(&mut world, BOB, operator(3)), Ok(0));
    reward(&mut world, Amount(100_000_000_000));
    assert_eq!(claim(&mut world, BOB, operator(3)), Ok(17_999_999_999));
    assert_eq!(claim(&mut world, ALICE, operator(3)), Ok(8_999_999_999));
    let own = operator(3);
    assert_eq!(claim(&mut world, own, own), Ok(26_999_999_999));
    world.check();
}

#[test]
fn rewards_are_paid_when_the_stake_changes() {
    let mut world = world();
    delegate(&mut world, ALICE, operator(3), Amount::ankr(4));
    reward(&mut world, Amount(100_000_000_000));
    let before = world.wei(ALICE);
    delegate(&mut world, ALICE, operator(3), Amount(1));
    assert_eq!(world.wei(ALICE), before - 1 + 17_999_999_999);
    reward(&mut world, Amount(100_000_000_000));
    let before = world.wei(ALICE);
    undelegate(&mut world, ALICE, operator(3), 1).unwrap();
    assert!(world.wei(ALICE) > before);
}

#[test]
fn what_a_validator_without_stake_earned_is_its_operators_and_dust_returns_to_the_pool() {
    let mut world = world();
    reward(&mut world, Amount(10_000_000_007));
    let shares = candidate(&mut world, operator(0)).pool.shares;
    let (pool, owed) = (world.wei(system::REWARDS), candidate(&mut world, operator(0)).owed.0);
    let pending = delegation(&mut world, operator(0), operator(0)).unwrap().2.0;
    undelegate(&mut world, operator(0), operator(0), shares).unwrap();
    assert_eq!(candidate(&mut world, operator(0)).owed, Amount::ZERO);
    assert_eq!(world.wei(system::REWARDS), pool + owed - pending);
    let before = world.wei(operator(0));
    reward(&mut world, Amount::ankr(10));
    assert!(world.wei(operator(0)) >= before + Amount::ankr(1).0, "it still serves");
    world.check();
}

#[test]
fn an_operator_adds_to_its_bond_leaves_and_comes_back() {
    let mut world = world();
    let own = join(&mut world, 1, 5);
    delegate(&mut world, own, own, Amount::ankr(1));
    assert_eq!(candidate(&mut world, own).pool.stake, Amount::ankr(6));
    plain(&mut world, own, IStaking::retireCall {}).map(|_| ()).unwrap();
    assert_eq!(
        refusal(plain(&mut world, own, IStaking::retireCall {}).map(|_| ())),
        code::NOT_LISTED
    );
    world.end_epoch();
    assert_eq!(power(&mut world, 2, own), 0);
    plain(&mut world, own, IStaking::enlistCall { instead: ALICE }).map(|_| ()).unwrap();
    world.end_epoch();
    assert!(power(&mut world, 3, own) > 0);
    let events = world.events::<IStaking::ListingChanged>();
    assert_eq!(events.iter().map(|event| event.listed).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_validator_without_enough_stake_does_not_come_back() {
    let mut world = world();
    let shares = candidate(&mut world, operator(0)).pool.shares;
    plain(&mut world, operator(0), IStaking::retireCall {}).map(|_| ()).unwrap();
    undelegate(&mut world, operator(0), operator(0), shares).unwrap();
    let enlist = IStaking::enlistCall { instead: Address::ZERO };
    let result = plain(&mut world, operator(0), enlist).map(|_| ());
    assert_eq!(refusal(result), code::STAKE_TOO_SMALL);
}
