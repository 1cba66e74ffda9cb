//! Blocks of transactions: what is included, what is skipped, who pays what.

mod conservation;
mod rules;

use alloy_consensus::{SignableTransaction, TxEip2930, TxEnvelope, TxLegacy};
use alloy_eips::{eip2718::Encodable2718, eip2930::AccessList};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use neura_types::{Amount, StateRead, system};

use crate::{
    chain,
    testing::{CHAIN_ID, GWEI, MODULE, PROPOSER, World, deployer, eth_key, identity_key, op},
};

const RECEIVER: Address = Address::repeat_byte(0xaa);

fn codes(execution: &crate::Execution) -> Vec<(u32, &'static str)> {
    execution.skipped.iter().map(|(index, reason)| (*index, reason.code())).collect()
}

#[test]
fn a_transfer_moves_coins_and_pays_base_fee_and_tip() {
    let mut world = World::new();
    let sender = eth_key(1).address();
    let before = world.balance(sender);
    let execution = world.one(world.tx(1).value(5).call(RECEIVER, &[]));
    let receipt = &execution.receipts[0];
    assert!(receipt.success);
    assert_eq!(receipt.gas_used, 21_000);
    assert_eq!(receipt.to, Some(RECEIVER));
    assert_eq!(execution.base_fee, world.context.params().initial_base_fee);
    let price = u128::from(execution.base_fee) + GWEI;
    assert_eq!(receipt.effective_gas_price, U256::from(price));
    let fee = U256::from(21_000 * price);
    assert_eq!(world.balance(RECEIVER), U256::from(5));
    assert_eq!(world.balance(sender), before - U256::from(5) - fee);
    assert_eq!(world.balance(PROPOSER), U256::from(21_000 * GWEI), "the tip");
    let base = 21_000 * u128::from(execution.base_fee);
    assert_eq!(chain::burned(&world.state).unwrap(), Amount(base / 2));
    assert_eq!(world.balance(system::REWARDS), U256::from(base - base / 2));
    assert_eq!(world.nonce(sender), 1);
}

#[test]
fn an_empty_block_lowers_the_base_fee_and_the_next_block_has_it() {
    let mut world = World::new();
    let first = world.block(vec![]);
    assert!(first.next_base_fee < first.base_fee);
    assert_eq!(chain::next_base_fee(&world.state).unwrap(), first.next_base_fee);
    assert_eq!(world.block(vec![]).base_fee, first.next_base_fee);
}

#[test]
fn events_at_the_end_of_a_block_belong_to_no_transaction() {
    let mut world = World::new();
    let execution = world.one(world.tx(1).call(RECEIVER, &[]));
    assert_eq!(execution.block_logs.len(), 1);
    assert!(execution.receipts[0].logs.is_empty());
    assert_eq!(world.word(MODULE, 9), U256::from(1));
}

#[test]
fn every_transaction_type_is_executed() {
    let mut world = World::new();
    let legacy = TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce: 0,
        gas_price: 3 * GWEI,
        gas_limit: 21_000,
        to: TxKind::Call(RECEIVER),
        value: U256::from(1),
        input: Bytes::new(),
    };
    let signature = eth_key(1).sign_digest(legacy.signature_hash());
    let legacy = TxEnvelope::from(legacy.into_signed(signature)).encoded_2718();
    let listed = TxEip2930 {
        chain_id: CHAIN_ID,
        nonce: 1,
        gas_price: 3 * GWEI,
        gas_limit: 60_000,
        to: TxKind::Call(RECEIVER),
        value: U256::from(1),
        access_list: AccessList(vec![alloy_eips::eip2930::AccessListItem {
            address: RECEIVER,
            storage_keys: vec![B256::ZERO],
        }]),
        input: Bytes::new(),
    };
    let signature = eth_key(1).sign_digest(listed.signature_hash());
    let listed = TxEnvelope::from(listed.into_signed(signature)).encoded_2718();
    let dynamic = world.tx(2).value(1).call(RECEIVER, &[]);
    let key = identity_key(1);
    let mut identity = world.tx(1).value(1).unsigned;
    identity.nonce = 0;
    identity.to = TxKind::Call(RECEIVER);
    let identity = identity.sign_ed25519(&key);

    let execution = world.block(vec![legacy.into(), listed.into(), dynamic, identity]);
    let types: Vec<_> = execution.receipts.iter().map(|r| r.tx_type).collect();
    assert_eq!(types, [0, 1, 2, 0x4e]);
    assert!(execution.receipts.iter().all(|receipt| receipt.success));
    assert_eq!(execution.receipts[3].from, key.public_key().address());
    assert_eq!(execution.receipts[0].effective_gas_price, U256::from(3 * GWEI));
    assert_eq!(execution.receipts[1].gas_used, 21_000 + 2_400 + 1_900);
    assert_eq!(world.balance(RECEIVER), U256::from(4));
    assert_eq!(world.nonce(key.public_key().address()), 1);
}

#[test]
fn transactions_of_one_sender_run_in_the_order_of_the_block() {
    let mut world = World::new();
    let raw = (0..5).map(|n| world.tx(1).nonce(n).value(1).call(RECEIVER, &[])).collect();
    let execution = world.block(raw);
    assert_eq!(execution.included, [0, 1, 2, 3, 4]);
    assert_eq!(world.nonce(eth_key(1).address()), 5);
}

#[test]
fn a_duplicate_is_skipped_and_pays_once() {
    let mut world = World::new();
    let raw = world.tx(1).value(1).call(RECEIVER, &[]);
    let execution = world.block(vec![raw.clone(), raw]);
    assert_eq!(execution.included, [0]);
    assert_eq!(codes(&execution), [(1, "nonce_too_low")]);
    assert_eq!(execution.skipped[0].1.to_string(), "nonce too low: next nonce 1, tx nonce 0");
    assert_eq!(world.balance(RECEIVER), U256::from(1));
}

#[test]
fn what_cannot_be_included_is_skipped_without_a_trace() {
    let mut world = World::new();
    let poor = world.tx(7).call(RECEIVER, &[]);
    let wrong_chain = {
        let mut draft = world.tx(1);
        draft.unsigned.chain_id = 1;
        draft.call(RECEIVER, &[])
    };
    let raw = vec![
        Bytes::from_static(b"\x02garbage"),
        Bytes::new(),
        wrong_chain,
        world.tx(1).nonce(9).call(RECEIVER, &[]),
        poor,
        world.tx(1).fees(1, 1).call(RECEIVER, &[]),
        world.tx(1).fees(GWEI, 2 * GWEI).call(RECEIVER, &[]),
        world.tx(1).gas(20_999).call(RECEIVER, &[]),
        world.tx(1).gas(21_500).call(RECEIVER, &[1; 200]),
        world.tx(1).gas(20_000_000).call(RECEIVER, &[]),
        world.tx(1).gas(31_000_000).call(RECEIVER, &[]),
        world.tx(1).value(u128::MAX).call(RECEIVER, &[]),
        world.tx(1).gas(16_000_000).create(vec![0; 49_153]),
        world.tx(1).nonce(u64::MAX).call(RECEIVER, &[]),
        world.tx(1).gas(25_000).call(RECEIVER, &[1; 300]),
    ];
    let before = world.state.clone();
    let execution = world.block(raw);
    assert_eq!(
        codes(&execution),
        [
            (0, "malformed_transaction"),
            (1, "malformed_transaction"),
            (2, "wrong_chain_id"),
            (3, "nonce_too_high"),
            (4, "insufficient_funds"),
            (5, "fee_cap_too_low"),
            (6, "tip_above_fee_cap"),
            (7, "intrinsic_gas_too_low"),
            (8, "intrinsic_gas_too_low"),
            (9, "gas_limit_too_high"),
            (10, "gas_limit_too_high"),
            (11, "insufficient_funds"),
            (12, "init_code_too_large"),
            (13, "nonce_max"),
            (14, "intrinsic_gas_too_low"),
        ]
    );
    assert!(execution.receipts.is_empty());
    assert_eq!(execution.gas_used, 0);
    let unchanged = |account: &neura_types::Account, address: &Address| {
        before.account(*address).unwrap().as_ref() == Some(account)
    };
    assert!(world.state.accounts().all(|(address, account)| unchanged(account, address)));
}

#[test]
fn call_data_that_does_not_pay_its_floor_is_skipped() {
    let mut world = World::new();
    // 300 bytes that are not zero: 21,000 + 4,800 intrinsic, 21,000 + 12,000 as the floor of EIP-7623.
    let execution = world.one(world.tx(1).gas(30_000).call(RECEIVER, &[1; 300]));
    assert_eq!(codes(&execution), [(0, "floor_data_gas_too_low")]);
    let execution = world.one(world.tx(1).gas(40_000).call(RECEIVER, &[1; 300]));
    assert_eq!(execution.receipts[0].gas_used, 33_000, "the floor is what it pays");
}

#[test]
fn a_transaction_over_the_gas_left_in_the_block_is_skipped_and_later_ones_fit() {
    let mut world = World::new();
    let burner = world.deploy(&[op::INVALID]);
    let raw = vec![
        world.tx(1).gas(16_000_000).call(burner, &[]),
        world.tx(2).gas(15_000_000).call(RECEIVER, &[]),
        world.tx(3).gas(14_000_000).call(RECEIVER, &[]),
    ];
    let execution = world.block(raw);
    assert_eq!(execution.included, [0, 2]);
    assert_eq!(codes(&execution), [(1, "gas_limit_reached")]);
    assert_eq!(execution.receipts[1].cumulative_gas_used, 16_021_000);
}

#[test]
fn a_contract_is_created_called_and_reverts() {
    let mut world = World::new();
    // Stores the first word of the call data, or reverts with it if it is zero.
    let code = [
        op::PUSH0,
        op::CALLDATALOAD,
        op::DUP1,
        op::PUSH0,
        op::SSTORE,
        op::PUSH1,
        14,
        op::JUMPI,
        op::PUSH1,
        32,
        op::PUSH0,
        op::REVERT,
        op::STOP,
        op::STOP,
        op::JUMPDEST,
        op::STOP,
    ];
    let contract = world.deploy(&code);
    assert_eq!(contract, eth_key(1).address().create(0));
    let account = world.state.account(contract).unwrap().unwrap();
    assert_eq!(account.nonce, 1);
    assert_eq!(world.state.code(account.code_hash).unwrap().unwrap().as_ref(), code);
    let seven = U256::from(7).to_be_bytes::<32>();
    assert!(world.run(world.tx(1).call(contract, &seven)).success);
    assert_eq!(world.word(contract, 0), U256::from(7));
    let reverted = world.run(world.tx(1).call(contract, &[0; 32]));
    assert!(!reverted.success);
    assert_eq!(reverted.revert_data.as_ref(), [0; 32]);
    assert_eq!(world.word(contract, 0), U256::from(7), "the write is taken back");
}

#[test]
fn long_revert_data_is_cut_in_the_receipt() {
    let mut world = World::new();
    let contract = world.deploy(&[op::PUSH2, 0x10, 0, op::PUSH0, op::REVERT]);
    let receipt = world.run(world.tx(1).call(contract, &[]));
    assert_eq!(receipt.revert_data.len(), super::MAX_REVERT_BYTES);
}

#[test]
fn a_call_out_of_gas_pays_its_whole_limit() {
    let mut world = World::new();
    let before = world.balance(eth_key(1).address());
    let burner = world.deploy(&[op::INVALID]);
    let after_deploy = world.balance(eth_key(1).address());
    assert!(after_deploy < before);
    let receipt = world.run(world.tx(1).gas(50_000).value(3).call(burner, &[]));
    assert!(!receipt.success);
    assert_eq!(receipt.gas_used, 50_000);
    let fee = receipt.effective_gas_price * U256::from(50_000);
    assert_eq!(world.balance(eth_key(1).address()), after_deploy - fee, "the value came back");
}

#[test]
fn a_word_written_by_two_transactions_keeps_the_last_value() {
    let mut world = World::new();
    let code = [op::PUSH0, op::CALLDATALOAD, op::PUSH0, op::SSTORE, op::STOP];
    let contract = world.deploy(&code);
    let write = |n: u64| U256::from(n).to_be_bytes::<32>();
    let txs = |world: &World, values: [u64; 3]| {
        (0u64..)
            .zip(values)
            .map(|(i, n)| {
                let nonce = world.nonce(eth_key(1).address()) + i;
                world.tx(1).nonce(nonce).call(contract, &write(n))
            })
            .collect::<Vec<_>>()
    };
    let execution = world.block(txs(&world, [1, 2, 3]));
    assert_eq!(world.word(contract, 0), U256::from(3));
    assert_eq!(execution.changes.storage[&(contract, U256::ZERO)], U256::from(3));
    // Back to where it was before the block: no change is left.
    let execution = world.block(txs(&world, [9, 0, 3]));
    assert!(!execution.changes.storage.contains_key(&(contract, U256::ZERO)));
    // Read by a later transaction without being written: the change of the earlier one stays.
    let execution = world.block(txs(&world, [5, 5, 5]));
    assert_eq!(execution.changes.storage[&(contract, U256::ZERO)], U256::from(5));
    // Zero removes the word.
    let execution = world.block(txs(&world, [4, 4, 0]));
    assert_eq!(execution.changes.storage[&(contract, U256::ZERO)], U256::ZERO);
}

#[test]
fn a_word_read_by_a_later_transaction_of_the_block_is_still_written() {
    let mut world = World::new();
    // With call data: stores it. Without: reads the word.
    let code = [
        op::CALLDATASIZE,
        op::PUSH1,
        8,
        op::JUMPI,
        op::PUSH0,
        op::SLOAD,
        op::POP,
        op::STOP,
        op::JUMPDEST,
        op::PUSH0,
        op::CALLDATALOAD,
        op::PUSH0,
        op::SSTORE,
        op::STOP,
    ];
    let contract = world.deploy(&code);
    let seven = U256::from(7).to_be_bytes::<32>();
    let raw = vec![world.tx(1).call(contract, &seven), world.tx(2).call(contract, &[])];
    let execution = world.block(raw);
    assert!(execution.receipts.iter().all(|receipt| receipt.success));
    assert_eq!(world.word(contract, 0), U256::from(7));
}

#[test]
fn a_call_that_changes_nothing_writes_no_account_but_the_payers() {
    let mut world = World::new();
    let contract = world.deploy(&[op::STOP]);
    let execution = world.one(world.tx(1).call(contract, &[]));
    assert!(!execution.changes.accounts.contains_key(&contract));
    assert!(execution.changes.accounts.contains_key(&eth_key(1).address()));
}

#[test]
fn a_contract_cannot_send_a_transaction_of_its_own() {
    let mut world = World::new();
    let sender = eth_key(2).address();
    let code = alloy_primitives::keccak256([op::STOP]);
    let mut account = world.state.account(sender).unwrap().unwrap();
    account.code_hash = code;
    let changes = neura_types::StateChanges {
        accounts: [(sender, Some(account))].into(),
        code: [(code, Bytes::from_static(&[op::STOP]))].into(),
        ..Default::default()
    };
    world.state.apply(&changes);
    let execution = world.one(world.tx(2).call(RECEIVER, &[]));
    assert_eq!(codes(&execution), [(0, "sender_not_eoa")]);
}

#[test]
fn a_creation_at_an_address_that_is_taken_fails_and_pays() {
    let mut world = World::new();
    let contract = world.deploy(&[op::STOP]);
    let mut account = world.state.account(eth_key(1).address()).unwrap().unwrap();
    account.nonce = 0;
    let changes = neura_types::StateChanges {
        accounts: [(eth_key(1).address(), Some(account))].into(),
        ..Default::default()
    };
    world.state.apply(&changes);
    let receipt = world.run(world.tx(1).create(deployer(&[op::INVALID])));
    assert!(!receipt.success);
    assert_eq!(receipt.contract, None);
    assert_eq!(receipt.gas_used, 1_000_000);
    assert!(world.state.account(contract).unwrap().is_some());
}
