//! Creation: who may become a WASM contract, and how.

use alloy_primitives::Bytes;
use neura_types::StateRead;
use neura_wasm_abi::CODE_PREFIX;

use super::*;
use crate::testing::{deployer, op};

fn code_of(world: &World, contract: Address) -> Bytes {
    let account = world.state.account(contract).expect("memory").expect("it exists");
    world.state.code(account.code_hash).expect("memory").expect("it has code")
}

fn refused(world: &mut World, init: Vec<u8>, value: u128) -> String {
    let raw = world.tx(1).gas(DEPLOY_GAS).value(value).create(init);
    let receipt = world.run(raw);
    assert!(!receipt.success && receipt.contract.is_none());
    assert!(receipt.gas_used < DEPLOY_GAS, "the gas that is left comes back");
    reason(&receipt)
}

/// A constructor that keeps its first 32 bytes of arguments in word 0 and fails if the first byte is 1.
fn constructed() -> Vec<u8> {
    module(
        "(func (export \"user_constructor\") (param i32) (result i32)
            (call $read_args (i32.const 0))
            (call $storage_cache_bytes32 (i32.const 100) (i32.const 0))
            (call $write_result (i32.const 0) (i32.const 32))
            (i32.eq (i32.load8_u (i32.const 0)) (i32.const 1)))
        (func (export \"user_entrypoint\") (param i32) (result i32) i32.const 0)",
    )
}

#[test]
fn a_transaction_creates_a_contract_of_prefix_and_module() {
    let mut world = World::new();
    let module = worker();
    let contract = deploy(&mut world, &module);
    assert_eq!(code_of(&world, contract), [&CODE_PREFIX, module.as_slice()].concat());
}

#[test]
fn a_constructor_runs_once_with_its_arguments_and_value() {
    let mut world = World::new();
    let arguments = U256::from(77).to_be_bytes::<32>();
    let init = init_code(&constructed(), &arguments);
    let raw = world.tx(1).gas(DEPLOY_GAS).value(6).create(init);
    let receipt = world.run(raw);
    let contract = receipt.contract.unwrap_or_else(|| panic!("{}", reason(&receipt)));
    assert_eq!(world.word(contract, 0), U256::from(77));
    assert_eq!(world.balance(contract), U256::from(6));
    assert_eq!(code_of(&world, contract)[4..], constructed());
}

#[test]
fn a_failing_constructor_leaves_nothing() {
    let mut world = World::new();
    let init = init_code(&constructed(), &[1; 32]);
    let raw = world.tx(1).gas(DEPLOY_GAS).value(6).create(init);
    let receipt = world.run(raw);
    assert!(!receipt.success && receipt.contract.is_none());
    assert_eq!(receipt.revert_data.as_ref(), [1; 32]);
}

#[test]
fn what_may_not_be_a_contract_is_refused_with_its_reason() {
    let mut world = World::new();
    let float = contract("(drop (f32.const 1)) i32.const 0");
    let text = refused(&mut world, init_code(&float, &[]), 0);
    assert!(text.starts_with("wasm_refused: ") && text.contains("floating"), "{text}");
    let text = refused(&mut world, init_code(b"\0asm", &[]), 0);
    assert!(text.starts_with("wasm_refused: "), "{text}");
    let text = refused(&mut world, CODE_PREFIX.to_vec(), 0);
    assert!(text.contains("length"), "{text}");
    let truncated = init_code(&worker(), &[])[..100].to_vec();
    assert!(refused(&mut world, truncated, 0).contains("follow"));
    let text = refused(&mut world, init_code(&worker(), b"arguments"), 0);
    assert!(text.contains("user_constructor"), "{text}");
    let text = refused(&mut world, init_code(&worker(), &[]), 1);
    assert!(text.contains("user_constructor"), "{text}");
    let large = module(&format!(
        "(func (export \"user_entrypoint\") (param i32) (result i32) i32.const 0)
        (data (i32.const 0) \"{}\")",
        "x".repeat(24_576)
    ));
    assert!(refused(&mut world, init_code(&large, &[]), 0).contains("24576"));
    let outside = module(
        "(func (export \"user_entrypoint\") (param i32) (result i32) i32.const 0)
        (data (i32.const 65536) \"x\")",
    );
    assert!(refused(&mut world, init_code(&outside, &[]), 0).starts_with("wasm_refused"));
}

#[test]
fn ordinary_init_code_cannot_return_code_that_was_not_judged() {
    let mut world = World::new();
    let forged = [&CODE_PREFIX[..], &worker()].concat();
    for code in [&forged[..], &[0xef], &[0xef, 0], &CODE_PREFIX] {
        let raw = world.tx(1).gas(DEPLOY_GAS).create(deployer(code));
        let receipt = world.run(raw);
        assert!(!receipt.success && receipt.contract.is_none());
        assert_eq!(receipt.gas_used, DEPLOY_GAS, "as by EIP-3541");
    }
}

#[test]
fn the_first_byte_of_the_prefix_means_nothing_elsewhere() {
    let mut world = World::new();
    let in_the_middle = [&[op::PUSH0], &CODE_PREFIX[..], &worker()].concat();
    let contract = world.deploy(&in_the_middle);
    let raw = world.tx(1).gas(300_000).call(contract, &[]);
    let receipt = world.run(raw);
    assert!(!receipt.success);
    assert_eq!(receipt.gas_used, 300_000);
    let raw = world.tx(1).gas(300_000).create(vec![0xef, 0, 1, 2]);
    assert_eq!(world.run(raw).gas_used, 300_000);
}

#[test]
fn evm_code_creates_wasm_contracts() {
    let mut world = World::new();
    // Creates from its call data and keeps the address in slot 0.
    let mut factory = vec![op::CALLDATASIZE, op::PUSH0, op::PUSH0, op::CALLDATACOPY];
    factory.extend([op::CALLDATASIZE, op::PUSH0, op::PUSH0, op::CREATE]);
    factory.extend([op::PUSH0, op::SSTORE, op::STOP]);
    let factory = world.deploy(&factory);
    let raw = world.tx(1).gas(DEPLOY_GAS).call(factory, &init_code(&worker(), &[]));
    assert!(world.run(raw).success);
    let made = Address::from_word(world.word(factory, 0).into());
    let raw = world.tx(2).call(made, b"\0");
    assert!(world.run(raw).success);
    assert_eq!(count(&world, made), U256::from(1));
    let raw = world.tx(1).gas(DEPLOY_GAS).call(factory, &init_code(b"bad", &[]));
    assert!(world.run(raw).success);
    assert_eq!(world.word(factory, 0), U256::ZERO, "CREATE says that it failed");
}

#[test]
fn wasm_creates_evm_and_wasm_contracts() {
    let mut world = World::new();
    let maker = contract(
        "(call $create1 (i32.const 0) (local.get $length) (i32.const 50000) (i32.const 50112) (i32.const 50200))
        (call $create2 (i32.const 0) (local.get $length) (i32.const 50000) (i32.const 50000) (i32.const 50144) (i32.const 50200))
        (i32.store8 (i32.const 50031) (i32.const 1))
        (call $storage_cache_bytes32 (i32.const 50300) (i32.const 50100))
        (call $storage_cache_bytes32 (i32.const 50000) (i32.const 50132))
        i32.const 0",
    );
    let maker = deploy(&mut world, &maker);
    for init in [init_code(&worker(), &[]), deployer(&[op::STOP])] {
        let raw = world.tx(1).gas(DEPLOY_GAS).call(maker, &init);
        let receipt = world.run(raw);
        assert!(receipt.success, "{}", reason(&receipt));
        let made: Vec<_> =
            [0, 1].map(|slot| Address::from_word(world.word(maker, slot).into())).into();
        assert_ne!(made[0], made[1]);
        for contract in made {
            let raw = world.tx(2).call(contract, b"\0");
            assert!(world.run(raw).success);
            assert!(!code_of(&world, contract).is_empty());
        }
    }
}

#[test]
fn a_creation_out_of_gas_at_any_step_leaves_nothing() {
    let base = World::new();
    let init = init_code(&constructed(), &[2; 32]);
    let (mut successes, mut failures) = (0, 0);
    for gas in (150_000..900_000).step_by(7_919) {
        let mut world = base.clone();
        let raw = world.tx(1).gas(gas).create(init.clone());
        let receipt = world.run(raw);
        assert_eq!(receipt.success, receipt.contract.is_some(), "at {gas} gas");
        if receipt.success { successes += 1 } else { failures += 1 }
    }
    assert!(successes > 5 && failures > 5, "{successes} successes, {failures} failures");
}
