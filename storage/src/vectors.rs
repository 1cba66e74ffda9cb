//! The disk formats, frozen: every row of a small store and every file of its snapshot, in `tests/vectors`.
//!
//! `NEURA_WRITE_VECTORS=1 cargo test -p neura-storage vectors` writes them anew. A change of any of them is a new
//! [`SCHEMA_VERSION`](crate::columns::SCHEMA_VERSION), format of the snapshot, or magic of the safety record.

use std::{fmt::Write, path::PathBuf};

use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::{
    Account, Batch, Block, BlockId, EpochConfig, ExecutedRoot, Log, Params, Receipt, StateChanges,
    ValidatorSet, block::payload_digest, codec, hash::keccak, keys::SecretKey,
    validator::Validator,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Committed, Demand, EpochEnd, EpochRecord, ExecutedBlock, ExecutedRecord, Manifest,
    ProvenHeader, Recovered, SafetyFile, Store, StoreConfig,
    changes::{pack_changes, unpack_changes},
    columns::{
        CHAIN, Column, SCHEMA, join_digests, pack, receipt_place, split_digests,
        split_receipt_place, unpack,
    },
    genesis_root,
    receipts::ReceiptRow,
    tree::Node,
};

/// Bytes of a safety record that are written out; the digest covers the rest.
const SECTORS_SHOWN: usize = 2 * 512;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text takes everything");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).expect("a hexadecimal digit") as u8).collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

/// The text of a vector file; it is written first if that is asked for.
fn frozen(name: &str, now: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    if std::env::var_os("NEURA_WRITE_VECTORS").is_some() {
        std::fs::write(&path, now).expect("written");
    }
    std::fs::read_to_string(&path).expect("the vectors are there")
}

/// Compares line by line, so that a difference is named.
fn assert_frozen(name: &str, now: &str) {
    let then = frozen(name, now);
    for (line, (now, then)) in now.lines().zip(then.lines()).enumerate() {
        assert_eq!(now, then, "{name}, line {}", line + 1);
    }
    assert_eq!(now.lines().count(), then.lines().count(), "{name} has another length");
}

fn address(number: u8) -> Address {
    Address::repeat_byte(number)
}

fn epoch(number: u64) -> EpochConfig {
    let public_key = SecretKey::from_seed(&[7; 32]).public_key();
    let member = Validator { public_key, account: address(1), power: 10 };
    EpochConfig {
        epoch: number,
        first: number * 4 + 1,
        last: number * 4 + 4,
        version: 1,
        set: ValidatorSet::new(number, vec![member]).expect("a set"),
        params: Params::default(),
    }
}

fn changes(height: u64) -> StateChanges {
    let mut changes = StateChanges::default();
    let code = Bytes::from(vec![0x60, height as u8]);
    for number in 0..5u8 {
        let mut account =
            Account { nonce: height, balance: U256::from(number) << 70, ..Account::default() };
        if u64::from(number) == height {
            account.code_hash = keccak(&code);
            changes.code.insert(account.code_hash, code.clone());
        }
        changes.accounts.insert(address(number), Some(account));
        changes.storage.insert((address(number), U256::from(height)), U256::from(number));
    }
    if height == 3 {
        changes.accounts.insert(address(4), None);
        changes.wiped.insert(address(4));
        changes.storage.retain(|(owner, _), _| *owner != address(4));
    }
    changes
}

fn receipt(height: u64) -> Receipt {
    Receipt {
        tx_hash: B256::repeat_byte(height as u8),
        tx_type: 2,
        from: address(1),
        to: Some(address(2)),
        contract: None,
        success: true,
        gas_used: 21_000,
        cumulative_gas_used: 21_000,
        effective_gas_price: U256::from(7),
        logs: vec![Log {
            address: address(3),
            topics: vec![B256::repeat_byte(9)],
            data: Bytes::from_static(b"data"),
        }],
        revert_data: Bytes::new(),
    }
}

/// The state of the fourth of five blocks is saved, with all changes since genesis.
const SAVE_AFTER_BLOCKS: u64 = 4;

/// Genesis and five blocks, with something in every column but those of imports and sections.
fn small_store(dir: &std::path::Path) -> Store {
    let genesis_hash = B256::repeat_byte(0x67);
    let config = StoreConfig {
        save_after_blocks: SAVE_AFTER_BLOCKS,
        ..StoreConfig::new(1337, genesis_hash)
    };
    let store = Store::open(dir, config).expect("opened");
    let genesis_changes = changes(0);
    let root = genesis_root(&genesis_changes, 100).expect("a root");
    let genesis = Block::genesis(genesis_hash, 1, root);
    let mut parent = genesis.id();
    store.init_genesis(&genesis, parent, &genesis_changes).expect("stored");
    for height in 1..=5 {
        parent = extend(&store, height, parent);
    }
    store.note_safety_sequence(9).expect("written");
    let unnamed = Batch { author: 2, sequence: 99, items: vec![Bytes::from_static(b"unnamed")] };
    let bytes = codec::encode(&unnamed);
    store.put_batches(&[(unnamed.digest(), &bytes)], Demand::Offered, false).expect("stored");
    store.put_epoch(&EpochRecord { config: epoch(1), end: None }).expect("stored");
    store
}

fn extend(store: &Store, height: u64, parent: BlockId) -> BlockId {
    let batch = Batch { author: 1, sequence: height, items: vec![Bytes::from(vec![5; 20])] };
    let encoded = codec::encode(&batch);
    store.put_batches(&[(batch.digest(), &encoded)], Demand::Needed, false).expect("stored");
    let certified = store.executed_root(height.saturating_sub(2)).expect("read");
    let mut block = Block::genesis(parent, 1_000 * height, certified.unwrap_or_default());
    block.header.height = height;
    block.header.next_epoch = (height == 4).then(|| epoch(1).digest());
    block.batches = vec![batch.reference()];
    block.payload = vec![Bytes::from_static(b"transaction")];
    block.header.payload_digest = payload_digest(&block.batches, &block.payload);
    let id = block.id();
    store.put_block(&block, id, false).expect("stored");
    let proof = vec![0xcc, height as u8];
    if height == 4 {
        let end = EpochEnd { block: ProvenHeader::of(&block), proof: proof.clone() };
        store.put_epoch(&EpochRecord { config: epoch(0), end: Some(end) }).expect("stored");
    }
    store.commit(&[Committed { id, height, proof: Some(proof) }]).expect("committed");
    let executed = ExecutedBlock {
        id,
        height,
        timestamp_ms: 1_000 * height,
        gas_used: 21_000,
        base_fee: 100,
        next_base_fee: 100 + height,
        proposer: address(0xee),
        receipts: &[receipt(height)],
        included: &[1],
        block_logs: &receipt(height).logs,
        changes: &changes(height),
    };
    store.commit_executed(&executed).expect("executed");
    id
}

/// Decodes a value and encodes it again.
fn again<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Vec<u8> {
    codec::encode(&codec::decode::<T>(bytes).expect("it decodes"))
}

/// Decodes a row's value as its column says and encodes it again.
fn reencoded(column: Column, key: &[u8], value: &[u8]) -> Vec<u8> {
    let packed = || pack(unpack(column, value).expect("it unpacks").into_iter());
    match column {
        Column::Meta if key == SCHEMA.as_bytes() => again::<u32>(value),
        Column::Meta if key == CHAIN.as_bytes() || key.ends_with(b"_tip") => {
            again::<(u64, B256)>(value)
        }
        Column::Meta | Column::BatchNames => again::<u64>(value),
        Column::Blocks => again::<Block>(value),
        Column::BlockIndex | Column::BatchLists => {
            join_digests(split_digests(column, value).expect("digests").into_iter())
        }
        Column::Heights => again::<B256>(value),
        Column::Batches => again::<crate::bodies::Place>(value),
        Column::BatchWaits => again::<(u64, u32)>(value),
        Column::Epochs => again::<EpochRecord>(value),
        Column::Executed => again::<ExecutedRecord>(value),
        Column::Receipts => ReceiptRow::parse(value).and_then(|row| row.again()).expect("receipts"),
        Column::State if key[0] == 0 => again::<Account>(value),
        Column::TreeNodes => Node::decode(value).expect("a node").encode(),
        Column::StaleNodes => packed(),
        Column::Changed => pack_changes(unpack_changes(value).expect("changes").into_iter()),
        Column::TxIndex => {
            let (height, index) = split_receipt_place(value).expect("a place");
            receipt_place(height, index).to_vec()
        }
        Column::State
        | Column::History
        | Column::Code
        | Column::CommitProofs
        | Column::LogSections
        | Column::Import => value.to_vec(),
    }
}

#[test]
fn every_row_of_the_database_is_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = small_store(dir.path());
    let mut now = String::new();
    for column in Column::ALL {
        let mut rows = 0;
        for row in store.inner.range(column, &[], &[0xff; 64]).expect("read") {
            let (key, value) = row.expect("read");
            writeln!(now, "{} {} {}", column.name(), hex(&key), hex(&value)).expect("text");
            rows += 1;
        }
        // A section of logs is longer than this chain.
        let may_lack = matches!(column, Column::Import | Column::LogSections);
        assert!(rows > 0 || may_lack, "{} has no row", column.name());
    }
    assert_frozen("rows.txt", &now);
    for line in frozen("rows.txt", &now).lines() {
        let [column, key, value] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("a line has three words: {line}")
        };
        let column = *Column::ALL.iter().find(|c| c.name() == column).expect("a column");
        let value = unhex(value);
        assert_eq!(hex(&reencoded(column, &unhex(key), &value)), hex(&value), "{line}");
    }
}

#[test]
fn every_file_of_a_snapshot_is_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = small_store(&dir.path().join("data"));
    let path = dir.path().join("snapshot");
    let folder = store.export_cut(3, &path, 500).expect("exported");
    assert!(folder.chunks().len() > 1);
    let mut now = String::new();
    let mut files: Vec<_> =
        std::fs::read_dir(&path).expect("listed").map(|e| e.expect("a file").path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        writeln!(now, "{name} {}", hex(&std::fs::read(&file).expect("read"))).expect("text");
    }
    assert_frozen("snapshot.txt", &now);

    // What stands in the file is imported: so it decodes.
    let then = frozen("snapshot.txt", &now);
    let bytes = |name: &str| {
        let line = then.lines().find(|line| line.split(' ').next() == Some(name));
        unhex(line.and_then(|line| line.split(' ').nth(1)).expect("a line"))
    };
    let manifest = Manifest::decode(&bytes("manifest")).expect("a manifest");
    let imported =
        Store::open(&dir.path().join("new"), store.inner.config().clone()).expect("opened");
    let import = crate::SnapshotImport::begin(&imported, manifest).expect("begun");
    for line in then.lines().filter(|line| line.starts_with("chunk-")) {
        let chunk = line.split(' ').nth(1).expect("a line");
        import.put_chunk(&unhex(chunk)).expect("the right chunk");
    }
    let genesis = store.block_id_at(0).expect("read").and_then(|id| store.block(id).expect("read"));
    let base: Block = codec::decode(&bytes("block")).expect("a block");
    let epochs = [EpochRecord { config: epoch(0), end: None }];
    import.finish(&genesis.expect("kept"), &base, &epochs).expect("finished");
    let roots = [&store, &imported].map(|store| store.executed_root(3).expect("read"));
    assert_eq!(roots[0], roots[1]);
    assert_ne!(roots[0], Some(ExecutedRoot::default()));
}

#[test]
fn a_safety_record_is_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("safety.dat");
    let mut file = SafetyFile::create(&path).expect("created");
    let record: Vec<u8> = (0..600u16).map(|byte| byte as u8).collect();
    file.write(&record).expect("written");
    drop(file);
    let bytes = std::fs::read(&path).expect("read");
    let slots = bytes.split_at(bytes.len() / 2);
    let now = format!(
        "length {}\nslot-0 {}\nslot-1 {}\nblake3 {}\n",
        bytes.len(),
        hex(&slots.0[..SECTORS_SHOWN]),
        hex(&slots.1[..SECTORS_SHOWN]),
        blake3::hash(&bytes).to_hex(),
    );
    assert_frozen("safety.txt", &now);
    // The digest says that these are the bytes of the vector.
    assert_eq!(SafetyFile::open(&path).expect("opened").1, Recovered::Record(record));
}
