//! One sender's pending transactions, by nonce.

use std::collections::BTreeMap;

use neura_types::U256;

use super::Entry;

/// The pending transactions of one account.
#[derive(Debug, Default)]
pub(super) struct Sender {
    pub(super) account_nonce: u64,
    entries: BTreeMap<u64, Entry>,
    cost: U256,
    /// Entries before which a nonce is missing, when they were last counted.
    gapped: usize,
}

impl Sender {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get(&self, nonce: u64) -> Option<&Entry> {
        self.entries.get(&nonce)
    }

    pub(super) fn get_mut(&mut self, nonce: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&nonce)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.values()
    }

    /// What all of them may cost.
    pub(super) fn total_cost(&self) -> U256 {
        self.cost
    }

    /// Adds an entry and returns the one that it replaces.
    pub(super) fn insert(&mut self, entry: Entry) -> Option<Entry> {
        self.cost = self.cost.saturating_add(entry.tx.max_cost());
        let old = self.entries.insert(entry.tx.nonce, entry);
        self.refund(old.as_ref());
        old
    }

    pub(super) fn remove(&mut self, nonce: u64) -> Option<Entry> {
        let old = self.entries.remove(&nonce);
        self.refund(old.as_ref());
        old
    }

    fn refund(&mut self, old: Option<&Entry>) {
        if let Some(entry) = old {
            self.cost = self.cost.saturating_sub(entry.tx.max_cost());
        }
    }

    /// Sets the account's nonce and returns what it made stale.
    pub(super) fn advance(&mut self, account_nonce: u64) -> Vec<Entry> {
        self.account_nonce = self.account_nonce.max(account_nonce);
        let kept = self.entries.split_off(&self.account_nonce);
        let stale: Vec<Entry> = std::mem::replace(&mut self.entries, kept).into_values().collect();
        for entry in &stale {
            self.refund(Some(entry));
        }
        stale
    }

    /// First nonce that is neither used nor in a batch.
    pub(super) fn next_unsealed(&self, is_sealed: impl Fn(&Entry) -> bool) -> u64 {
        let mut nonce = self.account_nonce;
        for (have, entry) in self.entries.range(self.account_nonce..) {
            if *have != nonce || !is_sealed(entry) {
                break;
            }
            nonce += 1;
        }
        nonce
    }

    /// Number of entries that follow the account's nonce without a gap.
    pub(super) fn contiguous(&self) -> usize {
        let length = self.contiguous_end(self.account_nonce).saturating_sub(self.account_nonce);
        usize::try_from(length).unwrap_or(usize::MAX)
    }

    /// Counts the entries before which a nonce is missing: how many they were, and are.
    pub(super) fn count_gapped(&mut self) -> (usize, usize) {
        let ends = self.entries.first_key_value().zip(self.entries.last_key_value());
        // Most senders have no gap, which their ends tell.
        let is_whole = ends.is_some_and(|((first, _), (last, _))| {
            *first == self.account_nonce && last - first == self.len() as u64 - 1
        });
        let now = match is_whole {
            true => 0,
            false => self.len().saturating_sub(self.contiguous() + self.stale()),
        };
        (std::mem::replace(&mut self.gapped, now), now)
    }

    /// Number of entries below the account's nonce, which execution settles.
    pub(super) fn stale(&self) -> usize {
        self.entries.range(..self.account_nonce).count()
    }

    /// Nonce after the entries that follow the account's without a gap.
    pub(super) fn contiguous_end(&self, account_nonce: u64) -> u64 {
        let start = account_nonce.max(self.account_nonce);
        self.entries
            .range(start..)
            .zip(start..)
            .take_while(|((have, _), want)| *have == want)
            .count() as u64
            + start
    }
}
