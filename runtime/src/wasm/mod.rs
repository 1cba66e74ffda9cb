//! Run WASM contracts in the EVM's frames: same journal, same gas, same calls.
//!
//! # Design
//! - A WASM contract's code begins with [`CODE_PREFIX`], whose first byte, 0xEF, is no instruction of the EVM. This
//!   chain gives it a meaning at the start of such code: run the module. So a WASM call is an ordinary frame, with the
//!   EVM's checkpoint, value transfer, depth limit and tracing, and nothing of revm's handling of frames is replaced.
//! - A module that calls another contract is left half-way ([`ChainLocal`] keeps it), its frame asks for a new frame
//!   as CALL does, and steps back onto the same 0xEF: when the inner frame has ended, the module goes on with its
//!   result. Calls of any depth hold no stack of the host.
//! - Init code with the prefix creates a WASM contract, from a transaction or from CREATE and CREATE2: the module is
//!   judged, its constructor run if it has one, and what is stored is the prefix and the module. Ordinary init code
//!   still cannot return code that begins with 0xEF (EIP-3541): RETURN refuses it.
//!
//! # Invariants
//! - Code with the prefix is code that was judged; nothing else can write it.
//! - Prices do not depend on what a node has cached.

mod answer;
mod end;
mod enter;
mod local;
#[cfg(test)]
mod tests;

use neura_wasm_abi::CODE_PREFIX;
use revm::{
    bytecode::opcode::RETURN,
    context::CfgEnv,
    context_interface::{ContextTr, Host},
    handler::instructions::EthInstructions,
    interpreter::{Instruction, interpreter::EthInterpreter},
};

pub(crate) use local::ChainLocal;

use crate::native::Modules;

/// The instructions of the EVM, and those that run WASM contracts where there are native modules too: on this chain,
/// not where Ethereum's own rules are run.
pub(crate) fn instructions<C: ContextTr<Local = ChainLocal> + Host>(
    config: &mut CfgEnv,
    modules: &dyn Modules,
) -> EthInstructions<EthInterpreter, C> {
    let mut instructions = EthInstructions::new_mainnet_with_spec(config.spec);
    if modules.runs_wasm() {
        let [run, ..] = CODE_PREFIX;
        instructions.insert_instruction(run, Instruction::new(enter::run), 0);
        // The rule moves from the end of a creation, where all code is equal, to where EVM code is returned.
        config.disable_eip3541 = true;
        instructions.insert_instruction(RETURN, Instruction::new(enter::ret), 0);
    }
    instructions
}
