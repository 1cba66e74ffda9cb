//! Read what is different about accounts and blocks, as geth's clients write it.

use std::collections::BTreeMap;

use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::simulation::{AccountOverride, BlockOverrides, StateOverrides};
use serde::Deserialize;

use super::{
    error::{RpcError, RpcResult},
    params::Quantity,
};
use crate::limits::MAX_OVERRIDES;

/// Accounts that are different, as they are sent.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct StateParams(BTreeMap<Address, AccountParams>);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AccountParams {
    balance: Option<Quantity>,
    nonce: Option<Quantity>,
    code: Option<Bytes>,
    state: Option<BTreeMap<B256, B256>>,
    state_diff: Option<BTreeMap<B256, B256>>,
    #[serde(alias = "MovePrecompileToAddress")]
    move_precompile_to_address: Option<Address>,
}

fn words(given: BTreeMap<B256, B256>) -> BTreeMap<U256, U256> {
    given.into_iter().map(|(slot, word)| (slot.into(), word.into())).collect()
}

impl AccountParams {
    fn check(self) -> RpcResult<AccountOverride> {
        Ok(AccountOverride {
            balance: self.balance.map(|balance| balance.0),
            nonce: self.nonce.map(Quantity::to_u64).transpose()?,
            code: self.code,
            state: self.state.map(words),
            state_diff: self.state_diff.map(words),
            move_precompile_to: self.move_precompile_to_address,
        })
    }

    fn size(&self) -> usize {
        let words = |map: &Option<BTreeMap<B256, B256>>| map.as_ref().map_or(0, BTreeMap::len);
        1 + words(&self.state) + words(&self.state_diff)
    }
}

impl StateParams {
    pub(super) fn check(self) -> RpcResult<StateOverrides> {
        let size: usize = self.0.values().map(AccountParams::size).sum();
        if size > MAX_OVERRIDES {
            return Err(RpcError::params(format!(
                "at most {MAX_OVERRIDES} accounts and words can be overridden, not {size}"
            )));
        }
        self.0.into_iter().map(|(address, params)| Ok((address, params.check()?))).collect()
    }
}

/// What is different about a block, as it is sent; geth's names and the older ones.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BlockParams {
    number: Option<Quantity>,
    #[serde(alias = "timestamp")]
    time: Option<Quantity>,
    gas_limit: Option<Quantity>,
    #[serde(alias = "coinbase")]
    fee_recipient: Option<Address>,
    #[serde(alias = "random")]
    prev_randao: Option<B256>,
    #[serde(alias = "baseFee")]
    base_fee_per_gas: Option<Quantity>,
    blob_base_fee: Option<Quantity>,
    beacon_root: Option<B256>,
    withdrawals: Option<Vec<Withdrawal>>,
}

impl BlockParams {
    pub(super) fn check(self) -> RpcResult<BlockOverrides> {
        let number = |given: Option<Quantity>| given.map(Quantity::to_u64).transpose();
        Ok(BlockOverrides {
            number: number(self.number)?,
            time: number(self.time)?,
            gas_limit: number(self.gas_limit)?,
            fee_recipient: self.fee_recipient,
            prev_randao: self.prev_randao,
            base_fee: number(self.base_fee_per_gas)?,
            blob_base_fee: self.blob_base_fee.map(Quantity::to_u128).transpose()?,
            beacon_root: self.beacon_root,
            withdrawals: self.withdrawals,
        })
    }

    /// For a single call, which has neither a beacon root nor withdrawals.
    pub(super) fn check_for_call(self) -> RpcResult<BlockOverrides> {
        if self.beacon_root.is_some() {
            return Err(RpcError::params(
                "block override \"beaconRoot\" is not supported for this RPC method",
            ));
        }
        if self.withdrawals.is_some() {
            return Err(RpcError::params(
                "block override \"withdrawals\" is not supported for this RPC method",
            ));
        }
        self.check()
    }
}
