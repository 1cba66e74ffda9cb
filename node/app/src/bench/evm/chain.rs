//! A chain of one validator without a network: its blocks are final when they are made.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, mpsc::sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use neura_runtime::{
    Attendance, BlockContext, BlockInput, Execution, execute, execute_on, genesis_changes,
};
use neura_storage::{Committed, Demand, ExecutedBlock, Store, StoreConfig, genesis_root};
use neura_types::{
    Account, Address, Amount, B256, Batch, BatchRef, Block, BlockId, Bytes, EpochConfig,
    ExecutedRoot, Genesis, Height, Params, StateChanges, Transaction, U256, codec,
    genesis::GenesisAccount,
    hash::{Domain, hash},
    keys::{EthKey, SecretKey},
    state::{Changed, MemoryState},
    validator::Validator,
};

use super::{CHAIN_ID, all_succeeded, numbered};

/// Where the token lies.
pub(super) const TOKEN: Address = Address::repeat_byte(0x70);
/// `transfer(to, amount)` without a selector: moves the second word of the call data from the caller's balance to the
/// first word's, both in words named by the keccak256 of the account, with an event; anyone has 2^255 to begin with.
const TOKEN_CODE: [u8; 51] = [
    0x33, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0x20, // key of the caller
    0x80, 0x54, 0x60, 0x20, 0x35, 0x90, 0x03, 0x90, 0x55, // balance - amount
    0x5f, 0x35, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0x20, // key of the receiver
    0x80, 0x54, 0x60, 0x20, 0x35, 0x01, 0x90, 0x55, // balance + amount
    0x60, 0x20, 0x35, 0x5f, 0x52, // the amount as the event's data
    0x5f, 0x35, 0x33, 0x61, 0xdd, 0xf2, 0x60, 0x20, 0x5f, 0xa3, // LOG3
    0x00, 0x00, 0x00, 0x00,
];
/// Where the hasher lies.
pub(super) const HASHER: Address = Address::repeat_byte(0x71);
/// Hashes a word a thousand times: a contract that computes rather than stores.
const HASHER_CODE: [u8; 18] = [
    0x61, 0x03, 0xe8, 0x5b, // a thousand times
    0x60, 0x20, 0x5f, 0x20, 0x5f, 0x52, // the word's hash in its place
    0x60, 0x01, 0x90, 0x03, 0x80, 0x60, 0x03, 0x57,
];
/// Where the counter lies.
pub(super) const COUNTER: Address = Address::repeat_byte(0x72);
/// Adds one to its only word.
const COUNTER_CODE: [u8; 7] = [0x60, 0x01, 0x5f, 0x54, 0x01, 0x5f, 0x55];
/// What everybody owns.
const FUNDS: Amount = Amount::ankr(1_000_000);
/// Blocks that are final and not executed yet, at most: what a busy chain is behind.
const ORDERED_AHEAD: usize = 4;
/// Bytes of a certificate, about.
const PROOF_BYTES: usize = 300;

/// The state that chains begin with, and who sends.
pub(super) struct World {
    pub(super) keys: Vec<EthKey>,
    pub(super) changes: StateChanges,
    accounts: u64,
    genesis: Genesis,
}

impl World {
    /// A state of so many accounts, besides those of the senders.
    pub(super) fn new(keys: Vec<EthKey>, accounts: u64) -> Result<Self> {
        let funded =
            keys.iter().map(|key| GenesisAccount { address: key.address(), balance: FUNDS });
        let genesis = Genesis {
            chain_id: CHAIN_ID,
            timestamp_ms: 1_700_000_000_000,
            params: Params::default(),
            treasury: Address::repeat_byte(0xee),
            faucet: None,
            validators: vec![Validator {
                public_key: SecretKey::from_seed(&[1; 32]).public_key(),
                account: Address::repeat_byte(0xcc),
                power: 1,
            }],
            accounts: funded.collect(),
        };
        let mut changes = genesis_changes(&genesis)?;
        let account = Account { balance: U256::from(7), ..Account::default() };
        changes.accounts.extend((0..accounts).map(|n| (numbered(n), Some(account.clone()))));
        let contracts =
            [(TOKEN, TOKEN_CODE.as_slice()), (HASHER, &HASHER_CODE), (COUNTER, &COUNTER_CODE)];
        for (address, code) in contracts {
            let code_hash = neura_types::hash::keccak(code);
            changes.code.insert(code_hash, Bytes::from_static(code));
            let contract = Account { nonce: 1, code_hash, ..account.clone() };
            changes.accounts.insert(address, Some(contract));
        }
        Ok(Self { keys, changes, accounts, genesis })
    }

    /// Who gets the coins of a transaction: one account after the other, far apart in the tree.
    pub(super) fn receiver(&self, n: usize) -> Address {
        const STEP: u64 = 7_919;
        numbered((n as u64).wrapping_mul(STEP) % self.accounts.max(1))
    }

    fn context(&self) -> Result<BlockContext> {
        Ok(BlockContext {
            chain_id: CHAIN_ID,
            genesis: self.genesis.hash(),
            height: 1,
            timestamp_ms: self.genesis.timestamp_ms,
            proposer: Address::repeat_byte(0xcc),
            randomness: B256::ZERO,
            base_fee: 0,
            treasury: self.genesis.treasury,
            epoch: Arc::new(EpochConfig::genesis(&self.genesis, 0)?),
            attendance: Attendance::default(),
        })
    }
}

/// A chain whose state lies in memory.
pub(super) struct MemoryChain {
    state: MemoryState,
    context: BlockContext,
}

impl MemoryChain {
    pub(super) fn new(world: &World) -> Result<Self> {
        let mut state = MemoryState::default();
        state.apply(&world.changes);
        Ok(Self { state, context: world.context()? })
    }

    /// Executes a block and returns how long that took; what it changed is applied aside.
    pub(super) fn block(
        &mut self,
        transactions: &[Arc<Transaction>],
        threads: NonZeroUsize,
    ) -> Result<Duration> {
        let decoded: Vec<_> = transactions.iter().map(|tx| Ok(Arc::clone(tx))).collect();
        let started = Instant::now();
        let input = BlockInput { context: &self.context, transactions: &decoded };
        let execution = execute_on(&self.state, &input, threads)?;
        let time = started.elapsed();
        all_succeeded(&execution, transactions.len())?;
        self.state.apply(&execution.changes);
        self.context.height += 1;
        Ok(time)
    }
}

/// A chain in a node's store. As in a node, blocks are ordered and synced on a thread of their own, and each is executed
/// while the one before it is committed.
pub(super) struct StoredChain {
    store: Store,
    context: BlockContext,
}

/// A block that is not committed yet.
struct Executed {
    id: BlockId,
    height: Height,
    execution: Execution,
}

impl StoredChain {
    pub(super) fn new(world: &World, folder: &Path) -> Result<Self> {
        let context = world.context()?;
        let config = StoreConfig::new(CHAIN_ID, context.genesis);
        let store = Store::open(folder, config.clone())?;
        let base_fee = world.genesis.params.initial_base_fee;
        let root = genesis_root(&world.changes, base_fee)?;
        let block = Block::genesis(context.genesis, context.timestamp_ms, root);
        store.init_genesis(&block, block.id(), &world.changes)?;
        // The measurement begins with nothing in memory, and nothing of genesis that waits to be written or merged: not
        // what the first process left, nor what the second finds to do when it opens the tables.
        store.settle()?;
        drop(store);
        let store = Store::open(folder, config)?;
        store.settle()?;
        Ok(Self { store, context })
    }

    /// Orders, executes and commits blocks.
    pub(super) fn run(&mut self, blocks: &[&[Arc<Transaction>]]) -> Result<()> {
        let (ordered, order) = sync_channel(ORDERED_AHEAD);
        let (store, genesis) = (self.store.clone(), self.store.committed_tip()?.1);
        thread::scope(|scope| {
            let ordering = scope.spawn(move || {
                let mut parent = genesis;
                for (transactions, height) in blocks.iter().zip(1..) {
                    parent = put(&store, (height, parent), transactions)?;
                    ordered.send(parent)?;
                }
                Ok(())
            });
            let mut last = None;
            for (transactions, id) in blocks.iter().zip(order) {
                last = Some(self.block(id, transactions, last)?);
            }
            joined(ordering)?;
            last.map_or(Ok(()), |last| self.commit(&last))
        })
    }

    /// Executes a block over the store, while the block before it is committed.
    fn block(
        &mut self,
        id: BlockId,
        transactions: &[Arc<Transaction>],
        last: Option<Executed>,
    ) -> Result<Executed> {
        let view = self.store.state()?;
        let changes = last.as_ref().map(|last| &last.execution.changes);
        let state = Changed { state: &view, changes };
        let decoded: Vec<_> = transactions.iter().map(|tx| Ok(Arc::clone(tx))).collect();
        let input = BlockInput { context: &self.context, transactions: &decoded };
        let execution = thread::scope(|scope| {
            let committing = last.as_ref().map(|last| scope.spawn(|| self.commit(last)));
            let execution = execute(&state, &input);
            committing.map_or(Ok(()), joined)?;
            anyhow::Ok(execution?)
        })?;
        all_succeeded(&execution, transactions.len())?;
        let height = self.context.height;
        self.context.height += 1;
        Ok(Executed { id, height, execution })
    }

    fn commit(&self, Executed { id, height, execution }: &Executed) -> Result<()> {
        self.store.commit_executed(&ExecutedBlock {
            id: *id,
            height: *height,
            timestamp_ms: self.context.timestamp_ms,
            gas_used: execution.gas_used,
            base_fee: execution.base_fee,
            next_base_fee: execution.next_base_fee,
            proposer: self.context.proposer,
            receipts: &execution.receipts,
            included: &execution.included,
            block_logs: &execution.block_logs,
            changes: &execution.changes,
        })?;
        Ok(())
    }
}

fn joined(thread: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().map_err(|_| anyhow!("the commit panicked"))?
}

/// Stores a block durably with the batch that it names, and makes it final.
fn put(
    store: &Store,
    (height, parent): (Height, BlockId),
    transactions: &[Arc<Transaction>],
) -> Result<BlockId> {
    let items = transactions.iter().map(|tx| tx.raw.clone()).collect();
    let batch = Batch { author: 0, sequence: height, items };
    let bytes = codec::encode(&batch);
    let digest = hash(Domain::Batch, &bytes);
    store.put_batches(&[(digest, &bytes)], Demand::Needed, false)?;
    let mut block = Block::genesis(parent, height, ExecutedRoot::default());
    block.header.height = height;
    block.batches.push(BatchRef {
        digest,
        author: batch.author,
        bytes: u32::try_from(bytes.len())?,
        items: u32::try_from(batch.items.len())?,
    });
    let id = block.id();
    store.put_block(&block, id, true)?;
    let proof = Some(vec![1; PROOF_BYTES]);
    store.commit(&[Committed { id, height, proof }])?;
    Ok(id)
}
