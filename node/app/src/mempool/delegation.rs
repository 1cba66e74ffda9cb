//! Keep accounts that run another's code from filling the pool for nothing (EIP-7702).
//!
//! Anyone can move the coins of such an account in a transaction of their own, which makes all of its pending ones
//! worthless at once. So it may have one. The same holds for an account whose delegation waits in the pool.

use alloy_primitives::map::HashMap;
use neura_types::{Address, Transaction};

/// Transactions that a delegated account may have in the pool, as in geth.
pub(super) const DELEGATED_LIMIT: usize = 1;

/// Accounts that transactions of the pool would delegate, with the number of those transactions' delegations.
#[derive(Debug, Default)]
pub(super) struct Authorities(HashMap<Address, usize>);

impl Authorities {
    /// Whether a transaction of the pool would delegate the account.
    pub(super) fn contains(&self, account: &Address) -> bool {
        self.0.contains_key(account)
    }

    /// Notes the delegations of a transaction that enters the pool.
    pub(super) fn add(&mut self, tx: &Transaction) {
        for account in of(tx) {
            *self.0.entry(account).or_default() += 1;
        }
    }

    /// Forgets those of one that leaves.
    pub(super) fn remove(&mut self, tx: &Transaction) {
        for account in of(tx) {
            if let Some(count) = self.0.get_mut(&account) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&account);
                }
            }
        }
    }
}

/// Who signed the delegations of a transaction.
pub(super) fn of(tx: &Transaction) -> impl Iterator<Item = Address> + '_ {
    tx.delegations.iter().filter_map(|delegation| delegation.authority)
}
