//! Behaviour of the embedded store.

use super::*;
use proptest::prelude::*;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

fn config(directory: &Path) -> EmbeddedConfig {
    EmbeddedConfig {
        quota_bytes: 1_000,
        max_blob_bytes: 400,
        max_blobs: 8,
        unpinned_grace_blocks: 10,
        ..EmbeddedConfig::new(directory)
    }
}

fn fresh() -> (TempDir, EmbeddedStore) {
    let directory = TempDir::new().expect("temporary directory");
    let store = open_in(&directory);
    (directory, store)
}

fn open_in(directory: &TempDir) -> EmbeddedStore {
    EmbeddedStore::open(config(directory.path())).expect("opens")
}

fn blob(byte: u8, length: usize) -> Bytes {
    vec![byte; length].into()
}

fn file_of(directory: &TempDir, locator: &Locator) -> PathBuf {
    let name = locator.to_string().replace("neura:", "");
    directory.path().join(&name[..2]).join(&name[2..4]).join(name)
}

async fn put(store: &EmbeddedStore, byte: u8, length: usize) -> Locator {
    store.put(blob(byte, length)).await.expect("stored")
}

async fn holds(store: &EmbeddedStore, locator: &Locator) -> bool {
    match store.get(locator, 400).await {
        Ok(content) => Locator::of(&content) == *locator,
        Err(BlobError::NotFound { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_is_put_is_got_back_under_its_hash() {
    let (_directory, store) = fresh();
    for length in [0, 1, 400] {
        let content = blob(7, length);
        let locator = store.put(content.clone()).await.expect("stored");
        assert_eq!(locator, Locator::of(&content));
        assert_eq!(store.get(&locator, 400).await.expect("there"), content);
        let stat = store.stat(&locator).await.expect("there");
        assert_eq!(stat, BlobStat { size: length as u64, pinned_until: None });
    }
}

#[tokio::test]
async fn storing_the_same_content_again_takes_no_further_room() {
    let (_directory, store) = fresh();
    let first = put(&store, 1, 300).await;
    assert_eq!(put(&store, 1, 300).await, first);
    assert_eq!(store.usage(), Usage { blobs: 1, bytes: 300, ..Usage::default() });
}

#[tokio::test]
async fn many_writers_of_the_same_content_agree() {
    let (_directory, store) = fresh();
    let writers: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let store = store.clone();
                async move { store.put(blob(1, 300)).await }
            })
        })
        .collect();
    for writer in writers {
        // Writers that hold a reservation at the same time may run out of the small quota.
        match writer.await.expect("joined") {
            Ok(locator) => assert_eq!(locator, Locator::of(&blob(1, 300))),
            Err(failure) => assert!(failure.is_transient(), "{failure}"),
        }
    }
    assert_eq!(store.usage(), Usage { blobs: 1, bytes: 300, ..Usage::default() });
}

#[tokio::test]
async fn what_is_too_large_unknown_or_of_another_kind_is_refused() {
    let (_directory, store) = fresh();
    assert!(matches!(
        store.put(blob(1, 401)).await,
        Err(BlobError::TooLarge { size: 401, max: 400 })
    ));
    let locator = put(&store, 1, 200).await;
    assert!(matches!(
        store.get(&locator, 199).await,
        Err(BlobError::TooLarge { size: 200, max: 199 })
    ));
    let unknown = Locator::of(b"unknown");
    assert!(matches!(store.get(&unknown, 1).await, Err(BlobError::NotFound { .. })));
    assert!(matches!(store.stat(&unknown).await, Err(BlobError::NotFound { .. })));
    assert!(matches!(store.pin(&unknown, "task:1", 5).await, Err(BlobError::NotFound { .. })));
    assert!(matches!(store.remove(&unknown).await, Err(BlobError::NotFound { .. })));
    let foreign: Locator = "eigenda:0102".parse().expect("valid");
    let refusal = store.get(&foreign, 1).await.expect_err("unsupported");
    assert!(refusal.to_string().contains("`eigenda:` locators are valid"), "{refusal}");
}

#[tokio::test]
async fn a_damaged_file_is_reported_never_returned_and_healed_by_storing_again() {
    let (directory, store) = fresh();
    let locator = put(&store, 1, 200).await;
    let file = file_of(&directory, &locator);
    for damage in [vec![2; 200], vec![1; 199], vec![1; 201], vec![]] {
        fs::write(&file, damage).expect("written");
        let refusal = store.get(&locator, 400).await.expect_err("damaged");
        assert!(matches!(refusal, BlobError::Corrupted { .. }), "{refusal}");
        assert!(refusal.to_string().contains(file.to_str().expect("text")), "{refusal}");
        assert_eq!(put(&store, 1, 200).await, locator);
        assert!(holds(&store, &locator).await);
    }
}

#[tokio::test]
async fn damage_while_stopped_is_healed_with_the_right_size_and_keeps_the_pins() {
    let (directory, store) = fresh();
    let locator = put(&store, 1, 200).await;
    store.pin(&locator, "task:1", 50).await.expect("pinned");
    drop(store);
    fs::write(file_of(&directory, &locator), b"short").expect("written");
    let store = open_in(&directory);
    assert!(matches!(store.get(&locator, 400).await, Err(BlobError::Corrupted { .. })));
    put(&store, 1, 200).await;
    let stat = store.stat(&locator).await.expect("there");
    assert_eq!(stat, BlobStat { size: 200, pinned_until: Some(50) });
    assert_eq!(store.usage().pinned_bytes, 200);
}

#[tokio::test]
async fn a_disk_failure_names_the_path_and_the_cause() {
    let (directory, store) = fresh();
    let locator = put(&store, 1, 10).await;
    let file = file_of(&directory, &locator);
    fs::remove_file(&file).expect("removed");
    let refusal = store.get(&locator, 400).await.expect_err("file is gone").to_string();
    assert!(refusal.contains(file.to_str().expect("text")), "{refusal}");
    assert!(refusal.contains("No such file"), "{refusal}");
}

#[tokio::test]
async fn pins_and_blobs_survive_a_restart() {
    let (directory, store) = fresh();
    let kept = put(&store, 1, 100).await;
    let loose = put(&store, 2, 100).await;
    store.pin(&kept, "task:1", 20).await.expect("pinned");
    store.pin(&kept, "task:2", 30).await.expect("pinned");
    store.unpin(&kept, "task:1").await.expect("unpinned");
    let before = store.usage();
    drop(store);
    let store = open_in(&directory);
    assert_eq!(store.usage(), before);
    assert_eq!(store.stat(&kept).await.expect("there").pinned_until, Some(30));
    assert!(holds(&store, &loose).await);
}

#[tokio::test]
async fn what_a_crash_leaves_behind_is_cleared_at_start() {
    let (directory, store) = fresh();
    let locator = put(&store, 1, 100).await;
    let gone = put(&store, 2, 100).await;
    store.pin(&gone, "task:2", 9).await.expect("pinned");
    drop(store);
    let half = file_of(&directory, &locator).with_file_name(".abc.0.tmp");
    fs::write(&half, b"half").expect("written");
    fs::remove_file(file_of(&directory, &gone)).expect("removed");
    let store = open_in(&directory);
    assert!(!half.exists());
    assert!(!file_of(&directory, &gone).with_extension("pins").exists());
    assert_eq!(store.usage(), Usage { blobs: 1, bytes: 100, ..Usage::default() });
}

#[tokio::test]
async fn a_damaged_pin_file_stops_the_start_and_says_what_to_do() {
    let (directory, store) = fresh();
    let locator = put(&store, 1, 100).await;
    store.pin(&locator, "task:1", 20).await.expect("pinned");
    drop(store);
    let pins = file_of(&directory, &locator).with_extension("pins");
    let good = fs::read(&pins).expect("read");
    for position in 0..good.len() {
        let mut damaged = good.clone();
        damaged[position] ^= 1;
        fs::write(&pins, &damaged).expect("written");
        let refusal = EmbeddedStore::open(config(directory.path())).expect_err("damaged");
        assert!(matches!(refusal, BlobError::PinFileDamaged { .. }), "{refusal}");
    }
    fs::write(&pins, good).expect("written");
    assert_eq!(open_in(&directory).usage().pinned_blobs, 1);
}

#[tokio::test]
async fn a_directory_has_one_process_at_a_time() {
    let (directory, store) = fresh();
    let refusal = EmbeddedStore::open(config(directory.path())).expect_err("in use");
    assert!(matches!(refusal, BlobError::DirectoryInUse { .. }), "{refusal}");
    drop(store);
    open_in(&directory);
}

#[tokio::test]
async fn an_upload_that_nobody_pins_goes_after_its_grace() {
    let (_directory, store) = fresh();
    store.collect(100).await.expect("collected");
    let locator = put(&store, 1, 100).await;
    assert_eq!(store.collect(110).await.expect("collected"), Collected::default());
    let collected = store.collect(111).await.expect("collected");
    assert_eq!(collected, Collected { blobs: 1, bytes: 100, pins_ended: 0 });
    assert!(!holds(&store, &locator).await);
}

#[tokio::test]
async fn grace_starts_with_the_first_height_that_the_store_is_told() {
    let (_directory, store) = fresh();
    let locator = put(&store, 1, 100).await;
    store.collect(5_000).await.expect("collected");
    assert!(holds(&store, &locator).await);
    store.collect(5_011).await.expect("collected");
    assert!(!holds(&store, &locator).await);
}

#[tokio::test]
async fn a_pin_holds_through_its_last_height_and_any_pin_is_enough() {
    let (directory, store) = fresh();
    let locator = put(&store, 1, 100).await;
    store.pin(&locator, "task:1", 50).await.expect("pinned");
    store.pin(&locator, "task:2", 70).await.expect("pinned");
    store.pin(&locator, "task:2", 60).await.expect("a shorter pin changes nothing");
    assert_eq!(store.stat(&locator).await.expect("there").pinned_until, Some(70));
    store.collect(1).await.expect("collected");
    assert_eq!(store.collect(50).await.expect("collected").pins_ended, 0);
    assert_eq!(store.collect(70).await.expect("collected").pins_ended, 1);
    assert!(holds(&store, &locator).await);
    let collected = store.collect(71).await.expect("collected");
    assert_eq!(collected, Collected { blobs: 1, bytes: 100, pins_ended: 1 });
    assert!(!file_of(&directory, &locator).exists());
    assert!(!file_of(&directory, &locator).with_extension("pins").exists());
}

#[tokio::test]
async fn a_pinned_blob_is_not_removed_and_says_who_holds_it() {
    let (_directory, store) = fresh();
    let locator = put(&store, 1, 100).await;
    store.pin(&locator, "task:1", 50).await.expect("pinned");
    let refusal = store.remove(&locator).await.expect_err("pinned");
    assert!(refusal.to_string().contains("task:1 through block 50"), "{refusal}");
    store.unpin(&locator, "task:1").await.expect("unpinned");
    store.unpin(&locator, "task:1").await.expect("nothing to unpin is no error");
    store.remove(&locator).await.expect("removed");
    assert_eq!(store.usage(), Usage::default());
}

#[tokio::test]
async fn pins_out_of_bounds_are_refused() {
    let (_directory, store) = fresh();
    let locator = put(&store, 1, 100).await;
    let long = "x".repeat(97);
    for reason in ["", "two words", "line\nbreak", "ümlaut", &long] {
        let refusal = store.pin(&locator, reason, 1).await;
        assert!(matches!(refusal, Err(BlobError::InvalidPin { .. })), "{reason:?}");
    }
    for number in 0..64 {
        store.pin(&locator, &format!("task:{number}"), 1).await.expect("pinned");
    }
    assert!(matches!(store.pin(&locator, "one", 1).await, Err(BlobError::InvalidPin { .. })));
}

#[tokio::test]
async fn over_quota_the_oldest_unpinned_blobs_make_room() {
    let (_directory, store) = fresh();
    let pinned = put(&store, 1, 300).await;
    store.pin(&pinned, "task:1", 50).await.expect("pinned");
    let old = put(&store, 2, 300).await;
    let young = put(&store, 3, 300).await;
    put(&store, 2, 300).await;
    put(&store, 4, 300).await;
    assert!(holds(&store, &pinned).await && holds(&store, &old).await);
    assert!(!holds(&store, &young).await, "it was the oldest, as the other was stored again");
    assert_eq!(store.usage().bytes, 900);
}

#[tokio::test]
async fn a_blob_is_refused_when_pinned_ones_leave_no_room() {
    let (_directory, store) = fresh();
    for byte in 1..=3 {
        let locator = put(&store, byte, 300).await;
        store.pin(&locator, "task:1", 50).await.expect("pinned");
    }
    let refusal = store.put(blob(4, 101)).await.expect_err("no room");
    assert!(matches!(refusal, BlobError::QuotaExceeded { held_bytes: 900, .. }), "{refusal}");
    put(&store, 4, 100).await;
}

#[tokio::test]
async fn the_number_of_blobs_is_bounded_too() {
    let (_directory, store) = fresh();
    for byte in 0..20 {
        put(&store, byte, 1).await;
    }
    assert_eq!(store.usage().blobs, 8);
}

#[tokio::test]
async fn a_lowered_quota_takes_effect_at_the_next_collection() {
    let (directory, store) = fresh();
    let pinned = put(&store, 1, 300).await;
    store.pin(&pinned, "task:1", 50).await.expect("pinned");
    put(&store, 2, 300).await;
    put(&store, 3, 300).await;
    drop(store);
    let lowered = EmbeddedConfig { quota_bytes: 600, ..config(directory.path()) };
    let store = EmbeddedStore::open(lowered).expect("opens");
    let collected = store.collect(1).await.expect("collected");
    assert_eq!((collected.blobs, store.usage().bytes), (1, 600));
    assert!(holds(&store, &pinned).await);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let directory = TempDir::new().expect("temporary directory");
    let base = config(directory.path());
    for wrong in [
        EmbeddedConfig { max_blob_bytes: 0, ..base.clone() },
        EmbeddedConfig { quota_bytes: 399, ..base.clone() },
        EmbeddedConfig { max_blobs: 0, ..base },
    ] {
        assert!(matches!(EmbeddedStore::open(wrong), Err(BlobError::InvalidConfig { .. })));
    }
}

/// One step of the model test below.
#[derive(Clone, Debug)]
enum Step {
    Put(u8),
    Pin(u8, u64),
    Unpin(u8),
    Remove(u8),
    Collect(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u8).prop_map(Step::Put),
        3 => (0..12_u8, 0..60_u64).prop_map(|(blob, until)| Step::Pin(blob, until)),
        1 => (0..12_u8).prop_map(Step::Unpin),
        1 => (0..12_u8).prop_map(Step::Remove),
        2 => (0..60_u64).prop_map(Step::Collect),
        1 => Just(Step::Restart),
    ]
}

/// Content of blob `number`; sizes differ.
fn numbered(number: u8) -> Bytes {
    blob(number, 20 + usize::from(number) * 30)
}

async fn apply(store: &EmbeddedStore, step: &Step) -> Result<(), BlobError> {
    let named = |number: &u8| Locator::of(&numbered(*number));
    match step {
        Step::Put(number) => store.put(numbered(*number)).await.map(|_| ()),
        Step::Pin(number, until) => store.pin(&named(number), "task:1", *until).await,
        Step::Unpin(number) => store.unpin(&named(number), "task:1").await,
        Step::Remove(number) => store.remove(&named(number)).await,
        Step::Collect(height) => store.collect(*height).await.map(|_| ()),
        Step::Restart => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn live_pins_are_kept_and_quotas_hold_under_any_sequence(
        steps in proptest::collection::vec(step(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let directory = TempDir::new().expect("temporary directory");
        let mut store = Some(open_in(&directory));
        let mut pinned = std::collections::BTreeMap::<u8, u64>::new();
        let mut height = 0;
        for step in &steps {
            if matches!(step, Step::Restart) {
                drop(store.take());
                store = Some(open_in(&directory));
                // The store waits to be told the height again.
                height = 0;
            }
            let store = store.as_ref().expect("open");
            let done = runtime.block_on(apply(store, step)).is_ok();
            match step {
                Step::Pin(number, until) if done => {
                    let longest = pinned.entry(*number).or_default();
                    *longest = (*longest).max(*until);
                }
                Step::Unpin(number) => _ = pinned.remove(number),
                Step::Collect(to) => {
                    height = height.max(*to);
                    pinned.retain(|_, until| *until >= height);
                }
                _ => {}
            }
            let usage = store.usage();
            prop_assert!(usage.bytes <= 1_000 && usage.blobs <= 8, "{usage:?}");
            prop_assert_eq!(usage.pinned_blobs, pinned.len());
            for (number, until) in &pinned {
                let locator = Locator::of(&numbered(*number));
                let content = runtime.block_on(store.get(&locator, 400)).expect("pinned");
                prop_assert_eq!(content, numbered(*number));
                let stat = runtime.block_on(store.stat(&locator)).expect("pinned");
                prop_assert_eq!(stat.pinned_until, Some(*until));
            }
        }
    }
}
