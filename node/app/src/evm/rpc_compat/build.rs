//! Put a block together on top of an imported one (`testing_buildBlockV1`), without adding it.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header, proofs::calculate_withdrawals_root};
use alloy_eips::{eip4844::DATA_GAS_PER_BLOB, eip4895::Withdrawal};
use alloy_primitives::Bloom;
use alloy_trie::root::ordered_trie_root_encoded;
use anyhow::{Result, ensure};
use neura_api::{BuildRequest, BuiltBlock};
use neura_runtime::{CallOutcome, ethereum::SpecId};
use neura_types::{Bytes, Transaction, U256};

use super::chain::{
    EthereumChain, Imported, NO_REQUESTS, Ran, blobs_of, next_base_fee, receipts, receipts_root,
};

/// Gas limit towards which blocks are built: geth's.
const WANTED_GAS_LIMIT: u64 = 60_000_000;
/// How much a block's gas limit may differ from its parent's, as a part of it.
const GAS_LIMIT_STEP: u64 = 1_024;

/// A block of these transactions.
///
/// # Errors
/// If one of them cannot be included, or the block would hand requests to Ethereum's other layer: their hash is not made
/// here.
pub(super) fn build(
    chain: &EthereumChain,
    parent: &Imported,
    request: BuildRequest,
    transactions: &[Transaction],
) -> Result<BuiltBlock> {
    ensure!(request.time > parent.header.timestamp, "invalid timestamp: not after the parent's");
    let mut header = draft(chain, parent, &request);
    let withdrawals = request.withdrawals;
    let ran = chain.run(parent, &header, None, transactions, &withdrawals)?;
    let Ran { state, outcomes, requests, roots } = ran;
    ensure!(
        requests.iter().all(|request| request.is_empty()),
        "blocks with requests are not built here"
    );
    let raw: Vec<Bytes> = transactions.iter().map(|tx| tx.raw.clone()).collect();
    header.state_root = state.root();
    header.transactions_root = ordered_trie_root_encoded(&raw);
    header.receipts_root = receipts_root(&receipts(&header, transactions, &outcomes), &roots);
    header.logs_bloom = bloom(&outcomes);
    header.gas_used = outcomes.iter().map(|outcome| outcome.gas_used).sum();
    let blobs = transactions.iter().map(blobs_of).sum::<u64>();
    header.blob_gas_used = header.blob_gas_used.map(|_| blobs * DATA_GAS_PER_BLOB);
    let base_fee = header.base_fee_per_gas.unwrap_or_default();
    let tip = |tx: &Transaction| tx.effective_gas_price(base_fee).unwrap_or_default();
    let value = transactions.iter().zip(&outcomes).map(|(tx, outcome)| {
        let tip = tip(tx).saturating_sub(u128::from(base_fee));
        U256::from(tip).saturating_mul(U256::from(outcome.gas_used))
    });
    let value = value.fold(U256::ZERO, U256::saturating_add);
    let hash = header.hash_slow();
    Ok(BuiltBlock { header, hash, transactions: raw, withdrawals, value })
}

/// What is known of the header before its transactions run.
fn draft(chain: &EthereumChain, parent: &Imported, request: &BuildRequest) -> Header {
    let before = &parent.header;
    let spec = chain.forks.spec(before.number + 1, request.time, true);
    let has = |fork: SpecId| spec >= fork;
    let excess = before.next_block_excess_blob_gas(chain.forks.blobs(request.time));
    let withdrawals: &[Withdrawal] = &request.withdrawals;
    Header {
        parent_hash: parent.view.head.id,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: request.fee_recipient,
        number: before.number + 1,
        gas_limit: gas_limit_after(before.gas_limit),
        timestamp: request.time,
        extra_data: request.extra_data.clone(),
        mix_hash: request.prev_randao,
        base_fee_per_gas: Some(next_base_fee(before)),
        withdrawals_root: has(SpecId::SHANGHAI).then(|| calculate_withdrawals_root(withdrawals)),
        blob_gas_used: has(SpecId::CANCUN).then_some(0),
        excess_blob_gas: has(SpecId::CANCUN).then(|| excess.unwrap_or_default()),
        parent_beacon_block_root: request.beacon_root.filter(|_| has(SpecId::CANCUN)),
        requests_hash: has(SpecId::PRAGUE).then_some(NO_REQUESTS),
        ..Header::default()
    }
}

/// One step from a gas limit towards the wanted one.
fn gas_limit_after(parent: u64) -> u64 {
    let step = (parent / GAS_LIMIT_STEP).saturating_sub(1);
    if parent < WANTED_GAS_LIMIT {
        parent.saturating_add(step).min(WANTED_GAS_LIMIT)
    } else {
        parent.saturating_sub(step).max(WANTED_GAS_LIMIT)
    }
}

fn bloom(outcomes: &[CallOutcome]) -> Bloom {
    let mut bloom = Bloom::ZERO;
    for log in outcomes.iter().flat_map(|outcome| &outcome.logs) {
        bloom.accrue_raw_log(log.address, &log.topics);
    }
    bloom
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gas_limits_move_towards_the_wanted_one_by_less_than_a_1024th() {
        assert_eq!(gas_limit_after(200_000_000), 199_804_689);
        assert_eq!(gas_limit_after(75_398_208), 75_324_578);
        assert_eq!(gas_limit_after(59_999_999), WANTED_GAS_LIMIT);
        assert_eq!(gas_limit_after(WANTED_GAS_LIMIT), WANTED_GAS_LIMIT);
        assert_eq!(gas_limit_after(30_000_000), 30_029_295);
    }
}
