//! Set the base fee from the gas that blocks use, and split what was paid (EIP-1559).

#[cfg(test)]
mod tests;

use neura_types::{Amount, Params};

/// A block that uses the gas limit divided by this keeps the base fee as it is: Ethereum's value.
const ELASTICITY: u64 = 2;
/// A full or an empty block moves the base fee by one part in this: Ethereum's value.
const CHANGE_DENOMINATOR: u128 = 8;
/// Highest base fee, in wei per gas: a full block of 2^40 gas then costs less than 2^100 wei, far from any overflow.
pub const MAX_BASE_FEE: u64 = 1 << 60;

/// The base fee after a block with base fee `base_fee` that used `gas_used`.
pub fn next_base_fee(params: &Params, base_fee: u64, gas_used: u64) -> u64 {
    let highest = MAX_BASE_FEE.max(params.min_base_fee);
    let moved = moved_base_fee(params, base_fee, gas_used).unwrap_or(base_fee);
    moved.clamp(params.min_base_fee, highest)
}

/// None where a bound of the arithmetic is met (a target of zero gas, a fee past 2^64).
fn moved_base_fee(params: &Params, base_fee: u64, gas_used: u64) -> Option<u64> {
    let target = params.block_gas_limit.checked_div(ELASTICITY)?;
    let distance = u128::from(gas_used.abs_diff(target));
    let change = u128::from(base_fee)
        .checked_mul(distance)?
        .checked_div(u128::from(target))?
        .checked_div(CHANGE_DENOMINATOR)?;
    let change = u64::try_from(change).ok()?;
    match gas_used.cmp(&target) {
        std::cmp::Ordering::Greater => Some(base_fee.saturating_add(change.max(1))),
        std::cmp::Ordering::Equal => Some(base_fee),
        std::cmp::Ordering::Less => Some(base_fee.saturating_sub(change)),
    }
}

/// What became of the base fees of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BaseFeeSplit {
    /// Destroyed.
    pub(crate) burned: Amount,
    /// Credited to the rewards pool; it takes the remainder of the rounding.
    pub(crate) rewards: Amount,
}

/// Splits the base fees of a block. None past 2^128 wei, which no supply reaches.
pub(crate) fn split_base_fees(
    params: &Params,
    base_fee: u64,
    gas_used: u64,
) -> Option<BaseFeeSplit> {
    let total = Amount(u128::from(base_fee).checked_mul(u128::from(gas_used))?);
    let burned = total.share(params.base_fee_burn_bps).ok()?;
    Some(BaseFeeSplit { burned, rewards: total.sub(burned).ok()? })
}
