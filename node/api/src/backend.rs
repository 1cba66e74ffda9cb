//! The port through which the interfaces see the node.

use std::{fmt::Debug, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256};
use async_trait::async_trait;
use neura_types::{
    Account, Amount, Block, Epoch, Height, Receipt, Transaction,
    block::{BlockId, ExecutedRoot, Header},
    keys::PublicKey,
    note::TaskNote,
    provider::{Provider, Requester},
    rest::{
        AccountProof, EpochInfo, Finality, ProposalInfo, StakingAccount, Status, TaskChange,
        ValidatorInfo, Validators,
    },
    simulation::{AccessListOutcome, CallRequest, Overrides, SimulatedBlock, SimulationRequest},
    task::{BlobRef, Task, TaskId, TaskState},
};
use serde_json::Value;
use tokio::sync::broadcast;

mod ethereum;
mod logs;

pub use ethereum::{BuildRequest, BuiltBlock, EthereumBlock, EthereumProof};
pub use logs::{LogEntry, LogQuery};

use crate::error::BackendError;

fn unsupported<T>(what: &str) -> BackendResult<T> {
    Err(BackendError::Unsupported(format!("{what} is not supported here")))
}

/// Answer of a [`Backend`].
pub type BackendResult<T> = Result<T, BackendError>;

/// Names a block of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockRef {
    /// The highest block that is executed here.
    Latest,
    /// The block that will follow it, which is not there yet: what is read is as after [`BlockRef::Latest`], and what is run
    /// sees the number, the time and the base fee of the block to come.
    Pending,
    /// The block at a height.
    Height(Height),
    /// The block of an identity.
    Id(BlockId),
}

/// Names an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EpochRef {
    /// The one that consensus is in.
    Current,
    /// The one after it, which is fixed already.
    Next,
    /// The one of a number.
    Number(Epoch),
}

/// Names a registered validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValidatorRef {
    /// The one that an account registered.
    Operator(Address),
    /// The one of a key.
    Key(PublicKey),
}

/// A block without its transactions. Only blocks whose order is final are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHead {
    /// Its identity.
    pub id: BlockId,
    /// Its header.
    pub header: Header,
    /// Account of the proposer.
    pub proposer: Address,
    /// Number of transactions.
    pub transactions: u64,
    /// Encoded size in bytes.
    pub size: u64,
    /// What execution gave, once it is done here.
    pub executed: Option<ExecutedHead>,
    /// How far the block has come; never [`Finality::Pending`].
    pub finality: Finality,
    /// The block as Ethereum knows it, where the chain behind this backend is an imported one of Ethereum's.
    pub ethereum: Option<Arc<EthereumBlock>>,
}

/// What executing a block gave, without the receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutedHead {
    /// State root, receipts root and gas used, of this block itself.
    pub root: ExecutedRoot,
    /// Base fee that it ran with, in wei per gas.
    pub base_fee: u64,
    /// Gas limit that it ran with.
    pub gas_limit: u64,
}

/// A block with everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockView {
    /// The block without its body.
    pub head: BlockHead,
    /// Its transactions, decoded, in order. Those that execution skipped are among them.
    pub transactions: Vec<Transaction>,
    /// Receipts in order of execution; empty until it is executed. A skipped transaction has none, so that receipts
    /// are matched to transactions by hash.
    pub receipts: Vec<Receipt>,
}

/// A transaction with what is known of its fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionView {
    /// The transaction.
    pub transaction: Transaction,
    /// Where it stands; none while it waits in the pool.
    pub included: Option<Included>,
}

/// Where a transaction stands in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// The block.
    pub block: BlockId,
    /// The block's height.
    pub height: Height,
    /// The block's time.
    pub timestamp_ms: u64,
    /// Position among the executed transactions of the block (that of its receipt); in the body, until it is executed.
    pub index: u64,
    /// How far the block has come.
    pub finality: Finality,
    /// Base fee of the block, once executed.
    pub base_fee: Option<u64>,
    /// The receipt, once executed; none then if execution skipped it.
    pub receipt: Option<Receipt>,
    /// Number of logs in the block before this transaction's first.
    pub first_log: u64,
    /// Fee per gas of blobs in its block, in wei, on an imported chain of Ethereum's.
    pub blob_price: Option<u128>,
    /// State root after it, which stands for its status on an imported chain before Byzantium.
    pub state_root: Option<B256>,
}

/// A call, and where it takes place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallAt {
    /// The call.
    pub call: CallRequest,
    /// What is different there.
    pub overrides: Overrides,
    /// The block after which it runs.
    pub at: BlockRef,
}

/// What a call returned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallOutcome {
    /// Return data.
    pub output: Bytes,
    /// Gas used.
    pub gas_used: u64,
}

/// What waits in the pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolContent {
    /// Transactions that can be executed, by sender and nonce.
    pub pending: Vec<Arc<Transaction>>,
    /// Transactions before which another is missing.
    pub queued: Vec<Arc<Transaction>>,
}

/// What the next transaction should pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fees {
    /// Base fee of the block after the latest executed one, in wei per gas.
    pub next_base_fee: u64,
    /// A tip with which a transaction is included soon, in wei per gas; at least the pool's minimum.
    pub priority_fee: u128,
}

/// Which tasks are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskQuery {
    /// Only tasks numbered below this.
    pub before: Option<TaskId>,
    /// Only this owner's.
    pub owner: Option<Address>,
    /// Only this provider's.
    pub provider: Option<Address>,
    /// Only those in this state.
    pub state: Option<TaskState>,
}

/// Part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T, K> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next part begins; none at the end. A part may hold fewer entries than were asked for and still have
    /// a next one, where a search stopped at its bound.
    pub next: Option<K>,
}

/// Notes of a task: those that are still there, in order, then those to come.
#[derive(Debug)]
pub struct NoteFeed {
    /// The notes that the node has.
    pub kept: Vec<Arc<TaskNote>>,
    /// Those from now on.
    pub live: broadcast::Receiver<Arc<TaskNote>>,
}

/// What happens on the chain. Sent in order: a block is ordered, then executed.
#[derive(Debug, Clone)]
pub enum Event {
    /// A block's place is final.
    Ordered(Arc<BlockHead>),
    /// A block is executed, and its receipts, logs and state can be read.
    Executed {
        /// The block.
        block: Arc<BlockView>,
        /// Tasks that it changed, those that its end moved on included.
        tasks: Vec<TaskChange>,
    },
}

/// The node, as its interfaces see it. Reads are bounded by their caller's limits; all are safe to run concurrently.
#[async_trait]
pub trait Backend: Send + Sync + Debug + 'static {
    /// Where the node stands.
    async fn status(&self) -> BackendResult<Status>;

    /// A block, or none if the chain has none of that name (yet).
    async fn block(&self, block: BlockRef) -> BackendResult<Option<Arc<BlockView>>>;

    /// The encoding of a block with its certificates, for those who check them; none as for [`Backend::block`].
    async fn raw_block(&self, block: BlockRef) -> BackendResult<Option<Arc<Block>>>;

    /// A block without its body; none as for [`Backend::block`].
    async fn head(&self, block: BlockRef) -> BackendResult<Option<BlockHead>>;

    /// Up to `limit` ordered blocks below height `before` (or from the top), highest first.
    async fn heads(&self, before: Option<Height>, limit: u32) -> BackendResult<Vec<BlockHead>>;

    /// A transaction in the chain or the pool.
    async fn transaction(&self, hash: B256) -> BackendResult<Option<TransactionView>>;

    /// Checks an envelope, puts it into the pool and returns its hash.
    ///
    /// # Errors
    /// Why the transaction is refused; the texts are those of geth, where geth has one.
    async fn submit(&self, raw: Bytes) -> BackendResult<B256>;

    /// An account after a block; the default account if it was never touched.
    ///
    /// # Errors
    /// [`BackendError::UnknownBlock`], [`BackendError::StateUnavailable`].
    async fn account(&self, address: Address, at: BlockRef) -> BackendResult<Account>;

    /// A storage word after a block. Errors as [`Backend::account`].
    async fn storage(&self, address: Address, slot: U256, at: BlockRef) -> BackendResult<U256>;

    /// An account's code after a block; empty if it has none. Native modules have a code of one byte (`0xfe`), as
    /// Solidity checks that a callee has code. Errors as [`Backend::account`].
    async fn code(&self, address: Address, at: BlockRef) -> BackendResult<Bytes>;

    /// The sender's nonce after those of its transactions that wait without a gap.
    async fn pending_nonce(&self, address: Address) -> BackendResult<u64>;

    /// Runs a call on the state after a block, and forgets what it changed.
    ///
    /// # Errors
    /// [`BackendError::Reverted`], [`BackendError::Halted`], and those of [`Backend::account`].
    async fn call(&self, call: CallAt) -> BackendResult<CallOutcome>;

    /// Least gas limit with which a call succeeds. Errors as [`Backend::call`].
    async fn estimate_gas(&self, call: CallAt) -> BackendResult<u64>;

    /// The access list that a call makes use of. Errors as [`Backend::account`].
    async fn create_access_list(&self, _call: CallAt) -> BackendResult<AccessListOutcome> {
        unsupported("eth_createAccessList")
    }

    /// Simulates blocks on top of a block.
    ///
    /// # Errors
    /// [`BackendError::Simulation`], and those of [`Backend::account`].
    async fn simulate(
        &self,
        _request: SimulationRequest,
        _at: BlockRef,
    ) -> BackendResult<Vec<SimulatedBlock>> {
        unsupported("eth_simulateV1")
    }

    /// Traces a call with geth's `options`.
    ///
    /// # Errors
    /// [`BackendError::Trace`], and those of [`Backend::call`].
    async fn trace_call(&self, _call: CallAt, _options: Value) -> BackendResult<Value> {
        unsupported("debug_traceCall")
    }

    /// Traces the executed transactions of a block, or only the one that is named; by hash. None if the chain has no
    /// such block.
    ///
    /// # Errors
    /// [`BackendError::Trace`], and those of [`Backend::account`] for the block before.
    async fn trace_block(
        &self,
        _block: BlockRef,
        _only: Option<B256>,
        _options: Value,
    ) -> BackendResult<Option<Vec<(B256, Value)>>> {
        unsupported("debug_traceBlock")
    }

    /// Proof of an account against the root of an Ethereum state.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] where the state tree is not Ethereum's.
    async fn ethereum_proof(
        &self,
        _address: Address,
        _slots: Vec<U256>,
        _at: BlockRef,
    ) -> BackendResult<EthereumProof> {
        Err(BackendError::Unsupported(
            "eth_getProof is not supported: the state tree is not Ethereum's; \
             GET /v1/accounts/{address}?proof=true gives a proof of this chain's"
                .into(),
        ))
    }

    /// Puts a block together without adding it, on chains that are there for tests.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] on others.
    async fn build_block(&self, _request: BuildRequest) -> BackendResult<BuiltBlock> {
        unsupported("testing_buildBlockV1")
    }

    /// The answer to `eth_config` (EIP-7910) where hardforks are Ethereum's; none on this chain.
    async fn fork_config(&self) -> BackendResult<Option<Value>> {
        Ok(None)
    }

    /// The lowest height whose block, receipts, logs and state are kept.
    async fn oldest(&self) -> BackendResult<Height> {
        Ok(0)
    }

    /// Numbers of transactions in the pool: those that can be executed, and the others.
    async fn pool_status(&self) -> BackendResult<(u64, u64)> {
        Ok((0, 0))
    }

    /// What waits in the pool, of one sender or of all, up to `limit` transactions.
    ///
    /// # Errors
    /// [`BackendError::InvalidInput`] if more wait.
    async fn pool_content(
        &self,
        _sender: Option<Address>,
        _limit: usize,
    ) -> BackendResult<PoolContent> {
        Ok(PoolContent::default())
    }

    /// The transactions that wait and would fill the next block, those that come first at the front.
    async fn next_transactions(&self) -> BackendResult<Vec<Arc<Transaction>>> {
        Ok(Vec::new())
    }

    /// Transactions as they come into the pool.
    fn subscribe_pending(&self) -> broadcast::Receiver<Arc<Transaction>> {
        broadcast::channel(1).1
    }

    /// What the next transaction should pay.
    async fn fees(&self) -> BackendResult<Fees>;

    /// The logs that match, in order of the chain.
    ///
    /// # Errors
    /// [`BackendError::TooManyLogs`] past `limit`.
    async fn logs(&self, query: LogQuery, limit: usize) -> BackendResult<Vec<LogEntry>>;

    /// Proof of an account against the newest state root that a header certifies.
    async fn account_proof(&self, address: Address) -> BackendResult<AccountProof>;

    /// Up to `limit` providers with addresses above `after`, in order of address.
    async fn providers(
        &self,
        after: Option<Address>,
        limit: u32,
    ) -> BackendResult<Listing<Provider, Address>>;

    /// A provider.
    async fn provider(&self, address: Address) -> BackendResult<Option<Provider>>;

    /// A requester.
    async fn requester(&self, address: Address) -> BackendResult<Option<Requester>>;

    /// Up to `limit` tasks, newest first.
    async fn tasks(&self, query: TaskQuery, limit: u32) -> BackendResult<Listing<Task, TaskId>>;

    /// A task.
    async fn task(&self, id: TaskId) -> BackendResult<Option<Task>>;

    /// The validators of the present epoch.
    async fn validators(&self) -> BackendResult<Validators>;

    /// Up to `limit` registered validators in order of registration, without the first `after`.
    async fn candidates(
        &self,
        after: u64,
        limit: u32,
    ) -> BackendResult<Listing<ValidatorInfo, u64>>;

    /// A registered validator.
    async fn validator(&self, name: ValidatorRef) -> BackendResult<Option<ValidatorInfo>>;

    /// What an account has at stake, at one validator or at all: an entry for each at which it has anything.
    async fn staking(
        &self,
        account: Address,
        operator: Option<Address>,
    ) -> BackendResult<StakingAccount>;

    /// An epoch, if this node knows it.
    async fn epoch(&self, epoch: EpochRef) -> BackendResult<Option<EpochInfo>>;

    /// Up to `limit` proposals, newest first.
    async fn proposals(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> BackendResult<Listing<ProposalInfo, u64>>;

    /// A proposal.
    async fn proposal(&self, id: u64) -> BackendResult<Option<ProposalInfo>>;

    /// Sends coins of the faucet (its usual amount if none is given); returns the transfer's hash and amount.
    ///
    /// # Errors
    /// [`BackendError::NoFaucet`], [`BackendError::FaucetAmount`].
    async fn faucet(&self, to: Address, amount: Option<Amount>) -> BackendResult<(B256, Amount)>;

    /// Stores bytes in the embedded off-chain store.
    ///
    /// # Errors
    /// [`BackendError::BlobTooLarge`], [`BackendError::BlobQuota`], [`BackendError::NoBlobStore`].
    async fn blob_put(&self, bytes: Bytes) -> BackendResult<BlobRef>;

    /// Verified bytes by their BLAKE3.
    async fn blob_get(&self, hash: B256) -> BackendResult<Option<Bytes>>;

    /// Size of a blob, without reading it.
    async fn blob_size(&self, hash: B256) -> BackendResult<Option<u64>>;

    /// Takes a provider's note about the task that it is working on.
    ///
    /// # Errors
    /// [`BackendError::NoteRefused`].
    async fn note(&self, _note: TaskNote) -> BackendResult<()> {
        unsupported("a note")
    }

    /// The notes of a task that anybody may read: they are sealed to its owner.
    async fn notes(&self, _task: TaskId) -> BackendResult<NoteFeed> {
        unsupported("the notes of a task")
    }

    /// What happens from now on. A receiver that falls behind loses the oldest events and is told so.
    fn subscribe(&self) -> broadcast::Receiver<Event>;
}
