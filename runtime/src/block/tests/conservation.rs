//! Coins are neither made nor lost: contracts that destroy themselves, and blocks of random transactions.

use alloy_primitives::{Address, Bytes, U256};
use proptest::prelude::*;

use crate::{
    chain,
    testing::{
        After, GWEI, MODULE, PAYEE, PROPOSER, World, command, deployer, eth_key, forwarder,
        module_calling_constructor, op,
    },
};

/// Stays alive while called without call data; with call data it destroys itself in favour of its caller.
const MORTAL: [u8; 8] = [
    op::CALLDATASIZE,
    op::PUSH1,
    5,
    op::JUMPI,
    op::STOP,
    op::JUMPDEST,
    op::CALLER,
    op::SELFDESTRUCT,
];

/// Adds one to slot 0.
const COUNTER: [u8; 8] =
    [op::PUSH1, 1, op::PUSH0, op::SLOAD, op::ADD, op::PUSH0, op::SSTORE, op::STOP];
/// Writes the balance of the proposer to slot 0.
const WATCHER: [u8; 5] = [op::COINBASE, op::BALANCE, op::PUSH0, op::SSTORE, op::STOP];

fn burned_by_destruction(world: &World, base_fees: u128) -> u128 {
    chain::burned(&world.state).unwrap().0 - base_fees
}

fn burned_base_fee(execution: &crate::Execution) -> u128 {
    u128::from(execution.base_fee) * u128::from(execution.gas_used) / 2
}

#[test]
fn a_contract_that_destroys_itself_for_itself_burns_its_coins() {
    let mut world = World::new();
    let raw = world.tx(1).value(77).create(vec![op::ADDRESS, op::SELFDESTRUCT]);
    let execution = world.one(raw);
    assert!(execution.receipts[0].success);
    assert_eq!(burned_by_destruction(&world, burned_base_fee(&execution)), 77);
}

#[test]
fn a_contract_that_destroys_itself_for_another_gives_its_coins_away() {
    let mut world = World::new();
    let heir = Address::repeat_byte(0xab);
    let mut init = vec![op::PUSH20];
    init.extend(heir.as_slice());
    init.push(op::SELFDESTRUCT);
    let execution = world.one(world.tx(1).value(77).create(init));
    assert_eq!(world.balance(heir), U256::from(77));
    assert_eq!(burned_by_destruction(&world, burned_base_fee(&execution)), 0);
}

#[test]
fn an_older_contract_keeps_living_after_selfdestruct() {
    let mut world = World::new();
    let contract = world.deploy(&MORTAL);
    world.run(world.tx(2).value(5).call(contract, &[]));
    assert_eq!(world.balance(contract), U256::from(5));
    let before = chain::burned(&world.state).unwrap().0;
    let execution = world.one(world.tx(3).call(contract, &[1]));
    assert!(execution.receipts[0].success);
    assert_eq!(world.balance(contract), U256::ZERO);
    assert_eq!(world.nonce(contract), 1, "its code stays (EIP-6780)");
    let burned = chain::burned(&world.state).unwrap().0 - before;
    assert_eq!(burned, burned_base_fee(&execution));
}

/// Creates [`MORTAL`], destroys it, then sends its own call value to what is left.
fn killer() -> Vec<u8> {
    let child = deployer(&MORTAL);
    let length = u8::try_from(child.len()).unwrap();
    let mut code = Vec::new();
    for (offset, byte) in (0u8..).zip(&child) {
        code.extend([op::PUSH1, *byte, op::PUSH1, offset, op::MSTORE8]);
    }
    code.extend([op::PUSH1, length, op::PUSH0, op::PUSH0, op::CREATE]);
    // The child's address stays on the stack: kept in memory for both calls.
    code.extend([op::DUP1, op::PUSH1, 96, op::MSTORE, op::POP]);
    let load_child = [op::PUSH1, 96, 0x51];
    code.extend([op::PUSH0, op::PUSH0, op::PUSH1, 1, op::PUSH0, op::PUSH0]);
    code.extend(load_child);
    code.extend([op::GAS, op::CALL, op::POP]);
    code.extend([op::PUSH0, op::PUSH0, op::PUSH0, op::PUSH0, op::CALLVALUE]);
    code.extend(load_child);
    code.extend([op::GAS, op::CALL, op::PUSH0, op::SSTORE, op::STOP]);
    code
}

#[test]
fn coins_sent_to_a_contract_that_destroyed_itself_are_burned_and_counted() {
    let mut world = World::new();
    let contract = world.deploy(&killer());
    let before = chain::burned(&world.state).unwrap().0;
    let child = contract.create(1);
    // The second transaction of the block finds nothing where the child was, and can send coins there.
    let raw =
        vec![world.tx(1).value(13).call(contract, &[]), world.tx(2).value(4).call(child, &[])];
    let execution = world.block(raw);
    assert!(execution.receipts.iter().all(|receipt| receipt.success));
    assert_eq!(world.word(contract, 0), U256::from(1), "the last call went through");
    let burned = chain::burned(&world.state).unwrap().0 - before;
    assert_eq!(burned, burned_base_fee(&execution) + 13);
    assert_eq!(world.balance(child), U256::from(4));
    assert_eq!(world.nonce(child), 0);
}

/// A step of a random block.
#[derive(Debug, Clone)]
struct Step {
    key: u8,
    what: u8,
    gas: u64,
    value: u64,
    nonce_gap: u8,
    cheap: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let gas = prop_oneof![20_000u64..120_000, Just(900_000u64)];
    (1u8..=4, 0u8..18, gas, 0u64..1_000, 0u8..12, any::<bool>()).prop_map(
        |(key, what, gas, value, nonce_gap, cheap)| Step {
            key,
            what,
            gas,
            value,
            nonce_gap: nonce_gap.saturating_sub(9),
            cheap,
        },
    )
}

/// Contracts that random steps call.
struct Cast {
    catcher: Address,
    reverter: Address,
    nested: Address,
    mortal: Address,
    killer: Address,
    /// Counts its calls: each contradicts the one before, where they are run ahead of their turn.
    counter: Address,
    /// Keeps what the proposer owns.
    watcher: Address,
}

fn cast(world: &mut World) -> Cast {
    let catcher = world.deploy(&forwarder(op::CALL, MODULE, After::Catch));
    let reverter = world.deploy(&forwarder(op::CALL, MODULE, After::Revert));
    let nested = world.deploy(&forwarder(op::CALL, reverter, After::Catch));
    let mortal = world.deploy(&MORTAL);
    let killer = world.deploy(&killer());
    let counter = world.deploy(&COUNTER);
    let watcher = world.deploy(&WATCHER);
    Cast { catcher, reverter, nested, mortal, killer, counter, watcher }
}

fn raw(world: &World, cast: &Cast, step: &Step, nonce: u64) -> Bytes {
    let value = u128::from(step.value);
    let draft = world.tx(step.key).nonce(nonce).gas(step.gas).value(value);
    let draft = if step.cheap { draft.fees(2 * GWEI, GWEI / 3) } else { draft };
    match step.what {
        0 => draft.call(Address::repeat_byte(step.key ^ 0x50), &[]),
        1 => draft.call(eth_key(step.key % 3 + 1).address(), &[]),
        2 => draft.call(MODULE, &[command::WORK]),
        3 => draft.call(MODULE, &[command::REFUSE]),
        4 => draft.call(cast.catcher, &[command::WORK]),
        5 => draft.call(cast.reverter, &[command::WORK]),
        6 => draft.call(cast.nested, &[command::WORK]),
        7 => draft.call(cast.mortal, &[1]),
        8 => draft.call(cast.killer, &[]),
        9 => draft.create(vec![op::ADDRESS, op::SELFDESTRUCT]),
        10 => draft.create(deployer(&MORTAL)),
        11 => draft.create(module_calling_constructor(command::WORK, After::Catch)),
        12 => draft.create(module_calling_constructor(command::WORK, After::Revert)),
        13 => draft.call(cast.counter, &[]),
        14 => draft.call(cast.watcher, &[]),
        15 => draft.call(PROPOSER, &[]),
        // Where the key's creation of this block, if the step before was one, put its contract.
        16 => draft.call(eth_key(step.key).address().create(nonce.saturating_sub(1)), &[1]),
        _ => draft.call(PAYEE, &[1, 2, 3]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What holds for every block is checked by the world itself: supply, nonces, receipts, determinism.
    #[test]
    fn random_blocks_keep_every_invariant(
        blocks in prop::collection::vec(prop::collection::vec(step(), 0..24), 1..5),
    ) {
        let mut world = World::new();
        let cast = cast(&mut world);
        for steps in blocks {
            let mut next: Vec<u64> =
                (0..=4).map(|key| world.nonce(eth_key(key).address())).collect();
            let transactions = steps
                .iter()
                .map(|step| {
                    let nonce = &mut next[usize::from(step.key)];
                    let raw = raw(&world, &cast, step, *nonce + u64::from(step.nonce_gap));
                    *nonce += 1;
                    raw
                })
                .collect();
            world.block(transactions);
        }
    }
}
