use alloy_primitives::Address;
use neura_types::{StateChanges, state::MemoryState};

use super::*;
use crate::{
    genesis::genesis_changes_with,
    testing::{TestModules, eth_key, genesis},
};

fn first_state() -> MemoryState {
    let mut state = MemoryState::default();
    state.apply(&genesis_changes_with(&genesis(), &TestModules).unwrap());
    state
}

#[test]
fn genesis_writes_the_chains_records() {
    let state = first_state();
    assert_eq!(next_base_fee(&state).unwrap(), genesis().params.initial_base_fee);
    assert_eq!(burned(&state).unwrap(), Amount::ZERO);
    assert_eq!(genesis_supply(&state).unwrap(), Amount::ankr(5_001));
    assert_eq!(check_supply(&state, state.accounts().map(|(_, a)| a)), Ok(()));
}

#[test]
fn genesis_gives_each_system_account_code_that_cannot_run() {
    let state = first_state();
    for (module, name) in system::MODULES {
        let account = state.account(module).unwrap().expect(name);
        assert_eq!(state.code(account.code_hash).unwrap().unwrap().as_ref(), [0xfe]);
    }
}

#[test]
fn genesis_is_the_same_every_time_and_refuses_a_broken_file() {
    let changes = genesis_changes_with(&genesis(), &TestModules).unwrap();
    assert_eq!(changes, genesis_changes_with(&genesis(), &TestModules).unwrap());
    let broken = neura_types::Genesis { chain_id: 0, ..genesis() };
    let error = genesis_changes_with(&broken, &TestModules).unwrap_err();
    assert_eq!(error.to_string(), "the genesis file is not valid: chain_id must be above 0");
}

#[test]
fn coins_made_from_nothing_are_noticed() {
    let mut state = first_state();
    let account = Account { balance: U256::from(1), ..Account::default() };
    let changes = StateChanges {
        accounts: [(Address::repeat_byte(1), Some(account))].into(),
        ..StateChanges::default()
    };
    state.apply(&changes);
    let mismatch = check_supply(&state, state.accounts().map(|(_, a)| a)).unwrap_err();
    assert_eq!(mismatch.balances, mismatch.genesis + U256::from(1));
    assert!(state.account(eth_key(1).address()).unwrap().is_some());
}

#[test]
fn a_genesis_whose_validators_share_an_account_is_refused() {
    let mut broken = genesis();
    let mut twin = broken.validators[0].clone();
    twin.public_key = crate::testing::identity_key(10).public_key();
    broken.validators.push(twin);
    let error = genesis_changes_with(&broken, &TestModules).unwrap_err();
    assert!(error.to_string().contains("each needs an account of its own"), "{error}");
}
