//! Answer calls of the native modules inside the EVM's frames, beside Ethereum's precompiles.
//!
//! The frame has opened a checkpoint and moved the value before it asks here, and reverts to the checkpoint unless the
//! answer is a success: a module's failure takes back everything that it did, and the coins sent with the call.

use alloy_primitives::{Address, Bytes};
use neura_types::{Amount, system};
use revm::{
    context_interface::{Cfg, ContextTr},
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, CallScheme, Gas, InstructionResult, InterpreterResult},
    primitives::{AddressSet, hardfork::SpecId},
};

use super::{
    gas::{MODULE_CALL_GAS, MODULE_INPUT_WORD_GAS, MODULE_OUTPUT_WORD_GAS, per_word},
    host::JournalHost,
};
use crate::{
    modules::host::{BlockContext, Call, Fault, Host, Refusal},
    native::Modules,
    revert::refusal_data,
};

/// Ethereum's precompiles and the native modules.
pub(crate) struct ChainPrecompiles<'m> {
    ethereum: EthPrecompiles,
    warm: AddressSet,
    block: &'m BlockContext,
    modules: &'m dyn Modules,
}

impl std::fmt::Debug for ChainPrecompiles<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainPrecompiles").field("ethereum", &self.ethereum).finish_non_exhaustive()
    }
}

impl<'m> ChainPrecompiles<'m> {
    pub(crate) fn new(spec: SpecId, block: &'m BlockContext, modules: &'m dyn Modules) -> Self {
        let ethereum = EthPrecompiles::new(spec);
        let mut warm = ethereum.warm_addresses().clone();
        warm.extend(system::MODULES.iter().map(|(address, _)| *address));
        Self { ethereum, warm, block, modules }
    }

    /// Runs a module and settles its gas.
    fn run_module<C: ContextTr>(
        &self,
        context: &mut C,
        inputs: &CallInputs,
    ) -> Result<InterpreterResult, String> {
        let mut host =
            JournalHost::metered(context, self.block, inputs.gas_limit, inputs.is_static);
        let answer = self.answer(&mut host, inputs);
        let gas_left = host.gas_left();
        let (result, output) = match answer {
            Ok(output) => (InstructionResult::Return, output),
            Err(Fault::Refused(refusal)) => (InstructionResult::Revert, refusal_data(&refusal)),
            Err(fault @ Fault::ReadOnly) => {
                let refusal = Refusal { code: "read_only", message: fault.to_string() };
                (InstructionResult::Revert, refusal_data(&refusal))
            }
            Err(Fault::OutOfGas) => (InstructionResult::PrecompileOOG, Bytes::new()),
            Err(Fault::Fatal(error)) => return Err(error),
        };
        let mut gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
        if result.is_ok_or_revert() {
            gas.set_remaining(gas_left);
        } else {
            gas.spend_all();
        }
        Ok(InterpreterResult::new(result, output, gas))
    }

    fn answer<C: ContextTr>(
        &self,
        host: &mut JournalHost<'_, C>,
        inputs: &CallInputs,
    ) -> Result<Bytes, Fault> {
        host.charge(MODULE_CALL_GAS)?;
        if matches!(inputs.scheme, CallScheme::DelegateCall | CallScheme::CallCode) {
            return Err(Fault::refused(
                "delegatecall_refused",
                "a native module acts for its caller only: use CALL or STATICCALL",
            ));
        }
        // Paid before it is copied: a caller's memory may be large, and calling again costs it next to nothing.
        host.charge(per_word(inputs.input.len(), MODULE_INPUT_WORD_GAS))?;
        let input = host.input(&inputs.input);
        let value = Amount::from_u256(inputs.call_value())
            .map_err(|error| Fault::refused("value_too_large", error.to_string()))?;
        let call = Call { caller: inputs.caller, value, input, is_static: inputs.is_static };
        let output = self.modules.dispatch(host, inputs.target_address, &call)?;
        host.charge(per_word(output.len(), MODULE_OUTPUT_WORD_GAS))?;
        Ok(output)
    }
}

impl<C: ContextTr<Cfg: Cfg<Spec = SpecId>>> PrecompileProvider<C> for ChainPrecompiles<'_> {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        // The rules are fixed with the machine: see `SPEC`.
        debug_assert_eq!(spec, self.ethereum.spec);
        false
    }

    fn run(
        &mut self,
        context: &mut C,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        if self.modules.is_module(inputs.bytecode_address) {
            return self.run_module(context, inputs).map(Some);
        }
        PrecompileProvider::<C>::run(&mut self.ethereum, context, inputs)
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }

    fn contains(&self, address: &Address) -> bool {
        self.warm.contains(address)
    }
}
