//! Import an Ethereum chain: its genesis file and its blocks, run by the chain's own machine and checked against
//! the roots that the headers state.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use alloy_consensus::{
    Block as RlpBlock, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header as EthereumHeader,
    Transaction as _, TxEnvelope, Typed2718, transaction::SignerRecoverable,
};
use alloy_eips::{
    eip1559::BaseFeeParams,
    eip2718::{Decodable2718, Encodable2718},
    eip4895::Withdrawal,
};
use alloy_primitives::b256;
use alloy_rlp::Decodable;
use alloy_trie::root::ordered_trie_root_encoded;
use anyhow::{Context, Result, bail, ensure};
use neura_api::{BlockHead, BlockView, EthereumBlock, ExecutedHead};
use neura_runtime::{
    Attendance, BlockContext, BlockStart, CallError, CallOutcome, Replay, Rules, Scene, StateRoot,
    ethereum::SpecId,
};
use neura_types::{
    Address, B256, Beacon, Bytes, EpochConfig, ExecutedRoot, Header, Params, Receipt, Transaction,
    U256, ValidatorSet,
    keys::SecretKey,
    rest::Finality,
    simulation::CallStatus,
    transaction::{Delegation, TxSignature},
    validator::Validator,
};
use serde::Deserialize;
use serde_json::Value;

use super::{forks::Forks, state::EthereumState};

/// Bytes of a file of blocks.
const MAX_CHAIN_BYTES: u64 = 1 << 30;
/// sha256 of nothing: a block without requests (EIP-7685).
pub(super) const NO_REQUESTS: B256 =
    b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
/// Wei of one coin.
const COIN: u128 = 1_000_000_000_000_000_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GenesisFile {
    config: Value,
    #[serde(default)]
    nonce: Value,
    #[serde(default)]
    timestamp: Value,
    #[serde(default)]
    extra_data: Bytes,
    gas_limit: Value,
    #[serde(default)]
    difficulty: Value,
    #[serde(default)]
    mix_hash: B256,
    #[serde(default)]
    coinbase: Address,
    #[serde(default)]
    base_fee_per_gas: Value,
    alloc: BTreeMap<Address, GenesisEntry>,
}

#[derive(Debug, Deserialize)]
struct GenesisEntry {
    #[serde(default)]
    balance: Value,
    #[serde(default)]
    nonce: Value,
    #[serde(default)]
    code: Bytes,
    #[serde(default)]
    storage: BTreeMap<B256, B256>,
}

/// A number as genesis files write it: hexadecimal, decimal, a JSON number, or nothing.
fn number(value: &Value) -> Result<U256> {
    match value {
        Value::Null => Ok(U256::ZERO),
        Value::Number(number) => Ok(U256::from(number.as_u64().context("a number is negative")?)),
        Value::String(text) => text.parse().with_context(|| format!("{text:?} is no number")),
        other => bail!("{other} is no number"),
    }
}

fn small(value: &Value) -> Result<u64> {
    u64::try_from(number(value)?).ok().context("a number is above 2^64")
}

/// A block with the state after it.
#[derive(Debug)]
pub(super) struct Imported {
    pub(super) view: Arc<BlockView>,
    pub(super) header: EthereumHeader,
    pub(super) state: EthereumState,
}

/// What running a block's transactions gave.
#[derive(Debug)]
pub(super) struct Ran {
    /// The state after them, without rewards of miners.
    pub(super) state: EthereumState,
    /// What each did.
    pub(super) outcomes: Vec<CallOutcome>,
    /// What the queues of requests gave.
    pub(super) requests: [Bytes; 2],
    /// State root after each, before Byzantium.
    pub(super) roots: Vec<B256>,
}

/// What a block has besides its header.
#[derive(Debug, Default)]
struct Kept {
    raw: Bytes,
    transactions: Vec<Transaction>,
    receipts: Vec<Receipt>,
    roots: Vec<B256>,
    uncles: Vec<EthereumHeader>,
    withdrawals: Vec<Withdrawal>,
}

/// An imported chain.
#[derive(Debug)]
pub(super) struct EthereumChain {
    pub(super) forks: Forks,
    pub(super) blocks: Vec<Imported>,
    pub(super) by_hash: HashMap<B256, usize>,
    epoch: EpochConfig,
}

impl EthereumChain {
    /// Imports `genesis.json` and `chain.rlp`.
    pub(super) fn import(genesis: &Path, blocks: &Path) -> Result<Self> {
        let text = std::fs::read(genesis).with_context(|| genesis.display().to_string())?;
        let file: GenesisFile = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no genesis file", genesis.display()))?;
        let size = std::fs::metadata(blocks).with_context(|| blocks.display().to_string())?.len();
        ensure!(size <= MAX_CHAIN_BYTES, "{}: more than {MAX_CHAIN_BYTES} bytes", blocks.display());
        let bytes = std::fs::read(blocks).with_context(|| blocks.display().to_string())?;
        let mut chain = Self::begin(&file)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let before = rest;
            let number = chain.blocks.len();
            let block = RlpBlock::<TxEnvelope>::decode(&mut rest)
                .with_context(|| format!("{}: block {number} is malformed", blocks.display()))?;
            let raw = before.get(..before.len() - rest.len()).unwrap_or_default();
            chain.add(block, raw).with_context(|| format!("block {number}"))?;
        }
        Ok(chain)
    }

    fn begin(file: &GenesisFile) -> Result<Self> {
        let forks = Forks::read(&file.config)?;
        let mut state = EthereumState::default();
        for (address, entry) in &file.alloc {
            let words = entry.storage.iter().map(|(slot, word)| ((*slot).into(), (*word).into()));
            let standing = (small(&entry.nonce)?, number(&entry.balance)?);
            state.insert(*address, standing, entry.code.clone(), words.collect());
        }
        let header = genesis_header(file, &forks, state.root())?;
        let hash = header.hash_slow();
        state.hashes = Arc::new(vec![hash]);
        let mut chain =
            Self { forks, blocks: Vec::new(), by_hash: HashMap::new(), epoch: epoch()? };
        let mut block = RlpBlock::<TxEnvelope>::uncle(header.clone());
        block.body.withdrawals = header.withdrawals_root.map(|_| Vec::new().into());
        let body = Kept { raw: alloy_rlp::encode(&block).into(), ..Kept::default() };
        chain.keep(header, hash, body, state);
        Ok(chain)
    }

    fn add(&mut self, block: RlpBlock<TxEnvelope>, raw: &[u8]) -> Result<()> {
        let RlpBlock { header, body } = block;
        let parent = self.head();
        ensure!(
            header.parent_hash == parent.view.head.id,
            "its parent {} is not the block before, {}: chain and genesis file do not belong together",
            header.parent_hash,
            parent.view.head.id
        );
        let hash = header.hash_slow();
        let transactions = body.transactions.iter().map(transaction).collect::<Result<Vec<_>>>()?;
        let withdrawals = body.withdrawals.map(|all| all.0).unwrap_or_default();
        let Ran { mut state, outcomes, roots, .. } =
            self.run(parent, &header, Some(hash), &transactions, &withdrawals)?;
        for (miner, reward) in self.mining_rewards(&header, &body.ommers) {
            state.credit(miner, U256::from(reward));
        }
        let root = state.root();
        ensure!(
            root == header.state_root,
            "its state root is {root} here, the header says {}",
            header.state_root
        );
        let mut hashes = (*parent.state.hashes).clone();
        hashes.push(hash);
        state.hashes = Arc::new(hashes);
        let receipts = receipts(&header, &transactions, &outcomes);
        let (root, stated) = (receipts_root(&receipts, &roots), header.receipts_root);
        ensure!(root == stated, "its receipts' root is {root} here, the header says {stated}");
        let raw = Bytes::copy_from_slice(raw);
        let uncles = body.ommers;
        let body = Kept { raw, transactions, receipts, roots, uncles, withdrawals };
        self.keep(header, hash, body, state);
        Ok(())
    }

    /// Runs a block's transactions over the state after its parent.
    pub(super) fn run(
        &self,
        parent: &Imported,
        header: &EthereumHeader,
        hash: Option<B256>,
        transactions: &[Transaction],
        withdrawals: &[Withdrawal],
    ) -> Result<Ran, CallError> {
        let context = self.context(header);
        let rules = Rules::Ethereum(self.spec(header));
        let scene = Scene::new(&parent.state, &context).by(rules).difficult(header.difficulty);
        let start = BlockStart {
            parent_hash: header.parent_hash,
            beacon_root: header.parent_beacon_block_root,
            block_hash: hash,
        };
        let blobs =
            header.excess_blob_gas.map(|excess| (excess, self.forks.blobs(header.timestamp)));
        let replay = neura_runtime::replay(&scene, &start, transactions, withdrawals, blobs)?;
        let Replay { outcomes, accounts, between, requests, code } = replay;
        let roots = between.iter().map(|changed| StateRoot::root(&parent.state, changed));
        let roots = roots.collect();
        let mut state = parent.state.clone();
        state.apply(&accounts, code);
        Ok(Ran { state, outcomes, requests, roots })
    }

    /// What a block's miner and its uncles' receive; nobody since the merge.
    fn mining_rewards(
        &self,
        header: &EthereumHeader,
        uncles: &[EthereumHeader],
    ) -> Vec<(Address, u128)> {
        if header.difficulty.is_zero() {
            return Vec::new();
        }
        let reward = self.mining_reward(header);
        let with_uncles = reward + reward / 32 * uncles.len() as u128;
        let mut rewards = vec![(header.beneficiary, with_uncles)];
        for uncle in uncles {
            let age = header.number.saturating_sub(uncle.number);
            let share = u128::from(8u64.saturating_sub(age));
            rewards.push((uncle.beneficiary, reward * share / 8));
        }
        rewards
    }

    fn mining_reward(&self, header: &EthereumHeader) -> u128 {
        match self.spec(header) {
            spec if spec >= SpecId::PETERSBURG => 2 * COIN,
            spec if spec >= SpecId::BYZANTIUM => 3 * COIN,
            _ => 5 * COIN,
        }
    }

    fn keep(&mut self, header: EthereumHeader, hash: B256, body: Kept, state: EthereumState) {
        let Kept { raw, transactions, receipts, roots, uncles, withdrawals } = body;
        let params = self.forks.blobs(header.timestamp);
        let ethereum = EthereumBlock {
            header: header.clone(),
            uncles,
            roots,
            withdrawals,
            blob_price: header.blob_fee(params),
            next_blob_price: header.next_block_blob_fee(params),
            max_blob_gas: params.max_blob_gas_per_block(),
            raw,
        };
        let head = head(&header, hash, transactions.len(), Arc::new(ethereum));
        let view = Arc::new(BlockView { head, transactions, receipts });
        self.by_hash.insert(hash, self.blocks.len());
        self.blocks.push(Imported { view, header, state });
    }

    /// The last block.
    pub(super) fn head(&self) -> &Imported {
        &self.blocks[self.blocks.len() - 1] // There is always genesis.
    }

    /// The rules of a block.
    pub(super) fn spec(&self, header: &EthereumHeader) -> SpecId {
        let is_merged = header.difficulty.is_zero();
        self.forks.spec(header.number, header.timestamp, is_merged)
    }

    /// A block as the machine sees it.
    pub(super) fn context(&self, header: &EthereumHeader) -> BlockContext {
        let mut epoch = self.epoch.clone();
        epoch.params.block_gas_limit = header.gas_limit;
        BlockContext {
            chain_id: self.forks.chain_id,
            genesis: B256::ZERO,
            height: header.number,
            timestamp_ms: header.timestamp.saturating_mul(1_000),
            proposer: header.beneficiary,
            randomness: header.mix_hash,
            base_fee: header.base_fee_per_gas.unwrap_or_default(),
            treasury: Address::ZERO,
            epoch: Arc::new(epoch),
            attendance: Attendance::default(),
        }
    }
}

/// An epoch for the machine, which wants one; nothing of it is seen by Ethereum's code but the gas limit.
fn epoch() -> Result<EpochConfig> {
    let validator = Validator {
        public_key: SecretKey::from_seed(&[1; 32]).public_key(),
        account: Address::ZERO,
        power: 1,
    };
    let set = ValidatorSet::new(0, vec![validator])?;
    let (first, last) = (0, u64::MAX);
    Ok(EpochConfig { epoch: 0, first, last, version: 0, set, params: Params::default() })
}

fn genesis_header(file: &GenesisFile, forks: &Forks, root: B256) -> Result<EthereumHeader> {
    let time = small(&file.timestamp)?;
    let spec = forks.genesis_spec(time);
    let difficulty = number(&file.difficulty)?;
    let is_at_least = |fork: SpecId| spec >= fork;
    let base_fee = match &file.base_fee_per_gas {
        Value::Null => 1_000_000_000,
        given => small(given)?,
    };
    Ok(EthereumHeader {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: file.coinbase,
        state_root: root,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        difficulty,
        gas_limit: small(&file.gas_limit)?,
        timestamp: time,
        extra_data: file.extra_data.clone(),
        mix_hash: file.mix_hash,
        nonce: small(&file.nonce)?.to_be_bytes().into(),
        base_fee_per_gas: is_at_least(SpecId::LONDON).then_some(base_fee),
        withdrawals_root: is_at_least(SpecId::SHANGHAI).then_some(EMPTY_ROOT_HASH),
        blob_gas_used: is_at_least(SpecId::CANCUN).then_some(0),
        excess_blob_gas: is_at_least(SpecId::CANCUN).then_some(0),
        parent_beacon_block_root: is_at_least(SpecId::CANCUN).then_some(B256::ZERO),
        requests_hash: is_at_least(SpecId::PRAGUE).then_some(NO_REQUESTS),
        ..EthereumHeader::default()
    })
}

/// Base fee of the block after one.
pub(super) fn next_base_fee(header: &EthereumHeader) -> u64 {
    header.next_block_base_fee(BaseFeeParams::ethereum()).unwrap_or_default()
}

/// Number of a transaction's blobs.
pub(super) fn blobs_of(tx: &Transaction) -> u64 {
    let envelope = TxEnvelope::decode_2718_exact(&tx.raw).ok();
    let hashes = envelope.as_ref().and_then(|envelope| envelope.blob_versioned_hashes());
    hashes.map_or(0, |hashes| hashes.len() as u64)
}

/// A transaction in our terms. Chain id 0 stands for none.
pub(super) fn transaction(envelope: &TxEnvelope) -> Result<Transaction> {
    let sender = envelope.recover_signer().context("a transaction's signature is wrong")?;
    let delegations = envelope.authorization_list().unwrap_or_default().iter().map(|signed| {
        Delegation { signed: signed.clone(), authority: signed.recover_authority().ok() }
    });
    Ok(Transaction {
        raw: envelope.encoded_2718().into(),
        hash: *envelope.tx_hash(),
        sender,
        tx_type: envelope.ty(),
        chain_id: envelope.chain_id().unwrap_or_default(),
        nonce: envelope.nonce(),
        gas_limit: envelope.gas_limit(),
        max_fee_per_gas: envelope.max_fee_per_gas(),
        max_priority_fee_per_gas: envelope
            .max_priority_fee_per_gas()
            .unwrap_or_else(|| envelope.max_fee_per_gas()),
        to: envelope.kind(),
        value: envelope.value(),
        input: envelope.input().clone(),
        access_list: envelope.access_list().cloned().unwrap_or_default(),
        delegations: delegations.collect(),
        signature: TxSignature::Secp256k1(*envelope.signature()),
    })
}

pub(super) fn receipts(
    header: &EthereumHeader,
    transactions: &[Transaction],
    outcomes: &[CallOutcome],
) -> Vec<Receipt> {
    let base_fee = header.base_fee_per_gas.unwrap_or_default();
    let mut cumulative_gas_used = 0u64;
    let receipt = |(tx, outcome): (&Transaction, &CallOutcome)| {
        cumulative_gas_used = cumulative_gas_used.saturating_add(outcome.gas_used);
        let success = outcome.status == CallStatus::Success;
        Receipt {
            tx_hash: tx.hash,
            tx_type: tx.tx_type,
            from: tx.sender,
            to: tx.to.to().copied(),
            contract: outcome
                .created
                .or_else(|| tx.to.is_create().then(|| tx.sender.create(tx.nonce))),
            success,
            gas_used: outcome.gas_used,
            cumulative_gas_used,
            effective_gas_price: U256::from(tx.effective_gas_price(base_fee).unwrap_or_default()),
            logs: outcome.logs.clone(),
            revert_data: Bytes::new(),
        }
    };
    transactions.iter().zip(outcomes).map(receipt).collect()
}

/// Root of a block's receipts.
pub(super) fn receipts_root(receipts: &[Receipt], roots: &[B256]) -> B256 {
    let mut roots = roots.iter().copied();
    let encoded = receipts.iter().map(|one| neura_api::encoded_receipt(one, roots.next()));
    ordered_trie_root_encoded(&encoded.collect::<Vec<_>>())
}

fn head(
    header: &EthereumHeader,
    hash: B256,
    transactions: usize,
    ethereum: Arc<EthereumBlock>,
) -> BlockHead {
    let root = ExecutedRoot {
        height: header.number,
        state_root: header.state_root,
        receipts_root: header.receipts_root,
        gas_used: header.gas_used,
        ..ExecutedRoot::default()
    };
    BlockHead {
        id: hash,
        header: Header {
            epoch: 0,
            view: 0,
            height: header.number,
            parent: header.parent_hash,
            proposer: Default::default(),
            timestamp_ms: header.timestamp.saturating_mul(1_000),
            beacon: Beacon { value: header.mix_hash, ..Beacon::genesis(B256::ZERO) },
            payload_digest: header.transactions_root,
            executed: ExecutedRoot::default(),
            absent: Vec::new(),
            next_epoch: None,
        },
        proposer: header.beneficiary,
        transactions: transactions as u64,
        size: ethereum.raw.len() as u64,
        executed: Some(ExecutedHead {
            root,
            base_fee: header.base_fee_per_gas.unwrap_or_default(),
            gas_limit: header.gas_limit,
        }),
        finality: Finality::Certified,
        ethereum: Some(ethereum),
    }
}
