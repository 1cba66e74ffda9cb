use std::sync::atomic::Ordering;

use neura_types::{Block, StateChanges};

use super::*;
use crate::genesis_root;

#[test]
fn a_failed_write_poisons_the_store_and_leaves_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path(), StoreConfig::new(1, B256::ZERO)).expect("opened");
    let changes = StateChanges::default();
    let block = Block::genesis(B256::ZERO, 1, genesis_root(&changes, 100).expect("a root"));
    let id = block.id();
    store.init_genesis(&block, id, &changes).expect("stored");

    store.inner.fail_writes.store(true, Ordering::SeqCst);
    let failed = store.put_block(&block, id, false).expect_err("the disk is full");
    assert!(matches!(&failed, StorageError::Write(_)) && failed.is_fatal());
    store.inner.fail_writes.store(false, Ordering::SeqCst);

    let later = [store.put_block(&block, id, true), store.sync(), store.clone().commit(&[])];
    for refused in later {
        assert!(matches!(refused, Err(StorageError::Poisoned(_))), "{refused:?}");
    }
    assert_eq!(store.executed_tip().expect("reads go on"), (0, id));
}

#[test]
fn another_schema_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = StoreConfig::new(1, B256::ZERO);
    let store = Store::open(dir.path(), config.clone()).expect("opened");
    let mut batch = WriteBatch::default();
    store.inner.put_meta(&mut batch, SCHEMA, &(SCHEMA_VERSION + 1)).expect("put");
    store.inner.write(batch, true).expect("written");
    drop(store);
    let refused = Store::open(dir.path(), config).expect_err("a newer schema");
    assert!(
        matches!(refused, StorageError::Schema { found, expected: SCHEMA_VERSION } if found > SCHEMA_VERSION),
        "{refused}"
    );
}

#[test]
fn tips_that_contradict_each_other_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = StoreConfig::new(1, B256::ZERO);
    let store = Store::open(dir.path(), config.clone()).expect("opened");
    let mut batch = WriteBatch::default();
    store.inner.put_meta(&mut batch, COMMITTED_TIP, &(1u64, B256::ZERO)).expect("put");
    store.inner.put_meta(&mut batch, EXECUTED_TIP, &(2u64, B256::ZERO)).expect("put");
    store.inner.write(batch, true).expect("written");
    drop(store);
    assert!(matches!(Store::open(dir.path(), config), Err(StorageError::Corrupt { .. })));
}

/// A vote follows a synced write: rows that name bodies must not outlive them.
#[test]
fn a_synced_write_makes_the_bodies_durable_that_were_stored_before_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path(), StoreConfig::new(1, B256::ZERO)).expect("opened");
    let changes = StateChanges::default();
    let block = Block::genesis(B256::ZERO, 1, genesis_root(&changes, 100).expect("a root"));
    store.init_genesis(&block, block.id(), &changes).expect("stored");
    let inner = &*store.inner;
    let synced: [(&str, &dyn Fn()); 2] = [
        ("a write", &|| inner.write(WriteBatch::default(), true).expect("written")),
        ("a sync of all", &|| store.sync().expect("synced")),
    ];
    for (number, (what, sync)) in (0u8..).zip(synced) {
        let digest = B256::repeat_byte(number);
        store.put_batches(&[(digest, &[number; 9])], crate::Demand::Offered, false).expect("kept");
        assert!(inner.bodies.is_dirty(), "nobody has asked for it yet");
        inner.write(WriteBatch::default(), false).expect("written");
        assert!(inner.bodies.is_dirty(), "a write that is not synced waits for no disk");
        sync();
        assert!(!inner.bodies.is_dirty(), "{what} left bodies behind");
    }
}
