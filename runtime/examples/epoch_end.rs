//! Measures the end of an epoch of the largest size: 256 validators judged, rewarded and elected anew, on one core.
//!
//! `cargo run -p neura-runtime --example epoch_end`
#![expect(clippy::disallowed_types, reason = "a measurement needs a clock; the library has none")]
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use std::{error::Error, sync::Arc, time::Instant};

use neura_runtime::{Attendance, BlockContext, BlockInput, execute, genesis_changes};
use neura_types::{
    Address, Amount, B256, EpochConfig, Genesis, Params,
    genesis::GenesisAccount,
    keys::SecretKey,
    state::MemoryState,
    system,
    validator::{MAX_VALIDATORS, Validator},
};

fn main() -> Result<(), Box<dyn Error>> {
    let validators = (0..MAX_VALIDATORS).map(|n| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        let public_key = SecretKey::from_seed(&seed).public_key();
        Validator { public_key, account: public_key.address(), power: 1_000 }
    });
    let genesis = Genesis {
        chain_id: 1,
        timestamp_ms: 1,
        params: Params { max_validators: 256, ..Params::default() },
        treasury: Address::ZERO,
        faucet: None,
        validators: validators.collect(),
        accounts: vec![GenesisAccount { address: system::REWARDS, balance: Amount::ankr(1) }],
    };
    let mut state = MemoryState::default();
    state.apply(&genesis_changes(&genesis)?);
    let epoch = Arc::new(EpochConfig::genesis(&genesis, 0)?);
    let context = BlockContext {
        chain_id: genesis.chain_id,
        genesis: genesis.hash(),
        height: epoch.last,
        timestamp_ms: 1,
        proposer: Address::ZERO,
        randomness: B256::ZERO,
        base_fee: 0,
        treasury: genesis.treasury,
        epoch,
        attendance: Attendance::default(),
    };
    let started = Instant::now();
    let execution = execute(&state, &BlockInput { context: &context, transactions: &[] })?;
    let words = execution.changes.storage.len();
    println!("{:?}: {words} words and {} events", started.elapsed(), execution.block_logs.len());
    Ok(())
}
