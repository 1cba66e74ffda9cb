//! Calls: storage, logs, value, other contracts, and all of it taken back.

use super::*;
use crate::testing::{After, MODULE, PAYEE, command, eth_key, forwarder, op};

#[test]
fn a_call_writes_logs_and_returns() {
    let mut world = World::new();
    let contract = deploy(&mut world, &worker());
    for n in 1..=2u64 {
        let raw = world.tx(2).value(5).call(contract, b"\0hi");
        let receipt = world.run(raw);
        assert!(receipt.success, "{}", reason(&receipt));
        assert_eq!(count(&world, contract), U256::from(n));
        assert_eq!(world.balance(contract), U256::from(5 * n));
        assert_eq!(receipt.logs[0].address, contract);
        assert_eq!(receipt.logs[0].data.as_ref(), b"\0hi");
        assert_eq!(receipt.logs[0].topics.len(), 1);
    }
}

#[test]
fn a_status_reverts_with_data_and_takes_all_back() {
    let mut world = World::new();
    let contract = deploy(&mut world, &worker());
    let raw = world.tx(2).value(5).call(contract, b"\x01no");
    let receipt = world.run(raw);
    assert!(!receipt.success && receipt.logs.is_empty());
    assert_eq!(receipt.revert_data.as_ref(), b"\x01no");
    assert_eq!(count(&world, contract), U256::ZERO);
    assert_eq!(world.balance(contract), U256::ZERO);
    assert!(receipt.gas_used < 200_000, "the gas that is left comes back: {}", receipt.gas_used);
}

#[test]
fn a_trap_reverts_with_its_text() {
    let mut world = World::new();
    let contract = deploy(&mut world, &contract("unreachable"));
    let raw = world.tx(2).call(contract, &[]);
    let receipt = world.run(raw);
    assert_eq!(reason(&receipt), "wasm_trap: unreachable code (a panic)");
    assert!(receipt.gas_used < 100_000);
}

#[test]
fn evm_code_calls_wasm_by_every_scheme() {
    let mut world = World::new();
    let worker = deploy(&mut world, &worker());
    for (scheme, writes_to_itself) in
        [(op::CALL, false), (op::DELEGATECALL, true), (op::CALLCODE, true)]
    {
        let before = count(&world, worker);
        let caller = world.deploy(&forwarder(scheme, worker, After::Propagate));
        let raw = world.tx(2).call(caller, b"\0");
        let receipt = world.run(raw);
        assert!(receipt.success, "{scheme:#x}: {}", reason(&receipt));
        let own = if writes_to_itself { U256::from(1) } else { U256::ZERO };
        assert_eq!(count(&world, caller), own, "{scheme:#x}");
        assert_eq!(count(&world, worker), before + U256::from(1) - own, "{scheme:#x}");
        let logger = if writes_to_itself { caller } else { worker };
        assert_eq!(receipt.logs[0].address, logger);
    }
    let caller = world.deploy(&forwarder(op::STATICCALL, worker, After::Propagate));
    let before = count(&world, worker);
    let raw = world.tx(2).call(caller, b"\0");
    assert!(!world.run(raw).success, "a static call does not write");
    assert_eq!(count(&world, worker), before);
}

#[test]
fn an_outer_revert_takes_back_what_wasm_did() {
    for (after, success) in [(After::Revert, false), (After::Invalid, false), (After::Catch, true)]
    {
        let mut world = World::new();
        let worker = deploy(&mut world, &worker());
        let caller = world.deploy(&forwarder(op::CALL, worker, after));
        let raw = world.tx(2).value(3).call(caller, b"\0");
        let receipt = world.run(raw);
        assert_eq!(receipt.success, success);
        assert_eq!(count(&world, worker), U256::from(u8::from(success)));
        assert_eq!(world.balance(worker), U256::from(if success { 3 } else { 0 }));
        assert_eq!(receipt.logs.len(), usize::from(success));
    }
}

#[test]
fn evm_code_survives_a_wasm_revert_and_a_wasm_trap() {
    let mut world = World::new();
    let trap = deploy(&mut world, &contract("(i32.div_u (i32.const 1) (i32.const 0))"));
    let worker = deploy(&mut world, &worker());
    for failing in [trap, worker] {
        let caller = world.deploy(&forwarder(op::CALL, failing, After::Catch));
        let raw = world.tx(2).value(3).call(caller, b"\x01");
        assert!(world.run(raw).success);
        assert_eq!(world.word(caller, 0), U256::ZERO, "the caller saw the failure");
        assert_eq!(world.word(caller, 1), U256::from(1), "and went on");
        assert_eq!(world.balance(caller), U256::from(3));
        assert_eq!(count(&world, worker), U256::ZERO);
    }
}

#[test]
fn wasm_calls_evm_wasm_and_native_modules() {
    let mut world = World::new();
    let worker = deploy(&mut world, &worker());
    let proxy_a = deploy(&mut world, &proxy("call_contract"));
    let proxy_b = deploy(&mut world, &proxy("call_contract"));
    let evm = world.deploy(&forwarder(op::CALL, worker, After::Propagate));
    // Through two WASM contracts and an EVM contract to a WASM contract, with value.
    let raw = rich(world.tx(2)).value(9).call(proxy_a, &path(&[proxy_b, evm], b"\0hop"));
    let receipt = world.run(raw);
    assert!(receipt.success, "{}", reason(&receipt));
    assert_eq!(count(&world, worker), U256::from(1));
    assert_eq!(world.balance(worker), U256::from(9));
    // A native module sees the WASM contract as its caller.
    let raw = rich(world.tx(2)).call(proxy_a, &path(&[MODULE], &[command::WORK]));
    let receipt = world.run(raw);
    assert!(receipt.success, "{}", reason(&receipt));
    assert_eq!(receipt.logs[0].topics[1], proxy_a.into_word());
    assert_eq!(world.balance(PAYEE), U256::from(1));
    // A refusal passes through, with its text.
    let raw = rich(world.tx(2)).call(proxy_a, &path(&[MODULE], &[command::REFUSE]));
    let receipt = world.run(raw);
    assert_eq!(reason(&receipt), "not_today: try tomorrow");
    assert_eq!(world.balance(PAYEE), U256::from(1));
}

#[test]
fn wasm_delegates_and_looks_at_others() {
    let mut world = World::new();
    let worker = deploy(&mut world, &worker());
    let delegating = deploy(&mut world, &proxy("delegate_call_contract"));
    let raw = rich(world.tx(2)).value(4).call(delegating, &path(&[worker], b"\0"));
    let receipt = world.run(raw);
    assert!(receipt.success, "{}", reason(&receipt));
    assert_eq!((count(&world, delegating), count(&world, worker)), (U256::from(1), U256::ZERO));
    assert_eq!(receipt.logs[0].address, delegating);
    let looking = deploy(&mut world, &proxy("static_call_contract"));
    let raw = rich(world.tx(2)).call(looking, &path(&[worker], b"\0"));
    assert!(!world.run(raw).success, "a static call does not write");
    let raw = rich(world.tx(2)).call(looking, &path(&[MODULE], &[command::READ]));
    assert!(world.run(raw).success);
    let raw = rich(world.tx(2)).call(delegating, &path(&[MODULE], &[command::READ]));
    let receipt = world.run(raw);
    assert!(reason(&receipt).starts_with("delegatecall_refused"));
}

#[test]
fn running_out_of_gas_at_any_step_leaves_all_or_nothing() {
    let mut base = World::new();
    let worker = deploy(&mut base, &worker());
    let proxy = deploy(&mut base, &proxy("call_contract"));
    let (mut successes, mut failures) = (0, 0);
    for gas in (22_000..140_000).step_by(487) {
        let mut world = base.clone();
        let raw = world.tx(2).gas(gas).value(2).call(proxy, &path(&[worker], b"\0x"));
        let receipt = world.run(raw);
        let worked = count(&world, worker) == U256::from(1);
        assert_eq!(receipt.success, worked, "at {gas} gas");
        assert_eq!(world.balance(worker), U256::from(if worked { 2 } else { 0 }));
        assert_eq!(receipt.logs.len(), usize::from(worked));
        if worked { successes += 1 } else { failures += 1 }
    }
    assert!(successes > 5 && failures > 5, "{successes} successes, {failures} failures");
}

#[test]
fn a_contract_that_is_entered_again_knows_it() {
    let mut world = World::new();
    // Returns whether it is entered again; entered from outside, calls itself through the EVM contract named first.
    let contract = deploy(
        &mut world,
        &contract(
            "(if (call $msg_reentrant) (then
                (i32.store8 (i32.const 131) (i32.const 1))
                (call $storage_cache_bytes32 (i32.const 200) (i32.const 100))
                (call $exit_early (i32.const 0))))
            (drop (call $call_contract (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 300) (i64.const -1) (i32.const 400)))
            i32.const 0",
        ),
    );
    let back = world.deploy(&forwarder(op::CALL, contract, After::Propagate));
    let raw = rich(world.tx(2)).call(contract, &path(&[back], &[]));
    assert!(world.run(raw).success);
    assert_eq!(world.word(contract, 0), U256::from(1));
}

#[test]
fn calling_itself_without_end_ends_in_bounded_memory() {
    let mut world = World::new();
    let eternal = contract(
        "(call $contract_address (i32.const 0))
        (drop (call $call_contract (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 300) (i64.const -1) (i32.const 400)))
        (call $storage_load_bytes32 (i32.const 500) (i32.const 600))
        (i32.store8 (i32.const 631) (i32.add (i32.const 1) (i32.load8_u (i32.const 631))))
        (call $storage_cache_bytes32 (i32.const 500) (i32.const 600))
        i32.const 0",
    );
    let contract = deploy(&mut world, &eternal);
    let raw = world.tx(2).gas(16_000_000).call(contract, &[]);
    let receipt = world.run(raw);
    assert!(receipt.success, "{}", reason(&receipt));
    assert!(world.word(contract, 0) > U256::from(10));
}

#[test]
fn memory_of_open_calls_is_bounded_together() {
    let mut world = World::new();
    // Grows to 128 pages, then calls itself: the fifth has no memory left.
    let hungry = contract(
        "(drop (memory.grow (i32.const 127))) (call $contract_address (i32.const 0))
        (if (call $call_contract (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 300) (i64.const -1) (i32.const 400)) (then
            (drop (call $read_return_data (i32.const 1000) (i32.const 0) (i32.load (i32.const 400))))
            (call $write_result (i32.const 1000) (i32.load (i32.const 400)))
            (call $exit_early (i32.const 1))))
        i32.const 0",
    );
    let contract = deploy(&mut world, &hungry);
    let raw = world.tx(2).gas(16_000_000).call(contract, &[]);
    let receipt = world.run(raw);
    assert!(reason(&receipt).starts_with("wasm_refused"), "{}", reason(&receipt));
}

#[test]
fn the_second_call_in_a_transaction_costs_less_whatever_a_node_has_cached() {
    let mut world = World::new();
    let worker = deploy(&mut world, &worker());
    let first = world.tx(2).call(worker, b"\0");
    let first = world.run(first).gas_used;
    let second = world.tx(2).call(worker, b"\0");
    let third = world.tx(3).call(worker, b"\0");
    let receipts = world.block(vec![second, third]).receipts;
    assert_eq!(receipts[0].gas_used, receipts[1].gas_used);
    assert!(first > receipts[0].gas_used, "the first one made the word");
}

#[test]
fn transient_words_accounts_and_creations_are_at_hand() {
    let mut world = World::new();
    let checks = contract(
        "(i32.store8 (i32.const 1031) (i32.const 3)) (i32.store8 (i32.const 1063) (i32.const 9))
        (call $transient_store_bytes32 (i32.const 1000) (i32.const 1032))
        (call $transient_load_bytes32 (i32.const 1000) (i32.const 2000))
        (call $account_balance (i32.const 0) (i32.const 2032))
        (call $account_codehash (i32.const 0) (i32.const 2064))
        (i32.store8 (i32.const 2096) (call $account_code_size (i32.const 0)))
        (i32.store8 (i32.const 2097) (call $account_code (i32.const 0) (i32.const 1) (i32.const 9) (i32.const 2098)))
        (call $write_result (i32.const 2000) (i32.const 104)) (call $exit_early (i32.const 1)) i32.const 0",
    );
    let contract = deploy(&mut world, &checks);
    let other = world.deploy(&[op::STOP, op::STOP, op::INVALID]);
    let raw = world.tx(2).value(8).call(other, &[]);
    world.run(raw);
    let raw = world.tx(2).call(contract, other.as_slice());
    let out = world.run(raw).revert_data;
    assert_eq!((out[31], out[63]), (9, 8));
    assert_eq!(out[64..96], alloy_primitives::keccak256([0, 0, 0xfe])[..]);
    assert_eq!(out[96..100], [3, 2, 0, 0xfe]);
    assert_ne!(eth_key(2).address(), contract);
}
