//! Headers and blocks in Ethereum's JSON.

use alloy_consensus::{Block, Header, TxEnvelope};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U64, U256, b256};
use neura_types::simulation::SimulatedBlock;
use serde::Serialize;

use super::{EthTransaction, Place, bloom, count, executed, seconds, transaction};
use crate::{backend::BlockView, rpc::pending::NextBlock};

/// keccak256 of the RLP of an empty list: a block without uncles.
const NO_UNCLES: B256 = b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/// A header, as `newHeads` sends it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EthHeader {
    number: U64,
    /// None of a block that is not there yet, as of the two below.
    hash: Option<B256>,
    parent_hash: B256,
    sha3_uncles: B256,
    miner: Option<Address>,
    state_root: B256,
    transactions_root: B256,
    receipts_root: B256,
    logs_bloom: Bloom,
    difficulty: U256,
    gas_limit: U64,
    gas_used: U64,
    timestamp: U64,
    extra_data: Bytes,
    mix_hash: B256,
    nonce: Option<B64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_fee_per_gas: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawals_root: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_used: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    excess_blob_gas: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_beacon_block_root: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_hash: Option<B256>,
}

/// A block.
#[derive(Debug, Serialize)]
pub(crate) struct EthBlock {
    #[serde(flatten)]
    header: EthHeader,
    size: U64,
    uncles: Vec<B256>,
    transactions: BlockTransactions,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawals: Option<Vec<EthWithdrawal>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum BlockTransactions {
    Hashes(Vec<B256>),
    Full(Vec<EthTransaction>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EthWithdrawal {
    index: U64,
    validator_index: U64,
    address: Address,
    amount: U64,
}

/// A withdrawal.
pub(crate) fn withdrawal(one: &Withdrawal) -> EthWithdrawal {
    EthWithdrawal {
        index: U64::from(one.index),
        validator_index: U64::from(one.validator_index),
        address: one.address,
        amount: U64::from(one.amount),
    }
}

/// A header of Ethereum's.
fn of_ethereum(header: &Header, hash: B256) -> EthHeader {
    EthHeader {
        number: U64::from(header.number),
        hash: Some(hash),
        parent_hash: header.parent_hash,
        sha3_uncles: header.ommers_hash,
        miner: Some(header.beneficiary),
        state_root: header.state_root,
        transactions_root: header.transactions_root,
        receipts_root: header.receipts_root,
        logs_bloom: header.logs_bloom,
        difficulty: header.difficulty,
        gas_limit: U64::from(header.gas_limit),
        gas_used: U64::from(header.gas_used),
        timestamp: U64::from(header.timestamp),
        extra_data: header.extra_data.clone(),
        mix_hash: header.mix_hash,
        nonce: Some(header.nonce),
        base_fee_per_gas: header.base_fee_per_gas.map(U64::from),
        withdrawals_root: header.withdrawals_root,
        blob_gas_used: header.blob_gas_used.map(U64::from),
        excess_blob_gas: header.excess_blob_gas.map(U64::from),
        parent_beacon_block_root: header.parent_beacon_block_root,
        requests_hash: header.requests_hash,
    }
}

/// A block's header; none until it is executed.
pub(crate) fn header(block: &BlockView) -> Option<EthHeader> {
    let head = &block.head;
    if let Some(ethereum) = &head.ethereum {
        return Some(of_ethereum(&ethereum.header, head.id));
    }
    let executed = head.executed.as_ref()?;
    Some(EthHeader {
        number: U64::from(head.header.height),
        hash: Some(head.id),
        parent_hash: head.header.parent,
        sha3_uncles: NO_UNCLES,
        miner: Some(head.proposer),
        state_root: executed.root.state_root,
        transactions_root: head.header.payload_digest,
        receipts_root: executed.root.receipts_root,
        logs_bloom: bloom(&block.receipts),
        difficulty: U256::ZERO,
        gas_limit: U64::from(executed.gas_limit),
        gas_used: U64::from(executed.root.gas_used),
        timestamp: seconds(head.header.timestamp_ms),
        extra_data: Bytes::new(),
        mix_hash: head.header.beacon.value,
        nonce: Some(B64::ZERO),
        base_fee_per_gas: Some(U64::from(executed.base_fee)),
        withdrawals_root: None,
        blob_gas_used: None,
        excess_blob_gas: None,
        parent_beacon_block_root: None,
        requests_hash: None,
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
    let header = header(view)?;
    let ethereum = view.head.ethereum.as_ref();
    let uncles = ethereum.map(|block| block.uncles.iter().map(Header::hash_slow).collect());
    let withdrawals = ethereum.filter(|_| header.withdrawals_root.is_some());
    Some(EthBlock {
        withdrawals: withdrawals.map(|block| block.withdrawals.iter().map(withdrawal).collect()),
        header,
        size: U64::from(view.head.size),
        uncles: uncles.unwrap_or_default(),
        transactions,
    })
}

/// The header of a block that is not there yet. What only its execution tells is nothing: no gas, no roots, no logs.
pub(crate) fn next_header(next: &NextBlock) -> EthHeader {
    EthHeader {
        number: U64::from(next.height),
        hash: None,
        parent_hash: next.parent,
        sha3_uncles: NO_UNCLES,
        miner: None,
        state_root: B256::ZERO,
        transactions_root: B256::ZERO,
        receipts_root: B256::ZERO,
        logs_bloom: Bloom::ZERO,
        difficulty: U256::ZERO,
        gas_limit: U64::from(next.gas_limit),
        gas_used: U64::ZERO,
        timestamp: seconds(next.timestamp_ms),
        extra_data: Bytes::new(),
        mix_hash: B256::ZERO,
        nonce: None,
        base_fee_per_gas: Some(U64::from(next.base_fee)),
        withdrawals_root: None,
        blob_gas_used: None,
        excess_blob_gas: None,
        parent_beacon_block_root: None,
        requests_hash: None,
    }
}

/// A block that is not there yet, with the hashes of the transactions that wait for it, or all of them.
pub(crate) fn next_block(next: &NextBlock, full: bool) -> EthBlock {
    let waiting = &next.transactions;
    let transactions = if full {
        BlockTransactions::Full(waiting.iter().map(|tx| transaction(tx, None)).collect())
    } else {
        BlockTransactions::Hashes(waiting.iter().map(|tx| tx.hash).collect())
    };
    let size = waiting.iter().map(|tx| count(tx.raw.len())).sum::<u64>();
    EthBlock {
        header: next_header(next),
        size: U64::from(size),
        uncles: Vec::new(),
        transactions,
        withdrawals: None,
    }
}

/// An uncle: a block of which only the header is kept.
#[derive(Debug, Serialize)]
pub(crate) struct EthUncle {
    #[serde(flatten)]
    header: EthHeader,
    size: U64,
    uncles: [B256; 0],
}

/// An uncle, as a block without a body.
pub(crate) fn uncle(header: &Header) -> EthUncle {
    let size = alloy_rlp::encode(Block::<TxEnvelope>::uncle(header.clone())).len();
    EthUncle { header: of_ethereum(header, header.hash_slow()), size: U64::from(size), uncles: [] }
}

/// A simulated block.
pub(crate) fn simulated(block: SimulatedBlock, full: bool) -> EthBlock {
    let header = of_ethereum(&block.header, block.hash);
    let place = |index: usize| Place {
        block: block.hash,
        height: block.header.number,
        timestamp_ms: block.header.timestamp.saturating_mul(1_000),
        index: count(index),
        first_log: 0,
        blob_price: None,
        state_root: None,
    };
    let transactions = if full {
        let all = block.transactions.iter().zip(&block.calls).enumerate();
        let shown = all.map(|(index, (tx, call))| {
            super::priced(tx, Some(place(index)), Some(U256::from(call.gas_price)))
        });
        BlockTransactions::Full(shown.collect())
    } else {
        BlockTransactions::Hashes(block.transactions.iter().map(|tx| tx.hash).collect())
    };
    let withdrawals = block.header.withdrawals_root.is_some();
    EthBlock {
        withdrawals: withdrawals.then(|| block.withdrawals.iter().map(withdrawal).collect()),
        header,
        size: U64::from(block.size),
        uncles: Vec::new(),
        transactions,
    }
}
