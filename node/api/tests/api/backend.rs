//! The chain in memory as a backend.

use std::sync::{Arc, Mutex, MutexGuard};

use alloy_primitives::{Address, B256, Bytes, U256};
use async_trait::async_trait;
use neura_api::{
    Backend, BackendError, BackendResult, BlockHead, BlockRef, BlockView, CallAt, CallOutcome,
    EpochRef, Event, Fees, Listing, LogEntry, LogQuery, NoteFeed, TaskQuery, TransactionView,
    ValidatorRef,
};
use neura_types::{
    Account, Amount, Block, Height, Transaction,
    block::ExecutedRoot,
    note::TaskNote,
    provider::{Provider, Requester, TrackRecord},
    rest::{
        AccountProof, EpochInfo, ProposalInfo, StakingAccount, Status, ValidatorInfo, Validators,
    },
    task::{BlobRef, Task, TaskId},
};
use tokio::sync::{Semaphore, broadcast, watch};

use crate::{
    chain::{BASE_FEE, CHAIN_ID, Chain},
    staking,
};

/// A call to this address reverts with `Error("no")`.
pub(crate) const REVERTS: Address = Address::repeat_byte(0x11);
/// A call to this address reverts without data.
pub(crate) const REVERTS_BARE: Address = Address::repeat_byte(0x12);
/// A call to this address makes the backend panic.
pub(crate) const PANICS: Address = Address::repeat_byte(0x13);
/// The code of this address is read only when the test lets it.
pub(crate) const GATED: Address = Address::repeat_byte(0x15);
/// A call to this address never ends.
pub(crate) const HANGS: Address = Address::repeat_byte(0x14);
/// Bytes that the off-chain store holds.
pub(crate) const STORE_QUOTA: u64 = 4_096;

/// `Error("no")`.
pub(crate) fn error_no() -> Bytes {
    let mut data = vec![0x08, 0xc3, 0x79, 0xa0];
    data.extend(U256::from(32).to_be_bytes::<32>());
    data.extend(U256::from(2).to_be_bytes::<32>());
    data.extend(b"no");
    data.resize(4 + 96, 0);
    data.into()
}

#[derive(Debug)]
pub(crate) struct MemoryBackend {
    pub(crate) chain: Mutex<Chain>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) faucet: bool,
    pub(crate) syncing: bool,
    /// Reads of gated code that have come to the gate.
    pub(crate) at_gate: watch::Sender<usize>,
    pub(crate) gate: Semaphore,
    pub(crate) notes: Mutex<Vec<Arc<TaskNote>>>,
    pub(crate) live_notes: broadcast::Sender<Arc<TaskNote>>,
}

impl MemoryBackend {
    pub(crate) fn new() -> Self {
        Self {
            chain: Mutex::new(Chain::new()),
            events: broadcast::Sender::new(64),
            faucet: true,
            syncing: false,
            at_gate: watch::Sender::new(0),
            gate: Semaphore::new(0),
            notes: Mutex::default(),
            live_notes: broadcast::Sender::new(64),
        }
    }

    pub(crate) fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    pub(crate) fn fund(&self, address: Address, balance: u128) {
        let account = Account { balance: U256::from(balance), ..Account::default() };
        self.chain().accounts.insert(address, account);
    }

    /// Makes a block of what waits.
    pub(crate) fn mine(&self) {
        let events = self.chain().mine();
        for event in events {
            self.events.send(event).expect("the server listens");
        }
    }

    fn find(&self, block: BlockRef) -> Option<Arc<BlockView>> {
        let chain = self.chain();
        match block {
            BlockRef::Latest | BlockRef::Pending => chain.blocks.last().cloned(),
            BlockRef::Height(height) => chain.blocks.get(usize::try_from(height).ok()?).cloned(),
            BlockRef::Id(id) => chain.blocks.iter().find(|block| block.head.id == id).cloned(),
        }
    }

    fn known(&self, block: BlockRef) -> BackendResult<Arc<BlockView>> {
        self.find(block).ok_or(BackendError::UnknownBlock)
    }

    async fn run(&self, call: &neura_types::simulation::CallRequest) -> BackendResult<CallOutcome> {
        match call.to {
            Some(REVERTS) => Err(BackendError::Reverted { data: error_no() }),
            Some(REVERTS_BARE) => Err(BackendError::Reverted { data: Bytes::new() }),
            Some(PANICS) => panic!("a fault of the backend"),
            Some(HANGS) => std::future::pending().await,
            _ => Ok(CallOutcome { output: call.input.clone(), gas_used: 21_000 }),
        }
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn status(&self) -> BackendResult<Status> {
        let top = self.chain().blocks.len() as u64 - 1;
        Ok(Status {
            version: "0.1.0".into(),
            chain_id: CHAIN_ID,
            genesis_hash: B256::repeat_byte(9),
            ordered: top,
            executed: top,
            certified: top.saturating_sub(4),
            view: top,
            epoch: 0,
            epoch_last: 1_000,
            evidence: 0,
            peers: 3,
            validator: Some(1),
            syncing: self.syncing,
            faucet: self.faucet,
            max_blob_bytes: STORE_QUOTA,
        })
    }

    async fn block(&self, block: BlockRef) -> BackendResult<Option<Arc<BlockView>>> {
        Ok(self.find(block))
    }

    async fn raw_block(&self, block: BlockRef) -> BackendResult<Option<Arc<Block>>> {
        Ok(self.find(block).map(|view| {
            let mut block = Block::genesis(view.head.header.parent, 0, ExecutedRoot::default());
            block.header = view.head.header.clone();
            Arc::new(block)
        }))
    }

    async fn head(&self, block: BlockRef) -> BackendResult<Option<BlockHead>> {
        Ok(self.find(block).map(|view| view.head.clone()))
    }

    async fn heads(&self, before: Option<Height>, limit: u32) -> BackendResult<Vec<BlockHead>> {
        let chain = self.chain();
        let below = chain.blocks.iter().rev().map(|view| view.head.clone());
        let below = below.filter(|head| before.is_none_or(|before| head.header.height < before));
        Ok(below.take(limit as usize).collect())
    }

    async fn transaction(&self, hash: B256) -> BackendResult<Option<TransactionView>> {
        Ok(self.chain().transaction(hash))
    }

    async fn submit(&self, raw: Bytes) -> BackendResult<B256> {
        self.chain().submit(raw)
    }

    async fn account(&self, address: Address, at: BlockRef) -> BackendResult<Account> {
        self.known(at)?;
        Ok(self.chain().accounts.get(&address).cloned().unwrap_or_default())
    }

    async fn storage(&self, _: Address, slot: U256, at: BlockRef) -> BackendResult<U256> {
        self.known(at)?;
        Ok(slot + U256::from(1))
    }

    async fn code(&self, address: Address, at: BlockRef) -> BackendResult<Bytes> {
        self.known(at)?;
        if address == GATED {
            self.at_gate.send_modify(|waiting| *waiting += 1);
            self.gate.acquire().await.unwrap().forget();
        }
        Ok(Bytes::from_static(&[0xfe]))
    }

    async fn pending_nonce(&self, address: Address) -> BackendResult<u64> {
        let chain = self.chain();
        let nonce = chain.accounts.get(&address).map_or(0, |account| account.nonce);
        Ok(nonce + chain.pool.iter().filter(|tx| tx.sender == address).count() as u64)
    }

    async fn next_transactions(&self) -> BackendResult<Vec<Arc<Transaction>>> {
        Ok(self.chain().pool.iter().cloned().map(Arc::new).collect())
    }

    async fn call(&self, CallAt { call, at, .. }: CallAt) -> BackendResult<CallOutcome> {
        self.known(at)?;
        self.run(&call).await
    }

    async fn estimate_gas(&self, CallAt { call, at, .. }: CallAt) -> BackendResult<u64> {
        self.known(at)?;
        Ok(self.run(&call).await?.gas_used)
    }

    async fn fees(&self) -> BackendResult<Fees> {
        Ok(Fees { next_base_fee: BASE_FEE + 1, priority_fee: 7 })
    }

    async fn logs(&self, query: LogQuery, limit: usize) -> BackendResult<Vec<LogEntry>> {
        let chain = self.chain();
        let mut found = Vec::new();
        for block in &chain.blocks {
            let height = block.head.header.height;
            if !(query.from..=query.to).contains(&height) {
                continue;
            }
            let mut index = 0;
            for (position, receipt) in block.receipts.iter().enumerate() {
                for log in &receipt.logs {
                    if query.matches(log) {
                        found.push(LogEntry {
                            log: log.clone(),
                            block: block.head.id,
                            height,
                            timestamp_ms: block.head.header.timestamp_ms,
                            tx_hash: receipt.tx_hash,
                            tx_index: position as u64,
                            log_index: index,
                        });
                    }
                    index += 1;
                }
            }
        }
        if found.len() > limit {
            let from = query.from;
            return Err(BackendError::TooManyLogs { limit, from, suggested_to: from });
        }
        Ok(found)
    }

    async fn account_proof(&self, _: Address) -> BackendResult<AccountProof> {
        Ok(AccountProof {
            height: 0,
            state_root: B256::repeat_byte(1),
            certified_by: B256::repeat_byte(4),
            account: None,
            proof: Bytes::from_static(&[1, 2, 3]),
        })
    }

    async fn providers(
        &self,
        after: Option<Address>,
        limit: u32,
    ) -> BackendResult<Listing<Provider, Address>> {
        let chain = self.chain();
        let mut above = chain
            .providers
            .values()
            .filter(|provider| after.is_none_or(|after| provider.address > after))
            .cloned();
        let items: Vec<_> = above.by_ref().take(limit as usize).collect();
        let more = above.next().is_some();
        let next = items.last().filter(|_| more).map(|provider| provider.address);
        Ok(Listing { items, next })
    }

    async fn provider(&self, address: Address) -> BackendResult<Option<Provider>> {
        Ok(self.chain().providers.get(&address).cloned())
    }

    async fn requester(&self, address: Address) -> BackendResult<Option<Requester>> {
        let requester = Requester {
            address,
            encryption_key: B256::ZERO,
            key_epoch: 1,
            registered_at: 1,
            record: TrackRecord::default(),
        };
        Ok((address == Address::repeat_byte(1)).then_some(requester))
    }

    async fn tasks(&self, query: TaskQuery, limit: u32) -> BackendResult<Listing<Task, TaskId>> {
        let chain = self.chain();
        let mut wanted = chain.tasks.values().rev().filter(|task| {
            query.before.is_none_or(|before| task.id < before)
                && query.owner.is_none_or(|owner| task.owner == owner)
                && query.provider.is_none_or(|provider| task.terms.provider == provider)
                && query.state.is_none_or(|state| task.state == state)
        });
        let items: Vec<_> = wanted.by_ref().take(limit as usize).cloned().collect();
        let more = wanted.next().is_some();
        let next = items.last().filter(|_| more).map(|task| task.id);
        Ok(Listing { items, next })
    }

    async fn task(&self, id: TaskId) -> BackendResult<Option<Task>> {
        Ok(self.chain().tasks.get(&id).cloned())
    }

    async fn validators(&self) -> BackendResult<Validators> {
        Ok(staking::validators())
    }

    async fn candidates(
        &self,
        after: u64,
        limit: u32,
    ) -> BackendResult<Listing<ValidatorInfo, u64>> {
        Ok(staking::candidates(after, limit))
    }

    async fn validator(&self, name: ValidatorRef) -> BackendResult<Option<ValidatorInfo>> {
        Ok(staking::validator(name))
    }

    async fn staking(
        &self,
        account: Address,
        operator: Option<Address>,
    ) -> BackendResult<StakingAccount> {
        Ok(staking::staking(account, operator))
    }

    async fn epoch(&self, epoch: EpochRef) -> BackendResult<Option<EpochInfo>> {
        Ok(staking::epoch(epoch))
    }

    async fn proposals(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> BackendResult<Listing<ProposalInfo, u64>> {
        Ok(staking::proposals(before, limit))
    }

    async fn proposal(&self, id: u64) -> BackendResult<Option<ProposalInfo>> {
        Ok(staking::proposal(id))
    }

    async fn faucet(&self, _: Address, amount: Option<Amount>) -> BackendResult<(B256, Amount)> {
        let (max, asked) = (Amount::ankr(100), amount.unwrap_or(Amount::ankr(10)));
        if asked > max {
            return Err(BackendError::FaucetAmount { max, asked });
        }
        Ok((B256::repeat_byte(5), asked))
    }

    async fn note(&self, note: TaskNote) -> BackendResult<()> {
        let note = Arc::new(note);
        let mut notes = self.notes.lock().unwrap();
        if notes.last().is_some_and(|last| note.number <= last.number) {
            return Err(BackendError::NoteRefused("it is old".into()));
        }
        notes.push(Arc::clone(&note));
        let _ = self.live_notes.send(note);
        Ok(())
    }

    async fn notes(&self, _task: TaskId) -> BackendResult<NoteFeed> {
        let notes = self.notes.lock().unwrap();
        Ok(NoteFeed { kept: notes.clone(), live: self.live_notes.subscribe() })
    }

    async fn blob_put(&self, bytes: Bytes) -> BackendResult<BlobRef> {
        let size = bytes.len() as u64;
        let mut chain = self.chain();
        let held: u64 = chain.blobs.values().map(|blob| blob.len() as u64).sum();
        let free = STORE_QUOTA - held;
        if size > free {
            return Err(BackendError::BlobQuota { needed: size, free });
        }
        let hash = neura_types::hash::content_hash(&bytes);
        chain.blobs.insert(hash, bytes);
        Ok(BlobRef { locator: format!("neura:{hash:x}"), hash, size })
    }

    async fn blob_get(&self, hash: B256) -> BackendResult<Option<Bytes>> {
        Ok(self.chain().blobs.get(&hash).cloned())
    }

    async fn blob_size(&self, hash: B256) -> BackendResult<Option<u64>> {
        Ok(self.chain().blobs.get(&hash).map(|blob| blob.len() as u64))
    }

    fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
