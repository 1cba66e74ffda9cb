//! The node, as REST and JSON-RPC see it.
//!
//! Reads of the store block, so they run on the blocking pool; each takes its own snapshot.

mod blobs;
mod blocks;
mod execution;
mod faucet;
mod registry;
mod simulation;
mod staking;

use std::sync::{Arc, atomic::Ordering};

use async_trait::async_trait;
use neura_api::{
    Backend, BackendError, BlockHead, BlockRef, BlockView, CallAt, CallOutcome, EpochRef, Event,
    Fees, Listing, LogEntry, LogQuery, NoteFeed, PoolContent, TaskQuery, TransactionView,
    ValidatorRef,
};
use neura_p2p::NetworkHandle;
use neura_storage::StorageError;
use neura_types::{
    Account, Address, Amount, B256, Block, Bytes, Height, StateRead, Transaction, U256,
    note::TaskNote,
    provider::{Provider, Requester},
    rest::{
        AccountProof, EpochInfo, ProposalInfo, StakingAccount, Status, ValidatorInfo, Validators,
    },
    simulation::{AccessListOutcome, SimulatedBlock, SimulationRequest},
    state::StateError,
    task::{BlobRef, Task, TaskId},
};
use serde_json::Value;
use tokio::sync::broadcast;

pub use blobs::BlobKeeper;
pub use faucet::Faucet;
pub(super) use registry::provider_of;
pub use simulation::{call_error, simulation_error, trace_error};

use super::{chain::Chain, intake::Intake, notes::Notes};
use crate::mempool::BatchLimits;

pub(super) type Answer<T> = Result<T, BackendError>;

/// Blocks behind its peers from which a node says that it is syncing.
const SYNCING_LAG: Height = 16;
/// Tip that the fee suggestion names: 1 gwei, as wallets expect to see some.
const SUGGESTED_TIP: u128 = 1_000_000_000;

/// The parts that the API reads.
#[derive(Debug)]
pub struct NodeBackend {
    /// What the node shares.
    pub chain: Arc<Chain>,
    /// The network.
    pub network: NetworkHandle,
    /// The door for transactions.
    pub intake: Intake,
    /// Off-chain store.
    pub blobs: Arc<BlobKeeper>,
    /// What providers say to owners.
    pub notes: Arc<Notes>,
    /// The faucet, on a devnet.
    pub faucet: Option<Faucet>,
}

pub(super) fn internal(error: impl std::fmt::Display) -> BackendError {
    BackendError::Internal(error.to_string())
}

fn storage(error: StorageError) -> BackendError {
    internal(error)
}

fn state(error: StateError) -> BackendError {
    internal(error)
}

impl NodeBackend {
    /// Runs a read on the blocking pool.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Chain) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let chain = Arc::clone(&self.chain);
        tokio::task::spawn_blocking(move || work(&chain)).await.map_err(internal)?
    }
}

#[async_trait]
impl Backend for NodeBackend {
    async fn status(&self) -> Answer<Status> {
        let chain = &self.chain;
        let consensus = chain.consensus();
        let epoch = chain.epochs.current();
        let (ordered, executed) = (chain.committed_height(), chain.executed_height());
        let lagging = ordered.saturating_sub(executed) > SYNCING_LAG;
        let fetching = consensus.as_ref().is_some_and(|status| status.fetching);
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            chain_id: chain.genesis.chain_id,
            genesis_hash: chain.genesis_hash,
            ordered,
            executed,
            certified: chain.certified_height(),
            view: consensus.map_or(0, |status| status.view),
            epoch: epoch.epoch,
            epoch_last: epoch.last,
            evidence: chain.evidence.load(Ordering::Relaxed),
            peers: u32::try_from(self.network.peers().len()).unwrap_or(u32::MAX),
            validator: chain
                .validator()
                .filter(|_| !consensus.is_some_and(|status| status.observing)),
            syncing: lagging || fetching,
            faucet: self.faucet.is_some(),
            max_blob_bytes: self.blobs.max_blob_bytes(),
        })
    }

    async fn block(&self, block: BlockRef) -> Answer<Option<Arc<BlockView>>> {
        self.read(move |chain| blocks::block(chain, block)).await
    }

    async fn raw_block(&self, block: BlockRef) -> Answer<Option<Arc<Block>>> {
        self.read(move |chain| Ok(blocks::find(chain, block)?.map(|(_, block)| block))).await
    }

    async fn head(&self, block: BlockRef) -> Answer<Option<BlockHead>> {
        self.read(move |chain| blocks::head(chain, block)).await
    }

    async fn heads(&self, before: Option<Height>, limit: u32) -> Answer<Vec<BlockHead>> {
        self.read(move |chain| blocks::heads(chain, before, limit)).await
    }

    async fn transaction(&self, hash: B256) -> Answer<Option<TransactionView>> {
        self.read(move |chain| blocks::transaction(chain, hash)).await
    }

    async fn submit(&self, raw: Bytes) -> Answer<B256> {
        let intake = self.intake.clone();
        tokio::task::spawn_blocking(move || execution::submit(&intake, raw))
            .await
            .map_err(internal)?
    }

    async fn account(&self, address: Address, at: BlockRef) -> Answer<Account> {
        self.read(move |chain| {
            execution::with_state(chain, at, |view, _| {
                Ok(view.account(address).map_err(state)?.unwrap_or_default())
            })
        })
        .await
    }

    async fn storage(&self, address: Address, slot: U256, at: BlockRef) -> Answer<U256> {
        self.read(move |chain| {
            execution::with_state(chain, at, |view, _| view.storage(address, slot).map_err(state))
        })
        .await
    }

    async fn code(&self, address: Address, at: BlockRef) -> Answer<Bytes> {
        self.read(move |chain| {
            execution::with_state(chain, at, |view, _| {
                let hash = view.account(address).map_err(state)?.unwrap_or_default().code_hash;
                Ok(view.code(hash).map_err(state)?.unwrap_or_default())
            })
        })
        .await
    }

    async fn pending_nonce(&self, address: Address) -> Answer<u64> {
        let mut nonce = self.account(address, BlockRef::Latest).await?.nonce;
        loop {
            let pending = self.chain.mempool.lock().pending_nonce(&address, nonce);
            // A block that ran meanwhile has emptied the pool of transactions that the first look at the state lacked.
            let now = self.account(address, BlockRef::Latest).await?.nonce;
            if now == nonce {
                return Ok(pending);
            }
            nonce = now;
        }
    }

    async fn call(&self, call: CallAt) -> Answer<CallOutcome> {
        self.read(move |chain| simulation::call(chain, &call)).await
    }

    async fn estimate_gas(&self, call: CallAt) -> Answer<u64> {
        self.read(move |chain| simulation::estimate_gas(chain, &call)).await
    }

    async fn create_access_list(&self, call: CallAt) -> Answer<AccessListOutcome> {
        self.read(move |chain| simulation::create_access_list(chain, &call)).await
    }

    async fn simulate(
        &self,
        request: SimulationRequest,
        at: BlockRef,
    ) -> Answer<Vec<SimulatedBlock>> {
        self.read(move |chain| simulation::simulate(chain, &request, at)).await
    }

    async fn trace_call(&self, call: CallAt, options: Value) -> Answer<Value> {
        self.read(move |chain| simulation::trace_call(chain, &call, options)).await
    }

    async fn trace_block(
        &self,
        block: BlockRef,
        only: Option<B256>,
        options: Value,
    ) -> Answer<Option<Vec<(B256, Value)>>> {
        self.read(move |chain| simulation::trace_block(chain, block, only, options)).await
    }

    async fn pool_status(&self) -> Answer<(u64, u64)> {
        self.read(|chain| Ok(chain.mempool.lock().status())).await
    }

    async fn pool_content(&self, sender: Option<Address>, limit: usize) -> Answer<PoolContent> {
        self.read(move |chain| {
            let (pending, queued) = chain.mempool.lock().content(sender, limit).map_err(|held| {
                BackendError::InvalidInput(format!(
                    "the pool holds {held} transactions, more than the {limit} of one answer: ask for one account's with txpool_contentFrom"
                ))
            })?;
            Ok(PoolContent { pending, queued })
        })
        .await
    }

    async fn next_transactions(&self) -> Answer<Vec<Arc<Transaction>>> {
        self.read(|chain| {
            let limits = BatchLimits {
                bytes: usize::try_from(chain.params().max_block_bytes).unwrap_or(usize::MAX),
                gas: chain.params().block_gas_limit,
                base_fee: chain.next_base_fee.load(Ordering::Relaxed),
            };
            Ok(chain.mempool.lock().preview(limits))
        })
        .await
    }

    fn subscribe_pending(&self) -> broadcast::Receiver<Arc<Transaction>> {
        self.chain.arrivals.subscribe()
    }

    async fn oldest(&self) -> Answer<Height> {
        self.read(|chain| chain.store.oldest_height().map_err(storage)).await
    }

    async fn fees(&self) -> Answer<Fees> {
        let next_base_fee = self.chain.next_base_fee.load(Ordering::Relaxed);
        Ok(Fees { next_base_fee, priority_fee: SUGGESTED_TIP })
    }

    async fn logs(&self, query: LogQuery, limit: usize) -> Answer<Vec<LogEntry>> {
        self.read(move |chain| blocks::logs(chain, query, limit)).await
    }

    async fn account_proof(&self, address: Address) -> Answer<AccountProof> {
        self.read(move |chain| blocks::account_proof(chain, address)).await
    }

    async fn providers(
        &self,
        after: Option<Address>,
        limit: u32,
    ) -> Answer<Listing<Provider, Address>> {
        self.read(move |chain| registry::providers(chain, after, limit)).await
    }

    async fn provider(&self, address: Address) -> Answer<Option<Provider>> {
        self.read(move |chain| registry::provider(chain, address)).await
    }

    async fn requester(&self, address: Address) -> Answer<Option<Requester>> {
        self.read(move |chain| registry::requester(chain, address)).await
    }

    async fn tasks(&self, query: TaskQuery, limit: u32) -> Answer<Listing<Task, TaskId>> {
        self.read(move |chain| registry::tasks(chain, &query, limit)).await
    }

    async fn task(&self, id: TaskId) -> Answer<Option<Task>> {
        self.read(move |chain| registry::task(chain, id)).await
    }

    async fn validators(&self) -> Answer<Validators> {
        self.read(staking::validators).await
    }

    async fn candidates(&self, after: u64, limit: u32) -> Answer<Listing<ValidatorInfo, u64>> {
        self.read(move |chain| staking::candidates(chain, after, limit)).await
    }

    async fn validator(&self, name: ValidatorRef) -> Answer<Option<ValidatorInfo>> {
        self.read(move |chain| staking::validator(chain, name)).await
    }

    async fn staking(&self, account: Address, operator: Option<Address>) -> Answer<StakingAccount> {
        self.read(move |chain| staking::account(chain, account, operator)).await
    }

    async fn epoch(&self, epoch: EpochRef) -> Answer<Option<EpochInfo>> {
        self.read(move |chain| staking::epoch(chain, epoch)).await
    }

    async fn proposals(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Answer<Listing<ProposalInfo, u64>> {
        self.read(move |chain| staking::proposals(chain, before, limit)).await
    }

    async fn proposal(&self, id: u64) -> Answer<Option<ProposalInfo>> {
        self.read(move |chain| staking::proposal(chain, id)).await
    }

    async fn faucet(&self, to: Address, amount: Option<Amount>) -> Answer<(B256, Amount)> {
        let faucet = self.faucet.as_ref().ok_or(BackendError::NoFaucet)?;
        faucet.give(self, to, amount).await
    }

    async fn blob_put(&self, bytes: Bytes) -> Answer<BlobRef> {
        self.blobs.put(bytes).await
    }

    async fn blob_get(&self, hash: B256) -> Answer<Option<Bytes>> {
        self.blobs.get(hash).await
    }

    async fn blob_size(&self, hash: B256) -> Answer<Option<u64>> {
        self.blobs.size(hash).await
    }

    async fn note(&self, note: TaskNote) -> Answer<()> {
        self.notes.take(note).await
    }

    async fn notes(&self, task: TaskId) -> Answer<NoteFeed> {
        Ok(self.notes.feed(task))
    }

    fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.chain.events.subscribe()
    }
}
