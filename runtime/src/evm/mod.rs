//! Run the EVM over a state: revm with a database of ours, the native modules as precompiles, and a ledger of effects.

mod bare;
mod database;
mod effects;
mod gas;
mod handler;
mod host;
mod precompiles;
#[cfg(test)]
mod tests;

use alloy_primitives::{Bytes, Log as EvmLog, TxKind, U256};
use neura_types::{Log, StateRead, Transaction, transaction::ED25519_TX_TYPE};
use revm::{
    bytecode::Bytecode,
    context::{BlockEnv, CfgEnv, Context, Evm, Journal, TxEnv, either::Either},
    context_interface::{
        block::BlobExcessGasAndPrice,
        transaction::{RecoveredAuthority, RecoveredAuthorization},
    },
    handler::{EthFrame, instructions::EthInstructions},
    interpreter::interpreter::EthInterpreter,
    primitives::{eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE, hardfork::SpecId},
};

pub use bare::BareMachine;
pub(crate) use database::{DatabaseError, StateDatabase};
pub(crate) use effects::Effects;
pub(crate) use gas::per_word;
pub use gas::{
    COLD_ACCOUNT_GAS, COLD_WORD_GAS, LOG_BYTE_GAS, LOG_GAS, LOG_TOPIC_GAS, MODULE_CALL_GAS,
    MODULE_INPUT_WORD_GAS, MODULE_OUTPUT_WORD_GAS, NEW_ACCOUNT_GAS, TRANSFER_GAS, WARM_GAS,
    WORD_CHANGED_GAS, WORD_CREATED_GAS,
};
pub(crate) use handler::BlockHandler;
pub(crate) use host::JournalHost;
pub(crate) use precompiles::ChainPrecompiles;

use crate::{
    modules::host::BlockContext,
    native::Modules,
    wasm::{self, ChainLocal},
};

/// The rules of execution: Ethereum's hardfork that is live on its main network.
pub(crate) const SPEC: SpecId = SpecId::OSAKA;
/// Most gas of one transaction (EIP-7825).
pub const MAX_TRANSACTION_GAS: u64 = revm::primitives::eip7825::TX_GAS_LIMIT_CAP;
/// EIP-1559's type; type 0x4e has the same fields.
const DYNAMIC_FEE_TYPE: u8 = 2;

/// Everything that the machine sees besides its code: block, transaction, rules, journal over a state.
pub(crate) type MachineContext<'s, S> = ContextOf<StateDatabase<'s, S>>;

/// [`MachineContext`] over any database.
pub(crate) type ContextOf<D> = Context<BlockEnv, TxEnv, CfgEnv, D, Journal<D>, (), ChainLocal>;

/// The machine. One serves a whole block.
pub(crate) type Machine<'s, 'm, S> = Evm<
    MachineContext<'s, S>,
    (),
    EthInstructions<EthInterpreter, MachineContext<'s, S>>,
    ChainPrecompiles<'m>,
    EthFrame<EthInterpreter>,
>;

/// Builds a machine over `state` for the block `block`.
pub(crate) fn machine<'s, 'm, S: StateRead>(
    state: &'s S,
    block: &'m BlockContext,
    modules: &'m dyn Modules,
) -> Machine<'s, 'm, S> {
    let config = CfgEnv::new_with_spec(SPEC).with_chain_id(block.chain_id);
    machine_with(state, (config, block_environment(block)), block, modules)
}

/// [`machine`] with rules and a block of its own, for what is not this chain.
pub(crate) fn machine_with<'s, 'm, S: StateRead>(
    state: &'s S,
    (mut config, environment): (CfgEnv, BlockEnv),
    block: &'m BlockContext,
    modules: &'m dyn Modules,
) -> Machine<'s, 'm, S> {
    let spec = config.spec;
    let database = match spec.is_enabled_in(SpecId::PRAGUE) {
        true => StateDatabase::new(state),
        false => StateDatabase::before_delegations(state),
    };
    let instructions = wasm::instructions(&mut config, modules);
    let context =
        MachineContext::<'s, S>::new(database, spec).with_cfg(config).with_block(environment);
    Evm::new(context, instructions, ChainPrecompiles::new(spec, block, modules))
}

pub(crate) fn block_environment(block: &BlockContext) -> BlockEnv {
    BlockEnv {
        number: U256::from(block.height),
        beneficiary: block.proposer,
        timestamp: U256::from(block.timestamp_ms.checked_div(1_000).unwrap_or(0)),
        gas_limit: block.params().block_gas_limit,
        basefee: block.base_fee,
        difficulty: U256::ZERO,
        prevrandao: Some(block.randomness),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(
            0,
            BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE,
        )),
        slot_num: block.height,
    }
}

/// A decoded transaction in the machine's terms. Type 0x4e runs as type 2 with its own sender.
pub(crate) fn transaction_environment(transaction: &Transaction) -> TxEnv {
    let tx_type = match transaction.tx_type {
        ED25519_TX_TYPE => DYNAMIC_FEE_TYPE,
        other => other,
    };
    let tip = (tx_type >= DYNAMIC_FEE_TYPE).then_some(transaction.max_priority_fee_per_gas);
    let delegations = transaction.delegations.iter().map(|delegation| {
        let authority =
            delegation.authority.map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
        let unsigned = delegation.signed.inner().clone();
        Either::Right(RecoveredAuthorization::new_unchecked(unsigned, authority))
    });
    TxEnv {
        tx_type,
        caller: transaction.sender,
        gas_limit: transaction.gas_limit,
        gas_price: transaction.max_fee_per_gas,
        kind: transaction.to,
        value: transaction.value,
        data: transaction.input.clone(),
        nonce: transaction.nonce,
        chain_id: Some(transaction.chain_id),
        access_list: transaction.access_list.clone(),
        gas_priority_fee: tip,
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: delegations.collect(),
    }
}

/// Whether code is a delegation: that of an account which may still send transactions (EIP-7702).
pub(crate) fn is_delegation(code: &Bytes) -> bool {
    Bytecode::new_raw_checked(code.clone()).is_ok_and(|code| code.is_eip7702())
}

/// A log in our terms.
pub(crate) fn log_of(log: EvmLog) -> Log {
    let (topics, data) = log.data.split();
    Log { address: log.address, topics, data }
}

/// The called account, if it is a call.
pub(crate) fn callee(kind: TxKind) -> Option<alloy_primitives::Address> {
    kind.into_to()
}
