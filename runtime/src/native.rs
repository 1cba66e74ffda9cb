//! Name the set of native modules that a machine runs with.

use alloy_primitives::{Address, Bytes};
use neura_types::{Genesis, StateRead};

use crate::modules::{
    self,
    host::{BlockContext, Call, Fault, Host, ReadHost},
};

/// The native modules, as the machine calls them. Tests put small ones of their own in their place.
pub(crate) trait Modules: Sync {
    /// Whether an address is a module's.
    fn is_module(&self, address: Address) -> bool;

    /// Whether contracts may be WASM: where there are modules, not where Ethereum's own rules are run.
    fn runs_wasm(&self) -> bool {
        true
    }

    /// Runs a call and returns its ABI-encoded output.
    fn dispatch(&self, host: &mut dyn Host, module: Address, call: &Call) -> Result<Bytes, Fault>;

    /// Runs before a block's transactions.
    fn begin_block(&self, host: &mut dyn Host) -> Result<(), Fault>;

    /// Runs after a block's transactions.
    fn end_block(&self, host: &mut dyn Host) -> Result<(), Fault>;

    /// Writes the records of genesis.
    fn genesis(&self, genesis: &Genesis, host: &mut dyn Host) -> Result<(), Fault>;
}

/// The modules of this chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChainModules;

impl Modules for ChainModules {
    fn is_module(&self, address: Address) -> bool {
        modules::is_module(address)
    }

    fn dispatch(&self, host: &mut dyn Host, module: Address, call: &Call) -> Result<Bytes, Fault> {
        modules::dispatch(host, module, call)
    }

    fn begin_block(&self, host: &mut dyn Host) -> Result<(), Fault> {
        modules::begin_block(host)
    }

    fn end_block(&self, host: &mut dyn Host) -> Result<(), Fault> {
        modules::end_block(host)
    }

    fn genesis(&self, genesis: &Genesis, host: &mut dyn Host) -> Result<(), Fault> {
        modules::genesis(genesis, host)
    }
}

/// No modules at all: Ethereum as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoModules;

impl Modules for NoModules {
    fn is_module(&self, _: Address) -> bool {
        false
    }

    fn runs_wasm(&self) -> bool {
        false
    }

    fn dispatch(&self, _: &mut dyn Host, module: Address, _: &Call) -> Result<Bytes, Fault> {
        Err(Fault::Fatal(format!("there is no module at {module}")))
    }

    fn begin_block(&self, _: &mut dyn Host) -> Result<(), Fault> {
        Ok(())
    }

    fn end_block(&self, _: &mut dyn Host) -> Result<(), Fault> {
        Ok(())
    }

    fn genesis(&self, _: &Genesis, _: &mut dyn Host) -> Result<(), Fault> {
        Ok(())
    }
}

/// Checks the invariants of every module over a state, as of a block.
///
/// # Errors
/// A sentence for each invariant that does not hold.
pub fn check_invariants(state: &impl StateRead, context: BlockContext) -> Result<(), Vec<String>> {
    modules::check_invariants(&mut ReadHost::new(state, context))
}
