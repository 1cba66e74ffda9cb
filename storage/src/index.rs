//! Find receipts, transactions and logs.

use alloy_primitives::{Address, B256, Bloom, BloomInput};
use neura_types::{BlockId, Height, Log, Receipt};

use crate::{
    columns::{Column, height_key, split_receipt_place},
    error::StorageError,
    record::{ExecutedRecord, TxLocation},
    sections::{Wanted, section_end},
    store::{Store, decode, missing},
};

/// Most blocks that one log query spans: the sections that lack what it asks for are skipped, the blooms of the others
/// are read one by one.
pub const MAX_LOG_RANGE: u64 = 100_000;
/// Most blocks of which one log query reads the receipts: full ones, a second's work.
pub const MAX_LOG_BLOCKS: u64 = 10_000;

/// Which logs are asked for, with the meaning that `eth_getLogs` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogFilter {
    /// Emitters; empty for any.
    pub addresses: Vec<Address>,
    /// Per topic position the values allowed; an empty list, and every position after the last list, for any.
    pub topics: Vec<Vec<B256>>,
}

impl LogFilter {
    /// Whether a log is asked for.
    pub fn matches(&self, log: &Log) -> bool {
        let address = self.addresses.is_empty() || self.addresses.contains(&log.address);
        let topics = self.topics.len() <= log.topics.len()
            && self
                .topics
                .iter()
                .zip(&log.topics)
                .all(|(allowed, topic)| allowed.is_empty() || allowed.contains(topic));
        address && topics
    }

    /// Whether a block with this bloom can hold such a log.
    pub fn may_match(&self, bloom: &Bloom) -> bool {
        let holds = |bytes: &[u8]| bloom.contains_input(BloomInput::Raw(bytes));
        let address =
            self.addresses.is_empty() || self.addresses.iter().any(|a| holds(a.as_slice()));
        address
            && self.topics.iter().all(|allowed| {
                allowed.is_empty() || allowed.iter().any(|topic| holds(topic.as_slice()))
            })
    }
}

/// A log with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLog {
    /// Height of its block.
    pub height: Height,
    /// Id of its block.
    pub block: BlockId,
    /// Time of its block, in milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Hash of its transaction and position of that receipt; none for a log of the block's end.
    pub tx: Option<(B256, u32)>,
    /// Position among all logs of the block.
    pub log_index: u32,
    /// The log.
    pub log: Log,
}

/// A search for logs under way.
struct Search<'a> {
    filter: &'a LogFilter,
    limit: usize,
    /// Blocks whose receipts were read.
    blocks: u64,
    found: Vec<FoundLog>,
}

impl Store {
    /// Receipts of a block, in order; none if it is not executed or no longer kept.
    ///
    /// # Errors
    /// If a read fails.
    pub fn receipts(&self, height: Height) -> Result<Option<Vec<Receipt>>, StorageError> {
        let Some(record) = self.executed(height)? else { return Ok(None) };
        if self.imported_height()? == Some(height) {
            return Ok(None);
        }
        let receipts = self.stored_receipts(height)?;
        if receipts.len() == record.included.len() {
            Ok(Some(receipts))
        } else {
            Err(missing(format!("a receipt of block {height}")))
        }
    }

    /// Where a transaction was executed; none if it was not, or is no longer kept.
    ///
    /// # Errors
    /// If the read fails.
    pub fn transaction(&self, hash: B256) -> Result<Option<TxLocation>, StorageError> {
        Ok(self.receipt(hash)?.map(|(location, _)| location))
    }

    /// Receipt of a transaction with its place.
    ///
    /// # Errors
    /// If a read fails.
    pub fn receipt(&self, hash: B256) -> Result<Option<(TxLocation, Receipt)>, StorageError> {
        let Some(place) = self.inner.get(Column::TxIndex, hash.as_slice())? else {
            return Ok(None);
        };
        let (height, index) = split_receipt_place(&place)?;
        let found = self.inner.receipt_row(height, |row| row.get(index))?;
        // Pruning may have passed it meanwhile.
        let (Some((receipt, payload_index, first_log_index)), Some(block)) =
            (found, self.block_id_at(height)?)
        else {
            return Ok(None);
        };
        let location = TxLocation { height, block, index, payload_index, first_log_index };
        Ok(Some((location, receipt)))
    }

    /// Logs of the blocks `from..=to` that match, in order.
    ///
    /// # Errors
    /// If the range spans more than [`MAX_LOG_RANGE`] blocks or begins below what is kept, more than [`MAX_LOG_BLOCKS`] of
    /// its blocks must be read in full, more than `limit` logs match, or a read fails.
    pub fn logs(
        &self,
        from: Height,
        to: Height,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<Vec<FoundLog>, StorageError> {
        let blocks = to.saturating_add(1).saturating_sub(from);
        if blocks > MAX_LOG_RANGE {
            return Err(StorageError::RangeTooWide { blocks, limit: MAX_LOG_RANGE });
        }
        let oldest = match self.imported_height()? {
            Some(base) => self.oldest_height()?.max(base.saturating_add(1)),
            None => self.oldest_height()?,
        };
        if from < oldest && from <= to {
            return Err(StorageError::Pruned { height: from, oldest });
        }
        let wanted = Wanted::by(filter);
        let mut search = Search { filter, limit, blocks: 0, found: Vec::new() };
        let mut next = from;
        while next <= to {
            let last = section_end(next).min(to);
            if wanted.may_be_in(&self.inner, next)? {
                self.search_logs(next, last, &mut search)?;
            }
            next = last.saturating_add(1);
        }
        Ok(search.found)
    }

    /// Searches some blocks one by one.
    fn search_logs(
        &self,
        from: Height,
        to: Height,
        search: &mut Search<'_>,
    ) -> Result<(), StorageError> {
        let above = height_key(to.saturating_add(1));
        for row in self.inner.range(Column::Executed, &height_key(from), &above)? {
            let (_, bytes) = row?;
            let record: ExecutedRecord = decode(Column::Executed, &bytes)?;
            if !search.filter.may_match(&record.bloom) {
                continue;
            }
            if search.blocks == MAX_LOG_BLOCKS {
                let searched = record.root.height.saturating_sub(1);
                return Err(StorageError::RangeTooDense { limit: MAX_LOG_BLOCKS, searched });
            }
            search.blocks += 1;
            self.collect_logs(&record, search.filter, &mut search.found)?;
            if search.found.len() > search.limit {
                return Err(StorageError::TooManyLogs { limit: search.limit });
            }
        }
        Ok(())
    }

    fn collect_logs(
        &self,
        record: &ExecutedRecord,
        filter: &LogFilter,
        found: &mut Vec<FoundLog>,
    ) -> Result<(), StorageError> {
        let height = record.root.height;
        let receipts = self.stored_receipts(height)?;
        let of_transactions = receipts.iter().zip(0u32..).flat_map(|(receipt, index)| {
            receipt.logs.iter().map(move |log| (Some((receipt.tx_hash, index)), log))
        });
        let of_block = record.block_logs.iter().map(|log| (None, log));
        let matching = of_transactions
            .chain(of_block)
            .zip(0u32..)
            .filter(|((_, log), _)| filter.matches(log))
            .map(|((tx, log), log_index)| FoundLog {
                height,
                block: record.id,
                timestamp_ms: record.timestamp_ms,
                tx,
                log_index,
                log: log.clone(),
            });
        found.extend(matching);
        Ok(())
    }

    /// Receipts that are stored for a height, in order.
    pub(crate) fn stored_receipts(&self, height: Height) -> Result<Vec<Receipt>, StorageError> {
        Ok(self.inner.receipt_row(height, |row| row.all())?.unwrap_or_default())
    }
}
