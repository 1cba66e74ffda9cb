//! Know which sections of the chain hold no log that is asked for, without looking at their blocks.
//!
//! # Design
//! A section is [`SECTION`] blocks. When its last block is executed, the fingerprints of all addresses and topics of its
//! logs are written in order, in one row; a query looks them up there and skips the sections that lack one. A bloom for
//! so many blocks would be full on a busy chain and mostly empty on a quiet one; this row is as long as its logs are
//! various. A section without a row is searched block by block: one that is not whole yet, that was executed by more
//! than one process, or that has more than [`MAX_PRINTS`] fingerprints, so that hardly a query could skip it.

use std::collections::BTreeSet;

use alloy_primitives::{B256, Bloom, BloomInput, keccak256};
use neura_types::{Height, Log};

use crate::{
    columns::{Column, height_key},
    error::StorageError,
    index::LogFilter,
    store::Inner,
};

/// Blocks of a section: a range of 100,000 has some 800, each one read.
pub(crate) const SECTION: u64 = 128;
/// Fingerprints of one section: a row of 16 KiB.
const MAX_PRINTS: usize = 4_096;

/// Number of the section of a height.
pub(crate) const fn section_of(height: Height) -> u64 {
    height / SECTION
}

/// Last height of the section of a height.
pub(crate) const fn section_end(height: Height) -> Height {
    height | (SECTION - 1)
}

/// What stands for an address or topic in a section's row: four bytes of its hash that its bloom does not look at.
fn print_of(hash: &B256) -> u32 {
    u32::from_be_bytes([hash[8], hash[9], hash[10], hash[11]])
}

/// The bloom of a block's logs and their fingerprints.
#[derive(Debug, Default)]
pub(crate) struct LogKeys {
    pub(crate) bloom: Bloom,
    prints: BTreeSet<u32>,
}

impl LogKeys {
    /// Hashes each address and topic once, however often logs repeat it.
    pub(crate) fn of<'a>(logs: impl Iterator<Item = &'a Log>) -> Self {
        let mut keys = BTreeSet::new();
        for log in logs {
            keys.insert(log.address.as_slice());
            keys.extend(log.topics.iter().map(B256::as_slice));
        }
        let mut all = Self::default();
        for key in keys {
            let hash = keccak256(key);
            all.bloom.accrue(BloomInput::Hash(hash));
            all.prints.insert(print_of(&hash));
        }
        all
    }
}

/// The fingerprints of the section that is being executed.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    /// The height that follows those gathered from the section's first on.
    next: Option<Height>,
    prints: BTreeSet<u32>,
}

impl Gathering {
    /// Takes an executed block in; returns the row of its section if it is the last of it and all were seen.
    pub(crate) fn add(&mut self, height: Height, keys: &LogKeys) -> Option<Vec<u8>> {
        // Genesis has no logs.
        if height.is_multiple_of(SECTION) || height == 1 {
            *self = Self { next: Some(height), prints: BTreeSet::new() };
        }
        if self.next != Some(height) {
            self.next = None;
            return None;
        }
        self.next = height.checked_add(1);
        self.prints.extend(&keys.prints);
        if self.prints.len() > MAX_PRINTS {
            *self = Self::default();
            return None;
        }
        let is_whole = height == section_end(height);
        is_whole.then(|| self.prints.iter().flat_map(|print| print.to_be_bytes()).collect())
    }
}

/// What a filter asks for, as sections know it: for each condition the fingerprints of which one must be there.
#[derive(Debug)]
pub(crate) struct Wanted(Vec<Vec<u32>>);

impl Wanted {
    pub(crate) fn by(filter: &LogFilter) -> Self {
        let print = |bytes: &[u8]| print_of(&keccak256(bytes));
        let addresses = filter.addresses.iter().map(|address| print(address.as_slice())).collect();
        let topics = filter.topics.iter();
        let topics = topics.map(|any| any.iter().map(|topic| print(topic.as_slice())).collect());
        let conditions = std::iter::once(addresses).chain(topics);
        Self(conditions.filter(|any: &Vec<u32>| !any.is_empty()).collect())
    }

    /// Whether the section of a height may hold what is asked for.
    pub(crate) fn may_be_in(&self, inner: &Inner, height: Height) -> Result<bool, StorageError> {
        if self.0.is_empty() {
            return Ok(true);
        }
        let Some(row) = inner.get(Column::LogSections, &height_key(section_of(height)))? else {
            return Ok(true);
        };
        let (prints, rest) = row.as_chunks::<4>();
        if !rest.is_empty() {
            let reason = "a fingerprint is cut".into();
            return Err(StorageError::Corrupt { column: Column::LogSections.name(), reason });
        }
        let holds = |print: &u32| prints.binary_search(&print.to_be_bytes()).is_ok();
        Ok(self.0.iter().all(|any| any.iter().any(holds)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy_primitives::{Address, Bytes};

    use super::*;

    fn log(number: u64) -> Log {
        let topics = vec![B256::from(alloy_primitives::U256::from(number))];
        Log { address: Address::repeat_byte(1), topics, data: Bytes::new() }
    }

    fn add(gathering: &mut Gathering, height: Height) -> Option<Vec<u8>> {
        gathering.add(height, &LogKeys::of([log(height)].iter()))
    }

    #[test]
    fn a_section_has_a_row_once_all_its_blocks_were_seen() {
        let mut gathering = Gathering::default();
        let rows: BTreeMap<_, _> =
            (1..3 * SECTION).filter_map(|at| Some((at, add(&mut gathering, at)?))).collect();
        let ends: Vec<_> = rows.keys().copied().collect();
        assert_eq!(ends, [SECTION - 1, 2 * SECTION - 1, 3 * SECTION - 1]);
        // The address, and a topic of each block; the first section lacks genesis.
        assert_eq!(rows[&(SECTION - 1)].len(), 4 * SECTION as usize);
        assert_eq!(rows[&(2 * SECTION - 1)].len(), 4 * (SECTION as usize + 1));
    }

    #[test]
    fn a_section_begun_in_its_middle_or_with_a_gap_has_none() {
        let mut gathering = Gathering::default();
        assert!((2..SECTION).all(|at| add(&mut gathering, at).is_none()));
        let gapped = (SECTION..2 * SECTION).filter(|at| *at != SECTION + 7);
        assert!(gapped.map(|at| add(&mut gathering, at)).all(|row| row.is_none()));
        assert!((2 * SECTION..3 * SECTION).filter_map(|at| add(&mut gathering, at)).count() == 1);
    }

    #[test]
    fn a_section_of_too_many_keys_has_none() {
        let mut gathering = Gathering::default();
        let many: Vec<Log> = (0..MAX_PRINTS as u64).map(log).collect();
        let full = LogKeys::of(many.iter());
        assert!(gathering.add(SECTION, &full).is_none());
        assert!((SECTION + 1..2 * SECTION).all(|at| add(&mut gathering, at).is_none()));
    }

    #[test]
    fn the_bloom_is_ethereums() {
        let logs = [log(1), log(2), log(1)];
        let mut bloom = Bloom::ZERO;
        for log in &logs {
            bloom.accrue_raw_log(log.address, &log.topics);
        }
        assert_eq!(LogKeys::of(logs.iter()).bloom, bloom);
    }
}
