//! Hold verified transactions until they are executed, and hand them to batches in an order that pays the proposer.
//!
//! # Invariants
//! - At most [`Limits::transactions`] and [`Limits::bytes`] are held, at most [`Limits::per_sender`] of one sender.
//! - A sender's transactions are handed out in nonce order, without gaps, after those that stand in batches already.
//! - A transaction is handed out once; again only when its batch expired, skipped it, or was not heard of for long.
//! - A transaction leaves only when it was executed, is invalid for good, was replaced, makes room for a better one, or
//!   has waited for its lifetime.
//! - The sum of what one sender's transactions may cost never exceeds its balance.
//! - What it knows of an account's nonce is not below what the state said when the newest of its transactions came.
//! - An account that runs another's code, or soon will, has one transaction at most.
//! - Of those before which a nonce is missing there are at most [`Limits::gapped`], and none of them drives another out.

mod admission;
mod content;
mod delegation;
mod filling;
pub mod journal;
mod room;
mod sender;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::map::HashMap;
use neura_types::{Address, B256, Transaction, U256};

pub use admission::admit;
use delegation::{Authorities, DELEGATED_LIMIT};
pub use filling::BatchLimits;
use sender::Sender;

/// What the pool may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Transactions in all: at 200 bytes each and their index, about 60 MB.
    pub transactions: usize,
    /// Encoded bytes in all.
    pub bytes: usize,
    /// Transactions of one sender, gaps included.
    pub per_sender: usize,
    /// How far a nonce may be beyond the first that is missing: what cannot be executed yet stays few, as in geth.
    pub nonce_gap: u64,
    /// Transactions before which a nonce is missing, in all: they may never be executed, and so cost nothing.
    pub gapped: usize,
    /// A replacement must pay this many percent more, as in geth.
    pub replacement_percent: u128,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions: 100_000,
            bytes: 64 << 20,
            per_sender: 4_096,
            nonce_gap: 64,
            gapped: 10_000,
            replacement_percent: 10,
        }
    }
}

/// Why the pool refused a transaction.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PoolError {
    /// The same transaction is already held.
    #[error("already known")]
    AlreadyKnown,
    /// Another one with this nonce pays nearly as much.
    #[error(
        "replacement transaction underpriced: nonce {nonce} is taken by {existing}; pay at least 10 % more per gas"
    )]
    Underpriced {
        /// The nonce.
        nonce: u64,
        /// The transaction that holds it.
        existing: B256,
    },
    /// The nonce is too far ahead.
    #[error("nonce too high: the sender's next nonce is {next}, transaction nonce is {got}")]
    NonceTooHigh {
        /// The first nonce that is missing.
        next: u64,
        /// The transaction's.
        got: u64,
    },
    /// The sender's pending transactions together cost more than its balance.
    #[error(
        "insufficient funds for gas * price + value: the sender's pending transactions would cost {needed} wei, its balance is {balance} wei"
    )]
    Overdraft {
        /// Cost with this transaction.
        needed: U256,
        /// Balance.
        balance: U256,
    },
    /// The sender holds too many places.
    #[error("the sender already has {0} pending transactions: wait until some are included")]
    SenderLimit(usize),
    /// The sender runs another's code and has a transaction already.
    #[error(
        "in-flight transaction limit reached for delegated accounts: wait until the pending one is included, or replace it"
    )]
    DelegatedLimit,
    /// An account that the transaction would delegate has several transactions pending.
    #[error(
        "authority already reserved: {0} has pending transactions; wait until they are included"
    )]
    AuthorityReserved(Address),
    /// A nonce is missing before it, and the pool holds as many such transactions as it takes.
    #[error("the pool takes no more transactions behind a missing nonce: send nonce {next} first")]
    GapLimit {
        /// The first nonce that is missing.
        next: u64,
    },
    /// The pool is full and this one does not pay more than the cheapest held.
    #[error(
        "txpool is full: offer a higher priority fee than {lowest} wei per gas, or try again later"
    )]
    Full {
        /// Tip of the cheapest transaction held.
        lowest: u128,
    },
}

impl PoolError {
    /// Stable code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyKnown => "already_known",
            Self::Underpriced { .. } => "replacement_underpriced",
            Self::NonceTooHigh { .. } => "nonce_too_high",
            Self::Overdraft { .. } => "insufficient_funds",
            Self::SenderLimit(_) => "sender_limit",
            Self::DelegatedLimit => "delegated_limit",
            Self::AuthorityReserved(_) => "authority_reserved",
            Self::GapLimit { .. } => "gap_limit",
            Self::Full { .. } => "pool_full",
        }
    }
}

/// What the state says of a sender.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Next nonce.
    pub nonce: u64,
    /// Balance, in wei.
    pub balance: U256,
    /// Whether it runs another's code (EIP-7702).
    pub is_delegated: bool,
}

/// Priority: highest tip first, then first come.
type Priority = (Reverse<u128>, u64);

/// Whether a transaction stands in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// It does not: this node may seal it from this time on.
    Due(Instant),
    /// It does, since this time.
    Sealed(Instant),
}

#[derive(Debug, Clone)]
struct Entry {
    tx: Arc<Transaction>,
    priority: Priority,
    sealing: Sealing,
    /// When it came.
    since: Instant,
}

impl Entry {
    fn is_sealed(&self) -> bool {
        matches!(self.sealing, Sealing::Sealed(_))
    }

    fn is_due(&self, now: Instant) -> bool {
        matches!(self.sealing, Sealing::Due(at) if at <= now)
    }
}

/// The pool.
#[derive(Debug)]
pub struct Mempool {
    limits: Limits,
    senders: HashMap<Address, Sender>,
    by_hash: HashMap<B256, (Address, u64)>,
    by_priority: BTreeMap<Priority, (Address, u64)>,
    /// Those of them that stand in no batch.
    unsealed: BTreeMap<Priority, (Address, u64)>,
    authorities: Authorities,
    bytes: usize,
    /// Those before which a nonce is missing.
    gapped: usize,
    arrivals: u64,
}

impl Mempool {
    /// An empty pool.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            senders: HashMap::default(),
            by_hash: HashMap::default(),
            by_priority: BTreeMap::new(),
            unsealed: BTreeMap::new(),
            authorities: Authorities::default(),
            bytes: 0,
            gapped: 0,
            arrivals: 0,
        }
    }

    /// Number of transactions held.
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Whether a transaction is held.
    pub fn contains(&self, hash: &B256) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// A transaction held, by hash.
    pub fn get(&self, hash: &B256) -> Option<Arc<Transaction>> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        self.senders.get(sender)?.get(*nonce).map(|entry| Arc::clone(&entry.tx))
    }

    /// Nonce after the sender's contiguous pending transactions, given the account's nonce.
    pub fn pending_nonce(&self, sender: &Address, account_nonce: u64) -> u64 {
        self.senders.get(sender).map_or(account_nonce, |s| s.contiguous_end(account_nonce))
    }

    /// Adds a verified transaction that is valid against the state, which says `standing` of its sender.
    ///
    /// # Errors
    /// See [`PoolError`]; the pool is then as it was.
    pub fn insert(
        &mut self,
        tx: Arc<Transaction>,
        standing: Standing,
        sealing: Sealing,
    ) -> Result<(), PoolError> {
        if self.by_hash.contains_key(&tx.hash) {
            return Err(PoolError::AlreadyKnown);
        }
        let missing = self.pending_nonce(&tx.sender, standing.nonce);
        if tx.nonce.saturating_sub(missing) > self.limits.nonce_gap {
            return Err(PoolError::NonceTooHigh { next: missing, got: tx.nonce });
        }
        self.check_delegations(&tx, standing.is_delegated)?;
        self.check_sender(&tx, standing.balance)?;
        self.make_room(&tx, missing)?;
        self.arrivals += 1;
        let priority = (Reverse(tx.max_priority_fee_per_gas), self.arrivals);
        let sender = self.senders.entry(tx.sender).or_default();
        sender.account_nonce = sender.account_nonce.max(standing.nonce);
        let (Sealing::Due(since) | Sealing::Sealed(since)) = sealing;
        let replaced = sender.insert(Entry { tx: Arc::clone(&tx), priority, sealing, since });
        if let Some(old) = replaced {
            self.forget(&old);
        }
        self.authorities.add(&tx);
        self.bytes += tx.raw.len();
        self.by_hash.insert(tx.hash, (tx.sender, tx.nonce));
        self.by_priority.insert(priority, (tx.sender, tx.nonce));
        if matches!(sealing, Sealing::Due(_)) {
            self.unsealed.insert(priority, (tx.sender, tx.nonce));
        }
        self.count_gapped(&tx.sender);
        Ok(())
    }

    fn check_delegations(&self, tx: &Transaction, is_delegated: bool) -> Result<(), PoolError> {
        let others = |account: &Address| {
            let pending = self.senders.get(account);
            let own = *account == tx.sender && pending.is_some_and(|s| s.get(tx.nonce).is_some());
            pending.map_or(0, Sender::len).saturating_sub(usize::from(own))
        };
        let is_delegated = is_delegated || self.authorities.contains(&tx.sender);
        if is_delegated && others(&tx.sender) >= DELEGATED_LIMIT {
            return Err(PoolError::DelegatedLimit);
        }
        for authority in delegation::of(tx) {
            // One's own transaction is this one.
            let limit = if authority == tx.sender { 0 } else { DELEGATED_LIMIT };
            if others(&authority) > limit {
                return Err(PoolError::AuthorityReserved(authority));
            }
        }
        Ok(())
    }

    fn check_sender(&self, tx: &Transaction, balance: U256) -> Result<(), PoolError> {
        let empty = Sender::default();
        let sender = self.senders.get(&tx.sender).unwrap_or(&empty);
        let existing = sender.get(tx.nonce);
        if let Some(entry) = existing {
            let enough = |old: u128, new: u128| {
                new.saturating_mul(100) >= old.saturating_mul(100 + self.limits.replacement_percent)
            };
            let pays = enough(entry.tx.max_fee_per_gas, tx.max_fee_per_gas)
                && enough(entry.tx.max_priority_fee_per_gas, tx.max_priority_fee_per_gas);
            if !pays {
                return Err(PoolError::Underpriced { nonce: tx.nonce, existing: entry.tx.hash });
            }
        } else if sender.len() >= self.limits.per_sender {
            return Err(PoolError::SenderLimit(sender.len()));
        }
        let replaced = existing.map(|entry| entry.tx.max_cost()).unwrap_or_default();
        let needed = sender.total_cost().saturating_sub(replaced).saturating_add(tx.max_cost());
        if needed > balance {
            return Err(PoolError::Overdraft { needed, balance });
        }
        Ok(())
    }

    /// Transactions for the next batch, best paid first, within its bytes and gas. They stay in the pool, as sealed.
    pub fn seal(&mut self, limits: BatchLimits, now: Instant) -> Vec<Arc<Transaction>> {
        let chosen = self.unsealed_next(limits, now);
        for entry in &chosen {
            self.set_sealing(&entry.tx.hash, Sealing::Sealed(now));
        }
        chosen.into_iter().map(|entry| entry.tx).collect()
    }

    /// Whether anything stands in no batch.
    pub fn has_unsealed(&self) -> bool {
        !self.unsealed.is_empty()
    }

    /// Notes that transactions stand in a batch, or no longer do.
    pub fn set_sealing(&mut self, hash: &B256, sealing: Sealing) {
        let Some((address, nonce)) = self.by_hash.get(hash).copied() else { return };
        let Some(entry) = self.senders.get_mut(&address).and_then(|s| s.get_mut(nonce)) else {
            return;
        };
        entry.sealing = sealing;
        match sealing {
            Sealing::Due(_) => self.unsealed.insert(entry.priority, (address, nonce)),
            Sealing::Sealed(_) => self.unsealed.remove(&entry.priority),
        };
    }

    /// Lets those be sealed again that were sealed so long ago that their batch must be lost; `due` says when.
    pub fn unseal_older(&mut self, age: Duration, now: Instant, due: impl Fn(&B256) -> Instant) {
        let lost = |entry: &&Entry| matches!(entry.sealing, Sealing::Sealed(at) if now.saturating_duration_since(at) > age);
        let entries = self.senders.values().flat_map(Sender::iter);
        let hashes: Vec<B256> = entries.filter(lost).map(|entry| entry.tx.hash).collect();
        for hash in hashes {
            self.set_sealing(&hash, Sealing::Due(due(&hash)));
        }
    }

    /// Drops what an executed block settled: `done` are its transactions that were executed or are invalid for good,
    /// `nonces` their senders' account nonces.
    pub fn on_executed(
        &mut self,
        done: impl IntoIterator<Item = B256>,
        nonces: impl IntoIterator<Item = (Address, u64)>,
    ) {
        let places = done.into_iter().filter_map(|hash| self.by_hash.get(&hash).copied());
        self.remove(places.collect());
        for (address, nonce) in nonces {
            let Some(sender) = self.senders.get_mut(&address) else { continue };
            let stale = sender.advance(nonce);
            for entry in stale {
                self.forget(&entry);
            }
            self.settle(address);
        }
    }

    fn remove(&mut self, places: Vec<(Address, u64)>) {
        let mut changed = BTreeSet::new();
        for (address, nonce) in places {
            let entry = self.senders.get_mut(&address).and_then(|sender| sender.remove(nonce));
            if let Some(entry) = entry {
                self.forget(&entry);
                changed.insert(address);
            }
        }
        for address in changed {
            self.settle(address);
        }
    }

    /// Brings up to date what is known of a sender some of whose transactions left.
    fn settle(&mut self, address: Address) {
        self.count_gapped(&address);
        if self.senders.get(&address).is_some_and(Sender::is_empty) {
            self.senders.remove(&address);
        }
    }

    fn count_gapped(&mut self, address: &Address) {
        if let Some(sender) = self.senders.get_mut(address) {
            let (before, after) = sender.count_gapped();
            self.gapped = (self.gapped + after).saturating_sub(before);
        }
    }

    fn forget(&mut self, entry: &Entry) {
        self.authorities.remove(&entry.tx);
        self.by_hash.remove(&entry.tx.hash);
        self.by_priority.remove(&entry.priority);
        self.unsealed.remove(&entry.priority);
        self.bytes = self.bytes.saturating_sub(entry.tx.raw.len());
    }
}
