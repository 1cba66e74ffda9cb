//! Batches: what comes ahead of the blocks that name it, kept as long as a final block needs it, or for a while.
//!
//! A stored batch either waits to be named by a final block, or is named by at least one. Those that wait are known in
//! memory and bounded in bytes; a stored block that names one holds it until that block's height is decided.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use neura_types::{
    Batch, Height, codec,
    hash::{Domain, hash},
};
use rocksdb::WriteBatch;

use crate::{
    bodies::Place,
    columns::{Column, height_key, split_digests},
    error::StorageError,
    store::{Inner, Store, decode, missing},
};

/// What a waiting batch costs besides its bytes: rows and memory.
const OVERHEAD_BYTES: u64 = 256;

/// Why a batch is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// It came unasked: refused when `StoreConfig::unnamed_batch_bytes` are taken.
    Offered,
    /// A proposed or final block names it: always taken.
    Needed,
}

/// Batches that no final block names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnnamedBatches {
    /// How many.
    pub count: usize,
    /// What they take, with 256 bytes for each.
    pub bytes: u64,
}

/// A batch that no final block names.
#[derive(Debug, Clone, Copy)]
struct Wait {
    /// First height that may name it, or that of the highest stored block that does.
    height: Height,
    /// Bytes of its encoding.
    bytes: u32,
    /// Whether a stored block names it.
    named: bool,
}

/// The batches that no final block names, in memory.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_digest: BTreeMap<B256, Wait>,
    by_height: BTreeSet<(Height, B256)>,
    bytes: u64,
    /// What stored blocks name that is not held, with the highest such block that is not decided.
    expected: BTreeMap<B256, Height>,
}

impl Waiting {
    fn insert(&mut self, digest: B256, wait: Wait) {
        self.remove(&digest);
        self.bytes = self.bytes.saturating_add(cost(wait.bytes));
        self.by_height.insert((wait.height, digest));
        self.by_digest.insert(digest, wait);
    }

    fn remove(&mut self, digest: &B256) -> bool {
        let Some(wait) = self.by_digest.remove(digest) else { return false };
        self.by_height.remove(&(wait.height, *digest));
        self.bytes = self.bytes.saturating_sub(cost(wait.bytes));
        true
    }

    /// Keeps a batch at least until a height is decided.
    fn hold(&mut self, digest: B256, height: Height, named: bool) {
        if let Some(&Wait { height: before, bytes, named: already }) = self.by_digest.get(&digest) {
            let height = before.max(height);
            self.insert(digest, Wait { height, bytes, named: already || named });
        }
    }

    /// Keeps the batches that a stored block names, also those that are still to come.
    pub(crate) fn hold_all(&mut self, digests: impl Iterator<Item = B256>, height: Height) {
        for digest in digests {
            if self.by_digest.contains_key(&digest) {
                self.hold(digest, height, true);
            } else {
                let highest = self.expected.entry(digest).or_insert(height);
                *highest = height.max(*highest);
            }
        }
    }

    /// A batch that comes when `height` is the first that may name it.
    fn arrival(&self, digest: &B256, height: Height, bytes: &[u8]) -> Wait {
        let expected = self.expected.get(digest);
        Wait {
            height: expected.map_or(height, |highest| height.max(*highest)),
            bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            named: expected.is_some(),
        }
    }

    /// Final blocks up to a height name these batches.
    pub(crate) fn decide(&mut self, named: &[B256], tip: Height) {
        for digest in named {
            self.remove(digest);
        }
        self.expected.retain(|_, height| *height > tip);
    }

    /// Up to `limit` batches that came, or were last named, below a height.
    fn older_than(&self, below: Height, limit: usize) -> Vec<B256> {
        let old = self.by_height.iter().take_while(|(height, _)| *height < below);
        old.take(limit).map(|(_, digest)| *digest).collect()
    }
}

fn cost(bytes: u32) -> u64 {
    u64::from(bytes).saturating_add(OVERHEAD_BYTES)
}

impl Store {
    /// Stores batches by digest, in one write. `bytes` is the canonical encoding of the `Batch` of that digest, which the
    /// caller has checked. With `sync` they are durable on return; without, they are with the next synced write.
    ///
    /// # Errors
    /// [`StorageError::BatchSpace`] if they are only offered and there is no room for all of them; or if the write fails.
    pub fn put_batches(
        &self,
        batches: &[(B256, &[u8])],
        demand: Demand,
        sync: bool,
    ) -> Result<(), StorageError> {
        self.add_batches(batches, demand)?;
        if sync { self.sync() } else { Ok(()) }
    }

    fn add_batches(&self, batches: &[(B256, &[u8])], demand: Demand) -> Result<(), StorageError> {
        let inner = &*self.inner;
        inner.check_poison()?;
        let mut waiting = inner.lock_batches()?;
        let height = self.committed_tip()?.0.saturating_add(1);
        let (bodies, waits) = (inner.cf(Column::Batches)?, inner.cf(Column::BatchWaits)?);
        let (mut batch, mut new) = (WriteBatch::default(), BTreeMap::new());
        let (mut bytes, mut late) = (waiting.bytes, BTreeMap::new());
        for (digest, body) in batches {
            if waiting.by_digest.contains_key(digest) || new.contains_key(digest) {
                continue;
            }
            if inner.contains(Column::BatchNames, digest.as_slice())? {
                if !inner.contains(Column::Batches, digest.as_slice())? {
                    late.insert(*digest, *body);
                }
                continue;
            }
            let wait = waiting.arrival(digest, height, body);
            bytes = bytes.saturating_add(cost(wait.bytes));
            batch.put_cf(waits, digest, codec::encode(&(wait.height, wait.bytes)));
            new.insert(*digest, (wait, *body));
        }
        let limit = inner.config().unnamed_batch_bytes;
        if demand == Demand::Offered && bytes > limit && !new.is_empty() {
            return Err(StorageError::BatchSpace { held: waiting.bytes, limit });
        }
        late.extend(new.iter().map(|(digest, (_, body))| (*digest, *body)));
        let written: Vec<&[u8]> = late.values().copied().collect();
        let places = inner.bodies().append(&written).map_err(|e| inner.disk_failed(&e))?;
        for (digest, place) in late.keys().zip(places) {
            batch.put_cf(bodies, digest, codec::encode(&place));
        }
        if !batch.is_empty() {
            inner.write(batch, false)?;
        }
        for (digest, _) in batches {
            waiting.hold(*digest, height, false);
        }
        for (digest, (wait, _)) in new {
            waiting.expected.remove(&digest);
            waiting.insert(digest, wait);
        }
        Ok(())
    }

    /// Makes the bodies of all stored batches durable now, so that the next synced write has little left to wait for. The
    /// rows that name them become durable with that write.
    ///
    /// # Errors
    /// If the disk refuses; the store is poisoned.
    pub fn sync_batches(&self) -> Result<(), StorageError> {
        self.inner.check_poison()?;
        self.inner.sync_bodies()
    }

    /// A stored batch.
    ///
    /// # Errors
    /// If the read fails.
    pub fn batch(&self, digest: B256) -> Result<Option<Batch>, StorageError> {
        self.batch_bytes(digest)?.map(|bytes| decode(Column::Batches, &bytes)).transpose()
    }

    /// The canonical encoding of a stored batch.
    ///
    /// # Errors
    /// If the read fails.
    pub fn batch_bytes(&self, digest: B256) -> Result<Option<Vec<u8>>, StorageError> {
        let inner = &*self.inner;
        let Some(place) = inner.read(Column::Batches, digest.as_slice())? else { return Ok(None) };
        match inner.bodies().read(place) {
            Ok(Some(body)) if hash(Domain::Batch, &body) == digest => Ok(Some(body)),
            // It was pruned since its row was read.
            Ok(_) if !inner.contains(Column::Batches, digest.as_slice())? => Ok(None),
            Ok(_) => Err(inner.body_damaged(digest)),
            Err(error) => Err(inner.body_unreadable(&error)),
        }
    }

    /// Whether a batch is stored.
    ///
    /// # Errors
    /// If the read fails.
    pub fn has_batch(&self, digest: B256) -> Result<bool, StorageError> {
        Ok(self.has_batches(&[digest])?.contains(&true))
    }

    /// Which of some batches are stored, in their order.
    ///
    /// # Errors
    /// If a read fails.
    pub fn has_batches(&self, digests: &[B256]) -> Result<Vec<bool>, StorageError> {
        let inner = &*self.inner;
        let waiting = inner.lock_batches()?;
        let held = |digest: &B256| {
            Ok(waiting.by_digest.contains_key(digest)
                || inner.contains(Column::BatchNames, digest.as_slice())?
                    && inner.contains(Column::Batches, digest.as_slice())?)
        };
        digests.iter().map(held).collect()
    }

    /// How many batches no final block names, and what they take.
    ///
    /// # Errors
    /// If another thread panicked while it held them.
    pub fn unnamed_batches(&self) -> Result<UnnamedBatches, StorageError> {
        let waiting = self.inner.lock_batches()?;
        Ok(UnnamedBatches { count: waiting.by_digest.len(), bytes: waiting.bytes })
    }

    /// Removes batches that no final block names and that came, or were last named by a stored block, below a height: at
    /// most `limit` of them, the oldest first. Returns how many went.
    ///
    /// # Errors
    /// If `below` is above the height after the committed tip, or the store fails.
    pub fn expire_batches(&self, below: Height, limit: usize) -> Result<usize, StorageError> {
        let (tip, _) = self.committed_tip()?;
        if below > tip.saturating_add(1) {
            return Err(StorageError::HeightGap { what: "committed", tip, got: below });
        }
        let mut waiting = self.inner.lock_batches()?;
        let old = waiting.older_than(below, limit);
        remove_waiting(&self.inner, &mut waiting, &old)?;
        Ok(old.len())
    }

    /// Removes those of some batches that no block names, stored or final. Returns how many went.
    ///
    /// # Errors
    /// If the store fails.
    pub fn delete_batches(&self, digests: &[B256]) -> Result<usize, StorageError> {
        let mut waiting = self.inner.lock_batches()?;
        let nameless: BTreeSet<B256> = digests
            .iter()
            .copied()
            .filter(|digest| waiting.by_digest.get(digest).is_some_and(|wait| !wait.named))
            .collect();
        let nameless: Vec<B256> = nameless.into_iter().collect();
        remove_waiting(&self.inner, &mut waiting, &nameless)?;
        Ok(nameless.len())
    }
}

fn remove_waiting(
    inner: &Inner,
    waiting: &mut Waiting,
    digests: &[B256],
) -> Result<(), StorageError> {
    if digests.is_empty() {
        return Ok(());
    }
    let mut batch = WriteBatch::default();
    for digest in digests {
        delete_body(inner, &mut batch, digest)?;
        batch.delete_cf(inner.cf(Column::BatchWaits)?, digest);
    }
    inner.write(batch, false)?;
    for digest in digests {
        waiting.remove(digest);
    }
    Ok(())
}

/// Removes a body in a write, and its segment when that was the last of it.
fn delete_body(inner: &Inner, batch: &mut WriteBatch, digest: &B256) -> Result<(), StorageError> {
    if let Some(place) = inner.read(Column::Batches, digest.as_slice())? {
        inner.bodies().forget(place);
    }
    batch.delete_cf(inner.cf(Column::Batches)?, digest);
    Ok(())
}

/// Counts the bodies that rows name, and makes those written last durable, since a killed process need not have. Bodies
/// that a crash tore are dropped: what a vote relied on was durable before it.
pub(crate) fn check_bodies(inner: &Inner) -> Result<(), StorageError> {
    let bodies = inner.bodies();
    bodies.settle().map_err(|e| inner.disk_failed(&e))?;
    let last = bodies.last_written();
    let (mut torn, mut dropped) = (WriteBatch::default(), 0u64);
    for row in inner.range(Column::Batches, &[], &[0xff; 33])? {
        let (digest, value) = row?;
        let place: Place = decode(Column::Batches, &value)?;
        let read = |place| bodies.read(place).map_err(|e| inner.body_unreadable(&e));
        let whole = Some(place.segment) != last
            || read(place)?.is_some_and(|body| hash(Domain::Batch, &body)[..] == *digest);
        if !(whole && bodies.count(place)) {
            torn.delete_cf(inner.cf(Column::Batches)?, &digest);
            torn.delete_cf(inner.cf(Column::BatchWaits)?, &digest);
            dropped = dropped.saturating_add(1);
        }
    }
    bodies.sweep();
    if dropped == 0 {
        return Ok(());
    }
    tracing::warn!(
        dropped,
        "batches that were not stored to their end are dropped, to be fetched again"
    );
    inner.write(torn, false)
}

/// Notes in a write that the block which becomes final at a height names these batches.
pub(crate) fn name_batches(
    inner: &Inner,
    batch: &mut WriteBatch,
    height: Height,
    digests: &[u8],
) -> Result<Vec<B256>, StorageError> {
    let named = split_digests(Column::BlockIndex, digests)?;
    if !named.is_empty() {
        batch.put_cf(inner.cf(Column::BatchLists)?, height_key(height), digests);
    }
    for digest in &named {
        batch.put_cf(inner.cf(Column::BatchNames)?, digest, codec::encode(&height));
        batch.delete_cf(inner.cf(Column::BatchWaits)?, digest);
    }
    Ok(named)
}

/// Removes in a write the batches that no final block above a height names.
pub(crate) fn forget_batches(
    inner: &Inner,
    batch: &mut WriteBatch,
    height: Height,
) -> Result<(), StorageError> {
    let Some(digests) = inner.get(Column::BatchLists, &height_key(height))? else { return Ok(()) };
    for digest in split_digests(Column::BatchLists, &digests)? {
        let last: Option<Height> = inner.read(Column::BatchNames, digest.as_slice())?;
        if last == Some(height) {
            delete_body(inner, batch, &digest)?;
            batch.delete_cf(inner.cf(Column::BatchNames)?, digest);
        }
    }
    batch.delete_cf(inner.cf(Column::BatchLists)?, height_key(height));
    Ok(())
}

/// Reads which batches wait, and which of them blocks above the committed tip name.
pub(crate) fn load_waiting(inner: &Inner, tip: Height) -> Result<Waiting, StorageError> {
    let mut waiting = Waiting::default();
    for row in inner.range(Column::BatchWaits, &[], &[0xff; 33])? {
        let (digest, value) = row?;
        let digest = B256::try_from(&*digest).map_err(|_| missing("a digest of 32 bytes"))?;
        let (height, bytes) = decode(Column::BatchWaits, &value)?;
        waiting.insert(digest, Wait { height, bytes, named: false });
    }
    let undecided = height_key(tip.saturating_add(1));
    for row in inner.range(Column::BlockIndex, &undecided, &[0xff; 41])? {
        let (key, digests) = row?;
        let height = crate::columns::height_of(&key).ok_or_else(|| missing("a block's height"))?;
        let digests = split_digests(Column::BlockIndex, &digests)?;
        waiting.hold_all(digests.into_iter(), height);
    }
    Ok(waiting)
}
