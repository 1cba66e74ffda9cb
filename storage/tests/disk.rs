//! Disks that fail, fill up, flip bits and lose the ends of files; and a second process.

#![allow(dead_code, reason = "each test file uses its part of the fixture")]

mod fixture;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use alloy_primitives::{B256, Bytes};
use fixture::{Chain, config, copy_directory, files, log_of, receipt, set_balance};
use neura_storage::{Demand, SafetyFile, StorageError, Store, StoreConfig};
use neura_types::{Batch, codec};

/// A program of this crate's `examples`, which the build of its tests makes.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let target = test.ancestors().nth(2).expect("the target directory");
    let program = target.join("examples").join(name);
    assert!(program.exists(), "{} is not built: cargo build --examples", program.display());
    program
}

fn text(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The data directory of the fill example has no genesis of ours.
fn filled(dir: &Path) -> Store {
    Store::open(&dir.join("data"), StoreConfig::new(1, B256::ZERO)).expect("it opens again")
}

/// Fills a store under a limit on the size of files, which stands for a full disk: it needs no rights, and fails the same
/// calls. Returns how many items were acknowledged.
fn fill(dir: &Path, kind: &str) -> u64 {
    let said = text(
        Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 6000; exec \"$0\" \"$@\""])
            .arg(example("fill"))
            .arg(dir)
            .arg(kind),
    );
    let lines: Vec<&str> = said.lines().collect();
    let [written, refused, then] = lines[..] else { panic!("{said}") };
    assert!(refused.contains("File too large") && refused.contains("raise the limit"), "{refused}");
    assert!(then.contains("takes no writes since one failed"), "{then}");
    let written: u64 = written.strip_prefix("written ").expect("a count").parse().expect("a count");
    assert!(written > 9, "some were acknowledged before: {written}");
    written
}

fn item(sequence: u64) -> Bytes {
    Bytes::from(sequence.to_le_bytes().repeat((64 << 10) / 8))
}

#[test]
fn a_disk_that_takes_no_more_batches_stops_the_store_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let written = fill(dir.path(), "batches");
    let store = filled(dir.path());
    assert!(store.unnamed_batches().expect("counted").count as u64 >= written);
    for sequence in 0..written {
        let batch = Batch { author: 0, sequence, items: vec![item(sequence)] };
        assert_eq!(store.batch(batch.digest()).expect("read"), Some(batch), "{sequence}");
    }
}

#[test]
fn a_disk_that_takes_no_more_blocks_stops_the_store_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let written = fill(dir.path(), "blocks");
    let blocks = filled(dir.path()).blocks_above(0).expect("read");
    let found: std::collections::BTreeSet<u64> =
        blocks.iter().map(|(_, block)| block.header.timestamp_ms).collect();
    assert!((0..written).all(|sequence| found.contains(&sequence)), "{written} were acknowledged");
    for (id, block) in blocks {
        assert_eq!((block.id(), &block.payload[0]), (id, &item(block.header.timestamp_ms)));
    }
}

#[test]
fn a_second_process_is_refused_the_store_and_the_safety_record() {
    let dir = tempfile::tempdir().expect("a directory");
    let _record = SafetyFile::create(&dir.path().join("safety.dat")).expect("created");
    let store = filled(dir.path());
    let said = text(Command::new(example("fill")).arg(dir.path()));
    let refusals = said.matches("is in use by another process").count();
    assert_eq!(refusals, 2, "{said}");
    drop(store);
}

/// Files with the bodies of batches.
fn segments(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path.join("batches")).expect("listed");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// A chain whose rows lie in table files, with batches in a segment.
fn in_tables(path: &Path) -> Vec<B256> {
    let batch = |sequence| Batch {
        author: 1,
        sequence,
        items: vec![Bytes::from(vec![sequence as u8; 9_000])],
    };
    let mut chain = Chain::create(path, config(), &set_balance(1, 1));
    for number in 1..=20u8 {
        let (height, id) = chain.order();
        let bytes = codec::encode(&batch(number.into()));
        let digest = batch(number.into()).digest();
        chain.store.put_batches(&[(digest, &bytes)], Demand::Offered, true).expect("stored");
        let changes = set_balance(number % 4, u64::from(number) + 1);
        chain.execute((height, id), &changes, &[receipt(number, vec![])], &[]).expect("executed");
    }
    let ids = chain.ids.clone();
    drop(chain);
    // Opening replays the log into tables.
    drop(Store::open(path, config()).expect("opened"));
    assert!(!files(path, "sst").is_empty() && !segments(path).is_empty());
    ids
}

/// Everything that a store answers about the chain of `in_tables`; what cannot be read is fatal.
fn answers(store: &Store, ids: &[B256]) -> Vec<Result<String, StorageError>> {
    let mut answers = vec![
        store.executed_tip().map(|tip| format!("{tip:?}")),
        store.logs(0, 20, &neura_storage::LogFilter::default(), 9).map(|l| format!("{l:?}")),
        store.unnamed_batches().map(|counted| format!("{counted:?}")),
    ];
    for (height, id) in (0u64..).zip(ids) {
        answers.push(store.block(*id).map(|block| format!("{block:?}")));
        answers.push(store.receipts(height).map(|receipts| format!("{receipts:?}")));
        let key = neura_types::state::StateKey::Account(fixture::address((height % 5) as u8));
        answers.push(store.prove(height, &key).map(|proof| format!("{proof:?}")));
    }
    answers
}

#[test]
fn a_flipped_bit_in_a_table_is_found_and_never_read_as_data() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let ids = in_tables(&path);
    let expected: Vec<String> = answers(&Store::open(&path, config()).expect("opened"), &ids)
        .into_iter()
        .map(|answer| answer.expect("undamaged"))
        .collect();
    let (mut found, mut refused) = (0, 0);
    for name in files(&path, "sst") {
        let good = std::fs::read(&name).expect("read");
        for position in (11..good.len()).step_by(good.len() / 4 + 1) {
            let copy = dir.path().join("copy");
            copy_directory(&path, &copy);
            let mut bytes = good.clone();
            bytes[position] ^= 0x08;
            let target = copy.join("rocksdb").join(name.file_name().expect("a name"));
            std::fs::write(target, bytes).expect("written");
            match Store::open(&copy, config()) {
                Err(error) => {
                    refused += 1;
                    let known = matches!(error, StorageError::Open { .. }) || error.is_fatal();
                    assert!(known, "{error}");
                }
                Ok(store) => found += check_damaged(&store, &ids, &expected),
            }
            std::fs::remove_dir_all(&copy).expect("removed");
        }
    }
    assert!(found > 9 && refused > 0, "{found} found when read, {refused} when opened");
}

#[test]
fn a_flipped_bit_in_a_batch_is_found_and_never_read_as_data() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    in_tables(&path);
    let [segment] = &segments(&path)[..] else { panic!("one segment") };
    let good = std::fs::read(segment).expect("read");
    let of = |number: u8| Batch {
        author: 1,
        sequence: number.into(),
        items: vec![Bytes::from(vec![number; 9_000])],
    };
    let held = |store: &Store| -> Vec<bool> {
        (1..=20u8)
            .map(|number| {
                let found = store.batch(of(number).digest());
                found.is_ok_and(|found| found == Some(of(number)))
            })
            .collect()
    };
    for position in (7..good.len()).step_by(good.len() / 20) {
        // While the store is open: the reader finds it, and the store takes no more writes.
        let copy = dir.path().join("copy");
        copy_directory(&path, &copy);
        let store = Store::open(&copy, config()).expect("undamaged");
        let target = copy.join("batches").join(segment.file_name().expect("a name"));
        let mut bytes = good.clone();
        bytes[position] ^= 0x08;
        std::fs::write(&target, &bytes).expect("written");
        let answers: Vec<_> = (1..=20u8).map(|number| store.batch(of(number).digest())).collect();
        let damaged = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(damaged, 1, "byte {position}");
        assert!(matches!(store.note_safety_sequence(1), Err(StorageError::Poisoned(_))));
        drop(store);
        // When it opens: of the segment written to last, what fails its digest counts as not stored, to be fetched again.
        let store = Store::open(&copy, config()).expect("a torn body is a crash");
        assert_eq!(held(&store).iter().filter(|held| **held).count(), 19, "byte {position}");
        drop(store);
        std::fs::remove_dir_all(&copy).expect("removed");
    }
}

/// What a damaged store answers is right or fatal, and after a fatal answer it takes no writes. 1 if anything was found.
fn check_damaged(store: &Store, ids: &[B256], expected: &[String]) -> usize {
    let mut found = 0;
    for (answer, expected) in answers(store, ids).into_iter().zip(expected) {
        match answer {
            Ok(answer) => assert_eq!(answer, *expected),
            Err(error) => {
                assert!(error.is_fatal(), "{error}");
                found = 1;
            }
        }
    }
    if found == 1 {
        let write = store.note_safety_sequence(1);
        assert!(matches!(write, Err(StorageError::Poisoned(_))), "{write:?}");
    }
    found
}

fn cut(log: &Path, length: u64) {
    let file = std::fs::File::options().write(true).open(log).expect("opened");
    file.set_len(length).expect("cut");
}

/// RocksDB takes a synced record that was cut off for one that a crash tore.
#[test]
fn a_torn_end_is_recovered_and_the_loss_of_what_was_durable_is_found_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let mut chain = Chain::create(&path, config(), &set_balance(1, 1));
    let (_, synced) = chain.order();
    chain.store.sync().expect("synced");
    let length = log_of(&path).metadata().expect("there").len();
    let mark = chain.store.mark();
    for sequence in 0..9 {
        chain.store.note_safety_sequence(sequence).expect("written");
    }
    assert_eq!(chain.store.mark(), mark, "these were not synced");
    assert_eq!(neura_storage::Mark::from_bytes(mark.to_bytes()), mark);
    let written = log_of(&path).metadata().expect("there").len();
    let copy = |name: &str| {
        let copy = dir.path().join(name);
        copy_directory(&path, &copy);
        copy
    };

    for torn in [length, length + 1, written - 1, written] {
        let copy = copy(&format!("torn-{torn}"));
        cut(&log_of(&copy), torn);
        let store = Store::open(&copy, config()).expect("a crash");
        store.check_mark(&mark).expect("nothing durable is lost");
        assert!(store.block(synced).expect("read").is_some());
    }
    for lost in [length - 1, length / 2, 1, 0] {
        let copy = copy(&format!("lost-{lost}"));
        cut(&log_of(&copy), lost);
        let refused = Store::open(&copy, config()).and_then(|store| store.check_mark(&mark));
        let said = refused.expect_err("durable changes are lost").to_string();
        assert!(said.contains("lost its end") && said.contains("keep safety.dat"), "{said}");
    }
    let removed = copy("removed");
    std::fs::remove_file(log_of(&removed)).expect("removed");
    let refused = Store::open(&removed, config()).and_then(|store| store.check_mark(&mark));
    assert!(refused.is_err());

    // A mark says nothing of a database that was made anew.
    let anew = Chain::create(&dir.path().join("anew"), config(), &set_balance(1, 1));
    anew.store.check_mark(&mark).expect("another database");
}

#[test]
fn of_a_store_that_was_closed_no_log_holds_anything() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let mut chain = Chain::create(&path, config(), &set_balance(1, 1));
    let root = chain.extend(&set_balance(1, 7));
    let batch = Batch { author: 1, sequence: 1, items: vec![item(1)] };
    let bytes = codec::encode(&batch);
    chain.store.put_batches(&[(batch.digest(), &bytes)], Demand::Needed, false).expect("stored");
    chain.store.note_safety_sequence(5).expect("written");
    let (mark, tip) = (chain.store.mark(), chain.tip());
    drop(chain);
    for (name, damage) in [
        ("removed", (|log| std::fs::remove_file(log).expect("removed")) as fn(&Path)),
        ("cut", |log| cut(log, 0)),
    ] {
        let copy = dir.path().join(name);
        copy_directory(&path, &copy);
        files(&copy, "log").iter().for_each(|log| damage(log));
        let store = Store::open(&copy, config()).expect("nothing is lost");
        store.check_mark(&mark).expect("nothing is lost");
        assert_eq!(store.safety_sequence().expect("read"), Some(5));
        assert_eq!(store.executed_tip().expect("read"), tip);
        assert_eq!(store.executed_root(tip.0).expect("read"), Some(root));
        assert_eq!(store.batch(batch.digest()).expect("read"), Some(batch.clone()));
    }
}

#[test]
fn an_older_log_that_was_cut_or_is_missing_is_damage_and_not_a_crash() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    let small = StoreConfig { write_buffer_bytes: 1 << 20, ..config() };
    let mut chain = Chain::create(&path, small.clone(), &set_balance(1, 1));
    for number in 0.. {
        chain.extend(&set_balance(1, number));
        let batch =
            Batch { author: 1, sequence: number, items: vec![Bytes::from(vec![7; 90_000])] };
        let bytes = codec::encode(&batch);
        chain.store.put_batches(&[(batch.digest(), &bytes)], Demand::Needed, true).expect("stored");
        if files(&path, "log").len() > 1 && number > 12 {
            break;
        }
        assert!(number < 2_000, "the log is never changed");
    }
    let logs = files(&path, "log");
    let oldest = logs.first().expect("a log").file_name().expect("a name");
    let damage: [fn(&Path); 2] = [
        |log| {
            let file = std::fs::File::options().write(true).open(log).expect("opened");
            let length = file.metadata().expect("there").len();
            file.set_len(length - length / 3).expect("cut");
        },
        |log| std::fs::remove_file(log).expect("removed"),
    ];
    for (number, damage) in damage.into_iter().enumerate() {
        let copy = dir.path().join(format!("copy-{number}"));
        copy_directory(&path, &copy);
        damage(&copy.join("rocksdb").join(oldest));
        let refused = Store::open(&copy, small.clone());
        assert!(matches!(refused, Err(StorageError::Open { .. })), "{refused:?}");
    }
    assert_ne!(log_of(&path).file_name(), Some(oldest));
}
