//! An imported Ethereum chain as the node that JSON-RPC is served from.

use std::sync::Arc;

use async_trait::async_trait;
use neura_api::{
    Backend, BackendError, BackendResult, BlockHead, BlockRef, BlockView, BuildRequest, BuiltBlock,
    CallAt, CallOutcome, EpochRef, EthereumProof, Event, Fees, Included, Listing, LogEntry,
    LogQuery, PoolContent, TaskQuery, TransactionView, ValidatorRef,
};
use neura_runtime::{BlockStart, Rules, Scene, SimulationParent, TraceOptions};
use neura_types::{
    Account, Address, Amount, B256, Block, Bytes, Height, StateRead, Transaction, U256,
    provider::{Provider, Requester},
    rest::{
        AccountProof, EpochInfo, ProposalInfo, StakingAccount, Status, ValidatorInfo, Validators,
    },
    simulation::{AccessListOutcome, CallRequest, CallStatus, SimulatedBlock, SimulationRequest},
    state::StateError,
    task::{BlobRef, Task, TaskId},
};
use serde_json::Value;
use tokio::sync::broadcast;

use super::{
    build,
    chain::{EthereumChain, Imported, next_base_fee},
    config,
    pool::{Waiting, decode},
    state::EthereumState,
};
use crate::node::backend::{call_error, simulation_error, trace_error};

/// Code of JSON-RPC for a block that cannot be put together.
const REFUSED: i32 = -32_000;
/// Tip that is suggested, in wei per gas.
const TIP: u128 = 1_000_000_000;

/// The chain, which does not go on.
#[derive(Debug)]
pub(super) struct EthereumBackend {
    pub(super) chain: Arc<EthereumChain>,
    events: broadcast::Sender<Event>,
    waiting: Waiting,
}

fn nothing<T>() -> BackendResult<T> {
    Err(BackendError::Unsupported("an imported Ethereum chain has no such thing".into()))
}

fn failed(error: &StateError) -> BackendError {
    BackendError::Internal(error.to_string())
}

impl EthereumBackend {
    pub(super) fn new(chain: EthereumChain) -> Self {
        Self {
            chain: Arc::new(chain),
            events: broadcast::Sender::new(1),
            waiting: Waiting::default(),
        }
    }

    fn at(&self, block: BlockRef) -> Option<&Imported> {
        let blocks = &self.chain.blocks;
        match block {
            BlockRef::Latest | BlockRef::Pending => blocks.last(),
            BlockRef::Height(height) => blocks.get(usize::try_from(height).ok()?),
            BlockRef::Id(hash) => blocks.get(*self.chain.by_hash.get(&hash)?),
        }
    }

    fn known(&self, block: BlockRef) -> BackendResult<&Imported> {
        self.at(block).ok_or(BackendError::UnknownBlock)
    }

    fn pool(&self, sender: Option<Address>) -> PoolContent {
        let state = &self.chain.head().state;
        let nonce = |address| state.account(address).ok().flatten().unwrap_or_default().nonce;
        self.waiting.content(sender, nonce)
    }

    /// Runs work that takes time off the threads that answer.
    async fn work<T: Send + 'static>(
        &self,
        at: BlockRef,
        work: impl FnOnce(&EthereumChain, &Imported) -> BackendResult<T> + Send + 'static,
    ) -> BackendResult<T> {
        let height = usize::try_from(self.known(at)?.header.number).unwrap_or(usize::MAX);
        let chain = Arc::clone(&self.chain);
        let job = move || {
            let block = chain.blocks.get(height).ok_or(BackendError::UnknownBlock)?;
            work(&chain, block)
        };
        let done = tokio::task::spawn_blocking(job).await;
        done.map_err(|error| BackendError::Internal(error.to_string()))?
    }
}

/// What is called at a block.
fn scene<'s>(
    chain: &EthereumChain,
    block: &'s Imported,
    call: &CallAt,
) -> Scene<'s, EthereumState> {
    let rules = Rules::Ethereum(chain.spec(&block.header));
    Scene::new(&block.state, &chain.context(&block.header))
        .by(rules)
        .difficult(block.header.difficulty)
        .with(call.overrides.clone())
}

#[async_trait]
impl Backend for EthereumBackend {
    async fn status(&self) -> BackendResult<Status> {
        let top = self.chain.head().header.number;
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            chain_id: self.chain.forks.chain_id,
            genesis_hash: self.chain.head().state.hashes.first().copied().unwrap_or_default(),
            ordered: top,
            executed: top,
            certified: top,
            view: top,
            epoch: 0,
            epoch_last: u64::MAX,
            evidence: 0,
            peers: 0,
            validator: None,
            syncing: false,
            faucet: false,
            max_blob_bytes: 0,
        })
    }

    async fn block(&self, block: BlockRef) -> BackendResult<Option<Arc<BlockView>>> {
        Ok(self.at(block).map(|block| Arc::clone(&block.view)))
    }

    async fn raw_block(&self, _: BlockRef) -> BackendResult<Option<Arc<Block>>> {
        nothing()
    }

    async fn head(&self, block: BlockRef) -> BackendResult<Option<BlockHead>> {
        Ok(self.at(block).map(|block| block.view.head.clone()))
    }

    async fn heads(&self, before: Option<Height>, limit: u32) -> BackendResult<Vec<BlockHead>> {
        let end = before.and_then(|before| usize::try_from(before).ok()).unwrap_or(usize::MAX);
        let blocks = self.chain.blocks.iter().take(end).rev().take(limit as usize);
        Ok(blocks.map(|block| block.view.head.clone()).collect())
    }

    async fn transaction(&self, hash: B256) -> BackendResult<Option<TransactionView>> {
        let find = |block: &Imported| {
            let view = &block.view;
            let index = view.transactions.iter().position(|tx| tx.hash == hash)?;
            let transaction = view.transactions.get(index)?.clone();
            let before = view.receipts.get(..index).unwrap_or_default();
            let ethereum = view.head.ethereum.as_ref();
            let included = Included {
                block: view.head.id,
                height: block.header.number,
                timestamp_ms: view.head.header.timestamp_ms,
                index: index as u64,
                finality: view.head.finality,
                base_fee: block.header.base_fee_per_gas,
                receipt: view.receipts.get(index).cloned(),
                first_log: before.iter().map(|receipt| receipt.logs.len() as u64).sum(),
                blob_price: ethereum.and_then(|ethereum| ethereum.blob_price),
                state_root: ethereum.and_then(|block| block.roots.get(index).copied()),
            };
            Some(TransactionView { transaction, included: Some(included) })
        };
        if let Some(found) = self.chain.blocks.iter().find_map(find) {
            return Ok(Some(found));
        }
        let waiting = self.waiting.find(hash);
        Ok(waiting
            .map(|tx| TransactionView { transaction: Transaction::clone(&tx), included: None }))
    }

    async fn submit(&self, raw: Bytes) -> BackendResult<B256> {
        let tx = decode(&raw)?;
        let expected = self.chain.forks.chain_id;
        if tx.chain_id != 0 && tx.chain_id != expected {
            let error = neura_types::TransactionError::WrongChain { expected, got: tx.chain_id };
            return Err(error.into());
        }
        let account = self.account(tx.sender, BlockRef::Latest).await?;
        if tx.nonce < account.nonce {
            return Err(BackendError::NonceTooLow { expected: account.nonce, got: tx.nonce });
        }
        let (address, have, want) = (tx.sender, account.balance, tx.max_cost());
        if have < want {
            return Err(BackendError::InsufficientFunds { address, have, want });
        }
        let (got, limit) = (tx.gas_limit, self.chain.head().header.gas_limit);
        if got > limit {
            return Err(BackendError::GasLimitTooHigh { got, limit });
        }
        self.waiting.insert(tx)
    }

    async fn account(&self, address: Address, at: BlockRef) -> BackendResult<Account> {
        let account = self.known(at)?.state.account(address).map_err(|error| failed(&error))?;
        Ok(account.unwrap_or_default())
    }

    async fn storage(&self, address: Address, slot: U256, at: BlockRef) -> BackendResult<U256> {
        self.known(at)?.state.storage(address, slot).map_err(|error| failed(&error))
    }

    async fn code(&self, address: Address, at: BlockRef) -> BackendResult<Bytes> {
        let state = &self.known(at)?.state;
        let hash = self.account(address, at).await?.code_hash;
        Ok(state.code(hash).map_err(|error| failed(&error))?.unwrap_or_default())
    }

    async fn pending_nonce(&self, address: Address) -> BackendResult<u64> {
        let next = self.account(address, BlockRef::Latest).await?.nonce;
        Ok(self.waiting.nonce_after(address, next))
    }

    async fn pool_status(&self) -> BackendResult<(u64, u64)> {
        let content = self.pool(None);
        Ok((content.pending.len() as u64, content.queued.len() as u64))
    }

    async fn pool_content(&self, sender: Option<Address>, _: usize) -> BackendResult<PoolContent> {
        Ok(self.pool(sender))
    }

    async fn call(&self, call: CallAt) -> BackendResult<CallOutcome> {
        self.work(call.at, move |chain, block| {
            let done = neura_runtime::call(&scene(chain, block, &call), &call.call)
                .map_err(|error| call_error(error, &call.call))?;
            match done.status {
                CallStatus::Success => {
                    Ok(CallOutcome { output: done.output, gas_used: done.gas_used })
                }
                CallStatus::Reverted => Err(BackendError::Reverted { data: done.output }),
                CallStatus::Halted(reason) => Err(BackendError::Halted(reason)),
            }
        })
        .await
    }

    async fn estimate_gas(&self, call: CallAt) -> BackendResult<u64> {
        self.work(call.at, move |chain, block| {
            neura_runtime::estimate_gas(&scene(chain, block, &call), &call.call)
                .map_err(|error| call_error(error, &call.call))
        })
        .await
    }

    async fn create_access_list(&self, call: CallAt) -> BackendResult<AccessListOutcome> {
        self.work(call.at, move |chain, block| {
            neura_runtime::create_access_list(&scene(chain, block, &call), &call.call)
                .map_err(|error| call_error(error, &call.call))
        })
        .await
    }

    async fn simulate(
        &self,
        request: SimulationRequest,
        at: BlockRef,
    ) -> BackendResult<Vec<SimulatedBlock>> {
        self.work(at, move |chain, block| {
            let rules = Rules::Ethereum(chain.spec(&block.header));
            let scene = Scene::new(&block.state, &chain.context(&block.header)).by(rules);
            let parent = SimulationParent {
                header: block.header.clone(),
                hash: block.view.head.id,
                next_base_fee: next_base_fee(&block.header),
                blobs: chain.forks.blobs(block.header.timestamp),
            };
            neura_runtime::simulate(&scene, parent, &request, &block.state)
                .map_err(simulation_error)
        })
        .await
    }

    async fn trace_call(&self, call: CallAt, options: Value) -> BackendResult<Value> {
        self.work(call.at, move |chain, block| {
            let scene = scene(chain, block, &call);
            neura_runtime::trace_call(&scene, &call.call, &TraceOptions::new(options))
                .map_err(|error| trace_error(error, &call.call))
        })
        .await
    }

    async fn trace_block(
        &self,
        block: BlockRef,
        only: Option<B256>,
        options: Value,
    ) -> BackendResult<Option<Vec<(B256, Value)>>> {
        if self.at(block).is_none() {
            return Ok(None);
        }
        self.work(block, move |chain, block| {
            let header = &block.header;
            let before =
                header.number.checked_sub(1).and_then(|height| usize::try_from(height).ok());
            let before = before.and_then(|height| chain.blocks.get(height));
            let before =
                before.ok_or_else(|| BackendError::Trace("genesis is not traceable".into()))?;
            let start = BlockStart {
                parent_hash: header.parent_hash,
                beacon_root: header.parent_beacon_block_root,
                block_hash: Some(block.view.head.id),
            };
            let rules = Rules::Ethereum(chain.spec(header));
            let scene = Scene::new(&before.state, &chain.context(header))
                .by(rules)
                .difficult(header.difficulty);
            let options = TraceOptions::new(options);
            let transactions = &block.view.transactions;
            neura_runtime::trace_block(&scene, &start, transactions, only, &options)
                .map(Some)
                .map_err(|error| trace_error(error, &CallRequest::default()))
        })
        .await
    }

    async fn build_block(&self, request: BuildRequest) -> BackendResult<BuiltBlock> {
        let transactions = match &request.transactions {
            Some(raw) => raw.iter().map(decode).collect::<BackendResult<Vec<_>>>()?,
            None => {
                let pending = self.pool(None).pending;
                pending.iter().map(|tx| Transaction::clone(tx)).collect()
            }
        };
        self.work(BlockRef::Id(request.parent), move |chain, parent| {
            build::build(chain, parent, request, &transactions).map_err(|error| {
                BackendError::Simulation { code: REFUSED, message: format!("{error:#}") }
            })
        })
        .await
    }

    async fn fork_config(&self) -> BackendResult<Option<Value>> {
        let genesis = &self.chain.blocks[0]; // There is always genesis.
        let began = (genesis.view.head.id, genesis.header.timestamp);
        let now = self.chain.head().header.timestamp;
        Ok(Some(config::config(&self.chain.forks, began, now)))
    }

    async fn ethereum_proof(
        &self,
        address: Address,
        slots: Vec<U256>,
        at: BlockRef,
    ) -> BackendResult<EthereumProof> {
        self.work(at, move |_, block| {
            let (account, storage_root, account_proof) = block.state.prove(address);
            let words = slots.iter().map(|slot| block.state.prove_word(address, *slot));
            Ok(EthereumProof { account, storage_root, account_proof, storage: words.collect() })
        })
        .await
    }

    async fn fees(&self) -> BackendResult<Fees> {
        let next_base_fee = next_base_fee(&self.chain.head().header);
        Ok(Fees { next_base_fee, priority_fee: TIP })
    }

    async fn logs(&self, query: LogQuery, limit: usize) -> BackendResult<Vec<LogEntry>> {
        let mut found = Vec::new();
        let blocks = self
            .chain
            .blocks
            .iter()
            .filter(|block| (query.from..=query.to).contains(&block.header.number));
        for block in blocks {
            let mut log_index = 0;
            for (receipt, tx_index) in block.view.receipts.iter().zip(0..) {
                for log in &receipt.logs {
                    if query.matches(log) {
                        found.push(LogEntry {
                            log: log.clone(),
                            block: block.view.head.id,
                            height: block.header.number,
                            timestamp_ms: block.view.head.header.timestamp_ms,
                            tx_hash: receipt.tx_hash,
                            tx_index,
                            log_index,
                        });
                    }
                    log_index += 1;
                }
            }
            if found.len() > limit {
                let (from, suggested_to) = (query.from, block.header.number.saturating_sub(1));
                return Err(BackendError::TooManyLogs { limit, from, suggested_to });
            }
        }
        Ok(found)
    }

    async fn account_proof(&self, _: Address) -> BackendResult<AccountProof> {
        nothing()
    }

    async fn providers(
        &self,
        _: Option<Address>,
        _: u32,
    ) -> BackendResult<Listing<Provider, Address>> {
        nothing()
    }

    async fn provider(&self, _: Address) -> BackendResult<Option<Provider>> {
        nothing()
    }

    async fn requester(&self, _: Address) -> BackendResult<Option<Requester>> {
        nothing()
    }

    async fn tasks(&self, _: TaskQuery, _: u32) -> BackendResult<Listing<Task, TaskId>> {
        nothing()
    }

    async fn task(&self, _: TaskId) -> BackendResult<Option<Task>> {
        nothing()
    }

    async fn validators(&self) -> BackendResult<Validators> {
        nothing()
    }

    async fn candidates(&self, _: u64, _: u32) -> BackendResult<Listing<ValidatorInfo, u64>> {
        nothing()
    }

    async fn validator(&self, _: ValidatorRef) -> BackendResult<Option<ValidatorInfo>> {
        nothing()
    }

    async fn staking(&self, _: Address, _: Option<Address>) -> BackendResult<StakingAccount> {
        nothing()
    }

    async fn epoch(&self, _: EpochRef) -> BackendResult<Option<EpochInfo>> {
        nothing()
    }

    async fn proposals(&self, _: Option<u64>, _: u32) -> BackendResult<Listing<ProposalInfo, u64>> {
        nothing()
    }

    async fn proposal(&self, _: u64) -> BackendResult<Option<ProposalInfo>> {
        nothing()
    }

    async fn faucet(&self, _: Address, _: Option<Amount>) -> BackendResult<(B256, Amount)> {
        Err(BackendError::NoFaucet)
    }

    async fn blob_put(&self, _: Bytes) -> BackendResult<BlobRef> {
        Err(BackendError::NoBlobStore)
    }

    async fn blob_get(&self, _: B256) -> BackendResult<Option<Bytes>> {
        Err(BackendError::NoBlobStore)
    }

    async fn blob_size(&self, _: B256) -> BackendResult<Option<u64>> {
        Err(BackendError::NoBlobStore)
    }

    fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
