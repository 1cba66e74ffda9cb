//! The values that the newest blocks changed, until they are written to their places.
//!
//! A block's changes are written once, as one row of `changed`. When the tree is saved, what changed since it was saved
//! before goes to `state` and `history`: a key that many blocks changed is written once there. Till then the values stand
//! here, by height, and are read before those columns. A store that is opened takes them from `changed`.
//!
//! A view holds the window that it was made with, for as long as it lives. That window may be older than the view's
//! snapshot of the database, not newer: `state` may have its values already, which are the same then.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use alloy_primitives::map::HashMap;
use neura_types::Height;
use rocksdb::WriteBatch;

use crate::{
    changes::{append_earlier, unpack_changes},
    columns::{Column, height_key},
    error::StorageError,
    short::{FlatKey, FlatValue},
    store::{Inner, missing},
};

/// Parts that are locked apart: execution reads while the block before is written.
const SHARDS: usize = 16;

/// Bytes that a key holds; none if nothing.
pub(crate) type Held = Option<FlatValue>;
/// A flat key with what it held before a block and holds after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: FlatKey,
    pub(crate) before: Held,
    pub(crate) after: Held,
}

/// What a key holds since a height.
#[derive(Debug)]
struct Entry {
    since: Height,
    held: Held,
    /// Place of what it held before; none for what it held at the base.
    earlier: Option<usize>,
}

/// Keys with their values, in one piece.
#[derive(Debug, Default)]
struct Shard {
    /// Place of a key's newest value.
    newest: HashMap<FlatKey, usize>,
    entries: Vec<Entry>,
}

impl Shard {
    /// A key's values from a place on, the newest first, the last one that at the base.
    fn values(&self, newest: usize) -> impl Iterator<Item = &Entry> {
        let entry = |place: usize| self.entries.get(place);
        std::iter::successors(entry(newest), move |value| entry(value.earlier?))
    }

    fn at(&self, newest: usize, height: Height) -> Held {
        self.values(newest).find(|value| value.since <= height).and_then(|value| value.held)
    }

    fn push(&mut self, since: Height, held: Held, earlier: Option<usize>) -> usize {
        self.entries.push(Entry { since, held, earlier });
        self.entries.len() - 1
    }
}

/// The changes above a base: the height that `state` and `history` have come to. As many as a tree takes before it is
/// saved, and those of one block.
#[derive(Debug)]
pub(crate) struct Window {
    base: Height,
    shards: Vec<RwLock<Shard>>,
}

impl Window {
    pub(crate) fn new(base: Height) -> Self {
        Self { base, shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }

    /// The window of a store whose tip lies above the base.
    pub(crate) fn load(inner: &Inner, base: Height, tip: Height) -> Result<Self, StorageError> {
        let window = Self::new(base);
        let held = |bytes: &[u8]| FlatValue::new(bytes);
        for height in base.saturating_add(1)..=tip {
            let row = inner.get(Column::Changed, &height_key(height))?;
            let row = row.ok_or_else(|| missing(format!("what block {height} changed")))?;
            let change = |(key, after): (&[u8], Option<&[u8]>)| {
                let before = inner.get(Column::State, key)?.as_deref().map(held).transpose()?;
                let after = after.map(held).transpose()?;
                Ok(Change { key: FlatKey::new(key)?, before, after })
            };
            let changes = unpack_changes(&row)?.into_iter().map(change);
            window.add(height, &changes.collect::<Result<Vec<_>, StorageError>>()?);
        }
        Ok(window)
    }

    /// The height above which it holds all changes.
    pub(crate) const fn base(&self) -> Height {
        self.base
    }

    /// What a key held at a height, not below the base; none if no block above the base changed it.
    pub(crate) fn get(&self, key: &[u8], height: Height) -> Option<Held> {
        let shard = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
        shard.newest.get(key).map(|newest| shard.at(*newest, height))
    }

    /// Takes the changes of the next block. To be called before a view of that height can exist.
    pub(crate) fn add(&self, height: Height, changes: &[Change]) {
        for Change { key, before, after } in changes {
            let mut shard = self.shard(key).write().unwrap_or_else(PoisonError::into_inner);
            let earlier = match shard.newest.get(key) {
                Some(newest) => *newest,
                None => shard.push(self.base, *before, None),
            };
            let newest = shard.push(height, *after, Some(earlier));
            shard.newest.insert(*key, newest);
        }
    }

    /// What the keys changed above the base held at a height, not below it, in order of the keys.
    pub(crate) fn at(&self, height: Height) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let mut held = BTreeMap::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let value = |newest: &usize| shard.at(*newest, height).map(|value| value.to_vec());
            held.extend(shard.newest.iter().map(|(key, newest)| (key.to_vec(), value(newest))));
        }
        held
    }

    /// Writes everything to its place, up to the tip.
    pub(crate) fn write(
        &self,
        inner: &Inner,
        batch: &mut WriteBatch,
        tip: Height,
    ) -> Result<(), StorageError> {
        let (state, history) = (inner.cf(Column::State)?, inner.cf(Column::History)?);
        let (mut row, mut row_key, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            for (key, newest) in &shard.newest {
                values.clear();
                values.extend(shard.values(*newest).map(|value| (value.since, value.held)));
                match values.first() {
                    Some((_, Some(value))) => batch.put_cf(state, &**key, &**value),
                    _ => batch.delete_cf(state, &**key),
                }
                row.clear();
                for pair in values.windows(2).rev() {
                    let [(height, _), (_, before)] = pair else { continue };
                    append_earlier(&mut row, (*height, before.as_deref()));
                }
                row_key.clear();
                row_key.extend_from_slice(key);
                row_key.extend_from_slice(&height_key(tip));
                batch.put_cf(history, &row_key, &row);
            }
        }
        Ok(())
    }

    /// The part of a key. Addresses and slots differ in their last bytes; whoever grinds them makes threads wait for each
    /// other, no more.
    fn shard(&self, key: &[u8]) -> &RwLock<Shard> {
        &self.shards[usize::from(key.last().copied().unwrap_or_default()) % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: u8, before: Option<u8>, after: Option<u8>) -> Change {
        let held = |value: Option<u8>| value.map(|value| FlatValue::new(&[value]).expect("short"));
        let key = FlatKey::new(&[key]).expect("short");
        Change { key, before: held(before), after: held(after) }
    }

    #[test]
    fn a_key_holds_at_each_height_what_the_last_block_up_to_it_left() {
        let window = Window::new(10);
        window.add(11, &[change(1, None, Some(1)), change(2, Some(8), None)]);
        window.add(13, &[change(1, Some(1), Some(3))]);
        let at =
            |key: u8, height| window.get(&[key], height).map(|held| held.map(|held| held.to_vec()));
        assert_eq!([at(1, 10), at(2, 10)], [Some(None), Some(Some(vec![8]))]);
        assert_eq!(
            [at(1, 11), at(1, 12), at(2, 12)],
            [Some(Some(vec![1])), Some(Some(vec![1])), Some(None)]
        );
        assert_eq!([at(1, 13), at(1, Height::MAX)], [Some(Some(vec![3])), Some(Some(vec![3]))]);
        assert_eq!(at(3, 13), None, "no block changed it");
        let all = window.at(12);
        assert_eq!(all, BTreeMap::from([(vec![1], Some(vec![1])), (vec![2], None)]));
    }
}
