//! Make room in a full pool, so that nobody empties it for nothing.
//!
//! A transaction before which a nonce is missing may never be executed, and then costs nothing. So it takes nobody's place.
//! And what leaves is the last of its sender's, whatever it pays: without the cheapest nothing after it could be executed,
//! so it pays no more than that one, and nothing is left behind a gap.

use std::cmp::Reverse;

use alloy_primitives::map::HashMap;
use neura_types::{Address, Transaction};

use super::{Mempool, PoolError};

impl Mempool {
    /// Drops the last transactions of those who pay least for one that pays more; none if that does not make room.
    /// `missing` is the sender's first nonce that is not there.
    pub(super) fn make_room(&mut self, tx: &Transaction, missing: u64) -> Result<(), PoolError> {
        let is_gapped = tx.nonce > missing;
        let is_new = self.senders.get(&tx.sender).is_none_or(|own| own.get(tx.nonce).is_none());
        if is_gapped && is_new && self.gapped >= self.limits.gapped {
            return Err(PoolError::GapLimit { next: missing });
        }
        let (mut count, mut bytes) = (self.by_hash.len(), self.bytes);
        let mut taken: HashMap<Address, usize> = HashMap::default();
        let mut victims = Vec::new();
        let mut cheapest = self.by_priority.iter().rev();
        while count >= self.limits.transactions || bytes + tx.raw.len() > self.limits.bytes {
            let Some((priority, (address, _))) = cheapest.next() else { break };
            let Reverse(lowest) = priority.0;
            let pays_more = !is_gapped && tx.max_priority_fee_per_gas > lowest;
            let taken = taken.entry(*address).or_default();
            let last = self.senders.get(address).and_then(|sender| sender.iter().nth_back(*taken));
            let Some(last) = last.filter(|_| pays_more && *address != tx.sender) else {
                return Err(PoolError::Full { lowest });
            };
            *taken += 1;
            count -= 1;
            bytes -= last.tx.raw.len();
            victims.push((*address, last.tx.nonce));
        }
        self.remove(victims);
        Ok(())
    }
}
