//! Know how far the database is durable, and find out later whether it lost its end.
//!
//! A log whose end is cut looks like one that a crash tore: RocksDB cannot tell them apart. But RocksDB numbers every
//! change, and a synced write makes durable what came before it. So a [`Mark`] that is kept apart from the database, in
//! the safety record, proves which change it must still hold. And when the store is closed all changes go to tables,
//! which have checksums and are listed: of a node that was stopped, no log holds anything.

use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{DB, FlushOptions, WaitForCompactOptions, WriteBatch};

use crate::{
    columns::{Column, SAFETY_SEQUENCE},
    error::StorageError,
    store::{Inner, Store},
};

/// Context of BLAKE3's key derivation for the name of a database.
const NAME_CONTEXT: &str = "neura v1 database name";

/// Up to which change a database was durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which database: one that is made anew has another name.
    database: [u8; 16],
    /// Number of the change.
    change: u64,
}

impl Mark {
    /// Bytes of a mark.
    pub const BYTES: usize = 24;

    /// Its bytes: the name of the database, then the number, little-endian.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (database, change) = bytes.split_at_mut(self.database.len());
        database.copy_from_slice(&self.database);
        change.copy_from_slice(&self.change.to_le_bytes());
        bytes
    }

    /// The mark of these bytes.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let (mut database, mut change) = ([0; 16], [0; 8]);
        let (first, last) = bytes.split_at(database.len());
        database.copy_from_slice(first);
        change.copy_from_slice(last);
        Self { database, change: u64::from_le_bytes(change) }
    }
}

/// What a store knows of its own end.
#[derive(Debug)]
pub(crate) struct Durable {
    database: [u8; 16],
    /// Newest change that was there when the database was opened.
    recovered: u64,
    /// Newest change that is known to be durable.
    synced: AtomicU64,
}

impl Durable {
    /// Of a database that was just opened. What was recovered from its logs is in tables by now.
    pub(crate) fn of(db: &DB) -> Result<Self, rocksdb::Error> {
        let recovered = db.latest_sequence_number();
        let mut database = [0; 16];
        let name = blake3::derive_key(NAME_CONTEXT, &db.get_db_identity()?);
        database.copy_from_slice(&name[..16]);
        Ok(Self { database, recovered, synced: AtomicU64::new(recovered) })
    }

    /// Notes that everything up to a change is durable.
    pub(crate) fn reached(&self, change: u64) {
        self.synced.fetch_max(change, Ordering::AcqRel);
    }
}

impl Store {
    /// Waits until the database has written and merged its tables, as it does beside other work: what is measured
    /// afterwards does not pay for what was written before.
    ///
    /// # Errors
    /// If the disk refuses; the store is poisoned.
    pub fn settle(&self) -> Result<(), StorageError> {
        self.inner.check_poison()?;
        let mut options = WaitForCompactOptions::default();
        options.set_flush(true);
        self.inner.db().wait_for_compact(&options).map_err(|e| self.inner.poison(e.into_string()))
    }

    /// How far this database is durable.
    pub fn mark(&self) -> Mark {
        let Durable { database, synced, .. } = &self.inner.durable;
        Mark { database: *database, change: synced.load(Ordering::Acquire) }
    }

    /// Checks that the database, when it was opened, still held what a mark proves to have been durable. A mark of another
    /// database says nothing of this one.
    ///
    /// # Errors
    /// [`StorageError::LostEnd`].
    pub fn check_mark(&self, mark: &Mark) -> Result<(), StorageError> {
        let Durable { database, recovered, .. } = &self.inner.durable;
        if mark.database != *database || *recovered >= mark.change {
            return Ok(());
        }
        let path = self.inner.db().path().parent().unwrap_or(self.inner.db().path()).into();
        Err(StorageError::LostEnd { path, durable: mark.change, found: *recovered })
    }

    /// Remembers that the safety record of this number was made durable, so that an older copy of its file is found out.
    /// Not synced.
    ///
    /// # Errors
    /// If the write fails.
    pub fn note_safety_sequence(&self, sequence: u64) -> Result<(), StorageError> {
        let mut batch = WriteBatch::default();
        self.inner.put_meta(&mut batch, SAFETY_SEQUENCE, &sequence)?;
        self.inner.write(batch, false)
    }

    /// Number of a safety record that was made durable; none if none was noted.
    ///
    /// # Errors
    /// If the read fails.
    pub fn safety_sequence(&self) -> Result<Option<u64>, StorageError> {
        self.inner.meta(SAFETY_SEQUENCE)
    }
}

impl Drop for Inner {
    /// Moves what the log holds to tables, so that a log that is cut or removed before the next start takes nothing along.
    fn drop(&mut self) {
        if self.check_poison().is_err() {
            return;
        }
        let flushed = self.sync_bodies().map_err(|error| error.to_string()).and_then(|()| {
            let columns: Vec<_> =
                Column::ALL.iter().filter_map(|column| self.cf(*column).ok()).collect();
            let columns: Vec<_> = columns.iter().collect();
            let waiting = FlushOptions::default();
            self.db().flush_cfs_opt(&columns, &waiting).map_err(rocksdb::Error::into_string)
        });
        if let Err(error) = flushed {
            // The log still holds it.
            tracing::warn!(error, "the store was closed without moving its log to tables");
        }
    }
}
