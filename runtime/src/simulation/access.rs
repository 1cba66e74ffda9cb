//! Find the access list that a call makes use of (`eth_createAccessList`).

use neura_types::{
    StateRead,
    simulation::{AccessListOutcome, CallRequest},
};
use revm::context::result::ExecutionResult;
use revm_inspectors::access_list::AccessListInspector;

use super::{CallError, MAX_CALL_GAS, Scene, engine::environment, halt_text};

/// Runs of one request: a list changes gas and may so change what is accessed; geth goes on until it stays the same.
const MAX_ROUNDS: usize = 8;

/// The accounts and words that a call touches beyond its own, and the gas it uses when they are announced.
///
/// # Errors
/// As [`call`](super::call()).
pub fn create_access_list<S: StateRead>(
    scene: &Scene<'_, S>,
    request: &CallRequest,
) -> Result<AccessListOutcome, CallError> {
    let gas = request.gas.unwrap_or(MAX_CALL_GAS).min(MAX_CALL_GAS);
    let mut request = request.clone();
    let mut engine = scene.engine(request.max_fee_per_gas, AccessListInspector::default())?;
    let mut outcome = AccessListOutcome::default();
    for _ in 0..MAX_ROUNDS {
        engine.machine.inspector = AccessListInspector::new(request.access_list.clone());
        let done = engine.run(environment(&request, gas, scene.context.chain_id))?;
        let found = engine.machine.inspector.access_list();
        let is_stable = found == request.access_list;
        let error = match &done.result {
            ExecutionResult::Success { .. } => None,
            ExecutionResult::Revert { .. } => Some("execution reverted".to_owned()),
            ExecutionResult::Halt { reason, .. } => Some(halt_text(reason)),
        };
        let gas_used = done.result.gas().tx_gas_used();
        outcome = AccessListOutcome { access_list: found.clone(), gas_used, error };
        if is_stable {
            break;
        }
        request.access_list = found;
    }
    Ok(outcome)
}
