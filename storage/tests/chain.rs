//! Blocks, commits, receipts, logs, and who may open the store.

#![allow(dead_code, reason = "each test file uses its part of the fixture")]

mod fixture;

use alloy_primitives::{B256, Bytes};
use fixture::{Chain, address, block, config, receipt, set_balance};
use neura_storage::{Committed, LogFilter, Retention, StorageError, Store, StoreConfig};
use neura_types::{Block, Log, StateChanges};

fn chain() -> (tempfile::TempDir, Chain) {
    let dir = tempfile::tempdir().expect("a directory");
    let chain = Chain::create(&dir.path().join("data"), config(), &set_balance(1, 50));
    (dir, chain)
}

#[test]
fn a_second_opening_is_refused_until_the_first_ends() {
    let (dir, chain) = chain();
    let path = dir.path().join("data");
    let refused = Store::open(&path, config()).expect_err("it is locked");
    assert!(matches!(refused, StorageError::Locked { .. }), "{refused}");
    drop(chain);
    Store::open(&path, config()).expect("free again");
}

#[test]
fn data_of_another_chain_or_genesis_is_refused() {
    let (dir, chain) = chain();
    drop(chain);
    let path = dir.path().join("data");
    for other in [
        StoreConfig::new(fixture::CHAIN_ID + 1, fixture::genesis_hash()),
        StoreConfig::new(fixture::CHAIN_ID, B256::ZERO),
    ] {
        let refused = Store::open(&path, other).expect_err("another chain");
        assert!(matches!(refused, StorageError::WrongChain { .. }), "{refused}");
    }
    Store::open(&path, config()).expect("the right chain");
}

#[test]
fn a_retention_below_the_minimum_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = StoreConfig { retention: Retention::Blocks(10), ..config() };
    assert!(matches!(Store::open(dir.path(), config), Err(StorageError::Retention(10))));
}

#[test]
fn genesis_is_stored_once_and_must_carry_its_root() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path(), config()).expect("opened");
    assert!(!store.is_initialised().expect("read"));
    assert!(matches!(store.executed_tip(), Err(StorageError::NotInitialised)));
    let changes = set_balance(1, 50);
    let wrong = Block::genesis(fixture::genesis_hash(), 1, Default::default());
    assert!(matches!(
        store.init_genesis(&wrong, wrong.id(), &changes),
        Err(StorageError::Genesis(_))
    ));
    let root = neura_storage::genesis_root(&changes, 100).expect("a root");
    let right = Block::genesis(fixture::genesis_hash(), 1, root);
    for _ in 0..2 {
        assert_eq!(store.init_genesis(&right, right.id(), &changes).expect("stored"), root);
    }
    assert!(matches!(
        store.init_genesis(&right, B256::ZERO, &changes),
        Err(StorageError::Genesis(_))
    ));
    assert_eq!(store.executed_root(0).expect("read"), Some(root));
}

#[test]
fn blocks_come_back_as_they_were_and_the_uncommitted_tree_is_found_again() {
    let (_dir, mut chain) = chain();
    chain.order();
    let (tip, parent) = chain.tip();
    let a = block(tip + 1, parent, &[b"a"]);
    let b = block(tip + 1, parent, &[b"b"]);
    let on_a = block(tip + 2, a.id(), &[b"c"]);
    let all = [(a.id(), &a), (b.id(), &b), (on_a.id(), &on_a)];
    chain.store.put_blocks(&all, true).expect("stored");
    for (id, block) in all {
        assert_eq!(chain.store.block(id).expect("read").as_ref(), Some(block));
        let bytes = chain.store.block_bytes(id).expect("read").expect("there");
        assert_eq!(bytes, neura_types::codec::encode(block));
    }
    let found = chain.store.blocks_above(tip).expect("read");
    let heights: Vec<_> = found.iter().map(|(_, block)| block.header.height).collect();
    assert_eq!(heights, [tip + 1, tip + 1, tip + 2]);
    assert!(found.iter().all(|(id, block)| block.id() == *id));
    assert!(chain.store.blocks_above(tip + 2).expect("read").is_empty());
}

#[test]
fn commits_follow_the_tip_without_gaps_and_need_the_body() {
    let (_dir, mut chain) = chain();
    let (tip, parent) = chain.order();
    let next = block(tip + 1, parent, &[]);
    let committed = |height| Committed { id: next.id(), height, proof: None };
    for height in [0, tip, tip + 2] {
        assert!(matches!(
            chain.store.commit(&[committed(height)]),
            Err(StorageError::HeightGap { .. })
        ));
    }
    assert!(matches!(
        chain.store.commit(&[committed(tip + 1)]),
        Err(StorageError::UnknownBlock { .. })
    ));
    assert_eq!(chain.store.committed_tip().expect("read"), chain.tip(), "nothing was committed");
}

#[test]
fn a_batch_of_commits_is_all_or_nothing() {
    let (_dir, mut chain) = chain();
    let (tip, parent) = chain.order();
    let first = block(tip + 1, parent, &[]);
    chain.store.put_block(&first, first.id(), false).expect("stored");
    let batch = [
        Committed { id: first.id(), height: tip + 1, proof: None },
        Committed { id: B256::ZERO, height: tip + 2, proof: None },
    ];
    assert!(chain.store.commit(&batch).is_err());
    assert_eq!(chain.store.block_id_at(tip + 1).expect("read"), None);
    assert_eq!(chain.store.committed_tip().expect("read"), (tip, parent));
}

#[test]
fn commit_proofs_are_found_at_or_after_a_height() {
    let (_dir, mut chain) = chain();
    for _ in 0..3 {
        chain.order();
    }
    let (tip, parent) = chain.tip();
    let blocks = [block(tip + 1, parent, &[b"x"]), block(tip + 2, parent, &[b"y"])];
    let [a, b] = [&blocks[0], &blocks[1]];
    chain.store.put_blocks(&[(a.id(), a), (b.id(), b)], false).expect("stored");
    let batch = [
        Committed { id: a.id(), height: tip + 1, proof: None },
        Committed { id: b.id(), height: tip + 2, proof: Some(b"proof".to_vec()) },
    ];
    chain.store.commit(&batch).expect("committed");
    let at = |from, to| chain.store.commit_proof_at_or_after(from, to).expect("read");
    assert_eq!(at(2, 10), Some((2, vec![0xcc, 1])));
    assert_eq!(at(tip + 1, tip + 9), Some((tip + 2, b"proof".to_vec())));
    assert_eq!(at(tip + 1, tip + 1), None);
    assert_eq!(at(tip + 3, u64::MAX), None);
}

#[test]
fn forks_below_the_tip_are_removed_piece_by_piece() {
    let (_dir, mut chain) = chain();
    let mut forks = Vec::new();
    for number in 0..10u8 {
        let (tip, parent) = chain.tip();
        let fork = block(tip + 1, parent, &[b"fork", &[number]]);
        chain.store.put_block(&fork, fork.id(), false).expect("stored");
        forks.push(fork.id());
        chain.order();
    }
    let (tip, _) = chain.tip();
    assert!(matches!(chain.store.prune_forks(tip + 2, 9), Err(StorageError::HeightGap { .. })));
    let mut removed = 0;
    for _ in 0..10 {
        removed += chain.store.prune_forks(tip + 1, 3).expect("pruned");
    }
    assert_eq!(removed, forks.len());
    assert!(forks.iter().all(|id| !chain.store.has_block(*id).expect("read")));
    assert!(chain.ids.iter().all(|id| chain.store.has_block(*id).expect("read")));
}

#[test]
fn execution_follows_the_committed_chain() {
    let (_dir, mut chain) = chain();
    let none = StateChanges::default();
    let unknown = B256::repeat_byte(9);
    assert!(matches!(
        chain.execute((1, unknown), &none, &[], &[]),
        Err(StorageError::NotCommitted { .. })
    ));
    let (height, id) = chain.order();
    assert!(matches!(
        chain.execute((height, unknown), &none, &[], &[]),
        Err(StorageError::NotCommitted { .. })
    ));
    assert!(matches!(
        chain.execute((height + 1, id), &none, &[], &[]),
        Err(StorageError::HeightGap { .. })
    ));
    chain.execute((height, id), &none, &[], &[]).expect("executed");
    assert!(matches!(
        chain.execute((height, id), &none, &[], &[]),
        Err(StorageError::HeightGap { .. })
    ));
}

#[test]
fn a_block_without_changes_keeps_the_root() {
    let (_dir, mut chain) = chain();
    let before = chain.store.executed_root(0).expect("read").expect("there").state_root;
    assert_eq!(chain.extend(&StateChanges::default()).state_root, before);
    assert_eq!(chain.extend(&set_balance(1, 50)).state_root, before, "the same value again");
    assert_ne!(chain.extend(&set_balance(1, 51)).state_root, before);
    assert_eq!(chain.extend(&set_balance(1, 50)).state_root, before, "and back");
}

fn log(emitter: u8, topics: &[u8]) -> Log {
    let topics = topics.iter().map(|topic| B256::repeat_byte(*topic)).collect();
    Log { address: address(emitter), topics, data: Bytes::from_static(b"data") }
}

#[test]
fn receipts_and_transactions_are_found_by_hash_and_height() {
    let (_dir, mut chain) = chain();
    let (height, id) = chain.order();
    let receipts =
        [receipt(1, vec![log(1, &[1])]), receipt(2, vec![]), receipt(3, vec![log(2, &[]); 2])];
    chain.execute((height, id), &StateChanges::default(), &receipts, &[]).expect("executed");
    assert_eq!(chain.store.receipts(height).expect("read").as_deref(), Some(&receipts[..]));
    assert_eq!(chain.store.receipts(0).expect("read").as_deref(), Some(&[][..]));
    assert_eq!(chain.store.receipts(height + 1).expect("read"), None);
    let (location, found) =
        chain.store.receipt(B256::repeat_byte(3)).expect("read").expect("found");
    assert_eq!(found, receipts[2]);
    assert_eq!((location.height, location.block, location.index), (height, id, 2));
    assert_eq!((location.payload_index, location.first_log_index), (4, 1));
    assert_eq!(chain.store.receipt(B256::repeat_byte(4)).expect("read"), None);
    let record = chain.store.executed(height).expect("read").expect("there");
    assert_eq!(record.root.receipts_root, neura_types::block::receipts_root(&receipts));
    assert_eq!((record.root.next_base_fee, record.included), (101, vec![0, 2, 4]));
}

#[test]
fn a_result_with_too_few_positions_is_refused() {
    let (_dir, mut chain) = chain();
    let (height, id) = chain.order();
    let refused = chain.store.commit_executed(&neura_storage::ExecutedBlock {
        id,
        height,
        timestamp_ms: 0,
        gas_used: 0,
        base_fee: 0,
        next_base_fee: 0,
        proposer: address(0),
        receipts: &[receipt(1, vec![])],
        included: &[],
        block_logs: &[],
        changes: &StateChanges::default(),
    });
    assert!(matches!(refused, Err(StorageError::Result { .. })));
}

#[test]
fn logs_are_found_by_emitter_and_topics_across_blocks_and_at_block_end() {
    let (_dir, mut chain) = chain();
    for number in 1..=3u8 {
        let (height, id) = chain.order();
        let receipts = [
            receipt(10 * number, vec![log(1, &[1, 2]), log(2, &[1])]),
            receipt(10 * number + 1, vec![log(1, &[3])]),
        ];
        let at_end = [log(7, &[number])];
        chain
            .execute((height, id), &StateChanges::default(), &receipts, &at_end)
            .expect("executed");
    }
    let topic = |byte| vec![B256::repeat_byte(byte)];
    let count = |filter: &LogFilter| chain.store.logs(0, 9, filter, 100).expect("read").len();
    assert_eq!(count(&LogFilter::default()), 12);
    let of = |addresses: &[u8], topics: Vec<Vec<B256>>| LogFilter {
        addresses: addresses.iter().map(|a| address(*a)).collect(),
        topics,
    };
    assert_eq!(count(&of(&[1], vec![])), 6);
    assert_eq!(count(&of(&[1, 2], vec![topic(1)])), 6);
    assert_eq!(count(&of(&[], vec![vec![], topic(2)])), 3);
    assert_eq!(count(&of(&[], vec![vec![], vec![], vec![]])), 0, "no log has three topics");
    assert_eq!(count(&of(&[9], vec![])), 0);

    let at_end = chain.store.logs(2, 2, &of(&[7], vec![topic(2)]), 1).expect("read");
    assert_eq!((at_end[0].height, at_end[0].tx, at_end[0].log_index), (2, None, 3));
    let of_tx = chain.store.logs(1, 1, &of(&[], vec![topic(3)]), 1).expect("read");
    assert_eq!((of_tx[0].tx, of_tx[0].log_index), (Some((B256::repeat_byte(11), 1)), 2));
    let limited = chain.store.logs(0, 3, &LogFilter::default(), 11);
    assert!(matches!(limited, Err(StorageError::TooManyLogs { limit: 11 })));
    let wide = chain.store.logs(0, u64::MAX, &LogFilter::default(), 1);
    assert!(matches!(wide, Err(StorageError::RangeTooWide { .. })));
    assert!(chain.store.logs(3, 1, &LogFilter::default(), 1).expect("empty").is_empty());
}

/// Sections of blocks are skipped by what their rows say, and searched where they have none: here the one that was begun
/// by another process, and the last, which is not whole.
#[test]
fn a_long_range_gives_what_its_blocks_give() {
    let (dir, mut chain) = chain();
    let mine = |height: u64| height.is_multiple_of(97) || height == 128 || height == 255;
    let extend = |chain: &mut Chain, blocks: u64| {
        for _ in 0..blocks {
            let (height, id) = chain.order();
            let mut receipts = vec![receipt(height as u8, vec![log(2, &[height as u8])])];
            if mine(height) {
                receipts.push(receipt(!height as u8, vec![log(1, &[9, height as u8])]));
            }
            chain
                .execute((height, id), &StateChanges::default(), &receipts, &[])
                .expect("executed");
        }
    };
    extend(&mut chain, 200);
    let ids = chain.ids.clone();
    drop(chain);
    let store = Store::open(&dir.path().join("data"), config()).expect("opened");
    let mut chain = Chain { store, ids };
    extend(&mut chain, 400);
    let of = |address_byte: u8, topics: &[u8]| LogFilter {
        addresses: vec![address(address_byte)],
        topics: topics.iter().map(|topic| vec![B256::repeat_byte(*topic)]).collect(),
    };
    let heights = |from: u64, to: u64, filter: &LogFilter| {
        let found = chain.store.logs(from, to, filter, 1_000).expect("read");
        found.iter().map(|log| log.height).collect::<Vec<_>>()
    };
    let expected: Vec<u64> = (1..=600).filter(|height| mine(*height)).collect();
    assert_eq!(heights(0, 600, &of(1, &[9])), expected);
    assert_eq!(heights(98, 581, &of(1, &[])), expected[1..expected.len() - 1]);
    assert_eq!(heights(0, 600, &of(2, &[])).len(), 600);
    assert!(heights(0, 600, &of(1, &[2])).is_empty() && heights(0, 600, &of(3, &[])).is_empty());
}
