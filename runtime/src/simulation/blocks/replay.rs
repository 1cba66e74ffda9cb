//! Run a block of Ethereum again, for chains that are imported.

use std::collections::BTreeMap;

use alloy_eips::{eip4895::Withdrawal, eip7840::BlobParams};
use alloy_primitives::{Address, B256, Bytes};
use neura_types::{StateRead, Transaction};
use revm::{DatabaseCommit, inspector::NoOpInspector, primitives::hardfork::SpecId};

use super::{BlockStart, start};
use crate::simulation::{
    CallError, CallOutcome, Scene,
    database::{AccountAfter, accounts_after, layered},
    engine::Engine,
    outcome_of,
    trace::environment_of,
};

/// What a block did.
#[derive(Debug, Clone)]
pub struct Replay {
    /// What each transaction did, in order.
    pub outcomes: Vec<CallOutcome>,
    /// The accounts that it read or changed.
    pub accounts: BTreeMap<Address, AccountAfter>,
    /// The same as they stood after each transaction, before Byzantium: receipts stated a root then.
    pub between: Vec<BTreeMap<Address, AccountAfter>>,
    /// What the queues of requests gave at the block's end (EIP-7002, EIP-7251), in order of their types.
    pub requests: [Bytes; 2],
    /// Code that it read or made, by hash.
    pub code: BTreeMap<B256, Bytes>,
}

/// Runs the transactions of a block over the state before it, by the rules of the scene.
///
/// # Errors
/// If one of the transactions cannot be included, or the state cannot be read.
pub fn replay<S: StateRead>(
    scene: &Scene<'_, S>,
    block_start: &BlockStart,
    transactions: &[Transaction],
    withdrawals: &[Withdrawal],
    blobs: Option<(u64, BlobParams)>,
) -> Result<Replay, CallError> {
    let database = layered(scene.state);
    let overrides = &scene.overrides.state;
    let mut engine = Engine::new(database, scene.setup(), overrides, NoOpInspector)?;
    if let Some((excess, params)) = blobs {
        engine.set_excess_blob_gas(excess, params);
    }
    block_start.begin(&mut engine, scene.modules)?;
    let states_roots = !scene.spec.is_enabled_in(SpecId::BYZANTIUM);
    let (mut outcomes, mut between) = (Vec::new(), Vec::new());
    for transaction in transactions {
        let done = engine.run(environment_of(transaction))?;
        engine.machine.ctx.journaled_state.database.commit(done.state);
        outcomes.push(outcome_of(done.result));
        if states_roots {
            let database = &engine.machine.ctx.journaled_state.database;
            between.push(accounts_after(database, scene.spec));
        }
    }
    let requests = start::finish(&mut engine, withdrawals)?;
    let database = engine.into_database();
    let contracts = database.cache.contracts.iter();
    let code = contracts.map(|(hash, code)| (*hash, code.original_bytes())).collect();
    let accounts = accounts_after(&database, scene.spec);
    Ok(Replay { outcomes, accounts, between, requests, code })
}
