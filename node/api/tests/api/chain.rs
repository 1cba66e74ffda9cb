//! A chain in memory: blocks are made when a test says so.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256};
use neura_api::{
    BackendError, BlockHead, BlockView, Event, ExecutedHead, Included, TransactionView,
};
use neura_types::{
    Account, Log, Receipt, Transaction,
    block::{Block, ExecutedRoot},
    certificate::QuorumCertificate,
    provider::{Capability, Provider, ProviderStatus, TrackRecord},
    rest::{Finality, TaskChange},
    task::{BlobRef, Requirement, ResultPrivacy, Task, TaskState, Terms, VerificationPolicy},
};

pub(crate) const CHAIN_ID: u64 = 7_411;
pub(crate) const BASE_FEE: u64 = 1_000;
pub(crate) const GAS_LIMIT: u64 = 30_000_000;
pub(crate) const GAS_USED: u64 = 21_000;
/// Whoever is sent to this address gets a receipt with two logs.
pub(crate) const LOGGER: Address = Address::repeat_byte(0x10);

/// The chain's state.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) blocks: Vec<Arc<BlockView>>,
    pub(crate) pool: Vec<Transaction>,
    pub(crate) accounts: BTreeMap<Address, Account>,
    pub(crate) blobs: BTreeMap<B256, Bytes>,
    pub(crate) providers: BTreeMap<Address, Provider>,
    pub(crate) tasks: BTreeMap<u64, Task>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        let mut chain = Self::default();
        chain.push_block(Vec::new());
        for index in 1..=3 {
            let provider = provider(index);
            chain.providers.insert(provider.address, provider);
        }
        for id in 1..=5 {
            chain.tasks.insert(id, task(id));
        }
        chain
    }

    /// Takes a transaction into the pool.
    pub(crate) fn submit(&mut self, raw: Bytes) -> Result<B256, BackendError> {
        let tx = Transaction::decode(raw, CHAIN_ID)?;
        if self.pool.iter().any(|waiting| waiting.hash == tx.hash) {
            return Err(BackendError::AlreadyKnown);
        }
        let account = self.accounts.get(&tx.sender).cloned().unwrap_or_default();
        if tx.nonce < account.nonce {
            return Err(BackendError::NonceTooLow { expected: account.nonce, got: tx.nonce });
        }
        if account.balance < tx.max_cost() {
            return Err(BackendError::InsufficientFunds {
                address: tx.sender,
                have: account.balance,
                want: tx.max_cost(),
            });
        }
        let hash = tx.hash;
        self.pool.push(tx);
        Ok(hash)
    }

    /// Makes a block of what waits, and tells what happened.
    pub(crate) fn mine(&mut self) -> Vec<Event> {
        let transactions = std::mem::take(&mut self.pool);
        let block = self.push_block(transactions);
        let height = block.head.header.height;
        let change = TaskChange {
            task: 1,
            state: TaskState::Running,
            owner: Address::ZERO,
            provider: Address::ZERO,
            height,
        };
        vec![
            Event::Ordered(Arc::new(block.head.clone())),
            Event::Executed { block, tasks: vec![change] },
        ]
    }

    fn push_block(&mut self, transactions: Vec<Transaction>) -> Arc<BlockView> {
        let height = self.blocks.len() as u64;
        let parent = self.blocks.last().map_or(B256::ZERO, |block| block.head.id);
        let mut raw =
            Block::genesis(parent, 1_700_000_000_000 + height * 500, ExecutedRoot::default());
        raw.header.height = height;
        raw.header.view = height;
        raw.header.parent = parent;
        raw.justify = QuorumCertificate::genesis(parent);
        let receipts = self.execute(&transactions);
        let gas_used = receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used);
        let head = BlockHead {
            ethereum: None,
            id: raw.id(),
            proposer: Address::repeat_byte(0xab),
            transactions: transactions.len() as u64,
            size: 500,
            executed: Some(ExecutedHead {
                root: ExecutedRoot {
                    height,
                    state_root: B256::repeat_byte(1),
                    receipts_root: B256::repeat_byte(2),
                    gas_used,
                    next_base_fee: BASE_FEE,
                },
                base_fee: BASE_FEE,
                gas_limit: GAS_LIMIT,
            }),
            header: raw.header,
            finality: Finality::Executed,
        };
        let block = Arc::new(BlockView { head, transactions, receipts });
        self.blocks.push(Arc::clone(&block));
        block
    }

    fn execute(&mut self, transactions: &[Transaction]) -> Vec<Receipt> {
        let mut receipts: Vec<Receipt> = Vec::new();
        for tx in transactions {
            let account = self.accounts.entry(tx.sender).or_default();
            if tx.nonce != account.nonce {
                continue;
            }
            account.nonce += 1;
            let before = receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used);
            let to = tx.to.to().copied();
            let logs = if to == Some(LOGGER) { vec![log(1), log(2)] } else { Vec::new() };
            receipts.push(Receipt {
                tx_hash: tx.hash,
                tx_type: tx.tx_type,
                from: tx.sender,
                to,
                contract: to.is_none().then(|| tx.sender.create(tx.nonce)),
                success: true,
                gas_used: GAS_USED,
                cumulative_gas_used: before + GAS_USED,
                effective_gas_price: U256::from(tx.effective_gas_price(BASE_FEE).unwrap()),
                logs,
                revert_data: Bytes::new(),
            });
        }
        receipts
    }

    /// A transaction in the pool or a block.
    pub(crate) fn transaction(&self, hash: B256) -> Option<TransactionView> {
        if let Some(tx) = self.pool.iter().find(|tx| tx.hash == hash) {
            return Some(TransactionView { transaction: tx.clone(), included: None });
        }
        let block =
            self.blocks.iter().find(|block| block.transactions.iter().any(|tx| tx.hash == hash))?;
        let transaction = block.transactions.iter().find(|tx| tx.hash == hash)?.clone();
        let position = block.receipts.iter().position(|receipt| receipt.tx_hash == hash);
        let earlier = &block.receipts[..position.unwrap_or(0)];
        let included = Included {
            blob_price: None,
            state_root: None,
            block: block.head.id,
            height: block.head.header.height,
            timestamp_ms: block.head.header.timestamp_ms,
            index: position.unwrap_or(0) as u64,
            finality: block.head.finality,
            base_fee: Some(BASE_FEE),
            receipt: position.map(|position| block.receipts[position].clone()),
            first_log: earlier.iter().map(|receipt| receipt.logs.len() as u64).sum(),
        };
        Some(TransactionView { transaction, included: Some(included) })
    }
}

fn log(kind: u8) -> Log {
    Log {
        address: LOGGER,
        topics: vec![B256::repeat_byte(kind), B256::repeat_byte(0xee)],
        data: Bytes::from(vec![kind; 32]),
    }
}

fn provider(index: u8) -> Provider {
    let identity = neura_types::keys::SecretKey::from_seed(&[index; 32]).public_key();
    Provider {
        address: identity.address(),
        identity,
        encryption_key: B256::repeat_byte(index),
        key_epoch: 1,
        payout: identity.address(),
        capability: Capability {
            gpu_model: format!("Card {index}000"),
            gpu_backend: "vulkan".into(),
            gpu_memory_mib: 4_096 * u32::from(index),
            cpu_cores: 8,
            ram_mib: 16_384,
            disk_mib: 100_000,
        },
        executors: vec!["int8".into()],
        price_per_block: neura_types::Amount(100 * u128::from(index)),
        region: "eu".into(),
        endpoint: String::new(),
        bond: neura_types::Amount::ankr(100),
        status: ProviderStatus::Active,
        capacity: 2,
        active_tasks: u32::from(index == 3) * 2,
        submitted_tasks: 0,
        registered_at: 0,
        heartbeat_at: 0,
        unbonds_at: 0,
        record: TrackRecord::default(),
    }
}

fn task(id: u64) -> Task {
    let owner =
        if id.is_multiple_of(2) { Address::repeat_byte(2) } else { Address::repeat_byte(1) };
    Task {
        id,
        owner,
        terms: Terms {
            payload: BlobRef { locator: "neura:00".into(), hash: B256::ZERO, size: 1 },
            envelope_nonce: B256::ZERO,
            provider: provider(1).address,
            key_epoch: 1,
            result_key: B256::ZERO,
            requirement: Requirement::default(),
            executor: "int8".into(),
            duration_blocks: 10,
            verification: VerificationPolicy::None,
            privacy: ResultPrivacy::Sealed,
        },
        price_per_block: neura_types::Amount(100),
        escrow: neura_types::Amount(1_000),
        challenge_bond: neura_types::Amount::ZERO,
        challenges: 0,
        state: if id == 5 { TaskState::Assigned } else { TaskState::Settled },
        created_at: id,
        accepted_at: 0,
        submitted_at: 0,
        deadline: 0,
        result: None,
        outcome: None,
        seen_at: id,
        checkpoint: None,
    }
}
