//! Go through the values of a state in order.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use rocksdb::ReadOptions;

use super::StateView;
use crate::{
    changes::before_next,
    columns::Column,
    error::StorageError,
    store::{Row, missing},
};

/// Flat keys, in order, with what they hold.
type HeldValues<'a> = Box<dyn Iterator<Item = Result<HeldValue, StorageError>> + 'a>;
/// A flat key with what it holds; none if nothing.
type HeldValue = (Vec<u8>, Option<Vec<u8>>);

impl StateView<'_> {
    /// Visits every flat key with its value at this height, in order of the keys.
    pub(crate) fn for_each<E: From<StorageError>>(
        &self,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut saved = self.rows(Column::State)?;
        let mut others = self.other_values()?;
        let mut row = saved.next().transpose()?;
        let mut other = others.next().transpose()?;
        while row.is_some() || other.is_some() {
            let replaced = match (&row, &other) {
                (Some((key, _)), Some((changed, _))) if **key < **changed => None,
                (_, changed) => changed.as_ref(),
            };
            if let Some((key, value)) = replaced {
                if let Some(value) = value {
                    visit(key, value)?;
                }
                if row.as_ref().is_some_and(|(saved, _)| **saved == **key) {
                    row = saved.next().transpose()?;
                }
                other = others.next().transpose()?;
            } else if let Some((key, value)) = &row {
                visit(key, value)?;
                row = saved.next().transpose()?;
            }
        }
        Ok(())
    }

    /// The keys that may hold something else at this height than when the state was saved, in order, with what that is.
    fn other_values(&self) -> Result<HeldValues<'_>, StorageError> {
        if self.height >= self.window.base() {
            return Ok(Box::new(self.window.at(self.height).into_iter().map(Ok)));
        }
        let mut last = Vec::new();
        let rows = self.rows(Column::History)?.filter_map(move |row| {
            let other = row.and_then(|(key, row)| {
                let (flat, _) = key
                    .split_last_chunk::<8>()
                    .ok_or_else(|| missing("the height of an earlier value"))?;
                let before = before_next(&row, self.height)?.filter(|_| last != flat);
                Ok(before.map(|before| (flat.to_vec(), before.map(<[u8]>::to_vec))))
            });
            if let Ok(Some((key, _))) = &other {
                last.clone_from(key);
            }
            other.transpose()
        });
        Ok(Box::new(rows))
    }

    /// The storage words of an account at the newest height, by their flat keys.
    pub(crate) fn storage_of(
        &self,
        address: Address,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StorageError> {
        let first = [&[1u8], address.as_slice(), &[0; 32]].concat();
        let above = [&[1u8], address.as_slice(), &[0xff; 33]].concat();
        let saved = self.inner.range(Column::State, &first, &above)?;
        let saved = saved.map(|row| row.map(|(key, value)| (key.into_vec(), value.into_vec())));
        let mut words: BTreeMap<_, _> = saved.collect::<Result<_, _>>()?;
        for (key, held) in self.window.at(self.height).range(first..above) {
            match held {
                Some(value) => words.insert(key.clone(), value.clone()),
                None => words.remove(key),
            };
        }
        Ok(words)
    }

    /// All rows of a column, in order; they pass the cache by.
    fn rows(&self, column: Column) -> Result<impl Iterator<Item = Row> + '_, StorageError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_total_order_seek(true);
        let start = rocksdb::IteratorMode::Start;
        let rows = self.snapshot.iterator_cf_opt(self.inner.cf(column)?, options, start);
        Ok(rows.map(move |row| row.map_err(|e| self.inner.read_failed(column, e))))
    }
}
