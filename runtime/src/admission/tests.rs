use alloy_primitives::{Bytes, U256};
use proptest::prelude::*;

use super::*;
use crate::{
    chain,
    testing::{GWEI, World, decode, eth_key, op},
};

const TO: Address = Address::repeat_byte(0xaa);

fn check(world: &World, raw: Bytes) -> Result<(), InvalidTransaction> {
    let transaction = decode(raw).expect("decodes");
    let base_fee = chain::next_base_fee(&world.state).unwrap();
    match validate_for_pool(&world.state, world.context.params(), &transaction, base_fee) {
        Ok(()) => Ok(()),
        Err(PoolError::Invalid(error)) => Err(error),
        Err(PoolError::State(error)) => panic!("{error}"),
    }
}

#[test]
fn each_refusal_has_geths_text_and_a_code() {
    let mut world = World::new();
    world.run(world.tx(1).call(TO, &[]));
    let poor = eth_key(9);
    assert_eq!(world.balance(poor.address()), U256::ZERO);
    let draft = world.tx(1);
    let table = [
        (
            draft.clone().nonce(0).call(TO, &[]),
            "nonce_too_low",
            "nonce too low: next nonce 1, tx nonce 0",
        ),
        (
            world.tx(9).gas(21_000).fees(GWEI, 1).value(5).call(TO, &[]),
            "insufficient_funds",
            "insufficient funds for gas * price + value: balance 0, tx cost 21000000000005, overshot 21000000000005",
        ),
        (
            draft.clone().gas(20_000).call(TO, &[]),
            "intrinsic_gas_too_low",
            "intrinsic gas too low: gas 20000, minimum needed 21000",
        ),
        (
            draft.clone().gas(30_000).call(TO, &[1; 300]),
            "floor_data_gas_too_low",
            "insufficient gas for floor data gas cost: gas 30000, minimum needed 33000",
        ),
        (
            draft.clone().fees(5, 5).call(TO, &[]),
            "fee_cap_too_low",
            "max fee per gas less than block base fee: maxFeePerGas: 5, baseFee: ",
        ),
        (
            draft.clone().fees(2 * GWEI, 3 * GWEI).call(TO, &[]),
            "tip_above_fee_cap",
            "max priority fee per gas higher than max fee per gas",
        ),
        (
            draft.clone().gas(20_000_000).call(TO, &[]),
            "gas_limit_too_high",
            "transaction gas limit too high (cap: 16777216, tx: 20000000)",
        ),
        (
            draft.clone().gas(16_000_000).create(vec![0; 49_153]),
            "init_code_too_large",
            "max initcode size exceeded: code size 49153, limit 49152",
        ),
        (draft.clone().nonce(u64::MAX).call(TO, &[]), "nonce_max", "nonce has max value"),
    ];
    for (raw, code, text) in table {
        let error = check(&world, raw).expect_err(code);
        assert_eq!(error.code(), code);
        assert!(error.to_string().starts_with(text), "{error}");
    }
    assert_eq!(check(&world, draft.call(TO, &[])), Ok(()));
}

#[test]
fn a_block_smaller_than_the_transaction_is_named() {
    let mut world = World::new();
    std::sync::Arc::make_mut(&mut world.context.epoch).params.block_gas_limit = 1_000_000;
    let error = check(&world, world.tx(1).gas(1_000_001).call(TO, &[])).unwrap_err();
    assert!(error.to_string().starts_with("exceeds block gas limit"));
    assert_eq!(error.code(), "exceeds_block_gas_limit");
}

#[test]
fn a_gap_in_the_nonces_is_left_to_the_pool() {
    let world = World::new();
    assert_eq!(check(&world, world.tx(1).nonce(3).call(TO, &[])), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_pool_admits_exactly_what_a_block_includes(
        gas in prop_oneof![20_500u64..60_000, Just(16_777_216), Just(16_777_217)],
        max_fee in prop_oneof![1u128..3 * GWEI, Just(1_000_000 * GWEI), Just(u128::MAX)],
        tip in 0u128..3 * GWEI,
        value in prop_oneof![0u128..1_000, Just(999 * 10u128.pow(18)), Just(u128::MAX)],
        bytes in 0usize..200,
        create in any::<bool>(),
        key in prop_oneof![Just(1u8), Just(9)],
    ) {
        let mut world = World::new();
        let draft = world.tx(key).gas(gas).fees(max_fee, tip).value(value);
        let raw = if create {
            draft.create(vec![op::STOP; bytes])
        } else {
            draft.call(TO, &vec![1; bytes])
        };
        let admitted = check(&world, raw.clone());
        let execution = world.one(raw);
        prop_assert_eq!(
            admitted.is_ok(),
            execution.skipped.is_empty(),
            "pool: {:?}, block: {:?}", admitted, execution.skipped
        );
        if let (Err(pool), Some((_, block))) = (admitted, execution.skipped.first()) {
            prop_assert!(pool.code().len() > 3 && block.code().len() > 3);
        }
    }
}
