//! The chain of validator sets.

#![allow(dead_code, reason = "each test file uses its part of the fixture")]

mod fixture;

use alloy_primitives::{Address, B256};
use fixture::{Chain, block, config, pruning, set_balance};
use neura_storage::{
    EpochEnd, EpochRecord, MIN_RETAINED_BLOCKS, ProvenHeader, StorageError, Store,
};
use neura_types::{
    Epoch, EpochConfig, Params, StateChanges, ValidatorSet, keys::SecretKey, validator::Validator,
};

const LENGTH: u64 = 3;

fn epoch(number: Epoch) -> EpochConfig {
    let public_key = SecretKey::from_seed(&[(number % 200) as u8 + 1; 32]).public_key();
    let member = Validator { public_key, account: Address::ZERO, power: 10 + number };
    EpochConfig {
        epoch: number,
        first: number * LENGTH + 1,
        last: (number + 1) * LENGTH,
        version: 1,
        set: ValidatorSet::new(number, vec![member]).expect("a set"),
        params: Params::default(),
    }
}

fn finished(number: Epoch) -> EpochRecord {
    let config = epoch(number);
    let mut last = block(config.last, B256::repeat_byte(number as u8), &[b"tx"]);
    last.header.epoch = number;
    last.header.next_epoch = Some(epoch(number + 1).digest());
    let end = EpochEnd { block: ProvenHeader::of(&last), proof: vec![number as u8; 9] };
    assert_eq!(end.block.id(), last.id());
    EpochRecord { config, end: Some(end) }
}

#[test]
fn epochs_are_kept_in_order_over_restarts_and_pruning() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let mut chain = Chain::create(&path, pruning(MIN_RETAINED_BLOCKS), &set_balance(1, 1));
    assert_eq!(chain.store.newest_epoch().expect("read"), None);
    for number in 0..300 {
        chain.store.put_epoch(&finished(number)).expect("stored");
    }
    let running = EpochRecord { config: epoch(300), end: None };
    chain.store.put_epoch(&running).expect("stored");
    for _ in 0..MIN_RETAINED_BLOCKS + 30 {
        chain.extend(&StateChanges::default());
        chain.store.prune(9).expect("pruned");
    }
    drop(chain);
    let store = Store::open(&path, pruning(MIN_RETAINED_BLOCKS)).expect("opened again");
    assert_eq!(store.epoch(0).expect("read"), Some(finished(0)));
    assert_eq!(store.epoch(301).expect("read"), None);
    assert_eq!(store.newest_epoch().expect("read"), Some(running.clone()));
    let found = store.epochs(254, 5).expect("read");
    assert_eq!(found, (254..259).map(finished).collect::<Vec<_>>());
    assert_eq!(store.epochs(300, 5).expect("read"), [running]);
}

#[test]
fn a_finished_epoch_is_not_replaced_and_a_contradiction_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path(), config()).expect("opened");
    let running = EpochRecord { config: epoch(4), end: None };
    store.put_epoch(&running).expect("stored");
    store.put_epoch(&finished(4)).expect("it ends");
    store.put_epoch(&running).expect("nothing changes");
    let mut other_proof = finished(4);
    other_proof.end.as_mut().expect("an end").proof = vec![0; 4];
    store.put_epoch(&other_proof).expect("nothing changes");
    assert_eq!(store.epoch(4).expect("read"), Some(finished(4)));

    let edits: [fn(&mut EpochRecord); 4] = [
        |record| record.config.last += 1,
        |record| record.config.version += 1,
        |record| record.end.as_mut().expect("an end").block.header.timestamp_ms += 1,
        |record| record.end.as_mut().expect("an end").block.header.next_epoch = None,
    ];
    for edit in edits {
        let mut record = finished(4);
        edit(&mut record);
        let refused = store.put_epoch(&record);
        assert!(matches!(refused, Err(StorageError::Epoch { epoch: 4, .. })), "{refused:?}");
    }
    assert_eq!(store.epoch(4).expect("read"), Some(finished(4)));
}
