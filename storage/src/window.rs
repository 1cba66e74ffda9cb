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
    changes::{pack_earlier, unpack_changes},
    columns::{Column, height_key, history_key},
    error::StorageError,
    store::{Inner, missing},
};

/// Parts that are locked apart: execution reads while the block before is written.
const SHARDS: usize = 16;

/// Bytes that a key holds; none if nothing.
pub(crate) type Held = Option<Vec<u8>>;
/// A flat key with what it held before a block and holds after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: Vec<u8>,
    pub(crate) before: Held,
    pub(crate) after: Held,
}

/// What a key held at the base, and after each block that changed it.
#[derive(Debug)]
struct Values {
    before: Held,
    after: Vec<(Height, Held)>,
}

impl Values {
    fn at(&self, height: Height) -> Option<&[u8]> {
        let changes = self.after.partition_point(|(at, _)| *at <= height);
        let last = changes.checked_sub(1).map(|last| &self.after[last].1);
        last.unwrap_or(&self.before).as_deref()
    }
}

/// The changes above a base: the height that `state` and `history` have come to. As many as a tree takes before it is
/// saved, and those of one block.
#[derive(Debug)]
pub(crate) struct Window {
    base: Height,
    shards: Vec<RwLock<HashMap<Vec<u8>, Values>>>,
}

impl Window {
    pub(crate) fn new(base: Height) -> Self {
        Self { base, shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }

    /// The window of a store whose tip lies above the base.
    pub(crate) fn load(inner: &Inner, base: Height, tip: Height) -> Result<Self, StorageError> {
        let window = Self::new(base);
        for height in base.saturating_add(1)..=tip {
            let row = inner.get(Column::Changed, &height_key(height))?;
            let row = row.ok_or_else(|| missing(format!("what block {height} changed")))?;
            let change = |(key, after): (&[u8], Option<&[u8]>)| {
                let before = inner.get(Column::State, key)?;
                Ok(Change { key: key.to_vec(), before, after: after.map(<[u8]>::to_vec) })
            };
            let changes = unpack_changes(&row)?.into_iter().map(change);
            window.add(height, changes.collect::<Result<_, StorageError>>()?);
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
        shard.get(key).map(|values| values.at(height).map(<[u8]>::to_vec))
    }

    /// Takes the changes of the next block. To be called before a view of that height can exist.
    pub(crate) fn add(&self, height: Height, changes: Vec<Change>) {
        for Change { key, before, after } in changes {
            let mut shard = self.shard(&key).write().unwrap_or_else(PoisonError::into_inner);
            let values = shard.entry(key).or_insert(Values { before, after: Vec::new() });
            values.after.push((height, after));
        }
    }

    /// What the keys changed above the base held at a height, not below it, in order of the keys.
    pub(crate) fn at(&self, height: Height) -> BTreeMap<Vec<u8>, Held> {
        let mut held = BTreeMap::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let values = |(key, values): (&Vec<u8>, &Values)| {
                (key.clone(), values.at(height).map(<[u8]>::to_vec))
            };
            held.extend(shard.iter().map(values));
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
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            for (key, values) in shard.iter() {
                match values.at(tip) {
                    Some(value) => batch.put_cf(state, key, value),
                    None => batch.delete_cf(state, key),
                }
                let after = values.after.iter().map(|(_, held)| held.as_deref());
                let before = std::iter::once(values.before.as_deref()).chain(after);
                let heights = values.after.iter().map(|(height, _)| *height);
                let row = pack_earlier(heights.zip(before));
                batch.put_cf(history, history_key(key, tip), row);
            }
        }
        Ok(())
    }

    /// The part of a key. Addresses and slots differ in their last bytes; whoever grinds them makes threads wait for each
    /// other, no more.
    fn shard(&self, key: &[u8]) -> &RwLock<HashMap<Vec<u8>, Values>> {
        &self.shards[usize::from(key.last().copied().unwrap_or_default()) % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: u8, before: Option<u8>, after: Option<u8>) -> Change {
        let held = |value: Option<u8>| value.map(|value| vec![value]);
        Change { key: vec![key], before: held(before), after: held(after) }
    }

    #[test]
    fn a_key_holds_at_each_height_what_the_last_block_up_to_it_left() {
        let window = Window::new(10);
        window.add(11, vec![change(1, None, Some(1)), change(2, Some(8), None)]);
        window.add(13, vec![change(1, Some(1), Some(3))]);
        let at = |key: u8, height| window.get(&[key], height);
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
