//! Shapes of the chain's own records in JSON, for the OpenAPI description. Never built: the records themselves are
//! sent, and a test of the server holds that these name the same fields.
#![allow(missing_docs, reason = "the fields are documented on the values that these describe")]

use utoipa::ToSchema;

use super::{BlockSummary, ProposalInfo, ValidatorInfo};

/// A compute task.
#[derive(Debug, ToSchema)]
pub struct Task {
    pub id: u64,
    pub owner: String,
    pub terms: Terms,
    /// Provider's price per block when the task was offered to it, in wei.
    pub price_per_block: String,
    /// Held by the chain until the end, in wei.
    pub escrow: String,
    /// Owner's challenge bond held, in wei.
    pub challenge_bond: String,
    pub challenges: u8,
    pub state: TaskState,
    /// Height of creation.
    pub created_at: u64,
    /// Height of acceptance, or 0.
    pub accepted_at: u64,
    /// Height of the first submission, or 0.
    pub submitted_at: u64,
    /// Height at which the chain moves the task on by itself; 0 when terminal.
    pub deadline: u64,
    pub result: Option<TaskResult>,
    pub outcome: Option<Outcome>,
    /// Height of the provider's last sign of life.
    pub seen_at: u64,
    pub checkpoint: Option<Checkpoint>,
}

/// What the owner asks and offers.
#[derive(Debug, ToSchema)]
pub struct Terms {
    pub payload: BlobRef,
    /// Random value that the payload's envelope is bound to.
    pub envelope_nonce: String,
    pub provider: String,
    pub key_epoch: u32,
    /// X25519 key that the result is sealed to.
    pub result_key: String,
    pub requirement: Requirement,
    /// Executor, such as `int8`.
    pub executor: String,
    /// Most blocks from acceptance to submission.
    pub duration_blocks: u64,
    pub verification: VerificationPolicy,
    pub privacy: ResultPrivacy,
}

/// Reference to an object in an off-chain store.
#[derive(Debug, ToSchema)]
pub struct BlobRef {
    /// Canonical locator, such as `neura:<blake3>`.
    pub locator: String,
    /// BLAKE3 of the encrypted bytes.
    pub hash: String,
    /// Size of the encrypted bytes.
    pub size: u64,
}

/// What a job needs; zero or empty means no demand.
#[derive(Debug, ToSchema)]
pub struct Requirement {
    /// Text that the GPU's name must contain, in any case.
    #[schema(default = "")]
    pub gpu_model: String,
    #[schema(default = 0)]
    pub gpu_memory_mib: u32,
    #[schema(default = 0)]
    pub cpu_cores: u32,
    #[schema(default = 0)]
    pub ram_mib: u32,
    #[schema(default = 0)]
    pub disk_mib: u32,
}

/// Where a task stands.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum TaskState {
    Open,
    Assigned,
    Running,
    Submitted,
    Verifying,
    Settled,
    Refunded,
    Cancelled,
    Slashed,
}

/// How a result is verified before it is paid.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum VerificationPolicy {
    None,
    Sampled,
    Replicated,
    Bisected,
}

/// Who may read the result.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ResultPrivacy {
    Sealed,
    Public,
}

/// A submitted result.
#[derive(Debug, ToSchema)]
pub struct TaskResult {
    pub blob: BlobRef,
    /// Domain-separated BLAKE3 of the plain result, bound to provider and task.
    pub commitment: String,
    /// Height of submission.
    pub at: u64,
}

/// A word of a task's provider to its owner, sealed.
#[derive(Debug, ToSchema)]
pub struct TaskNote {
    pub task: u64,
    /// Rises from one note of a task to the next.
    pub number: u64,
    /// Envelope to the owner, in hexadecimal, 4096 bytes at most.
    pub sealed: String,
    /// ed25519 signature of the provider's identity key, in hexadecimal.
    pub signature: String,
}

/// State of unfinished work, from which the job can go on.
#[derive(Debug, ToSchema)]
pub struct Checkpoint {
    /// How far the work was, in steps of the executor's.
    pub step: u64,
    /// Height of the block that notes it.
    pub at: u64,
    pub blob: BlobRef,
}

/// How a task ended.
#[derive(Debug, ToSchema)]
pub struct Outcome {
    pub reason: EndReason,
    pub at_fault: Party,
    pub settlement: Settlement,
    /// Height of the end.
    pub at: u64,
}

/// Why a task ended.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum EndReason {
    Approved,
    AcceptedByTimeout,
    CancelledByOwner,
    Declined,
    NotAccepted,
    NotSubmitted,
    ResultWithdrawn,
    ResultContested,
}

/// Who caused the end.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Party {
    None,
    Owner,
    Provider,
}

/// Where the escrow went, in wei.
#[derive(Debug, ToSchema)]
pub struct Settlement {
    pub provider: String,
    pub model: String,
    pub validators: String,
    pub treasury: String,
    pub refund: String,
}

/// A provider's registry entry.
#[derive(Debug, ToSchema)]
pub struct Provider {
    pub address: String,
    /// ed25519 identity key.
    pub identity: String,
    /// X25519 key that payloads are sealed to.
    pub encryption_key: String,
    pub key_epoch: u32,
    pub payout: String,
    pub capability: Capability,
    pub executors: Vec<String>,
    /// Price per block of a task's duration, in wei.
    pub price_per_block: String,
    pub region: String,
    /// Public HTTP endpoint of its off-chain store, or empty.
    pub endpoint: String,
    /// Bond held by the registry, in wei.
    pub bond: String,
    pub status: ProviderStatus,
    /// Most tasks that it works on at a time.
    pub capacity: u32,
    /// Tasks that have not ended.
    pub active_tasks: u32,
    /// Those of them whose result waits for the owner: they take no capacity.
    pub submitted_tasks: u32,
    pub registered_at: u64,
    pub heartbeat_at: u64,
    pub unbonds_at: u64,
    pub record: TrackRecord,
}

/// What a provider's machine offers.
#[derive(Debug, ToSchema)]
pub struct Capability {
    pub gpu_model: String,
    pub gpu_backend: String,
    pub gpu_memory_mib: u32,
    pub cpu_cores: u32,
    pub ram_mib: u32,
    pub disk_mib: u32,
}

/// Whether a provider takes tasks.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ProviderStatus {
    Active,
    Draining,
    Left,
}

/// How a party's tasks ended.
#[derive(Debug, ToSchema)]
pub struct TrackRecord {
    pub settled: u64,
    pub at_fault: u64,
    pub refunded: u64,
}

/// A requester's registry entry.
#[derive(Debug, ToSchema)]
pub struct Requester {
    pub address: String,
    /// X25519 key that results are sealed to.
    pub encryption_key: String,
    pub key_epoch: u32,
    pub registered_at: u64,
    pub record: TrackRecord,
}

/// Result of executing a block, as a later header certifies it.
#[derive(Debug, ToSchema)]
pub struct ExecutedRoot {
    pub height: u64,
    pub state_root: String,
    pub receipts_root: String,
    pub gas_used: u64,
    /// Base fee of the block after it, in wei per gas.
    pub next_base_fee: u64,
}

/// What holds in an epoch.
#[derive(Debug, ToSchema)]
pub struct EpochConfig {
    pub epoch: u64,
    /// Height of its first block.
    pub first: u64,
    /// Height of its last block.
    pub last: u64,
    /// Version of the protocol.
    pub version: u16,
    pub set: ValidatorSet,
    pub params: Params,
}

/// The validators of an epoch.
#[derive(Debug, ToSchema)]
pub struct ValidatorSet {
    pub epoch: u64,
    /// In order of their indices.
    pub members: Vec<Validator>,
}

/// A member of a validator set.
#[derive(Debug, ToSchema)]
pub struct Validator {
    /// ed25519 key.
    pub public_key: String,
    pub account: String,
    /// Voting power.
    pub power: u64,
}

/// How a settled fee is split, in basis points; the rest goes to the provider.
#[derive(Debug, ToSchema)]
pub struct FeeSplit {
    pub model_bps: u16,
    pub validators_bps: u16,
    pub treasury_bps: u16,
}

/// Parameters of the chain.
#[derive(Debug, ToSchema)]
pub struct Params {
    pub block_gas_limit: u64,
    pub max_block_bytes: u32,
    pub execution_lag: u64,
    pub initial_base_fee: u64,
    pub min_base_fee: u64,
    pub base_fee_burn_bps: u16,
    pub view_timeout_ms: u64,
    pub idle_block_interval_ms: u64,
    pub epoch_blocks: u64,
    pub accept_window_blocks: u64,
    pub approve_window_blocks: u64,
    pub respond_window_blocks: u64,
    pub silence_blocks: u64,
    pub max_duration_blocks: u64,
    pub challenge_bond_bps: u16,
    pub fee_split: FeeSplit,
    /// In wei.
    pub min_provider_bond: String,
    pub provider_unbond_blocks: u64,
    pub max_settlements_per_block: u32,
    pub max_validators: u16,
    /// In wei.
    pub min_validator_stake: String,
    pub unbonding_epochs: u64,
    pub jail_epochs: u64,
    pub absence_epochs: u64,
    pub slash_bps: u16,
    pub evidence_reward_bps: u16,
    pub max_commission_bps: u16,
    pub max_commission_change_bps: u16,
    pub voting_epochs: u64,
}

/// A page of blocks.
#[derive(Debug, ToSchema)]
pub struct BlockPage {
    pub items: Vec<BlockSummary>,
    /// What to pass as `before` for the next page; null on the last one.
    pub next: Option<String>,
}

/// A page of providers.
#[derive(Debug, ToSchema)]
pub struct ProviderPage {
    pub items: Vec<Provider>,
    /// What to pass as `after` for the next page; null on the last one.
    pub next: Option<String>,
}

/// A page of tasks.
#[derive(Debug, ToSchema)]
pub struct TaskPage {
    pub items: Vec<Task>,
    /// What to pass as `before` for the next page; null on the last one.
    pub next: Option<String>,
}

/// A page of validators.
#[derive(Debug, ToSchema)]
pub struct ValidatorPage {
    pub items: Vec<ValidatorInfo>,
    /// What to pass as `after` for the next page; null on the last one.
    pub next: Option<String>,
}

/// A page of proposals.
#[derive(Debug, ToSchema)]
pub struct ProposalPage {
    pub items: Vec<ProposalInfo>,
    /// What to pass as `before` for the next page; null on the last one.
    pub next: Option<String>,
}

/// Bytes as they are.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Octets(pub Vec<u8>);
