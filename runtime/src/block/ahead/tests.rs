//! What is run ahead, what of it can be taken over, and when no more is run ahead.

use std::num::NonZeroUsize;

use alloy_primitives::{Address, Bytes, U256};
use revm::state::EvmState;

use super::{Ahead, Decoded, Lookahead};
use crate::{
    evm::Effects,
    testing::{PROPOSER, TestModules, World, decode, deployer, eth_key},
};

const RECEIVER: Address = Address::repeat_byte(0xaa);

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("not zero")
}

/// Runs a wave over a world before anything has happened in its block.
fn ahead(world: &World, lookahead: &Lookahead, raw: Vec<Bytes>) -> Vec<Option<Ahead>> {
    let wave: Vec<Decoded> = raw.into_iter().map(decode).collect();
    let block = (&EvmState::default(), &Effects::default());
    let rules = (&world.context, &TestModules as _);
    lookahead.run(&world.state, block, &wave, rules).expect("no thread panics")
}

fn account(balance: u64) -> revm::state::Account {
    revm::state::AccountInfo::from_balance(U256::from(balance)).into()
}

#[test]
fn transfers_of_several_senders_are_run_ahead_and_hold_until_something_they_read_changes() {
    let world = World::new();
    let raw = (1..=3).map(|key| world.tx(key).value(5).call(Address::repeat_byte(key), &[]));
    let done = ahead(&world, &Lookahead::always(threads(3)), raw.collect());
    assert_eq!(done.len(), 3);
    let first = done[0].as_ref().expect("it was run ahead");
    assert!(first.result.is_success() && first.holds(&EvmState::default()));
    assert!(!first.state.contains_key(&PROPOSER), "the tip is paid in turn");
    let mut block = EvmState::default();
    block.insert(Address::repeat_byte(2), account(7));
    block.insert(eth_key(2).address(), account(7));
    assert!(first.holds(&block), "others' accounts do not matter to it");
    assert!(!done[1].as_ref().expect("it was run ahead").holds(&block));
}

#[test]
fn a_senders_transactions_see_what_those_before_them_did() {
    let world = World::new();
    let raw = (0..3).map(|nonce| world.tx(1).nonce(nonce).value(5).call(RECEIVER, &[])).collect();
    let done = ahead(&world, &Lookahead::always(threads(2)), raw);
    let last = done[2].as_ref().expect("it was run ahead");
    assert_eq!(last.state[&RECEIVER].info.balance, U256::from(15));
    assert!(
        !last.holds(&EvmState::default()),
        "what those before it did is not part of the block until they had their turn"
    );
}

#[test]
fn what_fails_or_creates_or_leaves_a_gap_waits_for_its_turn() {
    let world = World::new();
    let raw = vec![
        world.tx(1).create(deployer(&[])),
        world.tx(2).nonce(9).call(RECEIVER, &[]),
        Bytes::from_static(b"no transaction"),
        world.tx(3).call(RECEIVER, &[]),
    ];
    let done = ahead(&world, &Lookahead::always(threads(2)), raw);
    let ran: Vec<bool> = done.iter().map(Option::is_some).collect();
    assert_eq!(ran[..3], [false, false, false]);
    assert_eq!(ran.len(), 4);
}

#[test]
fn a_wave_fits_into_the_gas_that_is_left_and_has_one_transaction_at_least() {
    let world = World::new();
    let wave: Vec<Decoded> = (0..4)
        .map(|nonce| decode(world.tx(1).nonce(nonce).gas(100_000).call(RECEIVER, &[])))
        .collect();
    let lookahead = Lookahead::new(threads(4));
    let count = |gas| lookahead.wave(&wave, gas);
    assert_eq!([count(0), count(99_999), count(250_000), count(400_000)], [1, 1, 2, 4]);
    assert_eq!(lookahead.wave(&[], 400_000), 0);
    assert_eq!(Lookahead::new(threads(1)).wave(&wave, 0), 4, "one thread runs them in turn");
}

#[test]
fn what_cannot_run_code_waits_for_its_turn() {
    let world = World::new();
    let raw = (1..=3).map(|key| world.tx(key).gas(20_998 + u64::from(key)).call(RECEIVER, &[]));
    let done = ahead(&world, &Lookahead::always(threads(2)), raw.collect());
    let ran: Vec<bool> = done.iter().map(Option::is_some).collect();
    assert_eq!(ran, [false, false, true]);
}

#[test]
fn few_senders_are_not_worth_threads() {
    let world = World::new();
    let raw = (1..=3).map(|key| world.tx(key).call(RECEIVER, &[])).collect();
    assert!(ahead(&world, &Lookahead::new(threads(4)), raw).is_empty());
}

#[test]
fn waves_grow_while_it_goes_well_and_end_when_most_runs_were_in_vain() {
    let mut lookahead = Lookahead::new(threads(4));
    let first = lookahead.wave;
    lookahead.learn(100, 80);
    assert_eq!(lookahead.wave, first * 2);
    lookahead.learn(100, 60);
    assert_eq!(lookahead.wave, first * 2);
    lookahead.learn(100, 49);
    assert_eq!(lookahead.threads.get(), 1);
}
