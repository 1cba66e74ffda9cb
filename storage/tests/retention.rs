//! What is kept, for how long, and how much room it takes.

#![allow(dead_code, reason = "each test file uses its part of the fixture")]

mod fixture;

use std::path::Path;

use alloy_primitives::Bytes;
use fixture::{Chain, block_of, config, pruning, receipt, set_balance};
use neura_storage::{
    Availability, Committed, Demand, LogFilter, MIN_RETAINED_BLOCKS, StorageError, StoreConfig,
};
use neura_types::{Batch, Height, StateChanges, codec};

/// Bytes of the batch that each block of a long run names.
const BATCH_BYTES: usize = 64 << 10;
/// Blocks of a long run.
const BLOCKS: u64 = 2_000;

fn bytes_in(path: &Path) -> u64 {
    std::fs::read_dir(path)
        .expect("listed")
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            let path = entry.path();
            if path.is_dir() { bytes_in(&path) } else { entry.metadata().map_or(0, |m| m.len()) }
        })
        .sum()
}

/// Adds a block with a batch, a receipt and some changed state, and prunes.
fn live(chain: &mut Chain) -> Height {
    let (tip, parent) = chain.tip();
    let noise = blake3::hash(&tip.to_le_bytes());
    let mut item = vec![0; BATCH_BYTES];
    let mut reader = blake3::Hasher::new().update(noise.as_bytes()).finalize_xof();
    reader.fill(&mut item);
    let batch = Batch { author: 0, sequence: tip, items: vec![Bytes::from(item)] };
    let bytes = codec::encode(&batch);
    chain.store.put_batches(&[(batch.digest(), &bytes)], Demand::Offered, false).expect("stored");
    let block = block_of(tip + 1, parent, &[batch]);
    let (id, height) = (block.id(), tip + 1);
    chain.store.put_block(&block, id, false).expect("stored");
    chain.store.commit(&[Committed { id, height, proof: Some(vec![1; 300]) }]).expect("committed");
    chain.ids.push(id);
    let changes = set_balance((height % 50) as u8, height);
    let receipts = [receipt((height % 251) as u8, vec![])];
    chain.execute((height, id), &changes, &receipts, &[]).expect("executed");
    chain.store.prune(4).expect("pruned");
    chain.store.expire_batches(height, 16).expect("expired");
    chain.store.prune_forks(height, 16).expect("pruned");
    height
}

#[test]
fn a_pruning_store_does_not_grow_with_the_chain() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let small = StoreConfig { write_buffer_bytes: 2 << 20, ..pruning(MIN_RETAINED_BLOCKS) };
    let mut chain = Chain::create(&path, small, &set_balance(1, 1));
    let mut most = 0;
    for _ in 0..BLOCKS {
        let height = live(&mut chain);
        if height.is_multiple_of(50) {
            chain.store.sync().expect("synced");
            most = bytes_in(&path).max(most);
        }
    }
    let retained = MIN_RETAINED_BLOCKS * BATCH_BYTES as u64;
    let written = BLOCKS * BATCH_BYTES as u64;
    // Beside what is retained: segments that are not full or not yet free, logs, and tables before a compaction.
    let beside = 64 << 20;
    assert!(most < retained + beside, "{most} bytes for {retained} retained");
    assert!(retained + beside < written * 3 / 4, "the run is long enough to tell");
    assert_eq!(chain.store.oldest_height().expect("read"), BLOCKS - MIN_RETAINED_BLOCKS);
}

#[test]
fn an_archive_keeps_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut chain = Chain::create(&dir.path().join("data"), config(), &set_balance(1, 1));
    for _ in 0..MIN_RETAINED_BLOCKS + 50 {
        live(&mut chain);
    }
    for height in 0..=chain.tip().0 {
        assert_eq!(chain.store.availability(height).expect("read"), Availability::Kept);
        assert!(chain.store.has_block(chain.ids[height as usize]).expect("read"));
        assert!(chain.store.receipts(height).expect("read").is_some());
        assert!(chain.store.state_at(height).is_ok());
        let block = chain.store.block(chain.ids[height as usize]).expect("read").expect("kept");
        for named in &block.batches {
            assert!(chain.store.has_batch(named.digest).expect("read"));
        }
    }
}

#[test]
fn pruned_and_unknown_are_told_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let mut chain = Chain::create(&path, pruning(MIN_RETAINED_BLOCKS), &set_balance(1, 1));
    for _ in 0..MIN_RETAINED_BLOCKS + 10 {
        chain.extend(&StateChanges::default());
        chain.store.prune(4).expect("pruned");
    }
    let (tip, oldest) = (chain.tip().0, 10);
    let availability = |height| chain.store.availability(height).expect("read");
    for height in 0..oldest {
        assert_eq!(availability(height), Availability::Pruned { oldest });
        let logs = chain.store.logs(height, tip, &LogFilter::default(), 9);
        assert!(
            matches!(logs, Err(StorageError::Pruned { height: h, oldest: o }) if h == height && o == oldest)
        );
    }
    for height in oldest..=tip {
        assert_eq!(availability(height), Availability::Kept);
        assert!(chain.store.logs(height, tip, &LogFilter::default(), 9).is_ok());
    }
    assert_eq!(availability(tip + 1), Availability::Future { tip });
    assert!(matches!(chain.store.state_at(tip + 1), Err(StorageError::NotExecuted { .. })));
}
