//! Methods about fees.

use alloy_primitives::{U64, U256};
use serde::Serialize;

use super::{
    encode,
    error::{RpcError, RpcResult},
    params::{BlockId, Params, Quantity},
};
use crate::{
    backend::{BlockHead, BlockRef, BlockView},
    error::BackendError,
    limits::{MAX_FEE_HISTORY, MAX_FEE_HISTORY_REWARDS, MAX_PERCENTILES},
    shared::AppState,
};

/// Answer of `eth_feeHistory`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FeeHistory {
    oldest_block: U64,
    /// One more than blocks: the last is that of the block that follows.
    base_fee_per_gas: Vec<U64>,
    gas_used_ratio: Vec<f64>,
    base_fee_per_blob_gas: Vec<U256>,
    blob_gas_used_ratio: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<Vec<Vec<U256>>>,
}

pub(super) async fn gas_price(state: &AppState) -> RpcResult<U256> {
    let fees = state.backend.fees().await?;
    Ok(U256::from(fees.next_base_fee).saturating_add(U256::from(fees.priority_fee)))
}

/// Base fee of the next block.
pub(super) async fn base_fee(state: &AppState) -> RpcResult<U256> {
    Ok(U256::from(state.backend.fees().await?.next_base_fee))
}

pub(super) async fn priority_fee(state: &AppState) -> RpcResult<U256> {
    Ok(U256::from(state.backend.fees().await?.priority_fee))
}

/// Fee per gas of blobs where none are: the least that there is.
const LEAST_BLOB_PRICE: U256 = U256::ONE;

/// Fee per gas of blobs in a block. This chain takes none; an imported chain's header says it, if it knows blobs.
fn blob_price(head: &BlockHead) -> U256 {
    let Some(block) = &head.ethereum else { return LEAST_BLOB_PRICE };
    block.blob_price.map_or(U256::ZERO, U256::from)
}

/// Fee per gas of blobs in the block after.
fn next_blob_price(head: &BlockHead) -> U256 {
    let Some(block) = &head.ethereum else { return LEAST_BLOB_PRICE };
    block.next_blob_price.map_or(U256::ZERO, U256::from)
}

fn blob_ratio(head: &BlockHead) -> f64 {
    let Some(block) = &head.ethereum else { return 0.0 };
    ratio(block.header.blob_gas_used.unwrap_or(0), block.max_blob_gas)
}

pub(super) async fn blob_base_fee(state: &AppState) -> RpcResult<U256> {
    Ok(next_blob_price(&executed_head(state, BlockRef::Latest).await?))
}

pub(super) async fn history(state: &AppState, params: &Params<'_>) -> RpcResult<FeeHistory> {
    let wanted: Quantity = params.required(0, "block count")?;
    let newest: BlockId = params.required(1, "newest block")?;
    let percentiles: Option<Vec<f64>> = params.optional(2, "reward percentiles")?;
    check_percentiles(percentiles.as_deref().unwrap_or_default())?;
    let rewards = percentiles.filter(|percentiles| !percentiles.is_empty());
    let most = if rewards.is_some() { MAX_FEE_HISTORY_REWARDS } else { MAX_FEE_HISTORY };
    let count = u64::try_from(wanted.0).unwrap_or(u64::MAX).min(most);
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    let newest = executed_head(state, newest.to_ref()).await?;
    let height = newest.header.height;
    let limit = u32::try_from(count).unwrap_or(u32::MAX);
    let mut heads = state.backend.heads(height.checked_add(1), limit).await?;
    heads.reverse();
    let mut history = FeeHistory {
        oldest_block: U64::from(heads.first().map_or(height, |head| head.header.height)),
        ..FeeHistory::default()
    };
    for head in &heads {
        let executed = head.executed.as_ref().ok_or(BackendError::UnknownBlock)?;
        history.base_fee_per_gas.push(U64::from(executed.base_fee));
        history.gas_used_ratio.push(ratio(executed.root.gas_used, executed.gas_limit));
        history.base_fee_per_blob_gas.push(blob_price(head));
        history.blob_gas_used_ratio.push(blob_ratio(head));
    }
    history.base_fee_per_blob_gas.push(next_blob_price(&newest));
    history.base_fee_per_gas.push(U64::from(base_fee_after(state, height).await?));
    if let Some(percentiles) = rewards {
        let mut all = Vec::with_capacity(heads.len());
        for head in &heads {
            let block = state.backend.block(BlockRef::Id(head.id)).await?;
            let block = block.ok_or(BackendError::UnknownBlock)?;
            all.push(block_rewards(&block, &percentiles));
        }
        history.reward = Some(all);
    }
    Ok(history)
}

fn check_percentiles(percentiles: &[f64]) -> RpcResult<()> {
    let in_order = percentiles.windows(2).all(|pair| matches!(pair, [low, high] if low <= high));
    let in_range = percentiles.iter().all(|percentile| (0.0..=100.0).contains(percentile));
    if percentiles.len() > MAX_PERCENTILES || !in_order || !in_range {
        return Err(RpcError::params(format!(
            "invalid reward percentile: at most {MAX_PERCENTILES}, each between 0 and 100, in ascending order"
        )));
    }
    Ok(())
}

async fn executed_head(state: &AppState, block: BlockRef) -> RpcResult<BlockHead> {
    let head = state.backend.head(block).await?.filter(|head| head.executed.is_some());
    Ok(head.ok_or(BackendError::UnknownBlock)?)
}

/// Base fee of the block above a height: what it ran with, or what the next one will.
async fn base_fee_after(state: &AppState, height: u64) -> RpcResult<u64> {
    let above = BlockRef::Height(height.saturating_add(1));
    let ran_with = state.backend.head(above).await?.and_then(|head| head.executed);
    match ran_with {
        Some(executed) => Ok(executed.base_fee),
        None => Ok(state.backend.fees().await?.next_base_fee),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for display")]
fn ratio(used: u64, limit: u64) -> f64 {
    if limit == 0 { 0.0 } else { used as f64 / limit as f64 }
}

/// Tips at the given percentiles of a block's gas, ordered by tip; zeros for an empty block.
fn block_rewards(block: &BlockView, percentiles: &[f64]) -> Vec<U256> {
    let base_fee = block.head.executed.as_ref().map_or(0, |executed| executed.base_fee);
    let mut tips: Vec<(U256, u64)> = encode::executed(block)
        .map(|(_, receipt, _)| {
            let tip = receipt.effective_gas_price.saturating_sub(U256::from(base_fee));
            (tip, receipt.gas_used)
        })
        .collect();
    tips.sort_unstable();
    let total = tips.iter().fold(0u64, |sum, (_, gas)| sum.saturating_add(*gas));
    percentiles.iter().map(|percentile| tip_at(&tips, total, *percentile)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a percentile is a share, not an amount")]
fn tip_at(tips: &[(U256, u64)], total_gas: u64, percentile: f64) -> U256 {
    let threshold = total_gas as f64 * percentile / 100.0;
    let mut passed = 0u64;
    for (tip, gas) in tips {
        passed = passed.saturating_add(*gas);
        if passed as f64 >= threshold {
            return *tip;
        }
    }
    tips.last().map_or(U256::ZERO, |(tip, _)| *tip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_tip_that_its_share_of_gas_stays_below() {
        let tips = [(U256::from(1), 50), (U256::from(2), 30), (U256::from(9), 20)];
        let at = |percentile| tip_at(&tips, 100, percentile);
        assert_eq!(at(0.0), U256::from(1));
        assert_eq!(at(50.0), U256::from(1));
        assert_eq!(at(50.1), U256::from(2));
        assert_eq!(at(80.0), U256::from(2));
        assert_eq!(at(100.0), U256::from(9));
        assert_eq!(tip_at(&[], 0, 50.0), U256::ZERO);
    }

    #[test]
    fn percentiles_out_of_order_or_range_are_refused() {
        assert!(check_percentiles(&[0.0, 0.0, 50.0, 100.0]).is_ok());
        assert!(check_percentiles(&[60.0, 50.0]).is_err());
        assert!(check_percentiles(&[-1.0]).is_err());
        assert!(check_percentiles(&[100.1]).is_err());
        assert!(check_percentiles(&[1.0; MAX_PERCENTILES + 1]).is_err());
    }
}
