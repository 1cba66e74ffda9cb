//! Gather the logs of a call, and the movements of coins as logs among them.

use alloy_primitives::{Address, B256, Bytes, Log as EvmLog, U256, address, b256};
use neura_types::Log;
use revm::{
    Inspector,
    context_interface::{ContextTr, JournalTr},
    interpreter::{CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome},
};

use crate::evm::log_of;

/// Emitter of the logs that stand for movements of coins.
const COINS: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// Keeps the logs of frames that were not reverted.
#[derive(Debug)]
pub(super) struct LogCollector {
    with_transfers: bool,
    /// Logs so far.
    pub(super) logs: Vec<Log>,
    /// Number of logs before each open frame.
    marks: Vec<usize>,
}

impl LogCollector {
    pub(super) fn new(with_transfers: bool) -> Self {
        Self { with_transfers, logs: Vec::new(), marks: Vec::new() }
    }

    fn enter(&mut self, from: Address, to: Address, value: U256) {
        self.marks.push(self.logs.len());
        self.moved(from, to, value);
    }

    fn leave(&mut self, is_ok: bool) {
        let mark = self.marks.pop().unwrap_or_default();
        if !is_ok {
            self.logs.truncate(mark);
        }
    }

    fn moved(&mut self, from: Address, to: Address, value: U256) {
        if self.with_transfers && !value.is_zero() {
            self.logs.push(Log {
                address: COINS,
                topics: vec![TRANSFER, from.into_word(), to.into_word()],
                data: Bytes::from(value.to_be_bytes::<32>()),
            });
        }
    }
}

impl<C: ContextTr> Inspector<C> for LogCollector {
    fn log(&mut self, _: &mut C, log: EvmLog) {
        self.logs.push(log_of(log));
    }

    fn call(&mut self, _: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let value = match inputs.scheme {
            CallScheme::DelegateCall => U256::ZERO,
            _ => inputs.transfer_value().unwrap_or_default(),
        };
        self.enter(inputs.transfer_from(), inputs.transfer_to(), value);
        None
    }

    fn call_end(&mut self, _: &mut C, _: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(outcome.result.is_ok());
    }

    fn create(&mut self, context: &mut C, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        let caller = context.journal_mut().load_account(inputs.caller()).ok();
        let nonce = caller.map_or(0, |account| account.data.info.nonce);
        let created = inputs.created_address(nonce);
        self.enter(inputs.caller(), created, inputs.value());
        None
    }

    fn create_end(&mut self, _: &mut C, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.leave(outcome.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.moved(contract, target, value);
    }
}
