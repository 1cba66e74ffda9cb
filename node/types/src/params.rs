//! Parameters of a chain, fixed by its genesis, each with its bounds.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{Amount, amount::BASIS_POINTS};

/// A parameter outside its bounds.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("parameter {name} is {value}: it must be {bound}")]
pub struct ParamsError {
    /// Field name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What is allowed.
    pub bound: &'static str,
}

/// How a settled fee is split, in basis points; what is left of 10,000 goes to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeSplit {
    /// To the owners of the model used; to the provider if no model is named.
    pub model_bps: u16,
    /// To the validators.
    pub validators_bps: u16,
    /// To the treasury.
    pub treasury_bps: u16,
}

/// The parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Gas of all transactions of one block. 30 million as Ethereum before 2025; bounds execution time per block.
    pub block_gas_limit: u64,
    /// Bytes of all transactions of one block.
    pub max_block_bytes: u32,
    /// A header certifies the state after the block this many heights below it.
    pub execution_lag: u64,
    /// Base fee of the first block, in wei per gas.
    pub initial_base_fee: u64,
    /// Lowest base fee, in wei per gas.
    pub min_base_fee: u64,
    /// Part of the base fee that is burned, in basis points; the rest goes to the rewards pool.
    pub base_fee_burn_bps: u16,
    /// Time of the first view timer, in milliseconds. Doubles at least every four timeouts up to ten times this.
    pub view_timeout_ms: u64,
    /// Distance of empty blocks on an idle chain, in milliseconds.
    pub idle_block_interval_ms: u64,
    /// Blocks for a provider to accept.
    pub accept_window_blocks: u64,
    /// Blocks for the owner to approve or contest a result; then it is accepted.
    pub approve_window_blocks: u64,
    /// Blocks for a provider to replace a contested result.
    pub respond_window_blocks: u64,
    /// Longest duration of a task, in blocks.
    pub max_duration_blocks: u64,
    /// Bond that a contested result costs the owner, in basis points of the escrow.
    pub challenge_bond_bps: u16,
    /// Split of settled fees.
    pub fee_split: FeeSplit,
    /// Least bond of a provider, in wei.
    pub min_provider_bond: Amount,
    /// Blocks after which a provider that left can withdraw its bond.
    pub provider_unbond_blocks: u64,
    /// Due tasks that one block end settles; the rest is carried over.
    pub max_settlements_per_block: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            block_gas_limit: 30_000_000,
            max_block_bytes: 2 << 20,
            execution_lag: 4,
            initial_base_fee: 1_000_000_000,
            min_base_fee: 10_000_000,
            base_fee_burn_bps: 5_000,
            view_timeout_ms: 1_000,
            idle_block_interval_ms: 500,
            accept_window_blocks: 240,
            approve_window_blocks: 600,
            respond_window_blocks: 240,
            max_duration_blocks: 5_000_000,
            challenge_bond_bps: 1_000,
            fee_split: FeeSplit { model_bps: 0, validators_bps: 700, treasury_bps: 300 },
            min_provider_bond: Amount::ankr(100),
            provider_unbond_blocks: 1_000,
            max_settlements_per_block: 64,
        }
    }
}

impl Params {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first parameter outside its bounds.
    pub fn validate(&self) -> Result<(), ParamsError> {
        let windows = "1 to 2^40 blocks";
        let shares = "at most 10,000 basis points";
        let split = u128::from(self.fee_split.model_bps)
            .saturating_add(u128::from(self.fee_split.validators_bps))
            .saturating_add(u128::from(self.fee_split.treasury_bps));
        let base_fees = u128::from(self.min_base_fee)..=1 << 50;
        let settlements = u128::from(self.max_settlements_per_block);
        let table: [(&'static str, u128, RangeInclusive<u128>, &'static str); 16] = [
            (
                "block_gas_limit",
                self.block_gas_limit.into(),
                1_000_000..=1 << 40,
                "1,000,000 to 2^40 gas",
            ),
            (
                "max_block_bytes",
                self.max_block_bytes.into(),
                1 << 18..=16 << 20,
                "256 KiB to 16 MiB",
            ),
            ("execution_lag", self.execution_lag.into(), 2..=64, "2 to 64 blocks"),
            ("min_base_fee", self.min_base_fee.into(), 1..=1 << 50, "1 to 2^50 wei"),
            (
                "initial_base_fee",
                self.initial_base_fee.into(),
                base_fees,
                "from min_base_fee to 2^50 wei",
            ),
            ("base_fee_burn_bps", self.base_fee_burn_bps.into(), 0..=BASIS_POINTS, shares),
            ("view_timeout_ms", self.view_timeout_ms.into(), 50..=60_000, "50 ms to 60 s"),
            (
                "idle_block_interval_ms",
                self.idle_block_interval_ms.into(),
                1..=30_000,
                "1 ms to 30 s",
            ),
            ("accept_window_blocks", self.accept_window_blocks.into(), 1..=1 << 40, windows),
            ("approve_window_blocks", self.approve_window_blocks.into(), 1..=1 << 40, windows),
            ("respond_window_blocks", self.respond_window_blocks.into(), 1..=1 << 40, windows),
            ("max_duration_blocks", self.max_duration_blocks.into(), 1..=1 << 40, windows),
            ("provider_unbond_blocks", self.provider_unbond_blocks.into(), 1..=1 << 40, windows),
            ("challenge_bond_bps", self.challenge_bond_bps.into(), 0..=BASIS_POINTS, shares),
            ("fee_split", split, 0..=BASIS_POINTS, shares),
            ("max_settlements_per_block", settlements, 1..=4_096, "1 to 4,096"),
        ];
        for (name, value, range, bound) in table {
            check(name, value, &range, bound)?;
        }
        check("min_provider_bond", self.min_provider_bond.0, &(0..=1 << 100), "at most 2^100 wei")
    }
}

fn check(
    name: &'static str,
    value: u128,
    range: &RangeInclusive<u128>,
    bound: &'static str,
) -> Result<(), ParamsError> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(ParamsError { name, value: value.to_string(), bound })
    }
}
