//! Blocks, transactions, receipts and logs in Ethereum's JSON.
//!
//! A block's hash is its id on this chain. Members of Ethereum's header that this chain does not have hold the value
//! that means "nothing": no uncles, no difficulty, a zero nonce. Transactions that execution skipped are not shown;
//! positions count those that were executed.

mod header;

use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::{eip2718::Decodable2718, eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bloom, BloomInput, Bytes, U64, U128, U256};
use neura_types::{Receipt, Transaction, transaction::TxSignature};
use serde::Serialize;

pub(crate) use header::{
    EthBlock, EthHeader, EthUncle, EthWithdrawal, block, header, next_block, next_header,
    simulated, uncle, withdrawal,
};

use crate::backend::{BlockView, LogEntry};

/// EIP-2718 type of transactions with blobs, which only imported chains have.
const BLOB_TX_TYPE: u8 = 3;
/// EIP-2718 type of transactions that set the code of accounts.
const SET_CODE_TX_TYPE: u8 = 4;

/// A transaction.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EthTransaction {
    hash: B256,
    #[serde(rename = "type")]
    tx_type: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_id: Option<U64>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_blob_gas: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_versioned_hashes: Option<Vec<B256>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_list: Option<Vec<EthAuthorization>>,
    input: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<Vec<EthAccess>>,
    block_hash: Option<B256>,
    block_number: Option<U64>,
    block_timestamp: Option<U64>,
    transaction_index: Option<U64>,
    v: U256,
    r: U256,
    s: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    y_parity: Option<U64>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EthAccess {
    address: Address,
    storage_keys: Vec<B256>,
}

/// A signed delegation.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EthAuthorization {
    chain_id: U256,
    address: Address,
    nonce: U64,
    y_parity: U64,
    r: U256,
    s: U256,
}

/// An access list in Ethereum's JSON.
pub(crate) fn access_items(list: &AccessList) -> Vec<EthAccess> {
    let item = |item: &alloy_eips::eip2930::AccessListItem| EthAccess {
        address: item.address,
        storage_keys: item.storage_keys.clone(),
    };
    list.iter().map(item).collect()
}

/// A signed delegation in Ethereum's JSON.
pub(crate) fn authorization(signed: &SignedAuthorization) -> EthAuthorization {
    EthAuthorization {
        chain_id: signed.inner().chain_id,
        address: signed.inner().address,
        nonce: U64::from(signed.inner().nonce),
        y_parity: U64::from(signed.y_parity()),
        r: signed.r(),
        s: signed.s(),
    }
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

impl EthLog {
    /// Height of its block.
    pub(crate) fn height(&self) -> u64 {
        self.block_number.to()
    }
}

/// A receipt.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EthReceipt {
    #[serde(rename = "type")]
    tx_type: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<B256>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_used: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_price: Option<U128>,
    logs_bloom: Bloom,
    logs: Vec<EthLog>,
}

impl EthReceipt {
    /// Hash of its transaction.
    pub(crate) fn hash(&self) -> B256 {
        self.transaction_hash
    }
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
    /// Fee per gas of blobs in the block, in wei, where there are some.
    pub(crate) blob_price: Option<u128>,
    /// State root after it, where receipts state that instead of a status.
    pub(crate) state_root: Option<B256>,
}

/// Ethereum counts time in seconds.
pub(crate) fn seconds(timestamp_ms: u64) -> U64 {
    U64::from(timestamp_ms / 1_000)
}

pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

pub(crate) fn bloom<'a>(receipts: impl IntoIterator<Item = &'a Receipt>) -> Bloom {
    let mut bloom = Bloom::ZERO;
    for log in receipts.into_iter().flat_map(|receipt| &receipt.logs) {
        bloom.accrue(BloomInput::Raw(log.address.as_slice()));
        for topic in &log.topics {
            bloom.accrue(BloomInput::Raw(topic.as_slice()));
        }
    }
    bloom
}

/// The executed transactions of a block with their receipts and places. Receipts are in the order of the body, from
/// which skipped transactions are left out.
pub(crate) fn executed(
    view: &BlockView,
) -> impl Iterator<Item = (&Transaction, &Receipt, Place)> + '_ {
    let mut bodies = view.transactions.iter();
    let mut first_log = 0;
    let ethereum = view.head.ethereum.as_ref();
    let blob_price = ethereum.and_then(|block| block.blob_price);
    let mut roots = ethereum.map(|block| block.roots.iter().copied()).into_iter().flatten();
    view.receipts.iter().zip(0u64..).filter_map(move |(receipt, index)| {
        let place = Place {
            block: view.head.id,
            height: view.head.header.height,
            timestamp_ms: view.head.header.timestamp_ms,
            index,
            first_log,
            blob_price,
            state_root: roots.next(),
        };
        first_log += count(receipt.logs.len());
        let tx = bodies.find(|tx| tx.hash == receipt.tx_hash)?;
        Some((tx, receipt, place))
    })
}

/// A transaction, with its place and receipt once it is executed.
pub(crate) fn transaction(tx: &Transaction, executed: Option<(Place, &Receipt)>) -> EthTransaction {
    let place = executed.map(|(place, _)| place);
    priced(tx, place, executed.map(|(_, receipt)| receipt.effective_gas_price))
}

/// A transaction with its place and what it paid per gas, once it is executed.
fn priced(tx: &Transaction, place: Option<Place>, paid: Option<U256>) -> EthTransaction {
    let (v, r, s, y_parity) = signature(tx);
    let dynamic = tx.tx_type >= 2;
    // Only imported chains have blobs, and ours no room for them: the envelope says it.
    let blobs =
        (tx.tx_type == BLOB_TX_TYPE).then(|| TxEnvelope::decode_2718_exact(&tx.raw).ok()).flatten();
    let signed = tx.delegations.iter().map(|delegation| authorization(&delegation.signed));
    EthTransaction {
        hash: tx.hash,
        tx_type: U64::from(tx.tx_type),
        chain_id: (tx.chain_id != 0).then(|| U64::from(tx.chain_id)),
        nonce: U64::from(tx.nonce),
        from: tx.sender,
        to: tx.to.to().copied(),
        value: tx.value,
        gas: U64::from(tx.gas_limit),
        gas_price: paid.unwrap_or(U256::from(tx.max_fee_per_gas)),
        max_fee_per_gas: dynamic.then(|| U128::from(tx.max_fee_per_gas)),
        max_priority_fee_per_gas: dynamic.then(|| U128::from(tx.max_priority_fee_per_gas)),
        max_fee_per_blob_gas: blobs
            .as_ref()
            .and_then(|envelope| envelope.max_fee_per_blob_gas())
            .map(U128::from),
        blob_versioned_hashes: blobs
            .as_ref()
            .and_then(|envelope| envelope.blob_versioned_hashes())
            .map(<[B256]>::to_vec),
        authorization_list: (tx.tx_type == SET_CODE_TX_TYPE).then(|| signed.collect()),
        input: tx.input.clone(),
        access_list: (tx.tx_type > 0).then(|| access_items(&tx.access_list)),
        block_hash: place.map(|place| place.block),
        block_number: place.map(|place| U64::from(place.height)),
        block_timestamp: place.map(|place| seconds(place.timestamp_ms)),
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
    if signature.r().is_zero() {
        // Simulated: nobody signed it.
        return (U256::ZERO, U256::ZERO, U256::ZERO, None);
    }
    if tx.chain_id == 0 {
        // Not protected from being replayed (EIP-155): imported chains have such.
        return (U256::from(27 + parity), signature.r(), signature.s(), None);
    }
    let v = U256::from(tx.chain_id)
        .saturating_mul(U256::from(2))
        .saturating_add(U256::from(35 + parity));
    (v, signature.r(), signature.s(), None)
}

/// A receipt.
pub(crate) fn receipt(tx: &Transaction, receipt: &Receipt, place: Place) -> EthReceipt {
    let blob_gas = (tx.tx_type == BLOB_TX_TYPE).then(|| {
        let envelope = TxEnvelope::decode_2718_exact(&tx.raw).ok();
        envelope.and_then(|envelope| envelope.blob_gas_used()).unwrap_or_default()
    });
    EthReceipt {
        tx_type: U64::from(receipt.tx_type),
        status: place.state_root.is_none().then(|| U64::from(u8::from(receipt.success))),
        root: place.state_root,
        transaction_hash: receipt.tx_hash,
        transaction_index: U64::from(place.index),
        block_hash: place.block,
        block_number: U64::from(place.height),
        from: receipt.from,
        to: receipt.to,
        // Also where the creation failed, as geth has it.
        contract_address: tx.to.is_create().then(|| receipt.from.create(tx.nonce)),
        cumulative_gas_used: U64::from(receipt.cumulative_gas_used),
        gas_used: U64::from(receipt.gas_used),
        effective_gas_price: receipt.effective_gas_price,
        blob_gas_used: blob_gas.map(U64::from),
        blob_gas_price: blob_gas.and(place.blob_price).map(U128::from),
        logs_bloom: bloom([receipt]),
        logs: logs(receipt, place).collect(),
    }
}

/// All receipts of a block.
pub(crate) fn receipts(view: &BlockView) -> Vec<EthReceipt> {
    executed(view).map(|(tx, receipt, place)| self::receipt(tx, receipt, place)).collect()
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
