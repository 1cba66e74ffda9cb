//! Remember how far each task has come, so that a killed agent goes on where it was.
//!
//! One folder per chain, in it up to four files per task:
//!
//! ```text
//! <task>.json        the entry: round and stage, with the signed transaction of a stage that sends one
//! <task>.payload     the sealed payload as fetched
//! <task>.checkpoint  the last state of the unfinished work, sealed
//! <task>.result      the result as it is stored off chain (sealed, or plain if it is public)
//! ```
//!
//! A file is written beside its place, synced, and renamed into it, so that a reader finds the old or the new one. A
//! signed transaction is in its entry before it is sent: what is sent after a restart are the same bytes, and those
//! can take effect once only. The chain has the last word; the journal only saves work and keeps nonces.

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use neura_types::{
    B256, Bytes,
    task::{BlobRef, TaskId},
};
use serde::{Deserialize, Serialize};

use crate::{keys::private_dir, lock::DataLock};

/// Most bytes of an entry: a transaction of the greatest size in hexadecimal, and the rest.
const MAX_ENTRY: u64 = 1 << 20;
/// Version of the entries that this build writes.
const VERSION: u32 = 1;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {cause}. Free or repair the disk, then start again", path = path.display())]
pub struct JournalError {
    action: &'static str,
    path: PathBuf,
    cause: io::Error,
}

/// A signed transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignedTx {
    /// The envelope.
    pub(crate) raw: Bytes,
}

/// A result that was computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResultRecord {
    /// What the chain will be told of the stored bytes.
    pub(crate) blob: BlobRef,
    /// Commitment to the plain result.
    pub(crate) commitment: B256,
}

/// How far a task has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Nothing was done that would have to be remembered.
    Seen,
    /// An acceptance, or a refusal with its reason, is signed and may have been sent.
    Answering { tx: SignedTx, refusal: Option<String> },
    /// The result lies in its file.
    Executed { result: ResultRecord },
    /// The store has the result.
    Uploaded { result: ResultRecord },
    /// The submission is signed and may have been sent.
    Submitting { result: ResultRecord, tx: SignedTx },
}

/// What is remembered of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Version of this format.
    pub(crate) version: u32,
    /// The task.
    pub(crate) task: TaskId,
    /// How often the result had been contested when this work on it began.
    pub(crate) round: u8,
    /// How far it has come.
    #[serde(flatten)]
    pub(crate) stage: Stage,
}

impl Entry {
    /// A task of which nothing is known.
    pub(crate) fn new(task: TaskId) -> Self {
        Self { version: VERSION, task, round: 0, stage: Stage::Seen }
    }
}

/// Which of a task's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Entry,
    Payload,
    Checkpoint,
    Result,
}

impl Part {
    const ALL: [Self; 4] = [Self::Entry, Self::Payload, Self::Checkpoint, Self::Result];

    fn extension(self) -> &'static str {
        match self {
            Self::Entry => "json",
            Self::Payload => "payload",
            Self::Checkpoint => "checkpoint",
            Self::Result => "result",
        }
    }
}

/// The journal of one chain. All operations block on the disk.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    dir: PathBuf,
    /// Keeps other agents out for as long as any clone may write.
    _lock: Option<Arc<DataLock>>,
}

impl Journal {
    /// Opens the journal of the chain with this genesis hash in a data folder.
    pub(crate) fn open(data: &Path, genesis: B256) -> Result<Self, JournalError> {
        let name = hex::encode(&genesis.as_slice()[..8]);
        let dir = data.join("journal").join(name);
        private_dir(&dir).map_err(failed("create", &dir))?;
        Ok(Self { dir, _lock: None })
    }

    /// Holds a lock as long as the journal is in use.
    pub(crate) fn holding(self, lock: Arc<DataLock>) -> Self {
        Self { _lock: Some(lock), ..self }
    }

    /// Whether a task has an entry.
    pub(crate) fn has(&self, task: TaskId) -> bool {
        self.path(task, Part::Entry).exists()
    }

    /// The tasks that have an entry.
    pub(crate) fn tasks(&self) -> Result<Vec<TaskId>, JournalError> {
        let mut found = Vec::new();
        for file in fs::read_dir(&self.dir).map_err(failed("list", &self.dir))? {
            let path = file.map_err(failed("list", &self.dir))?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if path.extension().is_some_and(|extension| extension == Part::Entry.extension()) {
                found.extend(stem.and_then(|stem| stem.parse::<TaskId>().ok()));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The entry of a task; a new one if there is none, or none that this build can read: what was done then follows
    /// from the chain, and work is at worst done again.
    pub(crate) fn load(&self, task: TaskId) -> Result<Entry, JournalError> {
        let Some(bytes) = self.read(task, Part::Entry, MAX_ENTRY)? else {
            return Ok(Entry::new(task));
        };
        match serde_json::from_slice::<Entry>(&bytes) {
            Ok(entry) if entry.version == VERSION && entry.task == task => Ok(entry),
            _ => {
                tracing::warn!(
                    task,
                    "the journal's entry cannot be read; starting from the chain's state"
                );
                Ok(Entry::new(task))
            }
        }
    }

    /// Writes an entry; it is durable when this returns.
    pub(crate) fn save(&self, entry: &Entry) -> Result<(), JournalError> {
        let path = self.path(entry.task, Part::Entry);
        let bytes = serde_json::to_vec(entry).map_err(io::Error::from);
        let bytes = bytes.map_err(failed("encode", &path))?;
        self.write(entry.task, Part::Entry, &bytes)
    }

    /// Reads a file of a task; none if it does not exist or has more than `limit` bytes.
    pub(crate) fn read(
        &self,
        task: TaskId,
        part: Part,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, JournalError> {
        let path = self.path(task, part);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", &path)(error)),
        };
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(failed("read", &path))?;
        Ok((bytes.len() as u64 <= limit).then_some(bytes))
    }

    /// Writes a file of a task; it is durable when this returns.
    pub(crate) fn write(&self, task: TaskId, part: Part, bytes: &[u8]) -> Result<(), JournalError> {
        let path = self.path(task, part);
        let draft = path.with_extension(format!("{}.draft", part.extension()));
        let mut file = File::create(&draft).map_err(failed("create", &draft))?;
        file.write_all(bytes).map_err(failed("write", &draft))?;
        file.sync_all().map_err(failed("sync", &draft))?;
        fs::rename(&draft, &path).map_err(failed("replace", &path))?;
        self.sync_dir()
    }

    /// Forgets a task.
    pub(crate) fn forget(&self, task: TaskId) -> Result<(), JournalError> {
        Part::ALL.into_iter().try_for_each(|part| self.remove(task, part))
    }

    /// Removes a file of a task, if there is one.
    pub(crate) fn remove(&self, task: TaskId, part: Part) -> Result<(), JournalError> {
        let path = self.path(task, part);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, task: TaskId, part: Part) -> PathBuf {
        self.dir.join(format!("{task}.{}", part.extension()))
    }

    fn sync_dir(&self) -> Result<(), JournalError> {
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", &self.dir))
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |cause| JournalError { action, path, cause }
}
