//! Run single transactions by the rules of any Ethereum hardfork, for Ethereum's own tests.
//!
//! # Design
//! - It is the machine that executes blocks: same journal, same precompiles, the native modules at their addresses.
//!   Only what a fork sets differs: instructions, prices, limits.
//! - What the chain never meets and Ethereum's tests do is added here and nowhere else: contracts that destroy
//!   themselves for good, empty accounts of before EIP-161, and storage of accounts that were never created (EIP-7610).

mod collision;
#[cfg(test)]
mod tests;
mod world;

pub use revm::{
    context::{BlockEnv, TxEnv, either::Either},
    context_interface::{
        block::BlobExcessGasAndPrice,
        result::InvalidTransaction as EvmInvalid,
        transaction::{RecoveredAuthorization, SignedAuthorization},
    },
    primitives::hardfork::SpecId,
};
pub use world::{World, WorldAccount};

use alloy_primitives::{Address, B256, Bytes, keccak256};
use neura_types::{Genesis, Log, genesis::GenesisAccount, keys::SecretKey, validator::Validator};
use revm::{
    context::{
        CfgEnv,
        result::{EVMError, ExecutionResult},
    },
    context_interface::JournalTr,
    handler::Handler,
};

use crate::{
    error::RuntimeError,
    evm::{log_of, machine_with},
    genesis::genesis_context,
    modules::host::BlockContext,
    native::ChainModules,
};
use collision::{GuardedHandler, GuardedMachine};

/// What a fork sets.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The hardfork.
    pub spec: SpecId,
    /// Chain id.
    pub chain_id: u64,
    /// Most blobs of one transaction; unlimited if none.
    pub max_blobs: Option<u64>,
}

/// What a transaction did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The accounts afterwards.
    pub world: World,
    /// Its logs.
    pub logs: Vec<Log>,
    /// Gas that it paid for.
    pub gas_used: u64,
    /// How it ended: `success`, `revert`, or the reason of its halt.
    pub ending: String,
    /// What it returned.
    pub output: Bytes,
}

impl Outcome {
    /// keccak256 of the RLP list of the logs.
    pub fn logs_hash(&self) -> B256 {
        let logs = self.logs.iter().map(|log| alloy_primitives::Log {
            address: log.address,
            data: alloy_primitives::LogData::new_unchecked(log.topics.clone(), log.data.clone()),
        });
        let mut bytes = Vec::new();
        alloy_rlp::encode_list::<_, alloy_primitives::Log>(&logs.collect::<Vec<_>>(), &mut bytes);
        keccak256(bytes)
    }
}

/// Why a transaction has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// A block cannot include it.
    #[error("{0}")]
    Transaction(EvmInvalid),
    /// The block lacks what the fork demands.
    #[error("the block's header: {0}")]
    Header(String),
    /// The machine broke one of its own rules.
    #[error("the EVM failed: {0}")]
    Machine(String),
}

/// Ethereum as this chain's machine knows it.
#[derive(Debug)]
pub struct Ethereum {
    /// What native modules see of the block, were a test to call one.
    block: BlockContext,
}

impl Ethereum {
    /// Ethereum beside the native modules of a chain with one validator.
    ///
    /// # Errors
    /// If that chain's genesis breaks a rule.
    pub fn new() -> Result<Self, RuntimeError> {
        let validator = Validator {
            public_key: SecretKey::from_seed(&[1; 32]).public_key(),
            account: Address::repeat_byte(0x4e),
            power: 1,
        };
        let genesis = Genesis {
            chain_id: 1,
            timestamp_ms: 0,
            params: Default::default(),
            treasury: Address::ZERO,
            faucet: None,
            validators: vec![validator],
            accounts: Vec::<GenesisAccount>::new(),
        };
        Ok(Self { block: genesis_context(&genesis)? })
    }

    /// Runs one transaction over `before`.
    ///
    /// # Errors
    /// If a block cannot include it, or the machine fails.
    pub fn transact(
        &self,
        before: &World,
        rules: &Rules,
        block: BlockEnv,
        transaction: TxEnv,
    ) -> Result<Outcome, Rejection> {
        let mut config = CfgEnv::new()
            .with_chain_id(rules.chain_id)
            .with_spec_and_mainnet_gas_params(rules.spec);
        config.max_blobs_per_tx = rules.max_blobs;
        let machine = machine_with(before, (config, block), &self.block, &ChainModules);
        let mut guarded = GuardedMachine::new(machine, before.taken());
        guarded.machine.ctx.tx = transaction;
        let result = GuardedHandler::default().run(&mut guarded).map_err(|error| match error {
            EVMError::Transaction(error) => Rejection::Transaction(error),
            EVMError::Header(error) => Rejection::Header(error.to_string()),
            other => Rejection::Machine(other.to_string()),
        })?;
        let gas_used = result.gas().tx_gas_used();
        let state = guarded.machine.ctx.journaled_state.finalize();
        let mut world = before.clone();
        world.apply(state);
        let (ending, output, logs) = match result {
            ExecutionResult::Success { logs, output, .. } => {
                ("success".to_owned(), output.into_data(), logs)
            }
            ExecutionResult::Revert { output, logs, .. } => ("revert".to_owned(), output, logs),
            ExecutionResult::Halt { reason, logs, .. } => (reason.to_string(), Bytes::new(), logs),
        };
        let logs = logs.into_iter().map(log_of).collect();
        Ok(Outcome { world, logs, gas_used, ending, output })
    }
}
