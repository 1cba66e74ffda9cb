//! Precompiles and native modules that answer elsewhere, or not at all, because an override says so.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use neura_types::simulation::StateOverrides;
use revm::{
    context_interface::{Cfg, ContextTr},
    handler::PrecompileProvider,
    interpreter::{CallInputs, InterpreterResult},
    primitives::{AddressSet, hardfork::SpecId},
};

use super::CallError;
use crate::{evm::ChainPrecompiles, native::Modules};

/// Where the precompile of an address really is: none for an address that has lost its own.
pub(super) type Moves = BTreeMap<Address, Option<Address>>;

/// Precompiles with some of them moved.
#[derive(Debug)]
pub(super) struct MovedPrecompiles<'m> {
    chain: ChainPrecompiles<'m>,
    moves: Moves,
    warm: AddressSet,
}

impl<'m> MovedPrecompiles<'m> {
    pub(super) fn new<C: ContextTr<Cfg: Cfg<Spec = SpecId>>>(
        chain: ChainPrecompiles<'m>,
        modules: &dyn Modules,
        overrides: &StateOverrides,
    ) -> Result<Self, CallError> {
        let known = PrecompileProvider::<C>::warm_addresses(&chain).clone();
        let moves = moves(&known, modules, overrides)?;
        let mut warm = known;
        for (address, origin) in &moves {
            if origin.is_some() {
                warm.insert(*address);
            } else {
                warm.remove(address);
            }
        }
        Ok(Self { chain, moves, warm })
    }
}

/// What overrides make of the precompiles. As in geth, an account that is overridden loses its own; a native module,
/// whose balance and storage mean something, only to other code.
fn moves(
    known: &AddressSet,
    modules: &dyn Modules,
    overrides: &StateOverrides,
) -> Result<Moves, CallError> {
    let mut moves = Moves::new();
    for (address, changed) in overrides {
        let is_known = known.contains(address) && moves.get(address) != Some(&None);
        if let Some(target) = changed.move_precompile_to {
            if !is_known {
                return Err(CallError::Override(format!("account {address} is not a precompile")));
            }
            if overrides.contains_key(&target) {
                return Err(CallError::Override(format!("account {target} is already overridden")));
            }
            moves.insert(target, Some(*address));
        }
        let is_lost = !modules.is_module(*address)
            || changed.code.is_some()
            || changed.move_precompile_to.is_some();
        if is_known && is_lost {
            moves.insert(*address, None);
        }
    }
    Ok(moves)
}

impl<C: ContextTr<Cfg: Cfg<Spec = SpecId>>> PrecompileProvider<C> for MovedPrecompiles<'_> {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        PrecompileProvider::<C>::set_spec(&mut self.chain, spec)
    }

    fn run(
        &mut self,
        context: &mut C,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let origin = match self.moves.get(&inputs.bytecode_address) {
            None => return self.chain.run(context, inputs),
            Some(None) => return Ok(None),
            Some(Some(origin)) => *origin,
        };
        let mut inputs = inputs.clone();
        if inputs.target_address == inputs.bytecode_address {
            inputs.target_address = origin;
        }
        inputs.bytecode_address = origin;
        self.chain.run(context, &inputs)
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }

    fn contains(&self, address: &Address) -> bool {
        self.warm.contains(address)
    }
}
