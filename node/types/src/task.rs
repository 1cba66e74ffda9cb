//! A compute task as the chain records it: terms, references to what lies off chain, state, outcome.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{Amount, Height};

/// Number of a task, from 1.
pub type TaskId = u64;

/// Longest locator of an off-chain object, in bytes.
pub const MAX_LOCATOR: usize = 200;

/// What the job needs; zero or empty means no demand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Text that the GPU's name must contain, in any case.
    #[serde(default)]
    pub gpu_model: String,
    /// GPU memory in MiB.
    #[serde(default)]
    pub gpu_memory_mib: u32,
    /// CPU cores.
    #[serde(default)]
    pub cpu_cores: u32,
    /// Memory in MiB.
    #[serde(default)]
    pub ram_mib: u32,
    /// Disk in MiB.
    #[serde(default)]
    pub disk_mib: u32,
}

/// Reference to an object in an off-chain store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// Canonical locator, such as `neura:<blake3>`.
    pub locator: String,
    /// BLAKE3 of the (encrypted) bytes.
    pub hash: B256,
    /// Size of the (encrypted) bytes.
    pub size: u64,
}

impl BlobRef {
    /// Stands for no object where the ABI has no optional values.
    pub const NONE: Self = Self { locator: String::new(), hash: B256::ZERO, size: 0 };
}

/// Who may read the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultPrivacy {
    /// Sealed to the owner's key.
    Sealed,
    /// Stored in the clear.
    Public,
}

/// How the result is verified before it is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerificationPolicy {
    /// The owner approves, or the window for it ends.
    None,
    /// A random sample is recomputed.
    Sampled,
    /// Several providers must agree.
    Replicated,
    /// A dispute is bisected to one step.
    Bisected,
}

/// Where a task stands. Every state that is not terminal has a deadline, at which the chain itself moves it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Waits for bids.
    Open,
    /// Offered to its provider. Deadline: refund.
    Assigned,
    /// Accepted. Deadline: refund, the provider at fault.
    Running,
    /// A result is in. Deadline: settlement.
    Submitted,
    /// The result is contested or being verified. Deadline: refund, the provider at fault.
    Verifying,
    /// Paid.
    Settled,
    /// Escrow returned.
    Refunded,
    /// Taken back by the owner before acceptance, escrow returned.
    Cancelled,
    /// Proven wrong.
    Slashed,
}

impl TaskState {
    /// Its name in texts for people, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Submitted => "submitted",
            Self::Verifying => "verifying",
            Self::Settled => "settled",
            Self::Refunded => "refunded",
            Self::Cancelled => "cancelled",
            Self::Slashed => "slashed",
        }
    }

    /// Whether nothing can happen to the task any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Settled | Self::Refunded | Self::Cancelled | Self::Slashed)
    }
}

/// Why a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The owner approved the result.
    Approved,
    /// The owner let the approval window pass.
    AcceptedByTimeout,
    /// The owner took it back before acceptance.
    CancelledByOwner,
    /// The provider declined it.
    Declined,
    /// The provider did not answer in time.
    NotAccepted,
    /// The provider accepted and submitted nothing in time.
    NotSubmitted,
    /// The owner contested the result and the provider did not replace it in time.
    ResultWithdrawn,
    /// The owner contested the replacement too, at the cost of both challenge bonds.
    ResultContested,
}

impl EndReason {
    /// Its name in texts for people, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::AcceptedByTimeout => "accepted_by_timeout",
            Self::CancelledByOwner => "cancelled_by_owner",
            Self::Declined => "declined",
            Self::NotAccepted => "not_accepted",
            Self::NotSubmitted => "not_submitted",
            Self::ResultWithdrawn => "result_withdrawn",
            Self::ResultContested => "result_contested",
        }
    }

    /// Whether the chain itself ended the task, because a deadline passed.
    pub fn is_timeout(self) -> bool {
        matches!(
            self,
            Self::AcceptedByTimeout
                | Self::NotAccepted
                | Self::NotSubmitted
                | Self::ResultWithdrawn
        )
    }
}

/// Whose fault the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// Nobody's: it ended as the rules allow, or whose it is cannot be told.
    None,
    /// The owner.
    Owner,
    /// The provider.
    Provider,
}

/// Where the escrow went; the parts sum up to the escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settlement {
    /// To the provider's payout account, with the rounding remainder.
    pub provider: Amount,
    /// To the owners of the model used.
    pub model: Amount,
    /// To the validators.
    pub validators: Amount,
    /// To the treasury.
    pub treasury: Amount,
    /// Back to the owner.
    pub refund: Amount,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Why.
    pub reason: EndReason,
    /// By whose fault.
    pub at_fault: Party,
    /// Where the escrow went.
    pub settlement: Settlement,
    /// Height of the end.
    pub at: Height,
}

/// A submitted result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Where it lies.
    pub blob: BlobRef,
    /// Domain-separated BLAKE3 of the plain result, bound to provider and task.
    pub commitment: B256,
    /// Height of submission.
    pub at: Height,
}

/// State of unfinished work, sealed to owner and provider, from which the job can go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// How far the work was, in steps of the executor's; rises from one checkpoint to the next.
    pub step: u64,
    /// Height of the block that notes it.
    pub at: Height,
    /// Where it lies.
    pub blob: BlobRef,
}

/// What the owner asks and offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The sealed payload.
    pub payload: BlobRef,
    /// Random value that the payload's envelope is bound to.
    pub envelope_nonce: B256,
    /// Chosen provider; another one after a reassignment.
    pub provider: Address,
    /// Number of the provider's encryption key that the payload is sealed to.
    pub key_epoch: u32,
    /// Key that the result is to be sealed to (X25519).
    pub result_key: B256,
    /// What the job needs.
    pub requirement: Requirement,
    /// Executor, such as `int8`.
    pub executor: String,
    /// Most blocks from acceptance to submission.
    pub duration_blocks: u64,
    /// Verification policy.
    pub verification: VerificationPolicy,
    /// Who may read the result.
    pub privacy: ResultPrivacy,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its number.
    pub id: TaskId,
    /// Who pays.
    pub owner: Address,
    /// What was agreed.
    pub terms: Terms,
    /// Provider's price per block when the task was offered to it, in wei.
    pub price_per_block: Amount,
    /// Held by the tasks module until the end, in wei.
    pub escrow: Amount,
    /// Owner's challenge bond held, in wei.
    pub challenge_bond: Amount,
    /// How often the owner has contested a result (0 to 2).
    pub challenges: u8,
    /// Where it stands.
    pub state: TaskState,
    /// Height of creation.
    pub created_at: Height,
    /// Height of acceptance, or 0.
    pub accepted_at: Height,
    /// Height of the first submission, or 0: up to here the fee counts; replacing a contested result earns nothing more.
    pub submitted_at: Height,
    /// Height at which the chain moves the task on by itself; 0 when terminal.
    pub deadline: Height,
    /// The result, once submitted.
    pub result: Option<TaskResult>,
    /// How it ended, once terminal.
    pub outcome: Option<Outcome>,
    /// Height of the provider's last sign of life: the offer, then acceptance, heartbeats and checkpoints.
    pub seen_at: Height,
    /// The last checkpoint, if there is one; kept when another provider takes over.
    pub checkpoint: Option<Checkpoint>,
}

/// What is sealed, hashed under a domain and put on chain with a result: binds it to provider and task, so that one
/// provider's commitment is of no use to another.
pub fn result_commitment(
    chain_id: crate::ChainId,
    task: TaskId,
    provider: Address,
    plain_result: &[u8],
) -> B256 {
    let content = crate::hash::content_hash(plain_result);
    crate::hash::hash_value(crate::hash::Domain::Result, &(chain_id, task, provider, content))
}
