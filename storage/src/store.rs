//! Open the database, and be the only way to it: reads that name their column, writes that poison on failure.

#[cfg(test)]
mod tests;

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock},
};

use alloy_primitives::B256;
use neura_types::{BlockId, Height, codec};
use rocksdb::{ColumnFamily, DB, ErrorKind, ReadOptions, WriteBatch};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    batches::{Waiting, check_bodies, load_waiting},
    bodies::Bodies,
    columns::{
        CHAIN, COMMITTED_TIP, Column, EXECUTED_TIP, IMPORTED, OLDEST, SCHEMA, SCHEMA_VERSION,
        height_key,
    },
    config::{MIN_RETAINED_BLOCKS, Retention, StoreConfig},
    database::open_database,
    durable::Durable,
    error::StorageError,
    recent::RecentState,
    record::{ChainIdentity, ExecutedRecord, Tip},
    sections::Gathering,
    tree::Tree,
    window::Window,
};

/// A key with its value, or why it could not be read.
pub(crate) type Row = Result<(Box<[u8]>, Box<[u8]>), StorageError>;

/// A node's database. Clones share it.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

/// The database and what guards it. `db` comes first: it closes before the lock is released.
pub(crate) struct Inner {
    db: DB,
    bodies: Bodies,
    config: StoreConfig,
    /// What the newest blocks changed.
    window: RwLock<Arc<Window>>,
    /// The tree at the executed tip; none before it is needed.
    tree: Mutex<Option<Tree>>,
    /// The tree that was proved from last, with the id of its block.
    proved: Mutex<Option<(BlockId, Arc<Tree>)>>,
    recent: RecentState,
    /// Taken after `tree`.
    section: Mutex<Gathering>,
    chain: Mutex<()>,
    /// Taken after `chain` where both are.
    batches: Mutex<Waiting>,
    poisoned: OnceLock<String>,
    pub(crate) durable: Durable,
    #[cfg(test)]
    pub(crate) fail_writes: std::sync::atomic::AtomicBool,
    _lock: File,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.db.path()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a directory, which is created if it does not exist.
    ///
    /// # Errors
    /// If another process has it open, it holds another chain or schema, its tips contradict each other, or the system
    /// refuses.
    pub fn open(path: &Path, config: StoreConfig) -> Result<Self, StorageError> {
        if let Retention::Blocks(n) = config.retention
            && n < MIN_RETAINED_BLOCKS
        {
            return Err(StorageError::Retention(n));
        }
        let lock = lock_directory(path)?;
        let db = open_database(&path.join("rocksdb"), &config)
            .map_err(|e| StorageError::Open { path: path.into(), reason: e.into_string() })?;
        let bodies = Bodies::open(&path.join("batches"))
            .map_err(|e| StorageError::Open { path: path.into(), reason: e.to_string() })?;
        let durable = Durable::of(&db).map_err(|e| StorageError::Read(e.into_string()))?;
        let inner = Inner {
            db,
            durable,
            bodies,
            window: RwLock::new(Arc::new(Window::new(0))),
            tree: Mutex::default(),
            proved: Mutex::default(),
            recent: RecentState::new(config.recent_values, 0),
            section: Mutex::default(),
            chain: Mutex::new(()),
            batches: Mutex::default(),
            poisoned: OnceLock::new(),
            #[cfg(test)]
            fail_writes: std::sync::atomic::AtomicBool::new(false),
            config,
            _lock: lock,
        };
        inner.claim()?;
        inner.check_tips()?;
        if let Some((executed, _)) = inner.meta::<Tip>(EXECUTED_TIP)? {
            inner.recent.restart(executed);
            inner.load_window(executed)?;
        }
        let tip: Option<Tip> = inner.meta(COMMITTED_TIP)?;
        check_bodies(&inner)?;
        *inner.lock_batches()? = load_waiting(&inner, tip.map_or(0, |(height, _)| height))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes every earlier write durable.
    ///
    /// # Errors
    /// If the disk refuses; the store is poisoned.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.inner.check_poison()?;
        let inner = &*self.inner;
        let dead = inner.bodies.take_dead();
        inner.sync_bodies()?;
        inner.sync_log()?;
        inner.bodies.remove(dead);
        Ok(())
    }

    /// Height and id of the last final block; genesis at first.
    ///
    /// # Errors
    /// If there is no genesis or the read fails.
    pub fn committed_tip(&self) -> Result<(Height, BlockId), StorageError> {
        self.inner.meta(COMMITTED_TIP)?.ok_or(StorageError::NotInitialised)
    }

    /// Height and id of the last executed block; genesis at first.
    ///
    /// # Errors
    /// If there is no genesis or the read fails.
    pub fn executed_tip(&self) -> Result<(Height, BlockId), StorageError> {
        self.inner.meta(EXECUTED_TIP)?.ok_or(StorageError::NotInitialised)
    }

    /// Lowest height whose body, receipts and state are kept. The genesis block itself is always kept.
    ///
    /// # Errors
    /// If there is no genesis or the read fails.
    pub fn oldest_height(&self) -> Result<Height, StorageError> {
        self.inner.meta(OLDEST)?.ok_or(StorageError::NotInitialised)
    }

    /// What is kept of a height: its body, receipts and state.
    ///
    /// # Errors
    /// If there is no genesis or the read fails.
    pub fn availability(&self, height: Height) -> Result<Availability, StorageError> {
        let oldest = self.oldest_height()?;
        let (tip, _) = self.committed_tip()?;
        Ok(match height {
            _ if height > tip => Availability::Future { tip },
            _ if height < oldest => Availability::Pruned { oldest },
            _ => Availability::Kept,
        })
    }

    /// Height that came with a snapshot: its state is known, its receipts are not.
    pub(crate) fn imported_height(&self) -> Result<Option<Height>, StorageError> {
        self.inner.meta(IMPORTED)
    }

    /// Whether genesis is stored.
    ///
    /// # Errors
    /// If the read fails.
    pub fn is_initialised(&self) -> Result<bool, StorageError> {
        Ok(self.inner.meta::<Tip>(EXECUTED_TIP)?.is_some())
    }
}

/// What is kept of a height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Everything that exists of it yet.
    Kept,
    /// Nothing: it was removed, or lies before the snapshot that the store began with.
    Pruned {
        /// Lowest height kept.
        oldest: Height,
    },
    /// It is not final yet.
    Future {
        /// Highest final height.
        tip: Height,
    },
}

impl Inner {
    pub(crate) const fn db(&self) -> &DB {
        &self.db
    }

    pub(crate) const fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// Serialises writers of the committed chain.
    pub(crate) fn lock_chain(&self) -> Result<MutexGuard<'_, ()>, StorageError> {
        self.chain.lock().map_err(|_| StorageError::Poisoned("a writer panicked".into()))
    }

    /// Serialises writers of the state, and gives them its tree.
    pub(crate) fn lock_tree(&self) -> Result<MutexGuard<'_, Option<Tree>>, StorageError> {
        self.tree.lock().map_err(|_| StorageError::Poisoned("a writer panicked".into()))
    }

    /// The tree that was proved from last.
    pub(crate) fn lock_proved(&self) -> MutexGuard<'_, Option<(BlockId, Arc<Tree>)>> {
        // It is replaced as a whole.
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the newest blocks changed. Who takes a snapshot of the database takes this before.
    pub(crate) fn window(&self) -> Arc<Window> {
        Arc::clone(&self.window.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a new window, when everything in the one before is in its place.
    pub(crate) fn set_window(&self, window: Window) {
        *self.window.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(window);
    }

    fn load_window(&self, tip: Height) -> Result<(), StorageError> {
        let record: Option<ExecutedRecord> = self.read(Column::Executed, &height_key(tip))?;
        let record = record.ok_or_else(|| missing("the executed record of the tip"))?;
        self.set_window(Window::load(self, record.tree_height, tip)?);
        Ok(())
    }

    /// The fingerprints of the logs of blocks that are being executed.
    pub(crate) fn lock_section(&self) -> Result<MutexGuard<'_, Gathering>, StorageError> {
        self.section.lock().map_err(|_| StorageError::Poisoned("a writer panicked".into()))
    }

    /// Values of the state in memory.
    pub(crate) const fn recent(&self) -> &RecentState {
        &self.recent
    }

    /// Guards the batches that no final block names.
    pub(crate) fn lock_batches(&self) -> Result<MutexGuard<'_, Waiting>, StorageError> {
        self.batches.lock().map_err(|_| StorageError::Poisoned("a writer panicked".into()))
    }

    pub(crate) fn cf(&self, column: Column) -> Result<&ColumnFamily, StorageError> {
        self.db.cf_handle(column.name()).ok_or_else(|| StorageError::Corrupt {
            column: column.name(),
            reason: "the column family is missing".into(),
        })
    }

    pub(crate) fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.db.get_cf(self.cf(column)?, key).map_err(|e| self.read_failed(column, e))
    }

    pub(crate) fn contains(&self, column: Column, key: &[u8]) -> Result<bool, StorageError> {
        let found = self.db.get_pinned_cf(self.cf(column)?, key);
        Ok(found.map_err(|e| self.read_failed(column, e))?.is_some())
    }

    /// Reads an encoded value.
    pub(crate) fn read<T: DeserializeOwned + Serialize>(
        &self,
        column: Column,
        key: &[u8],
    ) -> Result<Option<T>, StorageError> {
        self.get(column, key)?.map(|bytes| decode(column, &bytes)).transpose()
    }

    pub(crate) fn meta<T: DeserializeOwned + Serialize>(
        &self,
        key: &str,
    ) -> Result<Option<T>, StorageError> {
        self.read(Column::Meta, key.as_bytes())
    }

    pub(crate) fn put_meta<T: Serialize>(
        &self,
        batch: &mut WriteBatch,
        key: &str,
        value: &T,
    ) -> Result<(), StorageError> {
        batch.put_cf(self.cf(Column::Meta)?, key.as_bytes(), codec::encode(value));
        Ok(())
    }

    /// Rows of a column with `from <= key < to`, in order.
    pub(crate) fn range<'a>(
        &'a self,
        column: Column,
        from: &[u8],
        to: &[u8],
    ) -> Result<impl Iterator<Item = Row> + use<'a>, StorageError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(to);
        options.set_total_order_seek(true);
        let rows = self.db.iterator_cf_opt(self.cf(column)?, options, rocksdb::IteratorMode::Start);
        Ok(rows.map(move |row| row.map_err(|e| self.read_failed(column, e))))
    }

    /// The value of a column's last key.
    pub(crate) fn last(&self, column: Column) -> Result<Option<Vec<u8>>, StorageError> {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        let end = rocksdb::IteratorMode::End;
        let mut rows = self.db.iterator_cf_opt(self.cf(column)?, options, end);
        let row = rows.next().transpose().map_err(|e| self.read_failed(column, e))?;
        Ok(row.map(|(_, value)| value.into_vec()))
    }

    /// A failed read: nothing is written after it either, since what cannot be read may be needed for what is written.
    pub(crate) fn read_failed(&self, column: Column, error: rocksdb::Error) -> StorageError {
        let damaged = error.kind() == ErrorKind::Corruption;
        let reason = error.into_string();
        self.close(&reason);
        if damaged {
            StorageError::Corrupt { column: column.name(), reason }
        } else {
            StorageError::Read(reason)
        }
    }

    /// Writes a batch, all or nothing; with `sync`, it and everything before it is durable on return.
    ///
    /// The log is synced apart from the write: RocksDB lets nobody write while a write that syncs waits for the disk.
    pub(crate) fn write(&self, batch: WriteBatch, sync: bool) -> Result<(), StorageError> {
        self.check_poison()?;
        #[cfg(test)]
        if self.fail_writes.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(self.poison("IO error: No space left on device".into()));
        }
        let dead = if sync { self.bodies.take_dead() } else { Vec::new() };
        if sync {
            self.sync_bodies()?;
        }
        self.db.write(batch).map_err(|e| self.poison(e.into_string()))?;
        if sync {
            self.sync_log()?;
            self.bodies.remove(dead);
        }
        Ok(())
    }

    /// Makes everything that was written to the database durable.
    fn sync_log(&self) -> Result<(), StorageError> {
        let change = self.db.latest_sequence_number();
        self.db.flush_wal(true).map_err(|e| self.poison(e.into_string()))?;
        self.durable.reached(change);
        Ok(())
    }

    /// The bodies of batches.
    pub(crate) const fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    /// Makes the bodies durable, before rows that name them are.
    pub(crate) fn sync_bodies(&self) -> Result<(), StorageError> {
        self.bodies.sync().map_err(|e| self.disk_failed(&e))
    }

    /// The body of a batch is not what its row says.
    pub(crate) fn body_damaged(&self, digest: B256) -> StorageError {
        let reason = format!("the body of batch {digest} is damaged or missing");
        self.close(&reason);
        StorageError::Corrupt { column: Column::Batches.name(), reason }
    }

    /// The disk refused a read beside the database.
    pub(crate) fn body_unreadable(&self, error: &std::io::Error) -> StorageError {
        let reason = format!("IO error: {error}");
        self.close(&reason);
        StorageError::Read(reason)
    }

    /// The disk refused a write beside the database.
    pub(crate) fn disk_failed(&self, error: &std::io::Error) -> StorageError {
        self.poison(format!("IO error: {error}"))
    }

    pub(crate) fn check_poison(&self) -> Result<(), StorageError> {
        self.poisoned.get().map_or(Ok(()), |reason| Err(StorageError::Poisoned(reason.clone())))
    }

    pub(crate) fn poison(&self, reason: String) -> StorageError {
        self.close(&reason);
        StorageError::Write(reason)
    }

    /// Takes no more writes. The first reason stays.
    fn close(&self, reason: &str) {
        if self.poisoned.set(reason.into()).is_ok() {
            tracing::error!(%reason, "the store failed: no further writes are taken");
        }
    }

    /// Checks that the data is of this chain and schema; marks an empty database as such.
    fn claim(&self) -> Result<(), StorageError> {
        let (chain, genesis) = (self.config.chain_id, self.config.genesis_hash);
        match self.meta::<u32>(SCHEMA)? {
            None => {
                let mut batch = WriteBatch::default();
                self.put_meta(&mut batch, SCHEMA, &SCHEMA_VERSION)?;
                self.put_meta::<ChainIdentity>(&mut batch, CHAIN, &(chain, genesis))?;
                return self.write(batch, true);
            }
            Some(SCHEMA_VERSION) => {}
            Some(found) => return Err(StorageError::Schema { found, expected: SCHEMA_VERSION }),
        }
        let (found_chain, found_genesis) =
            self.meta::<ChainIdentity>(CHAIN)?.ok_or_else(|| missing(CHAIN))?;
        if (found_chain, found_genesis) == (chain, genesis) {
            Ok(())
        } else {
            Err(StorageError::WrongChain { found_chain, found_genesis, chain, genesis })
        }
    }

    /// Checks what no crash can break: both tips exist or none, and execution is not ahead of finality.
    fn check_tips(&self) -> Result<(), StorageError> {
        let committed: Option<Tip> = self.meta(COMMITTED_TIP)?;
        let executed: Option<Tip> = self.meta(EXECUTED_TIP)?;
        let reason = match (committed, executed) {
            (None, None) => return Ok(()),
            (Some(_), None) => "there is no executed tip",
            (None, Some(_)) => "there is no committed tip",
            (Some(c), Some(e)) if e.0 > c.0 => "the executed tip is above the committed tip",
            (Some(c), Some(e)) => {
                let on_chain = |tip: Tip| -> Result<bool, StorageError> {
                    let id: Option<B256> = self.read(Column::Heights, &height_key(tip.0))?;
                    Ok(id == Some(tip.1))
                };
                if on_chain(c)? && on_chain(e)? {
                    return Ok(());
                }
                "a tip is not on the committed chain"
            }
        };
        Err(StorageError::Corrupt { column: Column::Meta.name(), reason: reason.into() })
    }
}

/// Reads an encoded value of a column.
pub(crate) fn decode<T>(column: Column, bytes: &[u8]) -> Result<T, StorageError>
where
    T: DeserializeOwned + Serialize,
{
    codec::decode(bytes)
        .map_err(|e| StorageError::Corrupt { column: column.name(), reason: e.to_string() })
}

/// A row that must be there is not.
pub(crate) fn missing(what: impl std::fmt::Display) -> StorageError {
    StorageError::Corrupt { column: "rows", reason: format!("{what} is missing") }
}

fn lock_directory(path: &Path) -> Result<File, StorageError> {
    let refused =
        |e: std::io::Error| StorageError::Open { path: path.into(), reason: e.to_string() };
    std::fs::create_dir_all(path).map_err(refused)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("lock"))
        .map_err(refused)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StorageError::Locked { path: path.into() }),
        Err(TryLockError::Error(e)) => Err(refused(e)),
    }
}
