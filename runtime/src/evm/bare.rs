//! revm as its own examples use it: a map in memory, one transaction after the other, committed each. What the chain's
//! execution is measured against.

use neura_types::{ChainId, StateChanges, Transaction, U256};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext, MainnetEvm,
    bytecode::Bytecode,
    context::TxEnv,
    database::{CacheDB, EmptyDB},
    handler::MainnetContext,
    state::AccountInfo,
};

/// Gas limit of the one block that takes all.
const NO_LIMIT: u64 = u64::MAX;

/// A machine without modules, fees of the chain, receipts and roots.
#[expect(missing_debug_implementations, reason = "revm's machine has none")]
pub struct BareMachine(MainnetEvm<MainnetContext<CacheDB<EmptyDB>>>);

impl BareMachine {
    /// Over the accounts and code of `state`; its storage starts empty.
    pub fn new(state: &StateChanges, chain_id: ChainId, base_fee: u64) -> Self {
        let mut database = CacheDB::<EmptyDB>::default();
        for (address, account) in &state.accounts {
            let Some(account) = account else { continue };
            let code = state.code.get(&account.code_hash);
            let info = AccountInfo {
                balance: account.balance,
                nonce: account.nonce,
                code_hash: account.code_hash,
                account_id: None,
                code: code.map(|code| Bytecode::new_raw(code.clone())),
            };
            database.insert_account_info(*address, info);
        }
        let evm = Context::mainnet()
            .with_db(database)
            .modify_cfg_chained(|config| config.chain_id = chain_id)
            .modify_block_chained(|block| {
                block.gas_limit = NO_LIMIT;
                block.basefee = base_fee;
                block.number = U256::ONE;
            })
            .build_mainnet();
        Self(evm)
    }

    /// Executes and keeps a transaction.
    ///
    /// # Errors
    /// What it ended with, if not with success.
    pub fn transact(&mut self, transaction: &Transaction) -> Result<(), String> {
        let result = self.0.transact_commit(environment(transaction));
        let result = result.map_err(|error| error.to_string())?;
        if result.is_success() { Ok(()) } else { Err(format!("{result:?}")) }
    }
}

fn environment(transaction: &Transaction) -> TxEnv {
    TxEnv {
        tx_type: transaction.tx_type,
        caller: transaction.sender,
        gas_limit: transaction.gas_limit,
        gas_price: transaction.max_fee_per_gas,
        gas_priority_fee: Some(transaction.max_priority_fee_per_gas),
        kind: transaction.to,
        value: transaction.value,
        data: transaction.input.clone(),
        nonce: transaction.nonce,
        chain_id: Some(transaction.chain_id),
        access_list: transaction.access_list.clone(),
        ..TxEnv::default()
    }
}
