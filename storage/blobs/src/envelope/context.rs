//! What an envelope is bound to.

/// Separates these bytes from every other use of the same keys.
const DOMAIN: &[u8; 17] = b"neura:envelope:v1";

/// Length of an encoded context: domain, chain id, purpose, owner, provider, binding.
pub(super) const ENCODED_BYTES: usize = DOMAIN.len() + 8 + 1 + 20 + 20 + 32;

/// What an envelope is for. Opening it needs the same values, so an envelope moved to another
/// chain, task, purpose or pair of parties does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeContext {
    /// Chain that the task lives on.
    pub chain_id: u64,
    /// What the content is.
    pub purpose: Purpose,
    /// Address of the task's owner.
    pub owner: [u8; 20],
    /// Address of the provider.
    pub provider: [u8; 20],
    /// A value unique to the task, known to both parties before the task is on the chain.
    pub binding: [u8; 32],
}

/// What the content of an envelope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Input of a task, from its owner to the provider.
    Payload,
    /// Output of a task, from the provider to its owner.
    Result,
    /// State of unfinished work, from a provider to whoever continues it.
    Checkpoint,
    /// Progress and log of a task, from the provider to its owner.
    Note,
}

impl Purpose {
    const fn code(self) -> u8 {
        match self {
            Self::Payload => 1,
            Self::Result => 2,
            Self::Checkpoint => 3,
            Self::Note => 4,
        }
    }
}

impl EnvelopeContext {
    /// The one encoding: fields in the order of [`ENCODED_BYTES`], integers big-endian.
    pub(super) fn encode(&self) -> [u8; ENCODED_BYTES] {
        let mut bytes = [0; ENCODED_BYTES];
        let fields: [&[u8]; 6] = [
            DOMAIN,
            &self.chain_id.to_be_bytes(),
            &[self.purpose.code()],
            &self.owner,
            &self.provider,
            &self.binding,
        ];
        let mut rest = bytes.as_mut_slice();
        for field in fields {
            let (here, after) = rest.split_at_mut(field.len());
            here.copy_from_slice(field);
            rest = after;
        }
        bytes
    }
}
