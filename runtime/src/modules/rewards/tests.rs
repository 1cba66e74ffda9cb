use proptest::prelude::*;

use super::*;
use crate::modules::testing::{World, operator};

/// What the validators can claim or have been paid.
fn earned(world: &mut World) -> [u128; 4] {
    [0, 1, 2, 3].map(|index| {
        let operator = operator(index);
        let (_, _, rewards) = staking::delegation(world, operator, operator).unwrap();
        world.wei(operator) + rewards.0
    })
}

#[test]
fn the_pool_is_divided_by_voting_power_at_the_end_of_an_epoch_and_the_remainder_stays() {
    let mut world = World::new();
    world.force(system::REWARDS, Amount(10_000_000_007));
    assert_eq!(world.view(system::REWARDS, &IRewards::poolCall {}), Ok(10_000_000_007));
    world.end_block();
    assert_eq!(earned(&mut world), [0; 4], "the epoch is not over");
    world.end_epoch();
    // Powers 1, 2, 3, 4 of 10; a tenth is commission, the rest loses less than a wei to rounding.
    assert_eq!(
        earned(&mut world),
        [1_000_000_000, 2_000_000_001, 3_000_000_002, 4_000_000_002].map(|share| share - 1)
    );
    assert_eq!([0, 1].map(|index| world.wei(operator(index))), [100_000_000, 200_000_000]);
    assert_eq!(world.view(system::REWARDS, &IRewards::poolCall {}), Ok(2));
    assert_eq!(world.view(system::REWARDS, &IRewards::distributedCall {}), Ok(10_000_000_005));
    let events = world.events::<IRewards::RewardsDistributed>();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].amount, events[0].validators), (10_000_000_005, 4));
}

#[test]
fn a_pool_that_is_not_worth_it_is_left_alone() {
    let mut world = World::new();
    world.force(system::REWARDS, Amount(3_999_999_999));
    world.end_epoch();
    assert_eq!((earned(&mut world), world.wei(system::REWARDS)), ([0; 4], 3_999_999_999));
    world.force(system::REWARDS, Amount(1));
    world.end_epoch();
    assert_eq!(world.wei(system::REWARDS), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_pool_is_overpaid(pool in 0u128..=u128::MAX / 4) {
        let mut world = World::new();
        world.force(system::REWARDS, Amount(pool));
        world.end_epoch();
        let held = staking::invariants::check(&mut world).unwrap();
        prop_assert!(held.is_empty(), "{:?}", held);
        let earned: u128 = earned(&mut world).iter().sum();
        let rest = world.wei(system::REWARDS);
        prop_assert!(earned + rest <= pool && pool - earned - rest < 8, "dust: {pool} {earned} {rest}");
        prop_assert!(earned == 0 || rest < 4);
    }
}
