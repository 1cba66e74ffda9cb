//! What a killed process, a torn log and a damaged log leave behind.

#![allow(dead_code, reason = "each test file uses its part of the fixture")]

mod fixture;

use std::path::Path;

use alloy_primitives::U256;
use fixture::{Chain, address, block, config, copy_directory, log_of, receipt, set_balance};
use neura_storage::{Committed, StorageError, Store, genesis_root};
use neura_types::{StateChanges, StateRead};

fn crashed_copy(from: &Path, to: &Path) -> Store {
    copy_directory(from, to);
    Store::open(to, config()).expect("a killed process leaves a store that opens")
}

#[test]
fn a_kill_between_any_two_steps_loses_nothing_that_was_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let mut chain = Chain::create(&path, config(), &set_balance(1, 1));
    chain.extend(&set_balance(1, 2));

    let next = block(2, chain.ids[1], &[b"tx"]);
    let id = next.id();
    chain.store.put_block(&next, id, true).expect("stored");
    let store = crashed_copy(&path, &dir.path().join("stored"));
    assert_eq!(store.blocks_above(1).expect("read"), [(id, next.clone())]);
    assert_eq!(store.committed_tip().expect("read").0, 1);

    chain.store.commit(&[Committed { id, height: 2, proof: None }]).expect("committed");
    let store = crashed_copy(&path, &dir.path().join("committed"));
    assert_eq!(store.committed_tip().expect("read"), (2, id));
    assert_eq!(store.executed_tip().expect("read").0, 1);
    let interrupted = Chain { store, ids: chain.ids.clone() };
    let again = interrupted.execute((2, id), &set_balance(1, 3), &[], &[]).expect("executed");

    let root = chain.execute((2, id), &set_balance(1, 3), &[], &[]).expect("executed");
    assert_eq!(again, root, "the restarted node computes the same");
    let store = crashed_copy(&path, &dir.path().join("executed"));
    assert_eq!(store.executed_tip().expect("read"), (2, id));
    assert_eq!(store.executed_root(2).expect("read"), Some(root));
}

/// A store whose state, receipts and tips all belong to one height.
fn assert_consistent(store: &Store) {
    let Ok((tip, id)) = store.executed_tip() else {
        assert!(matches!(store.executed_tip(), Err(StorageError::NotInitialised)));
        return;
    };
    let (committed, _) = store.committed_tip().expect("read");
    assert!(tip <= committed);
    assert_eq!(store.block_id_at(tip).expect("read"), Some(id));
    for height in 0..=committed {
        let id = store.block_id_at(height).expect("read").expect("no gap");
        assert!(store.has_block(id).expect("read"));
    }
    let view = store.state().expect("a view");
    let account = view.account(address(1)).expect("read").expect("there");
    assert_eq!(account.balance, U256::from(tip + 1), "the state is that of the tip");
    let root = store.executed_root(tip).expect("read").expect("there");
    let expected = genesis_root(&set_balance(1, tip + 1), 100).expect("a root");
    assert_eq!(root.state_root, expected.state_root);
    assert_eq!(store.receipts(tip).expect("read").expect("there").len(), usize::from(tip > 0));
    let above = store.receipt(alloy_primitives::B256::repeat_byte(tip as u8 + 1)).expect("read");
    assert!(above.is_none(), "no receipt of a block that is not executed");
}

/// It stays open: what is copied is what a killed process leaves.
fn small_chain(path: &Path) -> Chain {
    let mut chain = Chain::create(path, config(), &set_balance(1, 1));
    for number in 1..=4u8 {
        let (height, id) = chain.order();
        let changes = set_balance(1, u64::from(number) + 1);
        chain.execute((height, id), &changes, &[receipt(number, vec![])], &[]).expect("executed");
    }
    chain
}

#[test]
fn a_log_torn_anywhere_gives_a_consistent_earlier_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let _running = small_chain(&path);
    let length = std::fs::metadata(log_of(&path)).expect("there").len();
    let mut tips = std::collections::BTreeSet::new();
    for (number, cut) in (0..length).step_by(97).enumerate() {
        let copy = dir.path().join(format!("cut-{number}"));
        copy_directory(&path, &copy);
        let log = std::fs::File::options().write(true).open(log_of(&copy)).expect("opened");
        log.set_len(cut).expect("cut");
        drop(log);
        let store = Store::open(&copy, config()).expect("a torn log is a crash, not damage");
        assert_consistent(&store);
        tips.insert(store.executed_tip().map_or(0, |tip| tip.0));
        drop(store);
        std::fs::remove_dir_all(&copy).expect("removed");
    }
    assert_eq!(tips.len(), 4, "cuts fell into every block: {tips:?}");
}

#[test]
fn a_flipped_bit_in_the_middle_of_the_log_is_refused_not_skipped() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let _running = small_chain(&path);
    let bytes = std::fs::read(log_of(&path)).expect("read");
    let last_record = bytes.len() - bytes.len() / 5;
    for (number, position) in (0..last_record).step_by(211).enumerate() {
        let copy = dir.path().join(format!("flip-{number}"));
        copy_directory(&path, &copy);
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x10;
        std::fs::write(log_of(&copy), damaged).expect("written");
        let refused = Store::open(&copy, config());
        assert!(
            matches!(refused, Err(StorageError::Open { .. })),
            "byte {position} of {}: {refused:?}",
            bytes.len()
        );
        std::fs::remove_dir_all(&copy).expect("removed");
    }
}

#[test]
fn a_store_opened_again_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let mut chain = Chain::create(&path, config(), &StateChanges::default());
    for balance in 1..=5 {
        chain.extend(&set_balance(1, balance));
        let Chain { store, ids } = chain;
        drop(store);
        chain = Chain { store: Store::open(&path, config()).expect("opened again"), ids };
        assert_eq!(chain.store.executed_tip().expect("read"), chain.tip());
        assert_eq!(chain.balance(1), Some(U256::from(balance)));
    }
    assert_eq!(chain.store.executed_root(5).expect("read").map(|root| root.height), Some(5));
}
