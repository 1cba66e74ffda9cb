use neura_types::{U256, keys::EthKey, transaction::UnsignedTransaction};

use super::*;

const CHAIN: u64 = 26_770;
const RICH: U256 = U256::MAX;
const LIMITS: BlockLimits = BlockLimits { bytes: 1 << 20, gas: 1 << 30, base_fee: 0 };

fn tx(key: u8, nonce: u64, tip: u128) -> Arc<Transaction> {
    let raw = UnsignedTransaction {
        chain_id: CHAIN,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000 + tip,
        max_priority_fee_per_gas: tip,
        to: Address::ZERO.into(),
        value: U256::ZERO,
        input: Bytes::new(),
    }
    .sign_eth(&EthKey::from_bytes([key; 32]).unwrap());
    Arc::new(Transaction::decode(raw, CHAIN).unwrap())
}

fn pool() -> Mempool {
    Mempool::new(Limits::default())
}

fn nonces(pool: &Mempool, selected: &[Bytes]) -> Vec<(Address, u64)> {
    let _ = pool;
    selected
        .iter()
        .map(|raw| Transaction::decode(raw.clone(), CHAIN).unwrap())
        .map(|tx| (tx.sender, tx.nonce))
        .collect()
}

#[test]
fn a_senders_transactions_come_in_nonce_order_even_if_later_ones_pay_more() {
    let mut pool = pool();
    for (nonce, tip) in [(2, 50), (0, 1), (1, 20)] {
        pool.insert(tx(1, nonce, tip), 0, RICH).unwrap();
    }
    pool.insert(tx(2, 0, 10), 0, RICH).unwrap();
    let order: Vec<u64> = nonces(&pool, &pool.select(LIMITS, &HashSet::new()))
        .into_iter()
        .filter(|(sender, _)| *sender == tx(1, 0, 1).sender)
        .map(|(_, nonce)| nonce)
        .collect();
    assert_eq!(order, [0, 1, 2]);
}

#[test]
fn nothing_is_handed_out_beyond_a_nonce_gap() {
    let mut pool = pool();
    pool.insert(tx(1, 0, 1), 0, RICH).unwrap();
    pool.insert(tx(1, 2, 9), 0, RICH).unwrap();
    assert_eq!(pool.select(LIMITS, &HashSet::new()).len(), 1);
    assert_eq!(pool.pending_nonce(&tx(1, 0, 1).sender, 0), 1);
}

#[test]
fn what_stands_in_the_ancestors_is_not_handed_out_again() {
    let mut pool = pool();
    let (first, second) = (tx(1, 0, 5), tx(1, 1, 5));
    pool.insert(Arc::clone(&first), 0, RICH).unwrap();
    pool.insert(Arc::clone(&second), 0, RICH).unwrap();
    let ancestors = HashSet::from([first.hash]);
    assert_eq!(pool.select(LIMITS, &ancestors), std::slice::from_ref(&second.raw));
    pool.on_executed([first.hash], [(first.sender, 1)]);
    assert_eq!(pool.select(LIMITS, &HashSet::new()), std::slice::from_ref(&second.raw));
}

/// A leader proposed nonce 0, its block was abandoned, and the next leader began at nonce 1: every node skipped the
/// whole block and forgot what it held.
#[test]
fn what_stood_in_an_abandoned_block_is_handed_out_again_first() {
    let mut pool = pool();
    let (first, second) = (tx(1, 0, 5), tx(1, 1, 9));
    pool.insert(Arc::clone(&first), 0, RICH).unwrap();
    pool.insert(Arc::clone(&second), 0, RICH).unwrap();
    let next_block = pool.select(LIMITS, &HashSet::new());
    assert_eq!(next_block, [first.raw.clone(), second.raw.clone()]);
    pool.on_executed([], [(first.sender, 0)]);
    assert_eq!(pool.len(), 2, "a block that skipped them does not delete them");
}

#[test]
fn a_transaction_that_does_not_fit_does_not_hide_smaller_ones() {
    let mut pool = pool();
    for key in 1..=3 {
        pool.insert(tx(key, 0, u128::from(key)), 0, RICH).unwrap();
    }
    let limits = BlockLimits { gas: 21_000 * 2 + 5, ..LIMITS };
    assert_eq!(pool.select(limits, &HashSet::new()).len(), 2);
}

#[test]
fn nonces_far_beyond_the_first_missing_one_are_refused() {
    let mut pool = pool();
    for nonce in 0..200 {
        pool.insert(tx(1, nonce, 1), 0, RICH).unwrap();
    }
    let gap = Limits::default().nonce_gap;
    pool.insert(tx(1, 200 + gap, 1), 0, RICH).unwrap();
    assert!(matches!(
        pool.insert(tx(1, 201 + gap, 1), 0, RICH),
        Err(PoolError::NonceTooHigh { next: 200, .. })
    ));
}

#[test]
fn a_replacement_must_pay_a_tenth_more() {
    let mut pool = pool();
    pool.insert(tx(1, 0, 100_000), 0, RICH).unwrap();
    assert!(matches!(
        pool.insert(tx(1, 0, 100_001), 0, RICH),
        Err(PoolError::Underpriced { nonce: 0, .. })
    ));
    pool.insert(tx(1, 0, 120_000), 0, RICH).unwrap();
    assert_eq!(pool.len(), 1);
}

#[test]
fn a_sender_cannot_pledge_more_than_its_balance() {
    let mut pool = pool();
    let one = tx(1, 0, 1).max_cost();
    pool.insert(tx(1, 0, 1), 0, one).unwrap();
    assert!(matches!(pool.insert(tx(1, 1, 1), 0, one), Err(PoolError::Overdraft { .. })));
}

#[test]
fn a_full_pool_drops_the_cheapest_for_one_that_pays_more_and_refuses_others() {
    let mut pool = Mempool::new(Limits { transactions: 2, ..Limits::default() });
    pool.insert(tx(1, 0, 10), 0, RICH).unwrap();
    pool.insert(tx(2, 0, 20), 0, RICH).unwrap();
    assert_eq!(pool.insert(tx(3, 0, 10), 0, RICH), Err(PoolError::Full { lowest: 10 }));
    pool.insert(tx(3, 0, 11), 0, RICH).unwrap();
    assert!(pool.get(&tx(1, 0, 10).hash).is_none());
    assert_eq!(pool.len(), 2);
}

#[test]
fn the_same_transaction_twice_is_already_known() {
    let mut pool = pool();
    pool.insert(tx(1, 0, 1), 0, RICH).unwrap();
    assert_eq!(pool.insert(tx(1, 0, 1), 0, RICH), Err(PoolError::AlreadyKnown));
}

#[test]
fn a_block_is_filled_within_its_bytes_and_gas() {
    let mut pool = pool();
    for nonce in 0..10 {
        pool.insert(tx(1, nonce, 1), 0, RICH).unwrap();
    }
    let size = tx(1, 0, 1).raw.len();
    assert_eq!(
        pool.select(BlockLimits { bytes: 3 * size + 5, ..LIMITS }, &HashSet::new()).len(),
        3
    );
    assert_eq!(pool.select(BlockLimits { gas: 50_000, ..LIMITS }, &HashSet::new()).len(), 2);
}
