//! Find a gas limit with which a call succeeds: geth's search, so that wallets get the numbers that they expect.

use alloy_primitives::{Address, U256};
use neura_types::{StateRead, simulation::CallRequest};
use revm::{
    context::result::{ExecutionResult, HaltReason},
    inspector::NoOpInspector,
};

use super::{
    CallError, MAX_CALL_GAS, Scene,
    engine::{Engine, balance_of, environment},
    halt_text,
};
use crate::evm::MAX_TRANSACTION_GAS;

/// What a plain transfer costs: no call needs less.
const TRANSFER_GAS: u64 = 21_000;
/// Gas that a call with value hands to its callee for free; it must be there to be handed on.
const CALL_STIPEND: u64 = 2_300;
/// A call gets 63 of 64 parts of its caller's gas (EIP-150).
const FORWARDED_PARTS: u64 = 63;
/// See [`FORWARDED_PARTS`].
const WHOLE_PARTS: u64 = 64;
/// The search ends when its bounds are closer than this, in thousandths of the upper one: geth's 1.5 %.
const TOLERANCE_PER_MILLE: u64 = 15;

/// A gas limit with which the call succeeds, at most 1.5 % above the least one.
///
/// # Errors
/// [`CallError::Reverted`] and [`CallError::Halted`] if it fails at any limit;
/// [`CallError::GasRequiredExceedsAllowance`] if it needs more than the request, a block or the caller's balance
/// allows; otherwise as [`call`](super::call()).
pub fn estimate_gas<S: StateRead>(
    scene: &Scene<'_, S>,
    request: &CallRequest,
) -> Result<u64, CallError> {
    let engine = scene.engine(request.max_fee_per_gas, NoOpInspector)?;
    let mut trial = Trial { engine, request, chain_id: scene.context.chain_id };
    let highest = trial.highest_limit(scene.context.params().block_gas_limit)?;
    if request.input.is_empty()
        && request.to.is_some()
        && highest >= TRANSFER_GAS
        && trial.run(TRANSFER_GAS).is_ok_and(|result| result.is_success())
    {
        return Ok(TRANSFER_GAS);
    }
    let gas = match trial.run(highest) {
        Ok(ExecutionResult::Success { gas, .. }) => gas,
        Ok(ExecutionResult::Revert { output, .. }) => return Err(CallError::Reverted(output)),
        Ok(ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. }) => {
            return Err(CallError::GasRequiredExceedsAllowance(highest));
        }
        Ok(ExecutionResult::Halt { reason, .. }) => {
            return Err(CallError::Halted(halt_text(&reason)));
        }
        Err(CallError::Invalid(error)) if is_about_gas(&error) => {
            return Err(CallError::GasRequiredExceedsAllowance(highest));
        }
        Err(error) => return Err(error),
    };
    let bounds = Bounds { too_low: gas.tx_gas_used().saturating_sub(1), enough: highest };
    let likely = gas
        .total_gas_spent()
        .max(gas.tx_gas_used())
        .saturating_add(CALL_STIPEND)
        .saturating_mul(WHOLE_PARTS)
        .checked_div(FORWARDED_PARTS)
        .unwrap_or(highest);
    search(bounds, likely, |limit| trial.succeeds(limit))
}

/// A call that is run with one gas limit after the other.
struct Trial<'s, 'm, S: StateRead> {
    engine: Engine<'s, 'm, S, NoOpInspector>,
    request: &'m CallRequest,
    chain_id: u64,
}

impl<S: StateRead> Trial<'_, '_, S> {
    fn run(&mut self, gas: u64) -> Result<ExecutionResult, CallError> {
        Ok(self.engine.run(environment(self.request, gas, self.chain_id))?.result)
    }

    fn succeeds(&mut self, gas: u64) -> Result<bool, CallError> {
        match self.run(gas) {
            Ok(result) => Ok(result.is_success()),
            Err(CallError::Invalid(error)) if is_about_gas(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The most that the request, a block, a transaction and the caller's balance allow.
    fn highest_limit(&mut self, block_gas_limit: u64) -> Result<u64, CallError> {
        let asked = self.request.gas.filter(|gas| *gas >= TRANSFER_GAS);
        let mut highest =
            asked.unwrap_or(block_gas_limit).min(MAX_CALL_GAS).min(MAX_TRANSACTION_GAS);
        let price = self.request.max_fee_per_gas.unwrap_or(0);
        if price > 0 {
            let database = &mut self.engine.machine.ctx.journaled_state.database;
            let balance = balance_of(database, self.request.from.unwrap_or(Address::ZERO))?;
            let left = balance
                .checked_sub(self.request.value)
                .ok_or(CallError::InsufficientFundsForTransfer)?;
            let affordable = left.checked_div(U256::from(price)).unwrap_or_default();
            highest = highest.min(u64::try_from(affordable).unwrap_or(u64::MAX));
        }
        Ok(highest)
    }
}

fn is_about_gas(error: &crate::InvalidTransaction) -> bool {
    use crate::InvalidTransaction::{FloorDataGas, IntrinsicGas};
    matches!(error, IntrinsicGas { .. } | FloorDataGas { .. })
}

/// A gas limit that fails and one that succeeds.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    too_low: u64,
    enough: u64,
}

impl Bounds {
    fn note(&mut self, limit: u64, succeeds: bool) {
        if succeeds {
            self.enough = limit;
        } else {
            self.too_low = limit;
        }
    }

    fn are_close(&self) -> bool {
        let gap = self.enough.saturating_sub(self.too_low);
        gap <= 1 || gap.saturating_mul(1_000) < self.enough.saturating_mul(TOLERANCE_PER_MILLE)
    }

    /// The middle, but at most twice the lower bound: most calls need little more than they use.
    fn next(&self) -> u64 {
        let half_gap = self.enough.saturating_sub(self.too_low) >> 1;
        self.too_low.saturating_add(half_gap).min(self.too_low.saturating_mul(2)).max(1)
    }
}

fn search(
    mut bounds: Bounds,
    likely: u64,
    mut succeeds: impl FnMut(u64) -> Result<bool, CallError>,
) -> Result<u64, CallError> {
    if likely < bounds.enough {
        bounds.note(likely, succeeds(likely)?);
    }
    while !bounds.are_close() {
        let limit = bounds.next();
        bounds.note(limit, succeeds(limit)?);
    }
    Ok(bounds.enough)
}
