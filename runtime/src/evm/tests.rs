//! Calls of native modules from every kind of frame.

use alloy_primitives::{Address, U256};
use neura_types::{Receipt, system};

use crate::{
    revert_reason,
    testing::{
        After, Draft, MODULE, PAYEE, World, command, deployer, eth_key, forwarder,
        forwarder_with_gas, module_calling_constructor, op,
    },
};

/// Whether the module's work left its traces: all of them, or none.
fn worked(world: &World) -> bool {
    let traces = [
        world.word(MODULE, 1) == U256::from(1),
        world.word(MODULE, 2) == U256::from(2),
        world.balance(PAYEE) == U256::from(1),
    ];
    assert!(traces.iter().all(|t| *t == traces[0]), "the work is half done: {traces:?}");
    traces[0]
}

fn code_of(receipt: &Receipt) -> Option<String> {
    revert_reason(&receipt.revert_data).and_then(|reason| reason.code)
}

/// Deploys a forwarder to `target` and calls it with one command.
fn through(world: &mut World, scheme: u8, after: After, draft: Draft, command: u8) -> Receipt {
    let contract = world.deploy(&forwarder(scheme, MODULE, after));
    let nonce = world.nonce(eth_key(draft.key).address());
    world.run(draft.nonce(nonce).call(contract, &[command]))
}

#[test]
fn a_transaction_can_call_a_module() {
    let mut world = World::new();
    let receipt = world.run(world.tx(1).call(MODULE, &[command::WORK]));
    assert!(receipt.success && worked(&world));
    assert_eq!(receipt.logs.len(), 1);
    assert_eq!(receipt.logs[0].address, MODULE);
    assert_eq!(receipt.logs[0].topics[1], eth_key(1).address().into_word());
    assert_eq!(receipt.logs[0].data.as_ref(), b"worked");
}

#[test]
fn a_refusal_reverts_with_its_code_and_returns_the_gas() {
    let mut world = World::new();
    let receipt = world.run(world.tx(1).value(7).call(MODULE, &[command::REFUSE]));
    assert!(!receipt.success && !worked(&world));
    assert!(receipt.gas_used < 200_000, "{}", receipt.gas_used);
    let reason = revert_reason(&receipt.revert_data).expect("Error(string)");
    assert_eq!(reason.message, "not_today: try tomorrow");
    assert_eq!(reason.code.as_deref(), Some("not_today"));
    assert_eq!(world.balance(MODULE), World::new().balance(MODULE));
}

#[test]
fn a_contract_calls_a_module_as_itself_and_with_its_value() {
    let mut world = World::new();
    let contract = world.deploy(&forwarder(op::CALL, MODULE, After::Catch));
    let echo = world.deploy(&forwarder(op::CALL, contract, After::Propagate));
    let before = world.balance(MODULE);
    let receipt = world.run(world.tx(2).value(5).call(echo, &[command::WHO]));
    assert!(receipt.success);
    assert_eq!(world.balance(MODULE), before + U256::from(5));
    let receipt = world.run(world.tx(2).call(contract, &[command::WORK]));
    assert!(receipt.success && worked(&world));
    assert_eq!(receipt.logs[0].topics[1], contract.into_word(), "the caller is msg.sender");
}

#[test]
fn delegatecall_and_callcode_are_refused_with_a_code() {
    for scheme in [op::DELEGATECALL, op::CALLCODE] {
        let mut world = World::new();
        let draft = world.tx(1);
        let receipt = through(&mut world, scheme, After::Propagate, draft, command::WORK);
        assert!(!receipt.success && !worked(&world));
        assert_eq!(code_of(&receipt).as_deref(), Some("delegatecall_refused"));
    }
}

#[test]
fn a_library_that_calls_a_module_acts_for_the_contract_that_uses_it() {
    let mut world = World::new();
    let library = world.deploy(&forwarder(op::CALL, MODULE, After::Propagate));
    let contract = world.deploy(&forwarder(op::DELEGATECALL, library, After::Propagate));
    let receipt = world.run(world.tx(1).call(contract, &[command::WORK]));
    assert!(receipt.success && worked(&world));
    assert_eq!(receipt.logs[0].topics[1], contract.into_word());
}

#[test]
fn a_static_call_reads_but_does_not_write() {
    let mut world = World::new();
    let draft = world.tx(1);
    let receipt =
        through(&mut world, op::STATICCALL, After::Propagate, draft.clone(), command::READ);
    assert!(receipt.success);
    let receipt = through(&mut world, op::STATICCALL, After::Propagate, draft, command::WORK);
    assert!(!receipt.success && !worked(&world));
    assert_eq!(code_of(&receipt).as_deref(), Some("read_only"));
}

#[test]
fn a_static_frame_further_out_keeps_an_inner_call_from_writing() {
    let mut world = World::new();
    let inner = world.deploy(&forwarder(op::CALL, MODULE, After::Propagate));
    let outer = world.deploy(&forwarder(op::STATICCALL, inner, After::Propagate));
    let receipt = world.run(world.tx(1).call(outer, &[command::WORK]));
    assert!(!receipt.success && !worked(&world));
    assert_eq!(code_of(&receipt).as_deref(), Some("read_only"));
}

#[test]
fn an_outer_revert_takes_back_what_a_module_did() {
    for after in [After::Revert, After::Invalid] {
        let mut world = World::new();
        let before = world.balance(MODULE);
        let draft = world.tx(1).value(3);
        let receipt = through(&mut world, op::CALL, after, draft, command::WORK);
        assert!(!receipt.success && !worked(&world));
        assert_eq!(world.balance(MODULE), before);
    }
}

#[test]
fn a_caught_revert_takes_back_the_inner_frames_only() {
    for after in [After::Revert, After::Invalid] {
        let mut world = World::new();
        let inner = world.deploy(&forwarder(op::CALL, MODULE, after));
        let outer = world.deploy(&forwarder(op::CALL, inner, After::Catch));
        let balances = [world.balance(MODULE), world.balance(inner)];
        let receipt = world.run(world.tx(1).gas(10_000_000).value(3).call(outer, &[command::WORK]));
        assert!(receipt.success && !worked(&world));
        assert!(receipt.logs.is_empty(), "the event of a frame taken back is gone");
        assert_eq!(world.word(outer, 0), U256::ZERO, "the caller saw the failure");
        assert_eq!(world.word(outer, 1), U256::from(1), "and went on");
        assert_eq!([world.balance(MODULE), world.balance(inner)], balances);
        assert_eq!(world.balance(outer), U256::from(3), "the value came back to the catcher");
    }
}

#[test]
fn a_refusal_caught_by_a_contract_leaves_its_own_writes() {
    let mut world = World::new();
    let contract = world.deploy(&forwarder(op::CALL, MODULE, After::Catch));
    let before = world.balance(MODULE);
    let receipt = world.run(world.tx(1).value(9).call(contract, &[command::REFUSE]));
    assert!(receipt.success && !worked(&world));
    assert!(receipt.logs.is_empty());
    assert_eq!(world.word(contract, 1), U256::from(1));
    assert_eq!(world.balance(MODULE), before);
    assert_eq!(world.balance(contract), U256::from(9));
}

#[test]
fn a_constructor_can_call_a_module_and_its_revert_takes_all_back() {
    let mut world = World::new();
    let init = module_calling_constructor(command::WORK, After::Catch);
    let receipt = world.run(world.tx(1).create(init));
    assert!(receipt.success && worked(&world));
    assert_eq!(receipt.logs.len(), 1);
    let contract = receipt.contract.expect("created");
    assert_eq!(receipt.logs[0].topics[1], contract.into_word());

    let mut world = World::new();
    let init = module_calling_constructor(command::WORK, After::Revert);
    let receipt = world.run(world.tx(1).value(4).create(init));
    assert!(!receipt.success && !worked(&world));
    assert_eq!(receipt.contract, None);
    assert!(receipt.logs.is_empty());
}

#[test]
fn running_out_of_gas_at_any_step_leaves_all_or_nothing() {
    let base = World::new();
    let (mut successes, mut failures) = (0, 0);
    // Steps of a prime, so that the limit falls inside of every charge.
    for gas in (21_100..120_000).step_by(487) {
        let mut world = base.clone();
        let receipt = world.run(world.tx(1).gas(gas).call(MODULE, &[command::WORK]));
        assert_eq!(receipt.success, worked(&world), "at {gas} gas");
        assert_eq!(receipt.logs.len(), usize::from(receipt.success), "at {gas} gas");
        if receipt.success {
            successes += 1;
        } else {
            assert_eq!(receipt.gas_used, gas, "out of gas consumes all of it");
            failures += 1;
        }
    }
    assert!(successes > 5 && failures > 5, "{successes} successes, {failures} failures");
}

#[test]
fn a_contract_that_survives_a_module_out_of_gas_sees_none_of_its_work() {
    let base = World::new();
    let (mut successes, mut caught) = (0, 0);
    for gas in (50u32..90_000).step_by(487) {
        let mut world = base.clone();
        let push_gas = [&[op::PUSH4], &gas.to_be_bytes()[..]].concat();
        let code = forwarder_with_gas(op::CALL, MODULE, After::Catch, &push_gas);
        let catcher = world.deploy(&code);
        let receipt = world.run(world.tx(1).call(catcher, &[command::WORK]));
        assert!(receipt.success);
        assert_eq!(world.word(catcher, 1), U256::from(1));
        let done = worked(&world);
        assert_eq!(world.word(catcher, 0), U256::from(u8::from(done)), "at {gas} gas");
        assert_eq!(receipt.logs.len(), usize::from(done), "at {gas} gas");
        if done { successes += 1 } else { caught += 1 }
    }
    assert!(successes > 2 && caught > 5, "{successes} successes, {caught} caught");
}

#[test]
fn a_charge_past_the_gas_left_consumes_all_of_it() {
    let mut world = World::new();
    let receipt = world.run(world.tx(1).gas(300_000).call(MODULE, &[command::DEVOUR]));
    assert!(!receipt.success);
    assert_eq!(receipt.gas_used, 300_000);
}

#[test]
fn a_module_that_ignores_the_end_of_its_gas_gets_no_further() {
    let mut world = World::new();
    let receipt = world.run(world.tx(1).gas(300_000).call(MODULE, &[command::SWALLOW]));
    assert!(!receipt.success);
    assert_eq!(receipt.gas_used, 300_000);
}

#[test]
fn input_is_paid_by_its_length_before_a_module_sees_it() {
    let mut world = World::new();
    let push_gas = [op::PUSH2, 0x10, 0];
    let code = forwarder_with_gas(op::CALL, MODULE, After::Catch, &push_gas);
    let contract = world.deploy(&code);
    let mut input = vec![command::WHO];
    world.run(world.tx(1).call(contract, &input));
    assert_eq!(world.word(contract, 0), U256::from(1), "4,096 gas are enough for one word");
    input.resize(32_001, 0);
    world.run(world.tx(1).call(contract, &input));
    assert_eq!(world.word(contract, 0), U256::ZERO, "and too little for a thousand");
    assert_eq!(world.word(contract, 1), U256::from(1));
}

#[test]
fn a_modules_work_costs_what_the_same_work_costs_a_contract() {
    let mut world = World::new();
    let receipt = world.run(world.tx(1).call(MODULE, &[command::WORK]));
    let call = 21_000 + 16 + super::MODULE_CALL_GAS + super::MODULE_INPUT_WORD_GAS;
    let words = 2 * (super::WARM_GAS + super::COLD_WORD_GAS + super::WORD_CREATED_GAS);
    let event = super::LOG_GAS + 2 * super::LOG_TOPIC_GAS + 6 * super::LOG_BYTE_GAS;
    let pay = super::TRANSFER_GAS + super::NEW_ACCOUNT_GAS;
    assert_eq!(receipt.gas_used, call + words + event + pay + super::MODULE_OUTPUT_WORD_GAS);
}

#[test]
fn system_accounts_have_code_and_are_warm() {
    let mut world = World::new();
    for (module, _) in system::MODULES {
        let mut code = vec![op::PUSH20];
        code.extend(module.as_slice());
        code.extend([op::EXTCODESIZE, op::PUSH0, op::SSTORE, op::STOP]);
        let contract = world.deploy(&code);
        let receipt = world.run(world.tx(1).call(contract, &[]));
        assert!(receipt.success);
        assert_eq!(world.word(contract, 0), U256::from(1));
        // 21,000, three pushes and EXTCODESIZE at the warm price, SSTORE of a new word.
        assert_eq!(receipt.gas_used, 21_000 + 3 + 100 + 2 + 22_100);
    }
}

#[test]
fn an_unknown_command_of_a_module_and_a_plain_transfer_are_refused() {
    let mut world = World::new();
    for input in [&[][..], &[0xff]] {
        let before = world.balance(MODULE);
        let receipt = world.run(world.tx(1).value(1).call(MODULE, input));
        assert_eq!(code_of(&receipt).as_deref(), Some("unknown_function"));
        assert_eq!(world.balance(MODULE), before);
    }
}

#[test]
fn ethereums_precompiles_answer_beside_the_modules() {
    let mut world = World::new();
    let identity = Address::with_last_byte(4);
    let echo = world.deploy(&forwarder(op::STATICCALL, identity, After::Propagate));
    let receipt = world.run(world.tx(1).call(echo, b"hello"));
    assert!(receipt.success);
}

#[test]
fn a_contract_sees_the_block() {
    let mut world = World::new();
    let parent = alloy_primitives::B256::repeat_byte(0x42);
    let expected = [
        (vec![op::NUMBER], U256::from(2)),
        (vec![op::TIMESTAMP], U256::from((world.context.timestamp_ms + 500) / 1_000)),
        (vec![op::CHAINID], U256::from(world.context.chain_id)),
        (vec![op::COINBASE], U256::from_be_slice(world.context.proposer.as_slice())),
        (vec![op::PREVRANDAO], world.context.randomness.into()),
        (vec![op::GASLIMIT], U256::from(world.context.params().block_gas_limit)),
        (vec![op::PUSH1, 1, op::BLOCKHASH], parent.into()),
        (vec![op::PUSH1, 7, op::BLOCKHASH], U256::ZERO),
    ];
    let mut code = Vec::new();
    for (slot, (reading, _)) in (0u8..).zip(&expected) {
        code.extend(reading);
        code.extend([op::PUSH1, slot, op::SSTORE]);
    }
    code.push(op::STOP);
    world.state.set_block_id(1, parent);
    let contract = world.deploy(&code);
    assert!(world.run(world.tx(1).call(contract, &[])).success);
    for (slot, (_, value)) in (0u64..).zip(expected) {
        assert_eq!(world.word(contract, slot), value, "slot {slot}");
    }
}

#[test]
fn the_forwarder_used_here_reports_failures() {
    let mut world = World::new();
    let failing = world.deploy(&[op::INVALID]);
    let contract = world.deploy(&forwarder(op::CALL, failing, After::Propagate));
    assert!(!world.run(world.tx(1).call(contract, &[])).success);
    let init = deployer(&[op::STOP]);
    assert!(world.run(world.tx(1).create(init)).success);
}
