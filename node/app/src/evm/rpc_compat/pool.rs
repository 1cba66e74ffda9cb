//! Take what is sent to an imported chain, which never includes it.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::TxEnvelope;
use alloy_eips::eip2718::Decodable2718;
use neura_api::{BackendError, BackendResult, PoolContent};
use neura_types::{Address, B256, Bytes, Transaction};
use parking_lot::Mutex;

use super::chain::transaction;

/// Transactions held: a suite sends some ten.
const MAX_WAITING: usize = 10_000;
/// EIP-2718 type of transactions with blobs.
const BLOB_TX_TYPE: u8 = 3;
/// What a replacement pays more, in percent, as in geth.
const REPLACEMENT_PERCENT: u128 = 10;

/// Transactions that wait, by sender and nonce.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<BTreeMap<(Address, u64), Arc<Transaction>>>);

impl Waiting {
    /// Takes a transaction that the state could include.
    pub(super) fn insert(&self, tx: Transaction) -> BackendResult<B256> {
        let mut held = self.0.lock();
        let (place, hash) = ((tx.sender, tx.nonce), tx.hash);
        if let Some(other) = held.get(&place) {
            if other.hash == hash {
                return Err(BackendError::AlreadyKnown);
            }
            let bumped = |fee: u128| fee.saturating_mul(100 + REPLACEMENT_PERCENT) / 100;
            let pays_more = tx.max_fee_per_gas >= bumped(other.max_fee_per_gas)
                && tx.max_priority_fee_per_gas >= bumped(other.max_priority_fee_per_gas);
            if !pays_more {
                return Err(BackendError::ReplacementUnderpriced);
            }
        } else if held.len() >= MAX_WAITING {
            return Err(BackendError::PoolFull);
        }
        held.insert(place, Arc::new(tx));
        Ok(hash)
    }

    /// The transaction of a hash.
    pub(super) fn find(&self, hash: B256) -> Option<Arc<Transaction>> {
        self.0.lock().values().find(|tx| tx.hash == hash).cloned()
    }

    /// The nonce after those that wait without a gap from `next` on.
    pub(super) fn nonce_after(&self, sender: Address, next: u64) -> u64 {
        let held = self.0.lock();
        (next..).find(|nonce| !held.contains_key(&(sender, *nonce))).unwrap_or(next)
    }

    /// What waits, where `next` says which nonce of an account is the next.
    pub(super) fn content(
        &self,
        of: Option<Address>,
        next: impl Fn(Address) -> u64,
    ) -> PoolContent {
        let held = self.0.lock();
        let mut content = PoolContent::default();
        let mut follows = None;
        for ((sender, nonce), tx) in held.iter() {
            if of.is_some_and(|of| of != *sender) {
                continue;
            }
            let first = || (*sender, next(*sender));
            let place = follows.filter(|(of, _)| of == sender).unwrap_or_else(first);
            if place == (*sender, *nonce) {
                content.pending.push(Arc::clone(tx));
                follows = Some((*sender, nonce.saturating_add(1)));
            } else {
                content.queued.push(Arc::clone(tx));
                follows = Some(place);
            }
        }
        content
    }
}

/// A transaction as it is sent: one with blobs may come with them.
pub(super) fn decode(raw: &Bytes) -> BackendResult<Transaction> {
    let malformed = || BackendError::InvalidInput("the transaction is malformed".into());
    let envelope = TxEnvelope::decode_2718_exact(raw).or_else(|_| {
        let inner = without_blobs(raw).ok_or_else(malformed)?;
        TxEnvelope::decode_2718_exact(&inner).map_err(|_| malformed())
    })?;
    transaction(&envelope).map_err(|error| BackendError::InvalidInput(error.to_string()))
}

fn without_blobs(raw: &[u8]) -> Option<Vec<u8>> {
    let mut rest = raw.strip_prefix(&[BLOB_TX_TYPE])?;
    alloy_rlp::Header::decode(&mut rest).ok()?.list.then_some(())?;
    let mut after = rest;
    let inner = alloy_rlp::Header::decode(&mut after).ok()?;
    let length = rest.len() - after.len() + inner.payload_length;
    let list = inner.list.then(|| rest.get(..length)).flatten()?;
    Some([&[BLOB_TX_TYPE], list].concat())
}
