use neura_types::{Bytes, U256, keys::EthKey, transaction::UnsignedTransaction};
use parking_lot::Mutex;

use super::*;

const CHAIN: u64 = 26_770;
const RICH: U256 = U256::MAX;
const LIMITS: BatchLimits = BatchLimits { bytes: 1 << 20, gas: 1 << 30, base_fee: 0 };

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

fn now() -> Instant {
    Instant::now()
}

fn add(pool: &mut Mempool, tx: Arc<Transaction>, balance: U256) -> Result<(), PoolError> {
    pool.insert(tx, standing(balance), Sealing::Due(now()))
}

fn standing(balance: U256) -> Standing {
    Standing { nonce: 0, balance, is_delegated: false }
}

/// A transaction in which one account sends, another delegates.
fn delegating(key: u8, nonce: u64, authority: u8) -> Arc<Transaction> {
    use alloy_consensus::{SignableTransaction, TxEip7702};
    use alloy_eips::{eip2718::Encodable2718, eip7702::Authorization};
    let [key, authority] = [key, authority].map(|n| EthKey::from_bytes([n; 32]).unwrap());
    let unsigned = Authorization { chain_id: U256::ZERO, address: Address::ZERO, nonce: 0 };
    let signed = unsigned.clone().into_signed(authority.sign_digest(unsigned.signature_hash()));
    let tx = TxEip7702 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 1,
        authorization_list: vec![signed],
        ..TxEip7702::default()
    };
    let signature = key.sign_digest(tx.signature_hash());
    let raw = alloy_consensus::TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
    Arc::new(Transaction::decode(raw, CHAIN).unwrap())
}

#[test]
fn a_delegated_account_has_one_transaction_at_most_and_may_replace_it() {
    let mut pool = pool();
    let delegated = Standing { is_delegated: true, ..standing(RICH) };
    let mut insert = |tx| pool.insert(tx, delegated, Sealing::Due(now()));
    insert(tx(1, 0, 10)).unwrap();
    assert_eq!(insert(tx(1, 1, 10)), Err(PoolError::DelegatedLimit));
    insert(tx(1, 0, 20_000)).unwrap();
}

#[test]
fn an_account_whose_delegation_waits_has_one_transaction_at_most() {
    let mut pool = pool();
    add(&mut pool, delegating(1, 0, 2), RICH).unwrap();
    add(&mut pool, tx(2, 0, 1), RICH).unwrap();
    assert_eq!(add(&mut pool, tx(2, 1, 1), RICH), Err(PoolError::DelegatedLimit));
    let waiting = delegating(1, 0, 2).hash;
    pool.on_executed([waiting], []);
    add(&mut pool, tx(2, 1, 1), RICH).unwrap();
}

#[test]
fn an_account_with_several_pending_transactions_cannot_be_delegated() {
    let mut pool = pool();
    for nonce in 0..2 {
        add(&mut pool, tx(2, nonce, 1), RICH).unwrap();
    }
    let authority = tx(2, 0, 1).sender;
    let refused = add(&mut pool, delegating(1, 0, 2), RICH);
    assert_eq!(refused, Err(PoolError::AuthorityReserved(authority)));
    assert_eq!(
        add(&mut pool, delegating(2, 2, 2), RICH),
        Err(PoolError::AuthorityReserved(authority))
    );
}

fn sealed(pool: &mut Mempool, limits: BatchLimits) -> Vec<Arc<Transaction>> {
    pool.seal(limits, now())
}

#[test]
fn a_senders_transactions_come_in_nonce_order_even_if_later_ones_pay_more() {
    let mut pool = pool();
    for (nonce, tip) in [(2, 50), (0, 1), (1, 20)] {
        add(&mut pool, tx(1, nonce, tip), RICH).unwrap();
    }
    let other = tx(2, 0, 10).sender;
    add(&mut pool, tx(2, 0, 10), RICH).unwrap();
    let order: Vec<u64> = sealed(&mut pool, LIMITS)
        .into_iter()
        .filter(|tx| tx.sender != other)
        .map(|tx| tx.nonce)
        .collect();
    assert_eq!(order, [0, 1, 2]);
}

#[test]
fn nothing_is_handed_out_beyond_a_nonce_gap() {
    let mut pool = pool();
    add(&mut pool, tx(1, 0, 1), RICH).unwrap();
    add(&mut pool, tx(1, 2, 9), RICH).unwrap();
    assert_eq!(sealed(&mut pool, LIMITS).len(), 1);
    assert_eq!(pool.pending_nonce(&tx(1, 0, 1).sender, 0), 1);
}

#[test]
fn what_stands_in_a_batch_is_not_handed_out_again() {
    let mut pool = pool();
    let (first, second) = (tx(1, 0, 5), tx(1, 1, 5));
    add(&mut pool, Arc::clone(&first), RICH).unwrap();
    pool.set_sealing(&first.hash, Sealing::Sealed(now()));
    add(&mut pool, Arc::clone(&second), RICH).unwrap();
    assert_eq!(sealed(&mut pool, LIMITS), [second]);
    assert!(sealed(&mut pool, LIMITS).is_empty() && !pool.has_unsealed());
    assert_eq!(pool.len(), 2, "what is sealed waits for its execution");
}

/// A batch with nonce 0 expired while one with nonce 1 was ordered: the block skipped it.
#[test]
fn what_was_skipped_or_stood_in_an_expired_batch_is_handed_out_again_in_order() {
    let mut pool = pool();
    let (first, second) = (tx(1, 0, 5), tx(1, 1, 9));
    for tx in [&first, &second] {
        add(&mut pool, Arc::clone(tx), RICH).unwrap();
    }
    assert_eq!(sealed(&mut pool, LIMITS).len(), 2);
    pool.on_executed([], [(first.sender, 0)]);
    for tx in [&second, &first] {
        pool.set_sealing(&tx.hash, Sealing::Due(now()));
    }
    assert_eq!(sealed(&mut pool, LIMITS), [first, second]);
}

#[test]
fn nobody_seals_before_its_turn() {
    let mut pool = pool();
    let later = now() + Duration::from_secs(60);
    pool.insert(tx(1, 0, 5), standing(RICH), Sealing::Due(later)).unwrap();
    assert!(pool.seal(LIMITS, now()).is_empty());
    assert_eq!(pool.seal(LIMITS, later).len(), 1);
}

#[test]
fn what_was_sealed_long_ago_and_never_executed_is_sealed_again() {
    let mut pool = pool();
    add(&mut pool, tx(1, 0, 5), RICH).unwrap();
    let at = now();
    assert_eq!(pool.seal(LIMITS, at).len(), 1);
    let age = Duration::from_secs(10);
    pool.unseal_older(age, at + age, |_| at);
    assert!(pool.seal(LIMITS, at + age).is_empty());
    pool.unseal_older(age, at + age + Duration::from_millis(1), |_| at);
    assert_eq!(pool.seal(LIMITS, at + age).len(), 1);
}

#[test]
fn a_transaction_that_does_not_fit_does_not_hide_smaller_ones() {
    let mut pool = pool();
    for key in 1..=3 {
        add(&mut pool, tx(key, 0, u128::from(key)), RICH).unwrap();
    }
    let limits = BatchLimits { gas: 21_000 * 2 + 5, ..LIMITS };
    assert_eq!(sealed(&mut pool, limits).len(), 2);
}

#[test]
fn nonces_far_beyond_the_first_missing_one_are_refused() {
    let mut pool = pool();
    for nonce in 0..200 {
        add(&mut pool, tx(1, nonce, 1), RICH).unwrap();
    }
    let gap = Limits::default().nonce_gap;
    add(&mut pool, tx(1, 200 + gap, 1), RICH).unwrap();
    assert!(matches!(
        add(&mut pool, tx(1, 201 + gap, 1), RICH),
        Err(PoolError::NonceTooHigh { next: 200, .. })
    ));
}

#[test]
fn a_replacement_must_pay_a_tenth_more() {
    let mut pool = pool();
    add(&mut pool, tx(1, 0, 100_000), RICH).unwrap();
    assert!(matches!(
        add(&mut pool, tx(1, 0, 100_001), RICH),
        Err(PoolError::Underpriced { nonce: 0, .. })
    ));
    add(&mut pool, tx(1, 0, 120_000), RICH).unwrap();
    assert_eq!(pool.len(), 1);
}

#[test]
fn a_sender_cannot_pledge_more_than_its_balance() {
    let mut pool = pool();
    let one = tx(1, 0, 1).max_cost();
    add(&mut pool, tx(1, 0, 1), one).unwrap();
    assert!(matches!(add(&mut pool, tx(1, 1, 1), one), Err(PoolError::Overdraft { .. })));
}

#[test]
fn a_full_pool_drops_the_cheapest_for_one_that_pays_more_and_refuses_others() {
    let mut pool = Mempool::new(Limits { transactions: 2, ..Limits::default() });
    add(&mut pool, tx(1, 0, 10), RICH).unwrap();
    add(&mut pool, tx(2, 0, 20), RICH).unwrap();
    assert_eq!(add(&mut pool, tx(3, 0, 10), RICH), Err(PoolError::Full { lowest: 10 }));
    add(&mut pool, tx(3, 0, 11), RICH).unwrap();
    assert!(pool.get(&tx(1, 0, 10).hash).is_none());
    assert_eq!(pool.len(), 2);
}

fn held(pool: &Mempool, key: u8) -> Vec<u64> {
    let sender = tx(key, 0, 1).sender;
    let (pending, queued) = pool.content(Some(sender), usize::MAX).unwrap();
    pending.iter().chain(&queued).map(|tx| tx.nonce).collect()
}

#[test]
fn who_cannot_be_executed_yet_drives_nobody_out() {
    let mut pool = Mempool::new(Limits { transactions: 2, ..Limits::default() });
    add(&mut pool, tx(1, 0, 5), RICH).unwrap();
    add(&mut pool, tx(2, 0, 5), RICH).unwrap();
    let full = Err(PoolError::Full { lowest: 5 });
    assert_eq!(add(&mut pool, tx(3, 1, 1_000), RICH), full, "nonce 0 is missing");
    add(&mut pool, tx(3, 0, 6), RICH).unwrap();
    assert_eq!((held(&pool, 1), held(&pool, 2)), (vec![0], vec![]));
}

#[test]
fn what_waits_behind_missing_nonces_is_bounded_in_all() {
    let mut pool = Mempool::new(Limits { gapped: 2, ..Limits::default() });
    add(&mut pool, tx(1, 1, 1), RICH).unwrap();
    add(&mut pool, tx(2, 2, 1), RICH).unwrap();
    let limit = |next| Err(PoolError::GapLimit { next });
    assert_eq!(add(&mut pool, tx(3, 1, 1), RICH), limit(0));
    add(&mut pool, tx(2, 2, 20_000), RICH).expect("a replacement is no further one");
    add(&mut pool, tx(1, 0, 1), RICH).expect("it fills the gap");
    add(&mut pool, tx(3, 1, 1), RICH).expect("there is room for another");
    assert_eq!(add(&mut pool, tx(4, 1, 1), RICH), limit(0));
    let first = tx(1, 0, 1);
    pool.on_executed([first.hash], []);
    assert_eq!(pool.gapped, 3, "what is dropped leaves a gap until its nonce is used");
    pool.on_executed([], [(first.sender, 2)]);
    assert_eq!(pool.gapped, 2);
    pool.on_executed([], [(tx(2, 0, 1).sender, 2), (tx(3, 0, 1).sender, 9)]);
    assert_eq!((pool.gapped, pool.len()), (0, 1));
}

#[test]
fn what_makes_room_is_the_last_of_the_cheapest_sender_and_leaves_no_gap() {
    let mut pool = Mempool::new(Limits { transactions: 4, ..Limits::default() });
    for (nonce, tip) in [(0, 1), (1, 900), (2, 900)] {
        add(&mut pool, tx(1, nonce, tip), RICH).unwrap();
    }
    add(&mut pool, tx(2, 0, 5), RICH).unwrap();
    add(&mut pool, tx(3, 0, 6), RICH).unwrap();
    assert_eq!((held(&pool, 1), pool.gapped), (vec![0, 1], 0), "nonce 2 needs nonce 0");
    add(&mut pool, tx(3, 1, 6), RICH).unwrap();
    add(&mut pool, tx(3, 2, 6), RICH).unwrap();
    assert_eq!((held(&pool, 1), held(&pool, 2)), (vec![], vec![0]));
}

proptest::proptest! {
    #[test]
    fn gaps_are_counted_right_whatever_comes_and_goes(
        steps in proptest::collection::vec((1u8..5, 0u64..6, 1u128..4, 0u8..4), 1..60),
    ) {
        let mut pool = Mempool::new(Limits { transactions: 8, gapped: 4, ..Limits::default() });
        for (key, nonce, tip, step) in steps {
            let tx = tx(key, nonce, tip * 20_000);
            match step {
                0 => pool.on_executed([], [(tx.sender, nonce)]),
                1 => pool.on_executed([tx.hash], []),
                _ => drop(add(&mut pool, tx, RICH)),
            }
            let senders = pool.senders.values();
            let gapped: usize = senders.map(|s| s.len() - s.contiguous() - s.stale()).sum();
            proptest::prop_assert_eq!(pool.gapped, gapped);
            proptest::prop_assert!(pool.len() <= 8);
        }
    }
}

#[test]
fn the_same_transaction_twice_is_already_known() {
    let mut pool = pool();
    add(&mut pool, tx(1, 0, 1), RICH).unwrap();
    assert_eq!(add(&mut pool, tx(1, 0, 1), RICH), Err(PoolError::AlreadyKnown));
}

#[test]
fn a_batch_is_filled_within_its_bytes_and_gas() {
    let mut pool = pool();
    for nonce in 0..10 {
        add(&mut pool, tx(1, nonce, 1), RICH).unwrap();
    }
    let size = tx(1, 0, 1).raw.len();
    assert_eq!(sealed(&mut pool, BatchLimits { bytes: 3 * size + 5, ..LIMITS }).len(), 3);
    assert_eq!(sealed(&mut pool, BatchLimits { gas: 50_000, ..LIMITS }).len(), 2);
}

#[test]
fn what_waited_for_its_lifetime_is_let_go_unless_it_stands_in_a_batch() {
    let mut pool = pool();
    let lifetime = Duration::from_secs(60);
    let (ordered, stuck) = (tx(1, 0, 5), tx(2, 3, 5));
    let start = now();
    for tx in [&ordered, &stuck] {
        add(&mut pool, Arc::clone(tx), RICH).unwrap();
    }
    assert_eq!(sealed(&mut pool, LIMITS), [ordered], "the other waits for nonces 0 to 2");
    let end = now();
    assert_eq!(pool.expire(lifetime, start + lifetime), 0);
    assert_eq!(pool.expire(lifetime, end + lifetime + Duration::from_millis(1)), 1);
    assert_eq!(pool.len(), 1);
    add(&mut pool, stuck, RICH).unwrap();
}

#[test]
fn a_block_executed_while_a_transaction_is_added_does_not_leave_it_behind_a_used_nonce() {
    let pool = Mutex::new(pool());
    let second = tx(1, 1, 10);
    let mut nonce = 0;
    let added = admit::<PoolError>(&pool, &second, Sealing::Due(now()), || {
        let said = Standing { nonce, ..standing(RICH) };
        // Executes the first one as soon as the state has answered.
        nonce = 1;
        pool.lock().on_executed([], [(second.sender, nonce)]);
        Ok(said)
    });
    assert_eq!(added, Ok(()));
    let sealed = pool.lock().seal(LIMITS, now());
    assert_eq!(sealed.iter().map(|tx| tx.hash).collect::<Vec<_>>(), [second.hash]);
}

#[test]
fn a_transaction_that_another_block_executed_while_it_was_added_does_not_stay() {
    let pool = Mutex::new(pool());
    let first = tx(1, 0, 10);
    let mut nonce = 0;
    let added = admit::<PoolError>(&pool, &first, Sealing::Due(now()), || {
        let said = Standing { nonce, ..standing(RICH) };
        nonce = 1;
        pool.lock().on_executed([first.hash], [(first.sender, nonce)]);
        Ok(said)
    });
    assert_eq!(added, Ok(()));
    assert!(pool.lock().is_empty());
}

#[test]
fn what_would_come_next_holds_what_stands_in_batches_and_stays_where_it_is() {
    let mut pool = pool();
    for (key, nonce, tip) in [(1, 0, 5), (1, 1, 90), (2, 0, 9), (3, 1, 99)] {
        add(&mut pool, tx(key, nonce, tip), RICH).unwrap();
    }
    let sealed = pool.seal(BatchLimits { gas: 21_000, ..LIMITS }, now());
    assert_eq!(sealed.len(), 1);
    let order = |pool: &Mempool, limits| {
        let next = pool.preview(limits);
        next.iter().map(|tx| tx.max_priority_fee_per_gas).collect::<Vec<_>>()
    };
    assert_eq!(order(&pool, LIMITS), [9, 5, 90], "nothing after a gap");
    assert_eq!(order(&pool, BatchLimits { gas: 42_000, ..LIMITS }), [9, 5]);
    assert_eq!(order(&pool, BatchLimits { base_fee: 10_008, ..LIMITS }), [9]);
    assert_eq!(pool.seal(LIMITS, now()).len(), 2, "it was only looked at");
}
