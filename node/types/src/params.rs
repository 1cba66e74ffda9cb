//! Parameters of a chain, each with its bounds: set by genesis, changed by votes from one epoch to another.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{Amount, amount::BASIS_POINTS, epoch::EVIDENCE_EPOCHS, validator::MAX_VALIDATORS};

/// Epochs are at least this many execution lags long: the end of an epoch is executed long before the next one ends.
const EPOCH_LAGS: u128 = 4;

/// Most epochs of unbonding: what is slashed for one offence is found by looking at as many pools.
pub const MAX_UNBONDING_EPOCHS: u64 = 56;

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
    /// Blocks of an epoch. The validators of the epoch after the next follow from the stake at its end.
    pub epoch_blocks: u64,
    /// Blocks for a provider to accept.
    pub accept_window_blocks: u64,
    /// Blocks for the owner to approve or contest a result; then it is accepted.
    pub approve_window_blocks: u64,
    /// Blocks for a provider to replace a contested result.
    pub respond_window_blocks: u64,
    /// Blocks without a sign of life of a running task's provider after which the owner may give the task to another.
    /// Several heartbeats fit in, so that one that is late robs nobody.
    pub silence_blocks: u64,
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
    /// Most validators of an epoch: those with the most stake.
    pub max_validators: u16,
    /// Least stake of a validator, in wei: what one is made with, and what it must hold to be elected.
    pub min_validator_stake: Amount,
    /// Epochs between the end of a delegation and its payment. Longer than evidence can be handed in.
    pub unbonding_epochs: u64,
    /// Epochs that a validator is jailed for.
    pub jail_epochs: u64,
    /// Epochs in a row without any sign of a validator after which it is jailed.
    pub absence_epochs: u64,
    /// Part of the stake that a validator that contradicts itself loses, in basis points.
    pub slash_bps: u16,
    /// Part of what is slashed that goes to who hands the evidence in, in basis points; the rest is burned.
    pub evidence_reward_bps: u16,
    /// Highest commission of a validator, in basis points of what its delegators earn.
    pub max_commission_bps: u16,
    /// Most by which a commission changes in one epoch, in basis points.
    pub max_commission_change_bps: u16,
    /// Epochs in which a proposal can be voted on.
    pub voting_epochs: u64,
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
            epoch_blocks: 1_000,
            accept_window_blocks: 240,
            approve_window_blocks: 600,
            respond_window_blocks: 240,
            silence_blocks: 600,
            max_duration_blocks: 5_000_000,
            challenge_bond_bps: 1_000,
            fee_split: FeeSplit { model_bps: 0, validators_bps: 700, treasury_bps: 300 },
            min_provider_bond: Amount::ankr(100),
            provider_unbond_blocks: 1_000,
            max_settlements_per_block: 64,
            max_validators: 100,
            min_validator_stake: Amount::ankr(1),
            unbonding_epochs: 4,
            jail_epochs: 2,
            absence_epochs: 2,
            slash_bps: 500,
            evidence_reward_bps: 500,
            max_commission_bps: 5_000,
            max_commission_change_bps: 100,
            voting_epochs: 14,
        }
    }
}

/// Lists the parameters that a vote can change, each with its name.
macro_rules! governed {
    ($($name:literal => $($field:tt).+),+ $(,)?) => {
        /// Names of the parameters that a vote can change: all but `execution_lag` and `initial_base_fee`.
        pub const GOVERNED: &[&str] = &[$($name),+];

        impl Params {
            /// The value of a parameter that a vote can change.
            pub fn get(&self, name: &str) -> Option<u128> {
                match name {
                    $($name => Some(self.$($field).+.into()),)+
                    _ => None,
                }
            }

            /// Sets a parameter by its name. The bounds are those of [`Self::validate`], which is to be called after.
            ///
            /// # Errors
            /// If no vote can change such a parameter, or the value is larger than its type.
            pub fn set(&mut self, name: &str, value: u128) -> Result<(), ParamsError> {
                match name {
                    $($name => self.$($field).+ = fit($name, value)?,)+
                    _ => return Err(ParamsError {
                        name: "name",
                        value: name.to_owned(),
                        bound: "that of a parameter that a vote can change",
                    }),
                }
                Ok(())
            }
        }
    };
}

governed! {
    "block_gas_limit" => block_gas_limit,
    "max_block_bytes" => max_block_bytes,
    "min_base_fee" => min_base_fee,
    "base_fee_burn_bps" => base_fee_burn_bps,
    "view_timeout_ms" => view_timeout_ms,
    "idle_block_interval_ms" => idle_block_interval_ms,
    "epoch_blocks" => epoch_blocks,
    "accept_window_blocks" => accept_window_blocks,
    "approve_window_blocks" => approve_window_blocks,
    "respond_window_blocks" => respond_window_blocks,
    "silence_blocks" => silence_blocks,
    "max_duration_blocks" => max_duration_blocks,
    "challenge_bond_bps" => challenge_bond_bps,
    "fee_split.model_bps" => fee_split.model_bps,
    "fee_split.validators_bps" => fee_split.validators_bps,
    "fee_split.treasury_bps" => fee_split.treasury_bps,
    "min_provider_bond" => min_provider_bond.0,
    "provider_unbond_blocks" => provider_unbond_blocks,
    "max_settlements_per_block" => max_settlements_per_block,
    "max_validators" => max_validators,
    "min_validator_stake" => min_validator_stake.0,
    "unbonding_epochs" => unbonding_epochs,
    "jail_epochs" => jail_epochs,
    "absence_epochs" => absence_epochs,
    "slash_bps" => slash_bps,
    "evidence_reward_bps" => evidence_reward_bps,
    "max_commission_bps" => max_commission_bps,
    "max_commission_change_bps" => max_commission_change_bps,
    "voting_epochs" => voting_epochs,
}

fn fit<T: TryFrom<u128>>(name: &'static str, value: u128) -> Result<T, ParamsError> {
    let too_large =
        |_| ParamsError { name, value: value.to_string(), bound: "a number that its type holds" };
    T::try_from(value).map_err(too_large)
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
        let table: [(&'static str, u128, RangeInclusive<u128>, &'static str); 18] = [
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
            (
                "epoch_blocks",
                self.epoch_blocks.into(),
                EPOCH_LAGS.saturating_mul(self.execution_lag.into())..=1 << 24,
                "4 times execution_lag to 2^24 blocks",
            ),
            ("accept_window_blocks", self.accept_window_blocks.into(), 1..=1 << 40, windows),
            ("approve_window_blocks", self.approve_window_blocks.into(), 1..=1 << 40, windows),
            ("respond_window_blocks", self.respond_window_blocks.into(), 1..=1 << 40, windows),
            ("silence_blocks", self.silence_blocks.into(), 1..=1 << 40, windows),
            ("max_duration_blocks", self.max_duration_blocks.into(), 1..=1 << 40, windows),
            ("provider_unbond_blocks", self.provider_unbond_blocks.into(), 1..=1 << 40, windows),
            ("challenge_bond_bps", self.challenge_bond_bps.into(), 0..=BASIS_POINTS, shares),
            ("fee_split", split, 0..=BASIS_POINTS, shares),
            ("max_settlements_per_block", settlements, 1..=4_096, "1 to 4,096"),
        ];
        for (name, value, range, bound) in table {
            check(name, value, &range, bound)?;
        }
        check("min_provider_bond", self.min_provider_bond.0, &(0..=1 << 100), "at most 2^100 wei")?;
        self.validate_staking()
    }

    fn validate_staking(&self) -> Result<(), ParamsError> {
        let shares = "at most 10,000 basis points";
        let epochs = "1 to 1,000 epochs";
        let most = u128::try_from(MAX_VALIDATORS).unwrap_or(1);
        // Stake that left backs its validator's power for one more epoch, whose offences can be shown for some more.
        let unbonding = u128::from(EVIDENCE_EPOCHS.saturating_add(2))..=MAX_UNBONDING_EPOCHS.into();
        let table: [(&'static str, u128, RangeInclusive<u128>, &'static str); 10] = [
            ("max_validators", self.max_validators.into(), 1..=most, "1 to 256"),
            (
                "min_validator_stake",
                self.min_validator_stake.0,
                crate::amount::ANKR..=1 << 100,
                "1 ANKR to 2^100 wei",
            ),
            ("unbonding_epochs", self.unbonding_epochs.into(), unbonding, "4 to 56 epochs"),
            ("jail_epochs", self.jail_epochs.into(), 1..=1_000, epochs),
            ("absence_epochs", self.absence_epochs.into(), 1..=1_000, epochs),
            ("slash_bps", self.slash_bps.into(), 1..=5_000, "1 to 5,000 basis points"),
            ("evidence_reward_bps", self.evidence_reward_bps.into(), 0..=BASIS_POINTS, shares),
            ("max_commission_bps", self.max_commission_bps.into(), 0..=BASIS_POINTS, shares),
            (
                "max_commission_change_bps",
                self.max_commission_change_bps.into(),
                0..=BASIS_POINTS,
                shares,
            ),
            ("voting_epochs", self.voting_epochs.into(), 1..=1_000, epochs),
        ];
        table
            .into_iter()
            .try_for_each(|(name, value, range, bound)| check(name, value, &range, bound))
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

#[cfg(test)]
mod tests;
