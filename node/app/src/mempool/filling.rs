//! Choose what goes into a batch, and say what would go into the next block.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use alloy_primitives::map::HashMap;
use neura_types::{Address, Transaction};

use super::{Entry, Mempool, Priority, sender::Sender};

/// Transactions that did not fit into a batch, after which nothing else is tried: a nearly full batch is full.
const MAX_MISFITS: usize = 64;

/// What a batch may hold.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Most bytes of transactions.
    pub bytes: usize,
    /// Most gas of transactions.
    pub gas: u64,
    /// Base fee of the next block: who pays less waits.
    pub base_fee: u64,
}

/// A batch while it is filled.
struct Filling {
    limits: BatchLimits,
    bytes: usize,
    gas: u64,
    misfits: usize,
    chosen: Vec<Entry>,
}

impl Filling {
    /// Takes a transaction if it fits.
    fn take(&mut self, entry: &Entry) -> bool {
        let bytes = self.bytes + entry.tx.raw.len();
        let gas = self.gas.saturating_add(entry.tx.gas_limit);
        if bytes > self.limits.bytes || gas > self.limits.gas {
            self.misfits += 1;
            return false;
        }
        (self.bytes, self.gas) = (bytes, gas);
        self.chosen.push(entry.clone());
        true
    }
}

impl Mempool {
    /// The transactions that would fill the next block as things stand, best paid first, those in batches included.
    pub fn preview(&self, limits: BatchLimits) -> Vec<Arc<Transaction>> {
        let chosen =
            self.choose(&self.by_priority, limits, |sender| sender.account_nonce, |_| true);
        chosen.into_iter().map(|entry| entry.tx).collect()
    }

    /// Those that stand in no batch and may be sealed now, best paid first.
    pub(super) fn unsealed_next(&self, limits: BatchLimits, now: Instant) -> Vec<Entry> {
        let first = |sender: &Sender| sender.next_unsealed(Entry::is_sealed);
        self.choose(&self.unsealed, limits, first, |entry| entry.is_due(now))
    }

    /// Of those in `order`, which are `open`: each sender's without gaps from its `first` nonce on.
    fn choose(
        &self,
        order: &BTreeMap<Priority, (Address, u64)>,
        limits: BatchLimits,
        first: impl Fn(&Sender) -> u64,
        is_open: impl Fn(&Entry) -> bool,
    ) -> Vec<Entry> {
        let mut batch = Filling { limits, bytes: 0, gas: 0, misfits: 0, chosen: Vec::new() };
        let mut next: HashMap<Address, u64> = HashMap::default();
        let mut waiting: HashMap<(Address, u64), &Entry> = HashMap::default();
        for (address, nonce) in order.values() {
            let Some(sender) = self.senders.get(address) else { continue };
            let Some(entry) = sender.get(*nonce) else { continue };
            if entry.tx.max_fee_per_gas < u128::from(limits.base_fee) || !is_open(entry) {
                continue;
            }
            let expected = next.entry(*address).or_insert_with(|| first(sender));
            if *nonce > *expected {
                waiting.insert((*address, *nonce), entry);
                continue;
            }
            // Below it, a nonce that the account has used: execution settles it.
            let mut candidate = (*nonce == *expected).then_some(entry);
            while let Some(entry) = candidate.filter(|entry| batch.take(entry)) {
                *expected = entry.tx.nonce + 1;
                candidate = waiting.remove(&(*address, *expected));
            }
            if batch.misfits >= MAX_MISFITS {
                break;
            }
        }
        batch.chosen
    }
}
