//! Blocks, transactions, receipts and logs in Ethereum's JSON.
//!
//! A block's hash is its id on this chain. Members of Ethereum's header that this chain does not have hold the value
//! that means "nothing": no uncles, no difficulty, a zero nonce. Transactions that execution skipped are not shown;
//! positions count those that were executed.

use alloy_primitives::{Address, B64, B256, Bloom, BloomInput, Bytes, U64, U128, U256, b256};
use neura_types::{Receipt, Transaction, transaction::TxSignature};
use serde::Serialize;

use crate::backend::{BlockView, LogEntry};

/// keccak256 of the RLP of an empty list: a block without uncles.
const NO_UNCLES: B256 = b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/// A header, as `newHeads` sends it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EthHeader {
    number: U64,
    hash: B256,
    parent_hash: B256,
    sha3_uncles: B256,
    miner: Address,
    state_root: B256,
    transactions_root: B256,
    receipts_root: B256,
    logs_bloom: Bloom,
    difficulty: U64,
    gas_limit: U64,
    gas_used: U64,
    timestamp: U64,
    extra_data: Bytes,
    mix_hash: B256,
    nonce: B64,
    base_fee_per_gas: U64,
}

/// A block.
#[derive(Debug, Serialize)]
pub(crate) struct EthBlock {
    #[serde(flatten)]
    header: EthHeader,
    size: U64,
    uncles: [B256; 0],
    transactions: BlockTransactions,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum BlockTransactions {
    Hashes(Vec<B256>),
    Full(Vec<EthTransaction>),
}

/// A transaction.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EthTransaction {
    hash: B256,
    #[serde(rename = "type")]
    tx_type: U64,
    chain_id: U64,
    nonce: U64,
    from: Address,
    to: Option<Address>,
    value: U256,
    gas: U64,
    gas_price: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_gas: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_priority_fee_per_gas: Option<U128>,
    input: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<Vec<EthAccess>>,
    block_hash: Option<B256>,
    block_number: Option<U64>,
    transaction_index: Option<U64>,
    v: U256,
    r: U256,
    s: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    y_parity: Option<U64>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct EthAccess {
    address: Address,
    storage_keys: Vec<B256>,
}

/// A log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EthLog {
    pub(crate) address: Address,
    pub(crate) topics: Vec<B256>,
    data: Bytes,
    block_hash: B256,
    block_number: U64,
    block_timestamp: U64,
    transaction_hash: B256,
    transaction_index: U64,
    log_index: U64,
    removed: bool,
}

/// A receipt.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EthReceipt {
    #[serde(rename = "type")]
    tx_type: U64,
    status: U64,
    transaction_hash: B256,
    transaction_index: U64,
    block_hash: B256,
    block_number: U64,
    from: Address,
    to: Option<Address>,
    contract_address: Option<Address>,
    cumulative_gas_used: U64,
    gas_used: U64,
    effective_gas_price: U256,
    logs_bloom: Bloom,
    logs: Vec<EthLog>,
}

/// Where an executed transaction stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) block: B256,
    pub(crate) height: u64,
    pub(crate) timestamp_ms: u64,
    /// Position among the executed transactions of the block.
    pub(crate) index: u64,
    /// Logs of the block before this transaction's first.
    pub(crate) first_log: u64,
}

/// Ethereum counts time in seconds.
fn seconds(timestamp_ms: u64) -> U64 {
    U64::from(timestamp_ms / 1_000)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn bloom<'a>(receipts: impl IntoIterator<Item = &'a Receipt>) -> Bloom {
    let mut bloom = Bloom::ZERO;
    for log in receipts.into_iter().flat_map(|receipt| &receipt.logs) {
        bloom.accrue(BloomInput::Raw(log.address.as_slice()));
        for topic in &log.topics {
            bloom.accrue(BloomInput::Raw(topic.as_slice()));
        }
    }
    bloom
}

/// A block's header; none until it is executed.
pub(crate) fn header(block: &BlockView) -> Option<EthHeader> {
    let head = &block.head;
    let executed = head.executed.as_ref()?;
    Some(EthHeader {
        number: U64::from(head.header.height),
        hash: head.id,
        parent_hash: head.header.parent,
        sha3_uncles: NO_UNCLES,
        miner: head.proposer,
        state_root: executed.root.state_root,
        transactions_root: head.header.payload_digest,
        receipts_root: executed.root.receipts_root,
        logs_bloom: bloom(&block.receipts),
        difficulty: U64::ZERO,
        gas_limit: U64::from(executed.gas_limit),
        gas_used: U64::from(executed.root.gas_used),
        timestamp: seconds(head.header.timestamp_ms),
        extra_data: Bytes::new(),
        mix_hash: executed.randomness,
        nonce: B64::ZERO,
        base_fee_per_gas: U64::from(executed.base_fee),
    })
}

/// A block with the hashes of its transactions, or all of them; none until it is executed.
pub(crate) fn block(view: &BlockView, full: bool) -> Option<EthBlock> {
    let transactions = if full {
        let all =
            executed(view).map(|(tx, receipt, place)| transaction(tx, Some((place, receipt))));
        BlockTransactions::Full(all.collect())
    } else {
        BlockTransactions::Hashes(view.receipts.iter().map(|receipt| receipt.tx_hash).collect())
    };
    Some(EthBlock {
        header: header(view)?,
        size: U64::from(view.head.size),
        uncles: [],
        transactions,
    })
}

/// The executed transactions of a block with their receipts and places. Receipts are in the order of the body, from
/// which skipped transactions are left out.
pub(crate) fn executed(
    view: &BlockView,
) -> impl Iterator<Item = (&Transaction, &Receipt, Place)> + '_ {
    let mut bodies = view.transactions.iter();
    let mut first_log = 0;
    view.receipts.iter().zip(0u64..).filter_map(move |(receipt, index)| {
        let place = Place {
            block: view.head.id,
            height: view.head.header.height,
            timestamp_ms: view.head.header.timestamp_ms,
            index,
            first_log,
        };
        first_log += count(receipt.logs.len());
        let tx = bodies.find(|tx| tx.hash == receipt.tx_hash)?;
        Some((tx, receipt, place))
    })
}

/// A transaction, with its place and receipt once it is executed.
pub(crate) fn transaction(tx: &Transaction, executed: Option<(Place, &Receipt)>) -> EthTransaction {
    let (v, r, s, y_parity) = signature(tx);
    let place = executed.map(|(place, _)| place);
    let dynamic = tx.tx_type >= 2;
    let access = |item: &alloy_eips::eip2930::AccessListItem| EthAccess {
        address: item.address,
        storage_keys: item.storage_keys.clone(),
    };
    EthTransaction {
        hash: tx.hash,
        tx_type: U64::from(tx.tx_type),
        chain_id: U64::from(tx.chain_id),
        nonce: U64::from(tx.nonce),
        from: tx.sender,
        to: tx.to.to().copied(),
        value: tx.value,
        gas: U64::from(tx.gas_limit),
        gas_price: executed
            .map_or(U256::from(tx.max_fee_per_gas), |(_, receipt)| receipt.effective_gas_price),
        max_fee_per_gas: dynamic.then(|| U128::from(tx.max_fee_per_gas)),
        max_priority_fee_per_gas: dynamic.then(|| U128::from(tx.max_priority_fee_per_gas)),
        input: tx.input.clone(),
        access_list: (tx.tx_type > 0).then(|| tx.access_list.iter().map(access).collect()),
        block_hash: place.map(|place| place.block),
        block_number: place.map(|place| U64::from(place.height)),
        transaction_index: place.map(|place| U64::from(place.index)),
        v,
        r,
        s,
        y_parity,
    }
}

/// v, r, s and y parity. An ed25519 signature has none of them: zeros, and `from` says who sent it.
fn signature(tx: &Transaction) -> (U256, U256, U256, Option<U64>) {
    let TxSignature::Secp256k1(signature) = &tx.signature else {
        return (U256::ZERO, U256::ZERO, U256::ZERO, Some(U64::ZERO));
    };
    let parity = u64::from(signature.v());
    if tx.tx_type > 0 {
        return (U256::from(parity), signature.r(), signature.s(), Some(U64::from(parity)));
    }
    let v = U256::from(tx.chain_id)
        .saturating_mul(U256::from(2))
        .saturating_add(U256::from(35 + parity));
    (v, signature.r(), signature.s(), None)
}

/// A receipt.
pub(crate) fn receipt(receipt: &Receipt, place: Place) -> EthReceipt {
    EthReceipt {
        tx_type: U64::from(receipt.tx_type),
        status: U64::from(u8::from(receipt.success)),
        transaction_hash: receipt.tx_hash,
        transaction_index: U64::from(place.index),
        block_hash: place.block,
        block_number: U64::from(place.height),
        from: receipt.from,
        to: receipt.to,
        contract_address: receipt.contract,
        cumulative_gas_used: U64::from(receipt.cumulative_gas_used),
        gas_used: U64::from(receipt.gas_used),
        effective_gas_price: receipt.effective_gas_price,
        logs_bloom: bloom([receipt]),
        logs: logs(receipt, place).collect(),
    }
}

fn logs(receipt: &Receipt, place: Place) -> impl Iterator<Item = EthLog> + '_ {
    receipt.logs.iter().zip(place.first_log..).map(move |(log, index)| {
        self::log(LogEntry {
            log: log.clone(),
            block: place.block,
            height: place.height,
            timestamp_ms: place.timestamp_ms,
            tx_hash: receipt.tx_hash,
            tx_index: place.index,
            log_index: index,
        })
    })
}

/// A log of the chain.
pub(crate) fn log(entry: LogEntry) -> EthLog {
    EthLog {
        address: entry.log.address,
        topics: entry.log.topics,
        data: entry.log.data,
        block_hash: entry.block,
        block_number: U64::from(entry.height),
        block_timestamp: seconds(entry.timestamp_ms),
        transaction_hash: entry.tx_hash,
        transaction_index: U64::from(entry.tx_index),
        log_index: U64::from(entry.log_index),
        removed: false,
    }
}

/// All logs of a block.
pub(crate) fn logs_of(view: &BlockView) -> Vec<EthLog> {
    executed(view).flat_map(|(_, receipt, place)| logs(receipt, place)).collect()
}
