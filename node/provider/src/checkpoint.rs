//! Hold the state of a job's unfinished work: what a worker tells, what is sealed and stored, what another worker
//! begins from.
//!
//! ```text
//! offset  bytes  field
//!      0      8  magic "NEURACKP"
//!      8      1  version, 1
//!      9      1  executor: 0 int8, 1 wgsl (2 onnx, 3 wasm have none yet)
//!     10     32  BLAKE3 of the plain payload
//!     42      8  step, little-endian
//!     50      …  state, in a format of the executor's
//! ```
//!
//! It names the job by its plain payload, which stays the same when a task is sealed anew to another provider. What it
//! says is taken for true by who can open it, and by nobody else: it saves work, and stands for no result.

#[cfg(test)]
mod tests;

use neura_blobs::{EncryptionPublicKey, EnvelopeError, Purpose, max_plaintext_len, open, seal};
use neura_types::{B256, ChainId, task::Task};
use zeroize::Zeroizing;

use crate::{Keys, executor::Executor, job::envelope_context};

const MAGIC: [u8; 8] = *b"NEURACKP";
const VERSION: u8 = 1;
/// Bytes before the state.
const HEADER_BYTES: usize = 50;
/// Who can open a checkpoint: owner and provider.
const RECIPIENTS: usize = 2;

/// Longest checkpoint that a store which takes objects of `max_stored` bytes can hold, in bytes.
pub(crate) fn max_bytes(max_stored: u64) -> u64 {
    max_plaintext_len(max_stored, RECIPIENTS).unwrap_or(0)
}

/// A checkpoint, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint<'a> {
    /// How the job is executed.
    pub(crate) executor: Executor,
    /// Hash of the job's plain payload.
    pub(crate) payload: B256,
    /// How far the work is; rises from one checkpoint of a job to the next.
    pub(crate) step: u64,
    /// What the executor goes on from.
    pub(crate) state: &'a [u8],
}

/// Why bytes are no checkpoint of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("it has {0} bytes, fewer than its header")]
    Truncated(usize),
    #[error("it begins with other bytes than a checkpoint of this version")]
    Format,
    #[error("executor {0} is unknown")]
    Executor(u8),
    #[error("it is of another job")]
    OtherJob,
}

impl<'a> Checkpoint<'a> {
    /// Its bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.state.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, code(self.executor)]);
        bytes.extend_from_slice(self.payload.as_slice());
        bytes.extend_from_slice(&self.step.to_le_bytes());
        bytes.extend_from_slice(self.state);
        bytes
    }

    /// Reads a checkpoint.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, CheckpointError> {
        let Some((header, state)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(CheckpointError::Truncated(bytes.len()));
        };
        if header[..8] != MAGIC || header[8] != VERSION {
            return Err(CheckpointError::Format);
        }
        let executor = Executor::ALL.into_iter().find(|executor| code(*executor) == header[9]);
        let mut step = [0; 8];
        step.copy_from_slice(&header[42..]);
        Ok(Self {
            executor: executor.ok_or(CheckpointError::Executor(header[9]))?,
            payload: B256::from_slice(&header[10..42]),
            step: u64::from_le_bytes(step),
            state,
        })
    }

    /// Reads a checkpoint of this job.
    pub(crate) fn of(
        executor: Executor,
        payload: B256,
        bytes: &'a [u8],
    ) -> Result<Self, CheckpointError> {
        let read = Self::decode(bytes)?;
        if (read.executor, read.payload) == (executor, payload) {
            Ok(read)
        } else {
            Err(CheckpointError::OtherJob)
        }
    }
}

/// An executor's byte; those without checkpoints have one too.
fn code(executor: Executor) -> u8 {
    match executor {
        Executor::Int8 => 0,
        Executor::Wgsl => 1,
        Executor::Onnx => 2,
        Executor::Wasm => 3,
        Executor::Oci => 4,
    }
}

/// Seals a checkpoint to the task's provider, and to its owner, who can hand it on to another. The owner of a public
/// result may have no key.
pub(crate) fn seal_checkpoint(
    chain_id: ChainId,
    task: &Task,
    keys: &Keys,
    plain: &[u8],
) -> Result<Vec<u8>, EnvelopeError> {
    let mut recipients = vec![keys.encryption.public_key()];
    let owner = EncryptionPublicKey::from_bytes(task.terms.result_key.0).ok();
    recipients.extend(owner.filter(|key| !recipients.contains(key)));
    seal(
        &envelope_context(chain_id, task, Purpose::Checkpoint),
        &recipients,
        plain,
        &mut rand::rng(),
    )
}

/// Opens a checkpoint that was sealed to the task's provider.
pub(crate) fn open_checkpoint(
    chain_id: ChainId,
    task: &Task,
    keys: &Keys,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let context = envelope_context(chain_id, task, Purpose::Checkpoint);
    open(&context, &keys.encryption, sealed, sealed.len() as u64)
}
