use proptest::prelude::*;

use super::*;

fn params() -> Params {
    Params::default()
}

#[test]
fn a_block_at_the_target_keeps_the_base_fee() {
    assert_eq!(next_base_fee(&params(), 1_000_000_000, 15_000_000), 1_000_000_000);
}

#[test]
fn a_full_block_raises_the_base_fee_by_an_eighth_and_an_empty_one_lowers_it_by_one() {
    assert_eq!(next_base_fee(&params(), 1_000_000_000, 30_000_000), 1_125_000_000);
    assert_eq!(next_base_fee(&params(), 1_000_000_000, 0), 875_000_000);
}

#[test]
fn the_base_fee_moves_up_even_if_an_eighth_rounds_to_nothing() {
    let low = Params { min_base_fee: 1, ..params() };
    assert_eq!(next_base_fee(&low, 1, 15_000_001), 2);
    assert_eq!(next_base_fee(&low, 1, 0), 1);
}

#[test]
fn the_base_fee_stays_between_its_bounds() {
    assert_eq!(next_base_fee(&params(), params().min_base_fee, 0), params().min_base_fee);
    assert_eq!(next_base_fee(&params(), u64::MAX, u64::MAX), MAX_BASE_FEE);
    assert_eq!(next_base_fee(&params(), 0, 0), params().min_base_fee);
}

#[test]
fn a_block_without_a_gas_target_divides_by_nothing() {
    let none = Params { block_gas_limit: 0, ..params() };
    assert_eq!(next_base_fee(&none, 1_000_000_000, 5), 1_000_000_000);
}

proptest! {
    #[test]
    fn the_base_fee_moves_by_at_most_an_eighth_and_one(
        base_fee in 10_000_000u64..(1 << 50),
        gas_used in 0u64..=30_000_000,
    ) {
        let next = next_base_fee(&params(), base_fee, gas_used);
        prop_assert!(next.abs_diff(base_fee) <= base_fee / 8 + 1);
    }

    #[test]
    fn the_split_of_base_fees_loses_nothing(
        base_fee in 0u64..=MAX_BASE_FEE,
        gas_used in 0u64..=(1 << 40),
        burn in 0u16..=10_000,
    ) {
        let params = Params { base_fee_burn_bps: burn, ..params() };
        let split = split_base_fees(&params, base_fee, gas_used).expect("within the bounds");
        let total = u128::from(base_fee) * u128::from(gas_used);
        prop_assert_eq!(split.burned.0 + split.rewards.0, total);
    }
}
