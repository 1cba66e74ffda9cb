use neura_types::system;

use super::*;
use crate::modules::testing::{World, refusal};

#[test]
fn the_recorded_validators_are_those_of_genesis() {
    let mut world = World::new();
    let set = world.block.validators.clone();
    let expected: Vec<Validator> = set.iter().map(|(_, validator)| validator.clone()).collect();
    assert_eq!(validators(&mut world), Ok(expected.clone()));
    assert_eq!(world.view(system::STAKING, &IStaking::countCall {}), Ok(4));
    assert_eq!(world.view(system::STAKING, &IStaking::totalPowerCall {}), Ok(10));
    let one = world.view(system::STAKING, &IStaking::validatorCall { index: 2 });
    assert_eq!(one, Ok(IStaking::Validator::from(&expected[2])));
    let page = world.view(system::STAKING, &IStaking::validatorsCall { start: 3, limit: 100 });
    assert_eq!(page, Ok(vec![IStaking::Validator::from(&expected[3])]));
}

#[test]
fn an_index_past_the_end_is_unknown_and_a_page_is_bounded() {
    let mut world = World::new();
    let one = world.view(system::STAKING, &IStaking::validatorCall { index: 4 });
    assert_eq!(refusal(one), code::UNKNOWN_VALIDATOR);
    let page = world.view(system::STAKING, &IStaking::validatorsCall { start: 0, limit: 101 });
    assert_eq!(refusal(page), code::LIMIT_OUT_OF_BOUNDS);
}
