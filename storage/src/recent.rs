//! The newest values of the state that were read or written lately, decoded: what saves execution most of its reads.
//!
//! A value is kept with a height since which the key holds it, up to the newest height. So a view of any height can use
//! it that is not below: a view that is older than a change goes to the database.
//!
//! What a view reads there is kept if the key has not changed above its height. Every change is put here, so a key that is
//! not here did not change since the last time that anything went from its part: an executor may read at one height while
//! the next is committed, and nobody has to read again what it read.

use std::{
    hash::Hash,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_primitives::{Address, U256};
use neura_types::{Account, Height, StateChanges};

use crate::generations::Generations;

/// Parts that are locked apart, so that calls on many threads seldom wait for each other.
const SHARDS: usize = 16;

/// A value with a height since which it holds.
type Since<T> = (T, Height);

struct Shard {
    accounts: Part<Address, Option<Account>>,
    words: Part<(Address, U256), U256>,
}

struct Part<K, V> {
    values: Generations<K, Since<V>>,
    /// Not below the newest height when something went: whatever changed above it is here.
    whole_since: Height,
}

impl<K: Hash + Eq, V: Clone> Part<K, V> {
    fn new(capacity: usize, height: Height) -> Self {
        Self { values: Generations::new(capacity), whole_since: height }
    }

    fn get(&mut self, key: &K, at: Height) -> Option<V> {
        let (value, since) = self.values.get(key)?;
        (since <= at).then_some(value)
    }

    /// Keeps what a key held at a height, if it holds that at `newest` too as far as is known here.
    fn keep(&mut self, key: K, value: V, at: Height, newest: Height) {
        if self.values.take_dropped() {
            self.whole_since = newest;
        }
        if (self.whole_since..=newest).contains(&at) && !self.values.contains(&key) {
            self.values.insert(key, (value, at));
        }
    }

    fn clear(&mut self, newest: Height) {
        self.values.clear();
        self.whole_since = newest;
    }
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
            accounts: Part::new(capacity / SHARDS, height),
            words: Part::new(capacity / SHARDS, height),
        };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            height: AtomicU64::new(height),
        }
    }

    /// An account at a height, if that is known.
    pub(crate) fn account(&self, address: Address, at: Height) -> Option<Option<Account>> {
        self.account_shard(&address).accounts.get(&address, at)
    }

    /// A word at a height, if that is known.
    pub(crate) fn word(&self, address: Address, slot: U256, at: Height) -> Option<U256> {
        let key = (address, slot);
        self.word_shard(&key).words.get(&key, at)
    }

    /// Keeps what was read at a height, unless the key may have changed since.
    pub(crate) fn keep_account(&self, address: Address, account: Option<Account>, at: Height) {
        let mut shard = self.account_shard(&address);
        shard.accounts.keep(address, account, at, self.height.load(Ordering::SeqCst));
    }

    /// As [`RecentState::keep_account`].
    pub(crate) fn keep_word(&self, address: Address, slot: U256, word: U256, at: Height) {
        let mut shard = self.word_shard(&(address, slot));
        shard.words.keep((address, slot), word, at, self.height.load(Ordering::SeqCst));
    }

    /// Moves on to a height with what its block changed. To be called before a view of that height can exist, so that
    /// none takes an older value for its own.
    pub(crate) fn advance(&self, height: Height, changes: &StateChanges) {
        self.height.store(height, Ordering::SeqCst);
        if !changes.wiped.is_empty() {
            self.shards.iter().for_each(|shard| locked(shard).words.clear(height));
        }
        for (address, account) in &changes.accounts {
            self.account_shard(address).accounts.values.insert(*address, (account.clone(), height));
        }
        for (key, word) in &changes.storage {
            self.word_shard(key).words.values.insert(*key, (*word, height));
        }
    }

    /// Starts anew at a height whose state came by another way.
    pub(crate) fn restart(&self, height: Height) {
        self.height.store(height, Ordering::SeqCst);
        for shard in &self.shards {
            let mut shard = locked(shard);
            shard.accounts.clear(height);
            shard.words.clear(height);
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
    fn what_an_older_view_reads_is_kept_while_nothing_went_since_and_the_key_did_not_change() {
        let (recent, read, changed) = (RecentState::new(1_000, 4), 1, 2);
        let [read, changed] = [read, changed].map(Address::repeat_byte);
        recent.advance(5, &setting(changed, 5));
        recent.keep_account(read, account(1), 4);
        recent.keep_account(changed, account(1), 4);
        assert_eq!(recent.account(read, 5), Some(account(1)));
        assert_eq!(recent.account(changed, 5), Some(account(5)));
        recent.keep_word(read, U256::ONE, U256::from(7), 6);
        assert_eq!(recent.word(read, U256::ONE, 6), None, "no such height yet");
        // Whatever went may have been a change of the key.
        let small = RecentState::new(2 * SHARDS, 4);
        small.advance(5, &setting(changed, 5));
        let same_part = |n: u64| Address::from_word(U256::from(n << 8 | 2).into());
        (0..4).for_each(|n| small.keep_account(same_part(n), None, 5));
        assert_eq!(small.account(changed, 5), None);
        small.keep_account(changed, account(1), 4);
        assert_eq!(small.account(changed, 5), None);
        small.keep_account(changed, account(5), 5);
        assert_eq!(small.account(changed, 5), Some(account(5)));
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
