//! Look at what is held, and let go of what has waited too long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use neura_types::{Address, Transaction};

use super::{Mempool, sender::Sender};

/// Transactions that can be executed, and those before which another is missing.
pub(super) type Content = (Vec<Arc<Transaction>>, Vec<Arc<Transaction>>);

impl Mempool {
    /// How many transactions can be executed, and before how many another is missing.
    pub fn status(&self) -> (u64, u64) {
        let pending: usize = self.senders.values().map(Sender::contiguous).sum();
        (pending as u64, self.len().saturating_sub(pending) as u64)
    }

    /// What is held, of one sender or of all, in order of senders and nonces.
    ///
    /// # Errors
    /// The number of transactions, if there are more than `limit`.
    pub fn content(&self, sender: Option<Address>, limit: usize) -> Result<Content, usize> {
        let mut senders: Vec<(&Address, &Sender)> = match &sender {
            Some(address) => self.senders.get_key_value(address).into_iter().collect(),
            None => self.senders.iter().collect(),
        };
        let held: usize = senders.iter().map(|(_, sender)| sender.len()).sum();
        if held > limit {
            return Err(held);
        }
        senders.sort_unstable_by_key(|(address, _)| **address);
        let (mut pending, mut queued) = Content::default();
        for (_, sender) in senders {
            let ready = sender.contiguous();
            let stale = sender.stale();
            for (position, entry) in sender.iter().enumerate() {
                let is_pending = (stale..stale + ready).contains(&position);
                let part = if is_pending { &mut pending } else { &mut queued };
                part.push(Arc::clone(&entry.tx));
            }
        }
        Ok((pending, queued))
    }

    /// Lets go of what came longer than `lifetime` ago and stands in no batch, and says how many it were: a nonce that
    /// never comes, or a price that the base fee never falls to, must not hold a place for ever.
    pub fn expire(&mut self, lifetime: Duration, now: Instant) -> usize {
        let is_old = |since: Instant| now.saturating_duration_since(since) > lifetime;
        let entries = self.senders.values().flat_map(Sender::iter);
        let old: Vec<(Address, u64)> = entries
            .filter(|entry| !entry.is_sealed() && is_old(entry.since))
            .map(|entry| (entry.tx.sender, entry.tx.nonce))
            .collect();
        let count = old.len();
        self.remove(old);
        count
    }
}
