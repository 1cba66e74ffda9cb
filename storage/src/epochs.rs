//! The chain of validator sets: one record per epoch, kept for ever.

use alloy_primitives::B256;
use neura_types::{
    Block, BlockId, Epoch, EpochConfig, Header, TimeoutCertificate, codec,
    hash::{Domain, hash_value},
};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};

use crate::{
    columns::Column,
    error::StorageError,
    store::{Store, decode},
};

/// An epoch: what held in it and, once it is over, how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Its blocks, validators and parameters.
    pub config: EpochConfig,
    /// Its last block; none while the epoch lasts.
    pub end: Option<EpochEnd>,
}

/// The last block of an epoch, which names the configuration of the next, with the proof that it is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochEnd {
    /// The block.
    pub block: ProvenHeader,
    /// Encoded `CommitProof` of the block, opaque here.
    pub proof: Vec<u8>,
}

/// A header with what its block's id covers besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenHeader {
    /// The header.
    pub header: Header,
    /// Digest of the certificate of the parent.
    pub justify: B256,
    /// Digest of the certificate that the view before timed out, if the block carries one.
    pub timeout: Option<B256>,
}

impl ProvenHeader {
    /// The header of a block.
    pub fn of(block: &Block) -> Self {
        Self {
            header: block.header.clone(),
            justify: block.justify.digest(),
            timeout: block.timeout.as_ref().map(TimeoutCertificate::digest),
        }
    }

    /// Id of the block.
    pub fn id(&self) -> BlockId {
        hash_value(Domain::Block, &(&self.header, self.justify, self.timeout))
    }
}

impl Store {
    /// Stores an epoch's record, durably.
    ///
    /// # Errors
    /// [`StorageError::Epoch`] if the record contradicts itself, or another configuration or end is stored; or if the
    /// write fails.
    pub fn put_epoch(&self, record: &EpochRecord) -> Result<(), StorageError> {
        let inner = &*self.inner;
        let epoch = record.config.epoch;
        let refuse = |reason| Err(StorageError::Epoch { epoch, reason });
        if let Some(end) = &record.end {
            let header = &end.block.header;
            if (header.epoch, header.height) != (epoch, record.config.last) {
                return refuse("the block at its end is not its last");
            }
            if header.next_epoch.is_none() {
                return refuse("the block at its end names no next epoch");
            }
        }
        let _chain = inner.lock_chain()?;
        if let Some(stored) = self.epoch(epoch)? {
            if stored.config != record.config {
                return refuse("another configuration is stored");
            }
            match (&stored.end, &record.end) {
                (Some(stored), Some(end)) if stored.block.id() != end.block.id() => {
                    return refuse("it is stored with another last block");
                }
                // The proof that came first stays.
                (Some(_), _) => return Ok(()),
                (None, _) => {}
            }
        }
        let mut batch = WriteBatch::default();
        batch.put_cf(inner.cf(Column::Epochs)?, epoch.to_be_bytes(), codec::encode(record));
        inner.write(batch, true)
    }

    /// The record of an epoch.
    ///
    /// # Errors
    /// If the read fails.
    pub fn epoch(&self, epoch: Epoch) -> Result<Option<EpochRecord>, StorageError> {
        self.inner.read(Column::Epochs, &epoch.to_be_bytes())
    }

    /// Records of the epochs from one on, in order, at most `limit`.
    ///
    /// # Errors
    /// If a read fails.
    pub fn epochs(&self, from: Epoch, limit: usize) -> Result<Vec<EpochRecord>, StorageError> {
        let rows = self.inner.range(Column::Epochs, &from.to_be_bytes(), &[0xff; 9])?;
        rows.take(limit).map(|row| decode(Column::Epochs, &row?.1)).collect()
    }

    /// The record of the highest epoch.
    ///
    /// # Errors
    /// If the read fails.
    pub fn newest_epoch(&self) -> Result<Option<EpochRecord>, StorageError> {
        self.inner.last(Column::Epochs)?.map(|bytes| decode(Column::Epochs, &bytes)).transpose()
    }
}
