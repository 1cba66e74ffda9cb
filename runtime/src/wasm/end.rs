//! How a run ends.

use alloy_primitives::Bytes;
use neura_wasm_host::Refused;
use revm::{
    context_interface::host::LoadError,
    interpreter::{FrameInput, InstructionResult},
};

use crate::{modules::host::Refusal, revert::refusal_data};

/// How a run ends, or pauses.
#[derive(Debug)]
pub(super) enum End {
    /// By the EVM's rules, with nothing to return.
    Halt(InstructionResult),
    /// With output.
    Returned(InstructionResult, Bytes),
    /// Another frame has to run first.
    Waits(FrameInput),
}

impl End {
    /// Taken back with a text and the gas that is left: the contract did what no contract may.
    pub(super) fn trapped(text: &str) -> Self {
        Self::taken_back("wasm_trap", text.to_owned())
    }

    /// Taken back with a text and the gas that is left: the module or its init code may not be a contract.
    pub(super) fn refused(message: String) -> Self {
        Self::taken_back("wasm_refused", message)
    }

    fn taken_back(code: &'static str, message: String) -> Self {
        Self::Returned(InstructionResult::Revert, refusal_data(&Refusal { code, message }))
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        Self::refused(refused.to_string())
    }
}

impl From<InstructionResult> for End {
    fn from(result: InstructionResult) -> Self {
        Self::Halt(result)
    }
}

impl From<LoadError> for End {
    fn from(error: LoadError) -> Self {
        Self::Halt(error.into())
    }
}
