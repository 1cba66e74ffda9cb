//! Check a transaction before it enters a mempool: the rules of inclusion that can be judged ahead of time.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use alloy_primitives::{Address, KECCAK256_EMPTY};
use neura_types::{
    Account, Params, StateRead, Transaction, state::StateError, transaction::SET_CODE_TX_TYPE,
};
use revm::{
    context_interface::{cfg::GasParams, result::InvalidTransaction as EvmInvalid},
    handler::validation::validate_initial_tx_gas_with_gas_params,
    primitives::eip3860::MAX_INITCODE_SIZE,
};

use crate::{
    evm::{MAX_TRANSACTION_GAS, SPEC, is_delegation, transaction_environment},
    invalid::{CheckedAgainst, InvalidTransaction, from_evm},
};

/// Why a transaction does not enter the mempool.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PoolError {
    /// The transaction is at fault.
    #[error(transparent)]
    Invalid(#[from] InvalidTransaction),
    /// The store is.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Ethereum's prices of what every transaction pays for: built once, as each mempool check needs them.
static GAS_PRICES: LazyLock<GasParams> = LazyLock::new(|| GasParams::new_spec(SPEC));

/// Checks whether a block could include `transaction` by the state as it is.
///
/// A nonce above the account's next one passes: how far ahead a sender may be is for the pool to say. With a
/// `next_base_fee` of 0, transactions that wait for a lower base fee pass too.
///
/// # Errors
/// The first rule broken, in geth's words; or the store's failure.
pub fn validate_for_pool(
    state: &impl StateRead,
    params: &Params,
    transaction: &Transaction,
    next_base_fee: u64,
) -> Result<(), PoolError> {
    check_fields(params, transaction, next_base_fee)?;
    check_intrinsic_gas(params, transaction, next_base_fee)?;
    let account = state.account(transaction.sender)?.unwrap_or_default();
    if account.code_hash != KECCAK256_EMPTY && !is_delegated(state, &account)? {
        return Err(InvalidTransaction::SenderNotEoa(transaction.sender).into());
    }
    check_account(&account, transaction)?;
    Ok(())
}

/// Whether an account runs another's code (EIP-7702): then anyone may move its coins at any time.
///
/// # Errors
/// If the store fails.
pub fn is_delegated(state: &impl StateRead, account: &Account) -> Result<bool, StateError> {
    if account.code_hash == KECCAK256_EMPTY {
        return Ok(false);
    }
    Ok(state.code(account.code_hash)?.is_some_and(|code| is_delegation(&code)))
}

fn check_fields(
    params: &Params,
    transaction: &Transaction,
    base_fee: u64,
) -> Result<(), InvalidTransaction> {
    let gas = transaction.gas_limit;
    let (max_fee, tip) = (transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas);
    if gas > MAX_TRANSACTION_GAS {
        return Err(InvalidTransaction::GasLimitTooHigh { cap: MAX_TRANSACTION_GAS, gas });
    }
    if gas > params.block_gas_limit {
        return Err(InvalidTransaction::ExceedsBlockGasLimit {
            limit: params.block_gas_limit,
            gas,
        });
    }
    if tip > max_fee {
        return Err(InvalidTransaction::TipAboveFeeCap { tip, max_fee });
    }
    if max_fee < u128::from(base_fee) {
        return Err(InvalidTransaction::FeeCapTooLow { max_fee, base_fee });
    }
    let size = transaction.input.len();
    if transaction.to.is_create() && size > MAX_INITCODE_SIZE {
        return Err(InvalidTransaction::InitCodeTooLarge { size, limit: MAX_INITCODE_SIZE });
    }
    if transaction.tx_type == SET_CODE_TX_TYPE && transaction.delegations.is_empty() {
        return Err(InvalidTransaction::NoDelegations(transaction.sender));
    }
    Ok(())
}

fn check_intrinsic_gas(
    params: &Params,
    transaction: &Transaction,
    base_fee: u64,
) -> Result<(), InvalidTransaction> {
    let environment = transaction_environment(transaction);
    let checked: Result<_, EvmInvalid> = validate_initial_tx_gas_with_gas_params(
        &environment,
        SPEC,
        &GAS_PRICES,
        false,
        false,
        MAX_TRANSACTION_GAS,
        None,
    );
    let block = CheckedAgainst {
        chain_id: transaction.chain_id,
        base_fee,
        block_gas_limit: params.block_gas_limit,
    };
    checked.map(|_| ()).map_err(|error| from_evm(error, &environment, block))
}

fn check_account(account: &Account, transaction: &Transaction) -> Result<(), InvalidTransaction> {
    let sender: Address = transaction.sender;
    if transaction.nonce == u64::MAX {
        return Err(InvalidTransaction::NonceMax(sender));
    }
    if transaction.nonce < account.nonce {
        return Err(InvalidTransaction::NonceTooLow {
            next: account.nonce,
            got: transaction.nonce,
        });
    }
    let cost = transaction.max_cost();
    if account.balance < cost {
        return Err(InvalidTransaction::InsufficientFunds { balance: account.balance, cost });
    }
    Ok(())
}
