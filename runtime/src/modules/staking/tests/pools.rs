use proptest::prelude::*;

use super::*;

/// A pool after some slashing, as real ones are: amounts up to a supply of 10^12 ANKR.
fn pool() -> impl Strategy<Value = Pool> {
    (1u128..1 << 100, prop::collection::vec(1u16..=5_000, 0..4)).prop_map(|(stake, slashes)| {
        let mut pool = Pool { stake: Amount(stake), shares: stake };
        slashes.iter().for_each(|bps| _ = pool.slash(*bps).unwrap());
        pool
    })
}

proptest! {
    #[test]
    fn going_in_and_out_gains_nothing_and_takes_nothing_from_others(
        mut pool in pool(),
        amount in 1u128..1 << 100,
        parts in 1u128..10,
    ) {
        let before = pool;
        let Some(shares) = pool.price_of(Amount(amount)).filter(|shares| *shares > 0) else {
            return Ok(());
        };
        pool.join(Amount(amount), shares).unwrap();
        let mut out = 0;
        let mut left = shares;
        for part in 0..parts {
            let step = if part + 1 == parts { left } else { shares / parts };
            left -= step;
            out += pool.leave(step).unwrap().0;
        }
        prop_assert!(out <= amount, "{out} of {amount}");
        prop_assert!(pool.stake.0 == before.stake.0 + (amount - out) && pool.shares == before.shares);
        prop_assert!(pool.worth_of(before.shares) >= before.worth_of(before.shares));
    }

    #[test]
    fn all_owners_together_get_everything(stake in 1u128..1 << 100, bps in 1u16..=5_000, cut in 0u128..1 << 100) {
        let mut pool = Pool { stake: Amount(stake), shares: stake };
        let part = pool.slash(bps).unwrap();
        prop_assert_eq!(part.0 + pool.stake.0, stake);
        prop_assert!(pool.stake.0 > 0, "never everything");
        let first = cut % stake;
        let out = pool.leave(first).unwrap().0 + pool.leave(stake - first).unwrap().0;
        prop_assert_eq!((out, pool), (stake - part.0, Pool::default()));
    }
}

#[test]
fn an_empty_pool_sells_a_share_for_a_wei() {
    assert_eq!(Pool::default().price_of(Amount(77)), Some(77));
    assert_eq!(Pool::default().worth_of(5), Amount::ZERO);
}
