//! Run one transaction by Ethereum's rules and take down its effects.

use std::marker::PhantomData;

use neura_types::StateRead;
use revm::{
    context::result::{EVMError, ExecutionResult, HaltReason, ResultGas},
    context_interface::{ContextTr, JournalTr, LocalContextTr, context::take_error},
    handler::{EvmTr, FrameResult, Handler, post_execution},
};

use super::{DatabaseError, Effects, Machine};

/// Ethereum's handling of a transaction, with the effects recorded before the journal forgets them.
#[derive(Debug)]
pub(crate) struct BlockHandler<'e, M> {
    effects: &'e mut Effects,
    pays_tip: bool,
    machine: PhantomData<M>,
}

impl<'e, M> BlockHandler<'e, M> {
    pub(crate) fn new(effects: &'e mut Effects) -> Self {
        Self { effects, pays_tip: true, machine: PhantomData }
    }

    /// For a transaction that is run ahead of its turn: the tip is paid when that comes.
    pub(crate) fn ahead(effects: &'e mut Effects) -> Self {
        Self { effects, pays_tip: false, machine: PhantomData }
    }
}

impl<'s, 'm, S: StateRead> Handler for BlockHandler<'_, Machine<'s, 'm, S>> {
    type Evm = Machine<'s, 'm, S>;
    type Error = EVMError<DatabaseError>;
    type HaltReason = HaltReason;

    fn reward_beneficiary(
        &self,
        evm: &mut Self::Evm,
        exec_result: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        if !self.pays_tip {
            return Ok(());
        }
        Ok(post_execution::reward_beneficiary(evm.ctx(), exec_result.gas())?)
    }

    fn execution_result(
        &mut self,
        evm: &mut Self::Evm,
        result: FrameResult,
        gas: ResultGas,
    ) -> Result<ExecutionResult<HaltReason>, Self::Error> {
        take_error::<Self::Error, _>(evm.ctx().error())?;
        let output = post_execution::output(evm.ctx(), result, gas);
        self.effects.record(&evm.ctx.journaled_state.inner);
        self.effects.forget_emptied(&mut evm.ctx.journaled_state.inner.state);
        evm.ctx().journal_mut().commit_tx();
        evm.ctx().local_mut().clear();
        evm.frame_stack().clear();
        Ok(output)
    }
}
