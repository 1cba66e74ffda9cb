//! The state and its tree against a model in memory.

#![allow(dead_code, reason = "each test file uses its part of the fixture")]

mod fixture;

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use fixture::{Chain, account, address, config, pruning, set_balance};
use neura_storage::{StorageError, StoreConfig, genesis_root};
use neura_types::{
    StateChanges, StateRead,
    state::{
        MemoryState, StateKey,
        proof::{account_value, verify_proof, word_value},
    },
};
use proptest::prelude::*;

/// Accounts and slots that the model test moves among: few, so that they collide.
const ACCOUNTS: u8 = 6;
const SLOTS: u64 = 4;

fn keys() -> impl Iterator<Item = StateKey> {
    (0..ACCOUNTS).flat_map(|number| {
        let words =
            (0..SLOTS).map(move |slot| StateKey::Storage(address(number), U256::from(slot)));
        std::iter::once(StateKey::Account(address(number))).chain(words)
    })
}

/// Value that a key has in the tree according to any reader.
fn value_of(state: &impl StateRead, key: &StateKey) -> Option<Vec<u8>> {
    match key {
        StateKey::Account(address) => {
            state.account(*address).expect("read").as_ref().map(account_value)
        }
        StateKey::Storage(address, slot) => {
            word_value(state.storage(*address, *slot).expect("read")).map(|word| word.to_vec())
        }
    }
}

/// The changes that build a state from nothing.
fn whole_state(state: &impl StateRead) -> StateChanges {
    let mut changes = StateChanges::default();
    for number in 0..ACCOUNTS {
        if let Some(account) = state.account(address(number)).expect("read") {
            changes.accounts.insert(address(number), Some(account));
        }
        for slot in (0..SLOTS).map(U256::from) {
            let word = state.storage(address(number), slot).expect("read");
            changes.storage.insert((address(number), slot), word);
        }
    }
    changes
}

fn changes() -> impl Strategy<Value = StateChanges> {
    let accounts = proptest::collection::btree_map(
        (0..ACCOUNTS).prop_map(address),
        proptest::option::weighted(0.7, (0u64..5).prop_map(account)),
        0..4,
    );
    let wiped = proptest::collection::btree_set((0..ACCOUNTS).prop_map(address), 0..2);
    let storage = proptest::collection::btree_map(
        ((0..ACCOUNTS).prop_map(address), (0..SLOTS).prop_map(U256::from)),
        (0u64..3).prop_map(U256::from),
        0..8,
    );
    (accounts, wiped, storage).prop_map(|(accounts, wiped, storage)| StateChanges {
        accounts,
        wiped,
        storage,
        code: BTreeMap::new(),
    })
}

/// Reads, roots and proofs of one height agree with the model, and proofs prove nothing else.
fn check_height(chain: &Chain, height: u64, model: &MemoryState) {
    let view = chain.store.state_at(height).expect("a view");
    let root = chain.store.executed_root(height).expect("read").expect("kept").state_root;
    let rebuilt = genesis_root(&whole_state(model), 100).expect("a root").state_root;
    assert_eq!(root, rebuilt, "incremental and rebuilt roots of height {height}");
    for key in keys() {
        let expected = value_of(model, &key);
        assert_eq!(value_of(&view, &key), expected, "{key:?} at {height}");
        let proof = chain.store.prove(height, &key).expect("proved");
        assert_eq!((proof.state_root, &proof.value), (root, &expected));
        verify_proof(root, &key, expected.as_deref(), &proof.proof).expect("it verifies");
        let other = if expected.is_some() { None } else { Some(&b"something"[..]) };
        assert!(verify_proof(root, &key, other, &proof.proof).is_err());
        assert!(verify_proof(root, &key, Some(b"forged"), &proof.proof).is_err());
        assert!(
            verify_proof(B256::repeat_byte(1), &key, expected.as_deref(), &proof.proof).is_err()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_the_model_at_every_height(
        genesis in changes(),
        blocks in proptest::collection::vec(changes(), 1..12),
        save_after_blocks in 1u64..6,
    ) {
        let config = StoreConfig { save_after_blocks, ..config() };
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("data");
        let mut chain = Chain::create(&path, config.clone(), &genesis);
        let mut model = MemoryState::default();
        model.apply(&genesis);
        let mut models = vec![model.clone()];
        for changes in &blocks {
            chain.extend(changes);
            model.apply(changes);
            models.push(model.clone());
        }
        for (height, model) in (0u64..).zip(&models) {
            check_height(&chain, height, model);
        }
        let ids = chain.ids.clone();
        drop(chain);
        let store = neura_storage::Store::open(&path, config).expect("opened again");
        let mut chain = Chain { store, ids };
        prop_assert_eq!(chain.store.executed_tip().expect("read"), chain.tip());
        let mut wipe = set_balance(1, 77);
        wipe.wiped.insert(address(2));
        chain.extend(&wipe);
        model.apply(&wipe);
        models.push(model);
        for (height, model) in (0u64..).zip(&models) {
            check_height(&chain, height, model);
        }
    }

    #[test]
    fn a_changed_byte_of_a_proof_never_proves_another_value(
        balance in 1u64..9, position in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut genesis = StateChanges::default();
        for number in 0..ACCOUNTS {
            genesis.accounts.insert(address(number), Some(account(balance)));
        }
        let chain = Chain::create(dir.path(), config(), &genesis);
        for key in [StateKey::Account(address(1)), StateKey::Account(address(99))] {
            let proof = chain.store.prove(0, &key).expect("proved");
            let mut bytes = proof.proof.clone();
            let position = position.index(bytes.len());
            bytes[position] ^= 1 << bit;
            prop_assert!(
                verify_proof(proof.state_root, &key, proof.value.as_deref(), &bytes).is_err()
            );
            let mut cut = proof.proof.clone();
            cut.truncate(position);
            prop_assert!(
                verify_proof(proof.state_root, &key, proof.value.as_deref(), &cut).is_err()
            );
        }
    }
}

fn many(range: std::ops::Range<u64>, balance: u64) -> StateChanges {
    let accounts = range.map(|number| {
        let address = Address::left_padding_from(&number.to_be_bytes());
        (address, Some(account(balance)))
    });
    StateChanges { accounts: accounts.collect(), ..StateChanges::default() }
}

#[test]
fn a_deep_tree_has_the_same_root_however_it_was_reached() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut chain = Chain::create(&dir.path().join("a"), config(), &StateChanges::default());
    for start in (0..3_000).step_by(500) {
        chain.extend(&many(start..start + 500, 1));
    }
    let mut mixed = many(2_000..3_500, 7);
    for (address, _) in many(0..1_000, 0).accounts {
        mixed.accounts.insert(address, None);
    }
    let root = chain.extend(&mixed).state_root;
    let mut expected = many(1_000..2_000, 1);
    expected.accounts.extend(many(2_000..3_500, 7).accounts);
    assert_eq!(root, genesis_root(&expected, 100).expect("a root").state_root);

    let mut nothing = StateChanges::default();
    nothing.accounts.extend(expected.accounts.keys().map(|address| (*address, None)));
    let empty = genesis_root(&StateChanges::default(), 100).expect("a root").state_root;
    assert_eq!(chain.extend(&nothing).state_root, empty, "everything is deleted");
    assert_eq!(chain.extend(&expected).state_root, root, "and comes back");
}

#[test]
fn wiped_storage_is_gone_except_for_what_is_set_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut genesis = set_balance(1, 1);
    for slot in [U256::ZERO, U256::from(1), U256::from(7), U256::MAX] {
        genesis.storage.insert((address(1), slot), U256::from(5));
        genesis.storage.insert((address(2), slot), U256::from(6));
    }
    let mut chain = Chain::create(dir.path(), config(), &genesis);
    let mut wipe = StateChanges::default();
    wipe.wiped.insert(address(1));
    wipe.storage.insert((address(1), U256::from(7)), U256::from(8));
    chain.extend(&wipe);
    let word = |height, number, slot| {
        chain.store.state_at(height).expect("a view").storage(address(number), slot).expect("read")
    };
    for (slot, expected) in [(U256::ZERO, 0), (U256::from(7), 8), (U256::MAX, 0)] {
        assert_eq!(word(1, 1, slot), U256::from(expected));
        assert_eq!(word(0, 1, slot), U256::from(5), "the old state still has it");
        assert_eq!(word(1, 2, slot), U256::from(6), "the neighbour keeps its own");
    }
}

#[test]
fn a_view_does_not_see_what_is_committed_after_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut chain = Chain::create(dir.path(), config(), &set_balance(1, 1));
    let store = chain.store.clone();
    let view = store.state().expect("a view");
    let (before, after) = (U256::from(1), U256::from(2));
    chain.extend(&set_balance(1, 2));
    assert_eq!(view.account(address(1)).expect("read").expect("there").balance, before);
    assert_eq!(view.block_id(1).expect("read"), None);
    assert_eq!(view.height(), 0);
    assert_eq!(chain.balance(1), Some(after));
    assert_eq!(chain.store.state().expect("a view").block_id(1).expect("read"), Some(chain.ids[1]));
    verify_proof(
        view.prove(&StateKey::Account(address(1))).expect("proved").state_root,
        &StateKey::Account(address(1)),
        Some(&account_value(&account(1))),
        &view.prove(&StateKey::Account(address(1))).expect("proved").proof,
    )
    .expect("the old proof verifies");
}

#[test]
fn views_outlive_the_saves_of_the_state_that_come_after_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut chain = Chain::create(dir.path(), config(), &set_balance(1, 1));
    let store = chain.store.clone();
    let mut views = vec![store.state().expect("a view")];
    for balance in 2..=4 * config().save_after_blocks {
        chain.extend(&set_balance(1, balance));
        views.push(store.state().expect("a view"));
    }
    let key = StateKey::Account(address(1));
    for (view, balance) in views.iter().zip(1u64..) {
        let held = view.account(address(1)).expect("read").expect("there");
        assert_eq!(held.balance, U256::from(balance), "at height {}", view.height());
        let proof = view.prove(&key).expect("proved");
        let value = account_value(&account(balance));
        verify_proof(proof.state_root, &key, Some(&value), &proof.proof).expect("it verifies");
    }
}

#[test]
fn stores_and_views_can_be_shared_between_threads() {
    const fn shared<T: Send + Sync>() {}
    shared::<neura_storage::Store>();
    shared::<neura_storage::StateView<'_>>();
}

#[test]
fn code_is_found_by_its_hash() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut chain = Chain::create(dir.path(), config(), &StateChanges::default());
    let code = Bytes::from_static(b"\x60\x00");
    let hash = neura_types::hash::keccak(&code);
    let mut changes = StateChanges::default();
    changes.code.insert(hash, code.clone());
    chain.extend(&changes);
    let view = chain.store.state().expect("a view");
    assert_eq!(view.code(hash).expect("read"), Some(code));
    assert_eq!(view.code(B256::ZERO).expect("read"), None);
}

#[test]
fn pruning_keeps_exactly_the_retained_heights() {
    const KEPT: u64 = neura_storage::MIN_RETAINED_BLOCKS;
    const BLOCKS: u64 = KEPT + 40;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let mut chain = Chain::create(&path, pruning(KEPT), &set_balance(0, 1));
    let mut model = MemoryState::default();
    model.apply(&set_balance(0, 1));
    let mut models = vec![model.clone()];
    for height in 1..=BLOCKS {
        let mut changes = set_balance((height % 6) as u8, height);
        if height % 5 == 0 {
            changes.accounts.insert(address(((height + 3) % 6) as u8), None);
        }
        if height % 7 == 0 {
            changes = StateChanges::default();
        }
        let (at, id) = chain.order();
        let receipts = [fixture::receipt(height as u8, vec![])];
        chain.execute((at, id), &changes, &receipts, &[]).expect("executed");
        model.apply(&changes);
        models.push(model.clone());
        assert!(chain.store.prune(2).expect("pruned") <= 2);
    }
    let oldest = BLOCKS - KEPT;
    assert_eq!(chain.store.oldest_height().expect("read"), oldest);
    assert_eq!(chain.store.prune(9).expect("pruned"), 0);
    for height in [0, 1, oldest - 1] {
        assert!(matches!(chain.store.state_at(height), Err(StorageError::Pruned { .. })));
        assert_eq!(chain.store.receipts(height).expect("read"), None);
        let kept = chain.store.has_block(chain.ids[height as usize]).expect("read");
        assert_eq!(kept, height == 0, "only the genesis block stays");
        assert_eq!(chain.store.commit_proof_at_or_after(height, height).expect("read"), None);
    }
    for height in oldest..=BLOCKS {
        check_height(&chain, height, &models[height as usize]);
        assert!(chain.store.receipts(height).expect("read").is_some());
        assert!(chain.store.has_block(chain.ids[height as usize]).expect("read"));
    }
    let ids = chain.ids.clone();
    drop(chain);
    let store = neura_storage::Store::open(&path, pruning(KEPT)).expect("opened again");
    let mut chain = Chain { store, ids };
    chain.extend(&set_balance(3, 9));
    assert_eq!(chain.store.prune(9).expect("pruned"), 1);
}
