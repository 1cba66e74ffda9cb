use alloy_primitives::Address;
use proptest::prelude::*;

use super::*;
use crate::modules::testing::World;

const VALIDATORS: [Address; 4] = [
    Address::repeat_byte(0xe0),
    Address::repeat_byte(0xe1),
    Address::repeat_byte(0xe2),
    Address::repeat_byte(0xe3),
];

#[test]
fn the_pool_is_paid_by_voting_power_and_the_remainder_stays() {
    let mut world = World::new();
    world.force(system::REWARDS, Amount(10_000_000_007));
    assert_eq!(world.view(system::REWARDS, &IRewards::poolCall {}), Ok(10_000_000_007));
    world.end_block();
    // Powers 1, 2, 3, 4 of 10.
    let paid = VALIDATORS.map(|account| world.wei(account));
    assert_eq!(paid, [1_000_000_000, 2_000_000_001, 3_000_000_002, 4_000_000_002]);
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
    let before = world.snapshot();
    world.end_block();
    assert!(world.snapshot() == before);
    world.force(system::REWARDS, Amount(1));
    world.end_block();
    assert_eq!(world.wei(system::REWARDS), 0);
}

proptest! {
    #[test]
    fn no_pool_is_overpaid(pool in 0u128..=u128::MAX / 2) {
        let mut world = World::new();
        world.force(system::REWARDS, Amount(pool));
        world.end_block();
        let paid: u128 = VALIDATORS.iter().map(|account| world.wei(*account)).sum();
        prop_assert_eq!(paid + world.wei(system::REWARDS), pool);
        prop_assert!(paid == 0 || pool - paid < 4);
    }
}
