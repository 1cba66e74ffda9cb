//! Measure the export and import of a snapshot. Prints one JSON line.
//!
//! `cargo run -p neura-storage --example snapshot -- [accounts]`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{path::Path, time::Instant};

use alloy_primitives::{Address, B256, U256};
use neura_storage::{
    Committed, EpochRecord, ExecutedBlock, SnapshotFolder, SnapshotImport, Store, StoreConfig,
    genesis_root,
};
use neura_types::{
    Account, Block, BlockId, EpochConfig, ExecutedRoot, Params, StateChanges, ValidatorSet, codec,
    keys::SecretKey, validator::Validator,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let accounts = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse::<u64>())?;
    let dir = tempfile::tempdir()?;
    let config = StoreConfig::new(1, B256::ZERO);
    let store = Store::open(&dir.path().join("data"), config.clone())?;
    let mut changes = StateChanges::default();
    for number in 0..accounts {
        let account = Account { nonce: 1, balance: U256::from(number) << 60, ..Account::default() };
        let address = Address::left_padding_from(&number.to_be_bytes());
        changes.accounts.insert(address, Some(account));
    }
    let genesis = Block::genesis(B256::ZERO, 1, genesis_root(&changes, 1)?);
    store.init_genesis(&genesis, genesis.id(), &changes)?;
    let first = extend(&store, 1, genesis.id(), ExecutedRoot::default())?;
    let root = store.executed_root(1)?.ok_or("block 1 is executed")?;
    extend(&store, 2, first, root)?;

    let path = dir.path().join("snapshot");
    let start = Instant::now();
    let folder = store.export_snapshot(1, &path)?;
    let exported = start.elapsed().as_secs_f64();
    let bytes: u64 = folder.chunks().iter().map(|chunk| u64::from(chunk.bytes)).sum();
    let start = Instant::now();
    import(&folder, &genesis, &dir.path().join("new"), config)?;
    let imported = start.elapsed().as_secs_f64();
    println!(
        "{{\"bench\":\"snapshot\",\"accounts\":{accounts},\"chunks\":{},\"mb\":{:.1},\
         \"export_seconds\":{exported:.2},\"import_seconds\":{imported:.2}}}",
        folder.chunks().len(),
        bytes as f64 / 1e6,
    );
    Ok(())
}

fn extend(
    store: &Store,
    height: u64,
    parent: BlockId,
    certified: ExecutedRoot,
) -> Result<BlockId, Failure> {
    let mut block = Block::genesis(parent, height, certified);
    block.header.height = height;
    let id = block.id();
    store.put_block(&block, id, true)?;
    store.commit(&[Committed { id, height, proof: Some(vec![1; 300]) }])?;
    store.commit_executed(&ExecutedBlock {
        id,
        height,
        timestamp_ms: height,
        gas_used: 0,
        base_fee: 1,
        next_base_fee: 1,
        proposer: Address::ZERO,
        receipts: &[],
        included: &[],
        block_logs: &[],
        changes: &StateChanges::default(),
    })?;
    Ok(id)
}

fn import(
    folder: &SnapshotFolder,
    genesis: &Block,
    path: &Path,
    config: StoreConfig,
) -> Result<(), Failure> {
    let store = Store::open(path, config)?;
    let import = SnapshotImport::begin(&store, folder.manifest().clone())?;
    for chunk in folder.chunks() {
        import.put_chunk(&folder.chunk_at(&chunk.span.start)?)?;
    }
    import.finish(genesis, &codec::decode(&folder.block_bytes()?)?, &[first_epoch()?])?;
    Ok(())
}

fn first_epoch() -> Result<EpochRecord, Failure> {
    let public_key = SecretKey::from_seed(&[1; 32]).public_key();
    let member = Validator { public_key, account: Address::ZERO, power: 1 };
    let set = ValidatorSet::new(0, vec![member])?;
    let config =
        EpochConfig { epoch: 0, first: 1, last: 9, version: 1, set, params: Params::default() };
    Ok(EpochRecord { config, end: None })
}
