//! A word from a task's provider to its owner while the work goes on: progress, lines of a log. Kept by nobody for
//! long, and nothing on the chain depends on it.

use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{
    ChainId, codec,
    hash::{Domain, content_hash, hash_value},
    keys::{KeyError, PublicKey, SecretKey, Signature},
    task::TaskId,
};

/// Longest sealed note, in bytes: a screen of text.
pub const MAX_NOTE_BYTES: usize = 4 << 10;

/// A sealed note, signed by the provider, so that nodes pass on only what it said itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskNote {
    /// The task.
    pub task: TaskId,
    /// Rises from one note of a task to the next.
    pub number: u64,
    /// The envelope, sealed to the owner; encodes a list of [`Remark`]s.
    pub sealed: Bytes,
    /// The provider's signature by its identity key, over [`TaskNote::digest`].
    pub signature: Signature,
}

impl TaskNote {
    /// Signs a sealed note.
    pub fn sign(
        chain_id: ChainId,
        (task, number): (TaskId, u64),
        sealed: Bytes,
        key: &SecretKey,
    ) -> Self {
        let signature = key.sign(Self::digest_of(chain_id, task, number, &sealed).as_slice());
        Self { task, number, sealed, signature }
    }

    /// What is signed: binds the bytes to chain, task and number.
    pub fn digest(&self, chain_id: ChainId) -> B256 {
        Self::digest_of(chain_id, self.task, self.number, &self.sealed)
    }

    fn digest_of(chain_id: ChainId, task: TaskId, number: u64, sealed: &Bytes) -> B256 {
        hash_value(Domain::Note, &(chain_id, task, number, content_hash(sealed)))
    }

    /// Checks the provider's signature.
    ///
    /// # Errors
    /// [`KeyError`] if it is not the key's.
    pub fn verify(&self, chain_id: ChainId, provider: &PublicKey) -> Result<(), KeyError> {
        provider.verify(self.digest(chain_id).as_slice(), &self.signature)
    }
}

/// What a note says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Remark {
    /// So much of the whole is done.
    Progress {
        /// Steps done, of the executor's.
        done: u64,
        /// Steps of the whole, at most.
        total: u64,
        /// What the steps are.
        note: String,
    },
    /// A line of the job's log.
    Log(String),
}

impl Remark {
    /// The bytes that are sealed.
    pub fn encode_list(remarks: &[Self]) -> Vec<u8> {
        codec::encode(&remarks)
    }

    /// Reads what [`Remark::encode_list`] gives; of text only what cannot steer a terminal is kept.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn decode_list(bytes: &[u8]) -> Result<Vec<Self>, codec::CodecError> {
        let mut remarks: Vec<Self> = codec::decode_limited(bytes, MAX_NOTE_BYTES)?;
        for remark in &mut remarks {
            let (Self::Progress { note: text, .. } | Self::Log(text)) = remark;
            text.retain(|c| !c.is_control() || c == '\t');
        }
        Ok(remarks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> TaskNote {
        let sealed = Bytes::from_static(b"sealed");
        TaskNote::sign(7, (3, 9), sealed, &SecretKey::from_seed(&[1; 32]))
    }

    #[test]
    fn a_note_moved_to_another_chain_task_or_place_does_not_verify() {
        let key = SecretKey::from_seed(&[1; 32]).public_key();
        assert!(note().verify(7, &key).is_ok());
        assert!(note().verify(8, &key).is_err());
        assert!(note().verify(7, &SecretKey::from_seed(&[2; 32]).public_key()).is_err());
        let moved = [
            TaskNote { task: 4, ..note() },
            TaskNote { number: 10, ..note() },
            TaskNote { sealed: Bytes::from_static(b"Sealed"), ..note() },
        ];
        assert!(moved.iter().all(|note| note.verify(7, &key).is_err()));
    }

    #[test]
    fn what_a_provider_writes_cannot_steer_a_terminal() {
        let written = [
            Remark::Log("\u{1b}[2Jplain\ttext\n".into()),
            Remark::Progress { done: 1, total: 2, note: "a\rb".into() },
        ];
        let read = Remark::decode_list(&Remark::encode_list(&written)).unwrap();
        assert_eq!(read[0], Remark::Log("[2Jplain\ttext".into()));
        assert_eq!(read[1], Remark::Progress { done: 1, total: 2, note: "ab".into() });
        assert!(Remark::decode_list(b"\x05").is_err());
    }

    #[test]
    fn a_note_has_one_json_form() {
        let text = serde_json::to_string(&note()).unwrap();
        assert!(
            text.starts_with(r#"{"task":3,"number":9,"sealed":"0x7365616c6564","signature":"0x"#)
        );
        assert_eq!(serde_json::from_str::<TaskNote>(&text).unwrap(), note());
    }
}
