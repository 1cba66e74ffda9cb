//! Write to a store until the disk refuses, and say what the store says then: for tests of full and failing disks.
//!
//! `cargo run -p neura-storage --example fill -- DIR batches|blocks`: opens the store in `DIR/data` and the safety record
//! in `DIR/safety.dat`, writes batches or blocks until one is refused, and prints `written N`, the refusal, and what the
//! next write is told. It gives up after 64 MiB.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::path::PathBuf;

use alloy_primitives::{B256, Bytes};
use neura_storage::{Demand, SafetyFile, StorageError, Store, StoreConfig, genesis_root};
use neura_types::{Batch, Block, ExecutedRoot, StateChanges, codec};

/// Bytes of a batch or block.
const ITEM_BYTES: usize = 64 << 10;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("name a directory")?);
    let blocks = arguments.next().is_some_and(|kind| kind == "blocks");
    let safety = dir.join("safety.dat");
    let opened = if safety.exists() {
        SafetyFile::open(&safety).map(|(file, _)| file)
    } else {
        SafetyFile::create(&safety)
    };
    if let Err(error) = &opened {
        println!("safety record: {error}");
    }
    let store = match Store::open(&dir.join("data"), StoreConfig::new(1, B256::ZERO)) {
        Ok(store) => store,
        Err(error) => {
            println!("store: {error}");
            return Ok(());
        }
    };
    let changes = StateChanges::default();
    let genesis = Block::genesis(B256::ZERO, 1, genesis_root(&changes, 1)?);
    store.init_genesis(&genesis, genesis.id(), &changes)?;
    for sequence in 0u64..(64 << 20) / ITEM_BYTES as u64 {
        let put = || if blocks { put_block(&store, sequence) } else { put_batch(&store, sequence) };
        if let Err(first) = put() {
            println!("written {sequence}");
            println!("refused: {first}");
            println!("then: {}", put().err().ok_or("it takes writes again")?);
            return Ok(());
        }
    }
    Err("the disk takes everything".into())
}

fn item(sequence: u64) -> Bytes {
    Bytes::from(sequence.to_le_bytes().repeat(ITEM_BYTES / 8))
}

fn put_batch(store: &Store, sequence: u64) -> Result<(), StorageError> {
    let batch = Batch { author: 0, sequence, items: vec![item(sequence)] };
    store.put_batches(&[(batch.digest(), &codec::encode(&batch))], Demand::Needed, true)
}

fn put_block(store: &Store, sequence: u64) -> Result<(), StorageError> {
    let mut block = Block::genesis(B256::ZERO, sequence, ExecutedRoot::default());
    block.header.height = 1;
    block.payload = vec![item(sequence)];
    store.put_block(&block, block.id(), true)
}
