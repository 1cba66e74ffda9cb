//! Snapshots of random states, cut small; chunks and manifests that lie; a chain that goes on from one.

mod lies;
mod parts;
mod pieces;

use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::{
    Account, Block, BlockId, Epoch, EpochConfig, ExecutedRoot, Params, StateChanges, StateRead,
    ValidatorSet, block::payload_digest, codec, hash::keccak, keys::SecretKey, state::StateKey,
    validator::Validator,
};
use proptest::prelude::*;

use super::{manifest::BLOCK_HASHES, *};
use crate::{
    Committed, EpochRecord, ExecutedBlock, MIN_RETAINED_BLOCKS, Retention, Store, StoreConfig,
    genesis_root,
};

/// Heights between a block and the header that certifies its state.
const LAG: Height = 2;
const GENESIS_HASH: B256 = B256::repeat_byte(0x67);

struct Chain {
    dir: tempfile::TempDir,
    store: Store,
    genesis: Block,
    tip: (Height, BlockId),
}

fn config() -> StoreConfig {
    StoreConfig::new(7, GENESIS_HASH)
}

impl Chain {
    fn new(config: StoreConfig, changes: &StateChanges) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join("data"), config).expect("opened");
        let genesis = Block::genesis(GENESIS_HASH, 1, genesis_root(changes, 9).expect("a root"));
        let id = genesis.id();
        store.init_genesis(&genesis, id, changes).expect("stored");
        Self { dir, store, genesis, tip: (0, id) }
    }

    fn extend(&mut self, changes: &StateChanges) {
        let block = next_block(&self.store, self.tip);
        self.tip = execute(&self.store, &block, changes);
    }

    /// Adds blocks until the state after `height` is certified.
    fn certify(&mut self, height: Height) {
        while self.tip.0 < height + LAG {
            self.extend(&StateChanges::default());
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn export(&self, height: Height, name: &str, target: u64) -> SnapshotFolder {
        let path = self.path(name);
        let made = self.store.export_cut(height, &path, target).expect("exported");
        let opened = SnapshotFolder::open(&path).expect("opened");
        assert_eq!((made.manifest(), made.chunks()), (opened.manifest(), opened.chunks()));
        opened
    }

    fn empty_store(&self, name: &str) -> Store {
        Store::open(&self.path(name), config()).expect("opened")
    }
}

fn next_block(store: &Store, (tip, parent): (Height, BlockId)) -> Block {
    let height = tip + 1;
    let certified = height.checked_sub(LAG).map(|height| store.executed_root(height));
    let executed = certified.map_or(Ok(None), |root| root).expect("read").unwrap_or_default();
    let mut block = Block::genesis(parent, 1_000 * height, executed);
    block.header.height = height;
    block.payload = vec![Bytes::copy_from_slice(&height.to_le_bytes())];
    block.header.payload_digest = payload_digest(&block.batches, &block.payload);
    block
}

fn execute(store: &Store, block: &Block, changes: &StateChanges) -> (Height, BlockId) {
    let (id, height) = (block.id(), block.header.height);
    store.put_block(block, id, false).expect("stored");
    let proof = Some(height.to_le_bytes().to_vec());
    store.commit(&[Committed { id, height, proof }]).expect("committed");
    let result = ExecutedBlock {
        id,
        height,
        timestamp_ms: 1_000 * height,
        gas_used: height,
        base_fee: 9,
        next_base_fee: 9 + height,
        proposer: Address::repeat_byte(0xee),
        receipts: &[],
        included: &[],
        block_logs: &[],
        changes,
    };
    store.commit_executed(&result).expect("executed");
    (height, id)
}

fn address(number: u16) -> Address {
    Address::left_padding_from(&number.to_be_bytes())
}

/// Accounts with some balance, every third with code, of which there are four kinds; and words.
fn state(accounts: std::ops::Range<u16>, words: u64, balance: u64) -> StateChanges {
    let mut changes = StateChanges::default();
    for number in accounts {
        let mut account = Account { balance: U256::from(balance), ..Account::default() };
        if number % 3 == 0 {
            let code = Bytes::from(vec![(number % 4) as u8; 50 + usize::from(number % 4)]);
            account.code_hash = keccak(&code);
            changes.code.insert(account.code_hash, code);
            for slot in 0..words {
                let word = U256::from(u64::from(number) + slot + balance);
                changes.storage.insert((address(number), U256::from(slot)), word);
            }
        }
        changes.accounts.insert(address(number), Some(account));
    }
    changes
}

/// All chunks of a folder, in order.
fn chunks(folder: &SnapshotFolder) -> Vec<Vec<u8>> {
    let chunk = |info: &ChunkInfo| folder.chunk_at(&info.span.start).expect("read");
    folder.chunks().iter().map(chunk).collect()
}

fn import_all(store: &Store, folder: &SnapshotFolder) -> SnapshotImport {
    let import = SnapshotImport::begin(store, folder.manifest().clone()).expect("begun");
    for bytes in chunks(folder) {
        import.put_chunk(&bytes).expect("the right chunk");
    }
    import
}

/// Completes an import of the first epoch.
fn finish(import: &SnapshotImport, genesis: &Block, base: &Block) -> Result<(), SnapshotError> {
    import.finish(genesis, base, &[record(0)])
}

fn record(epoch: Epoch) -> EpochRecord {
    let set = ValidatorSet::new(epoch, vec![validator()]).expect("a set");
    let (first, params) = (epoch * 1_000 + 1, Params::default());
    let config = EpochConfig { epoch, first, last: first + 999, version: 1, set, params };
    EpochRecord { config, end: None }
}

fn base_block(folder: &SnapshotFolder) -> Block {
    codec::decode(&folder.block_bytes().expect("read")).expect("a block")
}

/// Both stores hold the same state at a height, with proofs that lead to the same root.
fn assert_same_state(a: &Store, b: &Store, height: Height) {
    let (a, b) = (a.state_at(height).expect("a view"), b.state_at(height).expect("a view"));
    let all = |view: &crate::StateView<'_>| {
        let mut rows = Vec::new();
        view.for_each::<StorageError>(|key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .expect("read");
        rows
    };
    let rows = all(&a);
    assert_eq!(rows, all(&b));
    for number in (0..200).step_by(7) {
        let account = a.account(address(number)).expect("read");
        assert_eq!(account, b.account(address(number)).expect("read"));
        for key in
            [StateKey::Account(address(number)), StateKey::Storage(address(number), U256::ONE)]
        {
            assert_eq!(a.prove(&key).expect("proved"), b.prove(&key).expect("proved"));
        }
        if let Some(account) = account.filter(|a| a.code_hash != Account::default().code_hash) {
            let code = a.code(account.code_hash).expect("read");
            assert!(code.is_some() && code == b.code(account.code_hash).expect("read"));
        }
    }
}

#[test]
fn an_imported_store_goes_on_as_if_it_had_executed_the_past() {
    let retention = Retention::Blocks(MIN_RETAINED_BLOCKS);
    let mut chain = Chain::new(StoreConfig { retention, ..config() }, &state(0..150, 3, 1));
    for round in 0..290u16 {
        chain.extend(&state(round % 90..round % 90 + 2, 2, u64::from(round)));
        chain.store.prune(9).expect("pruned");
    }
    let height = chain.store.snapshot_height(270).expect("read").expect("certified");
    assert_eq!(height, 270);
    let folder = chain.export(height, "snapshot", 900);
    assert!(folder.chunks().len() > 10);

    let path = chain.path("imported");
    let imported = Store::open(&path, StoreConfig { retention, ..config() }).expect("opened");
    let import = import_all(&imported, &folder);
    finish(&import, &chain.genesis, &base_block(&folder)).expect("finished");
    drop((import, imported));
    let imported = Store::open(&path, StoreConfig { retention, ..config() }).expect("again");

    let base = chain.store.block_id_at(height).expect("read").expect("kept");
    assert_eq!(imported.executed_tip().expect("read"), (height, base));
    assert_eq!(imported.committed_tip().expect("read"), (height, base));
    assert_eq!(imported.oldest_height().expect("read"), height);
    assert!(SnapshotImport::resume(&imported).expect("read").is_none(), "nothing is unfinished");
    assert_eq!(
        imported.executed_root(height).expect("read"),
        chain.store.executed_root(height).expect("read")
    );
    assert_same_state(&chain.store, &imported, height);
    for height in height + 1 - BLOCK_HASHES..=height {
        let id = imported.block_id_at(height).expect("read");
        assert!(id.is_some() && id == chain.store.block_id_at(height).expect("read"));
    }
    assert_eq!(imported.receipts(height).expect("read"), None, "they did not come with it");
    let logs = imported.logs(height, height, &crate::LogFilter::default(), 9);
    assert!(matches!(logs, Err(StorageError::Pruned { .. })));
    assert!(matches!(imported.state_at(height - 1), Err(StorageError::Pruned { .. })));

    // Both go on alike, and what the import brought is pruned in its time.
    for next in height + 1..height + MIN_RETAINED_BLOCKS + 20 {
        if next > chain.tip.0 {
            chain.extend(&state((next % 80) as u16..(next % 80) as u16 + 3, 2, next));
            chain.store.prune(9).expect("pruned");
        }
        let block = chain.store.block_id_at(next).expect("read").expect("kept");
        let block = chain.store.block(block).expect("read").expect("kept");
        let changes = if next <= 290 {
            let round = next as u16 - 1;
            state(round % 90..round % 90 + 2, 2, u64::from(round))
        } else {
            state((next % 80) as u16..(next % 80) as u16 + 3, 2, next)
        };
        execute(&imported, &block, &changes);
        imported.prune(9).expect("pruned");
        let roots = [&imported, &chain.store].map(|store| store.executed_root(next).expect("read"));
        assert_eq!(roots[0], roots[1], "at height {next}");
    }
    assert_same_state(&chain.store, &imported, chain.tip.0);
    assert_eq!(imported.oldest_height().expect("read"), height + 19);
    assert_eq!(imported.block_id_at(height).expect("read"), None);
    assert_eq!(imported.block_id_at(height - 5).expect("read"), None, "ids go with the base");
    assert_eq!(imported.block_id_at(0).expect("read"), Some(chain.genesis.id()));
}

#[test]
fn a_snapshot_of_an_earlier_height_is_that_of_its_time() {
    let mut chain = Chain::new(config(), &state(0..60, 3, 1));
    chain.extend(&state(10..70, 2, 5));
    chain.certify(1);
    let then = chain.export(1, "then", 700);
    let mut gone = StateChanges::default();
    for number in 0..40 {
        gone.accounts.insert(address(number), None);
        gone.wiped.insert(address(number));
    }
    chain.extend(&gone);
    chain.extend(&state(30..90, 4, 8));
    let now = chain.export(1, "now", 700);
    assert_eq!(then.manifest(), now.manifest());
    assert_eq!(chunks(&then), chunks(&now));
}

#[test]
fn the_chain_goes_on_while_a_snapshot_is_made() {
    let retention = Retention::Blocks(MIN_RETAINED_BLOCKS);
    let mut chain = Chain::new(StoreConfig { retention, ..config() }, &state(0..3_000, 3, 1));
    for _ in 0..270 {
        chain.extend(&StateChanges::default());
    }
    let (quiet, path) = (chain.export(260, "quiet", 20_000), chain.path("busy"));
    let store = chain.store.clone();
    std::thread::scope(|scope| {
        let export = scope.spawn(|| store.export_cut(260, &path, 20_000));
        // Every account changes while it is read, and the height is pruned.
        for round in 0..MIN_RETAINED_BLOCKS as u16 + 30 {
            chain.extend(&state(round * 9..round * 9 + 9, 2, u64::from(round) + 7));
            chain.store.prune(9).expect("pruned");
        }
        let busy = export.join().expect("no panic").expect("exported");
        assert_eq!(busy.chunks(), quiet.chunks());
    });
    assert!(matches!(chain.store.state_at(260), Err(StorageError::Pruned { .. })));
    let busy = SnapshotFolder::open(&path).expect("opened");
    assert_eq!(chunks(&busy), chunks(&quiet));
}

#[test]
fn chunks_may_come_in_any_order_twice_and_over_restarts() {
    let mut chain = Chain::new(config(), &state(0..120, 3, 1));
    chain.extend(&StateChanges::default());
    chain.certify(1);
    let folder = chain.export(1, "snapshot", 500);
    let all = chunks(&folder);
    let count = all.len();
    assert!(count > 20);
    let order: Vec<usize> = (0..count).map(|i| i * 7 % count).chain(0..count).rev().collect();
    let mut stored = std::collections::BTreeSet::new();
    for part in order.chunks(9) {
        let store = chain.empty_store("imported");
        let import = SnapshotImport::begin(&store, folder.manifest().clone()).expect("begun");
        assert_eq!(import.chunks(), stored.len());
        assert!(matches!(
            store.init_genesis(&chain.genesis, chain.genesis.id(), &state(0..120, 3, 1)),
            Err(StorageError::ImportUnfinished)
        ));
        for index in part {
            let taken = import.put_chunk(&all[*index]).expect("right");
            assert_eq!(taken.span, folder.chunks()[*index].span);
            if !stored.insert(*index) {
                assert_eq!(taken.new_bytes, 0, "it was there");
            }
            assert_eq!(import.chunks(), stored.len());
        }
        if import.is_whole() {
            break;
        }
        let early = finish(&import, &chain.genesis, &base_block(&folder));
        assert!(matches!(early, Err(SnapshotError::Incomplete)));
        assert!(matches!(import.state(), Err(SnapshotError::Incomplete)));
    }
    let store = chain.empty_store("imported");
    let import = SnapshotImport::resume(&store).expect("read").expect("begun");
    assert!(import.is_whole());
    finish(&import, &chain.genesis, &base_block(&folder)).expect("finished");
    assert_same_state(&chain.store, &store, 1);
}

#[test]
fn only_certified_heights_are_exported_and_only_into_new_folders() {
    let mut chain = Chain::new(config(), &state(0..9, 1, 1));
    for _ in 0..4 {
        chain.extend(&StateChanges::default());
    }
    assert_eq!(chain.store.snapshot_height(0).expect("read"), Some(1));
    assert_eq!(chain.store.snapshot_height(2).expect("read"), Some(2));
    assert_eq!(chain.store.snapshot_height(3).expect("read"), None, "nobody certifies it yet");
    let path = chain.path("snapshot");
    let early = chain.store.export_snapshot(3, &path);
    assert!(matches!(early, Err(SnapshotError::NotCertified(3))));
    assert!(matches!(
        chain.store.export_snapshot(9, &path),
        Err(SnapshotError::Store(StorageError::NotExecuted { .. }))
    ));
    chain.store.export_snapshot(2, &path).expect("exported");
    let again = chain.store.export_snapshot(2, &path);
    assert!(matches!(again, Err(SnapshotError::NotEmpty(_))));
    assert!(matches!(SnapshotFolder::open(&chain.path("nowhere")), Err(SnapshotError::Io { .. })));
}

#[test]
fn a_store_with_a_chain_and_wrong_blocks_are_refused() {
    let mut chain = Chain::new(config(), &state(0..9, 1, 1));
    for _ in 0..4 {
        chain.extend(&StateChanges::default());
    }
    let folder = chain.export(2, "snapshot", 1 << 20);
    assert_eq!(folder.chunks().len(), 1, "a small state is one chunk");
    let begun = SnapshotImport::begin(&chain.store, folder.manifest().clone());
    assert!(matches!(begun, Err(SnapshotError::Initialised)));

    let store = chain.empty_store("imported");
    let import = import_all(&store, &folder);
    let base = base_block(&folder);
    let mut emptied = base.clone();
    emptied.payload.clear();
    for wrong in [&chain.genesis, &emptied] {
        let refused = finish(&import, &chain.genesis, wrong);
        assert!(matches!(refused, Err(SnapshotError::Block("base"))));
    }
    assert!(matches!(finish(&import, &base, &base), Err(SnapshotError::Block("genesis"))));
    let unknown = import.finish(&chain.genesis, &base, &[record(1)]);
    assert!(matches!(unknown, Err(SnapshotError::Epoch(0))), "nobody could follow from there");
    assert!(!store.is_initialised().expect("read"));
    finish(&import, &chain.genesis, &base).expect("finished");
    assert!(matches!(finish(&import, &chain.genesis, &base), Err(SnapshotError::Initialised)));
    assert_same_state(&chain.store, &store, 2);
}

#[test]
fn a_snapshot_of_another_state_begins_anew() {
    let mut chain = Chain::new(config(), &state(0..90, 2, 1));
    chain.extend(&StateChanges::default());
    chain.extend(&state(20..40, 1, 7));
    chain.certify(2);
    let (first, second) = (chain.export(1, "first", 900), chain.export(2, "second", 900));
    let store = chain.empty_store("imported");
    drop(import_all(&store, &first));
    let import = import_all(&store, &second);
    finish(&import, &chain.genesis, &base_block(&second)).expect("finished");
    assert_same_state(&chain.store, &store, 2);
}

fn validator() -> Validator {
    let public_key = SecretKey::from_seed(&[7; 32]).public_key();
    Validator { public_key, account: address(1), power: 10 }
}

fn changes() -> impl Strategy<Value = StateChanges> {
    (0u16..40, 0u16..40, 0u64..3, 1u64..99, any::<bool>()).prop_map(
        |(start, count, words, balance, remove)| {
            let mut changes = state(start..start + count, words, balance);
            if remove {
                for number in (start..start + count).step_by(5) {
                    changes.accounts.insert(address(number), None);
                    changes.storage.retain(|(owner, _), _| *owner != address(number));
                    changes.wiped.insert(address(number));
                }
            }
            changes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_state_and_the_cut_the_import_is_the_state(
        genesis in changes(),
        blocks in proptest::collection::vec(changes(), 1..6),
        at in 1u64..5,
        target in prop_oneof![Just(1u64), 100u64..3_000],
        next in changes(),
    ) {
        let mut chain = Chain::new(config(), &genesis);
        blocks.iter().for_each(|changes| chain.extend(changes));
        let height = at.min(blocks.len() as u64);
        chain.certify(height);
        let folder = chain.export(height, "snapshot", target);
        let store = chain.empty_store("imported");
        let import = import_all(&store, &folder);
        finish(&import, &chain.genesis, &base_block(&folder)).expect("finished");
        assert_same_state(&chain.store, &store, height);
        // The trees go on alike: also over the nodes that the import made.
        let expected = {
            let block = next_block(&chain.store, chain.tip);
            execute(&chain.store, &block, &next);
            chain.store.executed_root(chain.tip.0 + 1).expect("read").expect("there").state_root
        };
        for height in height + 1..=chain.tip.0 {
            let id = chain.store.block_id_at(height).expect("read").expect("kept");
            let block = chain.store.block(id).expect("read").expect("kept");
            let changes = blocks.get(height as usize - 1).cloned().unwrap_or_default();
            execute(&store, &block, &changes);
        }
        let block = next_block(&chain.store, chain.tip);
        execute(&store, &block, &next);
        let found: ExecutedRoot =
            store.executed_root(chain.tip.0 + 1).expect("read").expect("there");
        prop_assert_eq!(found.state_root, expected);
    }
}

/// The folder of a snapshot holds nothing but what its names say.
#[test]
fn a_folder_has_no_file_left_from_sorting() {
    let mut chain = Chain::new(config(), &state(0..90, 2, 1));
    chain.extend(&StateChanges::default());
    chain.certify(1);
    let folder = chain.export(1, "snapshot", 900);
    let names = |path: &Path| {
        let entries = std::fs::read_dir(path).expect("listed");
        entries.map(|e| e.expect("an entry").file_name()).collect::<Vec<_>>()
    };
    assert_eq!(names(&chain.path("snapshot")).len(), folder.chunks().len() + 3);
}
