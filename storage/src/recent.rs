//! The newest values of the state that were read or written lately, decoded: what saves execution most of its reads.
//!
//! A value is kept with a height since which the key holds it, up to the newest height. So a view of any height can use
//! it that is not below: a view that is older than a change goes to the database.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use alloy_primitives::{Address, U256};
use neura_types::{Account, Height, StateChanges};

use crate::generations::Generations;

/// Parts that are locked apart, so that calls on many threads seldom wait for each other.
const SHARDS: usize = 16;

/// A value with a height since which it holds.
type Since<T> = (T, Height);

struct Shard {
    accounts: Generations<Address, Since<Option<Account>>>,
    words: Generations<(Address, U256), Since<U256>>,
}

/// Values at the newest height.
pub(crate) struct RecentState {
    shards: Vec<Mutex<Shard>>,
    /// The newest height: set before any of its values is.
    height: AtomicU64,
}

impl RecentState {
    /// Holds so many accounts at most, and as many words.
    pub(crate) fn new(capacity: usize, height: Height) -> Self {
        let shard = || Shard {
            accounts: Generations::new(capacity / SHARDS),
            words: Generations::new(capacity / SHARDS),
        };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            height: AtomicU64::new(height),
        }
    }

    /// An account at a height, if that is known.
    pub(crate) fn account(&self, address: Address, at: Height) -> Option<Option<Account>> {
        let mut shard = self.account_shard(&address);
        let (account, since) = shard.accounts.get(&address)?;
        (since <= at).then_some(account)
    }

    /// A word at a height, if that is known.
    pub(crate) fn word(&self, address: Address, slot: U256, at: Height) -> Option<U256> {
        let key = (address, slot);
        let mut shard = self.word_shard(&key);
        let (word, since) = shard.words.get(&key)?;
        (since <= at).then_some(word)
    }

    /// Keeps what was read at a height, unless a newer one exists: the key may have changed since.
    pub(crate) fn keep_account(&self, address: Address, account: Option<Account>, at: Height) {
        let mut shard = self.account_shard(&address);
        if self.height.load(Ordering::SeqCst) == at {
            shard.accounts.insert(address, (account, at));
        }
    }

    /// As [`RecentState::keep_account`].
    pub(crate) fn keep_word(&self, address: Address, slot: U256, word: U256, at: Height) {
        let mut shard = self.word_shard(&(address, slot));
        if self.height.load(Ordering::SeqCst) == at {
            shard.words.insert((address, slot), (word, at));
        }
    }

    /// Moves on to a height with what its block changed. To be called before a view of that height can exist, so that
    /// none takes an older value for its own.
    pub(crate) fn advance(&self, height: Height, changes: &StateChanges) {
        self.height.store(height, Ordering::SeqCst);
        if !changes.wiped.is_empty() {
            self.shards.iter().for_each(|shard| locked(shard).words.clear());
        }
        for (address, account) in &changes.accounts {
            self.account_shard(address).accounts.insert(*address, (account.clone(), height));
        }
        for (key, word) in &changes.storage {
            self.word_shard(key).words.insert(*key, (*word, height));
        }
    }

    /// Starts anew at a height whose state came by another way.
    pub(crate) fn restart(&self, height: Height) {
        self.height.store(height, Ordering::SeqCst);
        for shard in &self.shards {
            let mut shard = locked(shard);
            shard.accounts.clear();
            shard.words.clear();
        }
    }

    /// The part of an account. Addresses are spread; whoever grinds them makes threads wait for each other, no more.
    fn account_shard(&self, address: &Address) -> MutexGuard<'_, Shard> {
        locked(&self.shards[usize::from(address[Address::len_bytes() - 1]) % SHARDS])
    }

    /// The part of a word. Slots count up from zero or are hashes.
    fn word_shard(&self, (_, slot): &(Address, U256)) -> MutexGuard<'_, Shard> {
        locked(&self.shards[usize::from(slot.byte(0)) % SHARDS])
    }
}

/// Whoever panicked with the lock left whole entries behind.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(nonce: u64) -> Option<Account> {
        Some(Account { nonce, ..Account::default() })
    }

    fn setting(address: Address, nonce: u64) -> StateChanges {
        let mut changes = StateChanges::default();
        changes.accounts.insert(address, account(nonce));
        changes.storage.insert((address, U256::ZERO), U256::from(nonce));
        changes
    }

    #[test]
    fn a_view_never_sees_a_later_value_and_a_later_view_never_an_earlier_one() {
        let recent = RecentState::new(1_000, 4);
        let key = Address::repeat_byte(1);
        recent.keep_account(key, account(4), 4);
        assert_eq!(recent.account(key, 4), Some(account(4)));
        recent.advance(5, &setting(key, 5));
        assert_eq!(recent.account(key, 4), None, "an older view asks the database");
        assert_eq!(recent.account(key, 5), Some(account(5)));
        recent.keep_account(key, account(4), 4);
        recent.keep_word(key, U256::ZERO, U256::from(4), 4);
        assert_eq!(recent.account(key, 5), Some(account(5)), "what an older view read is not kept");
        assert_eq!(recent.word(key, U256::ZERO, 5), Some(U256::from(5)));
        recent.advance(6, &StateChanges::default());
        assert_eq!(recent.account(key, 6), Some(account(5)), "unchanged, it holds on");
        assert_eq!(recent.account(key, 5), Some(account(5)));
    }

    #[test]
    fn wiped_storage_is_forgotten() {
        let recent = RecentState::new(1_000, 0);
        let key = Address::repeat_byte(1);
        recent.advance(1, &setting(key, 1));
        let mut wipe = StateChanges::default();
        wipe.wiped.insert(key);
        recent.advance(2, &wipe);
        assert_eq!(recent.word(key, U256::ZERO, 2), None);
        assert_eq!(recent.account(key, 2), Some(account(1)));
        recent.restart(9);
        assert_eq!(recent.account(key, 9), None);
    }
}
