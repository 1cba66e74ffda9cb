//! Keep contracts from being created over storage that is there already (EIP-7610).
//!
//! No account of a real chain is in that state, so that the machine does not look; Ethereum's tests make such accounts.

use std::{collections::BTreeSet, marker::PhantomData};

use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY};
use neura_types::StateRead;
use revm::{
    context::{
        FrameStack,
        result::{EVMError, HaltReason},
    },
    context_interface::{ContextTr, JournalTr, journaled_state::account::JournaledAccountTr},
    handler::{
        EthFrame, EvmTr, FrameInitOrResult, FrameResult, Handler, ItemOrResult,
        evm::{ContextDbError, FrameInitResult, FrameTr},
    },
    interpreter::{
        CreateInputs, CreateOutcome, Gas, InstructionResult, InterpreterResult,
        interpreter::EthInterpreter,
        interpreter_action::{FrameInit, FrameInput},
    },
    primitives::constants::CALL_STACK_LIMIT,
};

use crate::evm::{DatabaseError, Machine};

/// A machine and the addresses at which it must not create.
pub(super) struct GuardedMachine<'s, 'm, S: StateRead> {
    pub(super) machine: Machine<'s, 'm, S>,
    taken: BTreeSet<Address>,
}

/// Ethereum's handling of a transaction on such a machine.
pub(super) struct GuardedHandler<M>(PhantomData<M>);

impl<M> Default for GuardedHandler<M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'s, 'm, S: StateRead> Handler for GuardedHandler<GuardedMachine<'s, 'm, S>> {
    type Evm = GuardedMachine<'s, 'm, S>;
    type Error = EVMError<DatabaseError>;
    type HaltReason = HaltReason;
}

impl<'s, 'm, S: StateRead> GuardedMachine<'s, 'm, S> {
    pub(super) fn new(machine: Machine<'s, 'm, S>, taken: BTreeSet<Address>) -> Self {
        Self { machine, taken }
    }

    /// The answer to a creation at an address that is taken: what the machine answers where there is code.
    fn collision(
        &mut self,
        depth: usize,
        inputs: &CreateInputs,
    ) -> Result<Option<FrameResult>, DatabaseError> {
        if self.taken.is_empty() || depth > usize::try_from(CALL_STACK_LIMIT).unwrap_or(usize::MAX)
        {
            return Ok(None);
        }
        let journal = self.machine.ctx.journal_mut();
        let (nonce, balance) = {
            let caller = journal.load_account_mut(inputs.caller())?;
            (caller.data.nonce(), *caller.data.balance())
        };
        let created = inputs.created_address(nonce);
        if !self.taken.contains(&created) || balance < inputs.value() || nonce == u64::MAX {
            return Ok(None);
        }
        let there = &journal.load_account(created)?.data.info;
        if there.nonce != 0 || there.code_hash != KECCAK256_EMPTY {
            return Ok(None);
        }
        journal.load_account_mut(inputs.caller())?.data.bump_nonce();
        let gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit(), inputs.reservoir());
        Ok(Some(FrameResult::Create(CreateOutcome {
            result: InterpreterResult::new(InstructionResult::CreateCollision, Bytes::new(), gas),
            address: None,
            charged_create_state_gas: inputs.charged_create_state_gas(),
        })))
    }
}

type Inner<'s, 'm, S> = Machine<'s, 'm, S>;
type Frame = EthFrame<EthInterpreter>;
type Context<'s, 'm, S> = <Inner<'s, 'm, S> as EvmTr>::Context;
type Instructions<'s, 'm, S> = <Inner<'s, 'm, S> as EvmTr>::Instructions;
type Precompiles<'s, 'm, S> = <Inner<'s, 'm, S> as EvmTr>::Precompiles;

impl<'s, 'm, S: StateRead> EvmTr for GuardedMachine<'s, 'm, S> {
    type Context = Context<'s, 'm, S>;
    type Instructions = Instructions<'s, 'm, S>;
    type Precompiles = Precompiles<'s, 'm, S>;
    type Frame = Frame;

    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Frame>) {
        self.machine.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut Self::Precompiles, &mut FrameStack<Frame>)
    {
        self.machine.all_mut()
    }

    fn frame_init(
        &mut self,
        frame: FrameInit,
    ) -> Result<FrameInitResult<'_, Frame>, ContextDbError<Self::Context>> {
        if let FrameInput::Create(inputs) = &frame.frame_input
            && let Some(result) = self.collision(frame.depth, inputs)?
        {
            return Ok(ItemOrResult::Result(result));
        }
        self.machine.frame_init(frame)
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Frame>, ContextDbError<Self::Context>> {
        self.machine.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: <Frame as FrameTr>::FrameResult,
    ) -> Result<Option<<Frame as FrameTr>::FrameResult>, ContextDbError<Self::Context>> {
        self.machine.frame_return_result(result)
    }
}
