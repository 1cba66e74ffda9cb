//! The rules of Ethereum's current hardfork, each seen through a block.

use alloy_consensus::{SignableTransaction, TxEip7702, TxEnvelope};
use alloy_eips::{
    eip2718::Encodable2718,
    eip2935::HISTORY_STORAGE_ADDRESS,
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, U256, address, b256, hex, keccak256,
};
use neura_types::{StateRead, Transaction};

use super::codes;
use crate::{
    PoolError,
    evm::MAX_TRANSACTION_GAS,
    is_delegated,
    testing::{
        After, CHAIN_ID, GWEI, MODULE, World, command, decode, deployer, eth_key, forwarder,
        forwarder_with_gas, op,
    },
    validate_for_pool,
};

const MODEXP: Address = Address::with_last_byte(5);
const P256_VERIFY: Address = address!("0000000000000000000000000000000000000100");

/// Key `n` lets its account run the code of `target`.
fn delegation(n: u8, target: Address, nonce: u64) -> SignedAuthorization {
    let unsigned = Authorization { chain_id: U256::from(CHAIN_ID), address: target, nonce };
    let signature = eth_key(n).sign_digest(unsigned.signature_hash());
    unsigned.into_signed(signature)
}

/// A transaction of key 1 with delegations.
fn delegating(world: &World, to: Address, list: Vec<SignedAuthorization>) -> Bytes {
    let tx = TxEip7702 {
        chain_id: CHAIN_ID,
        nonce: world.nonce(eth_key(1).address()),
        gas_limit: 1_000_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to,
        authorization_list: list,
        ..TxEip7702::default()
    };
    let signature = eth_key(1).sign_digest(tx.signature_hash());
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

fn code_hash(world: &World, account: Address) -> B256 {
    world.state.account(account).unwrap().unwrap_or_default().code_hash
}

/// Writes its caller to slot 0.
const NOTES_CALLER: [u8; 4] = [op::CALLER, op::PUSH0, op::SSTORE, op::STOP];

/// What [`NOTES_CALLER`] writes when key `n` calls.
fn caller(n: u8) -> U256 {
    U256::from_be_bytes(eth_key(n).address().into_word().0)
}

#[test]
fn an_account_runs_the_code_that_it_delegates_to_until_it_takes_that_back() {
    let mut world = World::new();
    let target = world.deploy(&NOTES_CALLER);
    let authority = eth_key(2).address();
    let receipt = world.run(delegating(&world, authority, vec![delegation(2, target, 0)]));
    assert!(receipt.success && receipt.tx_type == 4);
    assert_eq!(world.word(authority, 0), caller(1));
    assert_eq!(world.nonce(authority), 1);
    let account = world.state.account(authority).unwrap().unwrap();
    assert!(is_delegated(&world.state, &account).unwrap());

    // It goes on sending, and is called like a contract.
    assert!(world.run(world.tx(2).call(Address::repeat_byte(7), &[])).success);
    assert!(world.run(world.tx(3).call(authority, &[])).success);
    assert_eq!(world.word(authority, 0), caller(3));

    let back = vec![delegation(2, Address::ZERO, 2)];
    assert!(world.run(delegating(&world, authority, back)).success);
    assert_eq!(code_hash(&world, authority), KECCAK256_EMPTY);
    assert_eq!(world.word(authority, 0), caller(3), "its words stay");
}

#[test]
fn a_sender_delegates_its_own_account_with_its_next_nonce() {
    let mut world = World::new();
    let target = world.deploy(&NOTES_CALLER);
    let sender = eth_key(1).address();
    let nonce = world.nonce(sender);
    let own = vec![delegation(1, target, nonce + 1)];
    let raw = delegating(&world, sender, own);
    // The nonce moves twice, which is more than this world expects of one receipt.
    let input = crate::BlockInput { context: &world.context, transactions: &[decode(raw)] };
    let execution = crate::execute(&world.state, &input).unwrap();
    assert!(execution.receipts[0].success);
    let account = execution.changes.accounts[&sender].clone().unwrap();
    assert_eq!(account.nonce, nonce + 2);
    assert_ne!(account.code_hash, KECCAK256_EMPTY);
}

#[test]
fn a_delegation_that_does_not_hold_is_without_effect_and_paid_for() {
    let mut world = World::new();
    let target = world.deploy(&NOTES_CALLER);
    let authority = eth_key(2).address();
    let other_chain = {
        let unsigned =
            Authorization { chain_id: U256::from(CHAIN_ID + 1), address: target, nonce: 0 };
        let signature = eth_key(2).sign_digest(unsigned.signature_hash());
        unsigned.into_signed(signature)
    };
    let list = vec![other_chain, delegation(2, target, 5)];
    let receipt = world.run(delegating(&world, authority, list));
    assert!(receipt.success);
    assert_eq!(receipt.gas_used, 21_000 + 2 * 25_000);
    assert_eq!((code_hash(&world, authority), world.nonce(authority)), (KECCAK256_EMPTY, 0));
}

/// A block's transactions share one journal, which remembers that an account was touched; Ethereum does not.
#[test]
fn an_account_that_was_only_touched_does_not_exist_for_the_next_transaction() {
    let mut world = World::new();
    let authority = eth_key(7).address();
    let delegate = delegating(&world, Address::ZERO, vec![delegation(7, MODULE, 0)]);
    let touch = world.tx(2).call(authority, &[]);
    let execution = world.block(vec![touch, delegate]);
    assert_eq!(execution.receipts[1].gas_used, 21_000 + 25_000, "no refund as for an existing one");
    let mut world = World::new();
    let delegate = delegating(&world, Address::ZERO, vec![delegation(7, MODULE, 0)]);
    let fund = world.tx(2).value(1).call(authority, &[]);
    let execution = world.block(vec![fund, delegate]);
    assert_eq!(execution.receipts[1].gas_used, (21_000 + 25_000) * 4 / 5);
}

#[test]
fn a_delegation_to_a_native_module_acts_for_nobody() {
    let mut world = World::new();
    let authority = eth_key(2).address();
    assert!(world.run(delegating(&world, Address::ZERO, vec![delegation(2, MODULE, 0)])).success);
    let receipt = world.run(world.tx(1).call(authority, &[command::WORK]));
    assert!(!receipt.success && receipt.logs.is_empty());
    assert_eq!(world.word(MODULE, 1), U256::ZERO);
    assert_eq!(world.word(authority, 1), U256::ZERO);
}

#[test]
fn the_pool_knows_what_delegations_cost_and_that_there_must_be_one() {
    let world = World::new();
    let check = |raw: Bytes, gas: Option<u64>| {
        let mut tx = Transaction::clone(&decode(raw).unwrap());
        tx.gas_limit = gas.unwrap_or(tx.gas_limit);
        match validate_for_pool(&world.state, world.context.params(), &tx, 0) {
            Ok(()) => "taken",
            Err(PoolError::Invalid(error)) => error.code(),
            Err(PoolError::State(error)) => panic!("{error}"),
        }
    };
    let one = || delegating(&world, Address::ZERO, vec![delegation(2, MODULE, 0)]);
    assert_eq!(check(one(), Some(46_000)), "taken");
    assert_eq!(check(one(), Some(45_999)), "intrinsic_gas_too_low");
    assert_eq!(check(delegating(&world, Address::ZERO, vec![]), None), "no_delegations");
    let execution = world.clone().one(delegating(&world, Address::ZERO, vec![]));
    assert_eq!(codes(&execution), [(0, "no_delegations")]);
}

#[test]
fn a_delegated_account_may_send_and_a_contract_may_not() {
    let mut world = World::new();
    let target = world.deploy(&NOTES_CALLER);
    world.run(delegating(&world, Address::ZERO, vec![delegation(2, target, 0)]));
    let tx = decode(world.tx(2).call(target, &[])).unwrap();
    assert!(validate_for_pool(&world.state, world.context.params(), &tx, 0).is_ok());
}

#[test]
fn past_blocks_are_found_by_their_numbers_in_the_history_contract() {
    let mut world = World::new();
    let id = |height: u64| B256::repeat_byte(u8::try_from(height).unwrap());
    let word = |height| U256::from_be_bytes(id(height).0);
    for height in 1..40 {
        world.state.set_block_id(height, id(height));
    }
    let read = forwarder(op::STATICCALL, HISTORY_STORAGE_ADDRESS, After::Propagate);
    let reader = world.deploy(&read);
    assert_eq!(world.word(HISTORY_STORAGE_ADDRESS, 1), U256::ZERO, "block 1 had none before it");
    // Idle blocks leave their ids to the next one that does something.
    while world.context.height < 30 {
        let idle = world.block(vec![]);
        assert!(
            idle.changes.storage.keys().all(|(account, _)| *account != HISTORY_STORAGE_ADDRESS)
        );
    }
    let ask = |world: &mut World, height: u64| {
        let input = B256::from(U256::from(height));
        world.run(world.tx(1).call(reader, input.as_slice())).success
    };
    assert!(ask(&mut world, 29));
    for height in 1..30 {
        assert_eq!(world.word(HISTORY_STORAGE_ADDRESS, height), word(height), "{height}");
    }
    assert!(!ask(&mut world, 90), "the future is refused");
}

#[test]
fn deployers_and_multicall_stand_where_tools_look_for_them() {
    let mut world = World::new();
    let code_hash = |world: &World, at| world.state.account(at).unwrap().unwrap().code_hash;
    let salt = B256::repeat_byte(7);
    for factory in [
        address!("0x4e59b44847b379578588920cA78FbF26c0B4956C"),
        address!("0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7"),
    ] {
        let creation = deployer(&[op::PUSH0]);
        let input = [salt.as_slice(), &creation].concat();
        assert!(world.run(world.tx(1).call(factory, &input)).success);
        let created = factory.create2_from_code(salt, &creation);
        assert_eq!(code_hash(&world, created), keccak256([op::PUSH0]));
    }
    // As on Ethereum, byte for byte.
    let multicall = address!("0xcA11bde05977b3631167028862bE2a173976CA11");
    let known = b256!("d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891");
    assert_eq!(code_hash(&world, multicall), known);
}

#[test]
fn one_transaction_has_no_more_gas_than_eip_7825_allows() {
    let mut world = World::new();
    let most = world.one(world.tx(1).gas(MAX_TRANSACTION_GAS).call(Address::ZERO, &[]));
    assert_eq!(codes(&most), []);
    let more = world.one(world.tx(1).gas(MAX_TRANSACTION_GAS + 1).call(Address::ZERO, &[]));
    assert_eq!(codes(&more), [(0, "gas_limit_too_high")]);
}

#[test]
fn call_data_has_a_floor_price() {
    let mut world = World::new();
    let receipt = world.run(world.tx(1).call(Address::repeat_byte(9), &[1; 1_000]));
    assert_eq!(receipt.gas_used, 21_000 + 1_000 * 4 * 10);
}

/// Whether a precompile called with so much gas succeeds, and its output.
fn precompile(target: Address, gas: u16, input: &[u8]) -> (bool, Vec<u8>) {
    let mut world = World::new();
    let [high, low] = gas.to_be_bytes();
    let code =
        forwarder_with_gas(op::STATICCALL, target, After::Propagate, &[op::PUSH2, high, low]);
    let contract = world.deploy(&code);
    let receipt = world.run(world.tx(1).call(contract, input));
    // The forwarder's answer is kept by a second one, as a receipt has no output.
    let keep = [
        &[op::CALLDATASIZE, op::PUSH0, op::PUSH0, op::CALLDATACOPY, op::PUSH1, 32, op::PUSH0][..],
        &[op::CALLDATASIZE, op::PUSH0, op::PUSH20],
        contract.as_slice(),
        &[op::GAS, op::STATICCALL, op::RETURNDATASIZE, op::PUSH1, 1, op::SSTORE],
        &[op::POP, op::PUSH0, 0x51, op::PUSH0, op::SSTORE, op::STOP],
    ];
    let keeper = world.deploy(&keep.concat());
    assert!(world.run(world.tx(1).call(keeper, input)).success);
    let length = usize::try_from(world.word(keeper, 1)).unwrap().min(32);
    (receipt.success, world.word(keeper, 0).to_be_bytes::<32>()[..length].to_vec())
}

#[test]
fn modular_exponentiation_has_the_price_and_the_bounds_of_osaka() {
    let word = |number: usize| U256::from(number).to_be_bytes::<32>();
    let small = [&word(32)[..], &word(32), &word(32), &word(3), &[0xff; 32], &word(97)].concat();
    // Words of 32 bytes: 16 for each of 255 steps (EIP-7883).
    assert!(precompile(MODEXP, 4_080, &small).0);
    assert!(!precompile(MODEXP, 4_079, &small).0);
    let tiny = [&word(1)[..], &word(1), &word(1), &[2, 1, 5]].concat();
    assert_eq!(precompile(MODEXP, 500, &tiny), (true, vec![2]));
    assert!(!precompile(MODEXP, 499, &tiny).0);
    // Operands of more than 1,024 bytes (EIP-7823).
    let long = [&word(1_025)[..], &word(0), &word(1)].concat();
    assert!(!precompile(MODEXP, u16::MAX, &long).0);
}

#[test]
fn signatures_of_secp256r1_are_verified() {
    let input = hex!(
        "dcf948d594dbebf195f4fb9fc3e6ca9f8426003f1217b6d8430ec09e5ed1aff0"
        "1634463af42c747f4f620dc6ae040decbc12781c571cdd019b8c4964837117de"
        "806ff10992261ec7855c5a52f53a619205c01ea4edf67e66f839381b3fabcbcd"
        "b3ac7c82fbe18b1f67dff38930646a2fbf59239685b6cdb0196967c00076cc7d"
        "bbbb950582c0fffcabc85324545683804cc2417ec5e6b0eb2a5230618568ee2e"
    );
    let valid = U256::ONE.to_be_bytes::<32>().to_vec();
    assert_eq!(precompile(P256_VERIFY, 6_900, &input), (true, valid));
    assert!(!precompile(P256_VERIFY, 6_899, &input).0);
    let mut forged = input;
    forged[40] ^= 1;
    assert_eq!(precompile(P256_VERIFY, 6_900, &forged), (true, vec![]));
}

#[test]
fn leading_zeros_are_counted() {
    const CLZ: u8 = 0x1e;
    let mut world = World::new();
    let code = [op::PUSH1, 1, CLZ, op::PUSH0, op::SSTORE, op::STOP];
    let contract = world.deploy(&code);
    assert!(world.run(world.tx(1).call(contract, &[])).success);
    assert_eq!(world.word(contract, 0), U256::from(255));
}
