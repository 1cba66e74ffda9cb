//! Batches: held until a final block names them, for as long as it is kept, or until they expire.

#![allow(dead_code, reason = "each test file uses its part of the fixture")]

mod fixture;

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes};
use fixture::{Chain, block_of, config, copy_directory, pruning, set_balance};
use neura_storage::{Committed, Demand, MIN_RETAINED_BLOCKS, StorageError, Store, StoreConfig};
use neura_types::{Batch, Height, StateChanges, codec};
use proptest::prelude::*;

fn batch(sequence: u64) -> Batch {
    Batch { author: 3, sequence, items: vec![Bytes::from(vec![sequence as u8; 300]); 20] }
}

fn put(store: &Store, batch: &Batch, demand: Demand) -> Result<(), StorageError> {
    store.put_batches(&[(batch.digest(), &codec::encode(batch))], demand, false)
}

/// Stores, commits and executes the next block, which names batches.
fn extend(chain: &mut Chain, batches: &[Batch]) -> Height {
    let (height, id) = order(chain, batches);
    chain.execute((height, id), &StateChanges::default(), &[], &[]).expect("executed");
    height
}

fn order(chain: &mut Chain, batches: &[Batch]) -> (Height, B256) {
    let (tip, parent) = chain.tip();
    let block = block_of(tip + 1, parent, batches);
    let id = block.id();
    chain.store.put_block(&block, id, tip % 10 == 0).expect("stored");
    chain.store.commit(&[Committed { id, height: tip + 1, proof: None }]).expect("committed");
    chain.ids.push(id);
    (tip + 1, id)
}

fn chain(config: StoreConfig) -> (tempfile::TempDir, Chain) {
    let dir = tempfile::tempdir().expect("a directory");
    let chain = Chain::create(&dir.path().join("data"), config, &set_balance(1, 50));
    (dir, chain)
}

#[test]
fn batches_come_back_by_digest_and_unknown_ones_do_not() {
    let (_dir, chain) = chain(config());
    let (a, b) = (batch(1), batch(2));
    put(&chain.store, &a, Demand::Offered).expect("stored");
    assert_eq!(chain.store.batch(a.digest()).expect("read"), Some(a.clone()));
    assert_eq!(chain.store.batch_bytes(a.digest()).expect("read"), Some(codec::encode(&a)));
    assert_eq!(chain.store.batch(b.digest()).expect("read"), None);
    let digests = [b.digest(), a.digest(), b.digest()];
    assert_eq!(chain.store.has_batches(&digests).expect("read"), [false, true, false]);
    assert!(chain.store.has_batch(a.digest()).expect("read"));
}

#[test]
fn what_a_final_block_names_stays_and_what_none_names_expires() {
    let (_dir, mut chain) = chain(config());
    let (named, unnamed) = (batch(1), batch(2));
    put(&chain.store, &named, Demand::Offered).expect("stored");
    put(&chain.store, &unnamed, Demand::Offered).expect("stored");
    assert_eq!(chain.store.unnamed_batches().expect("counted").count, 2);
    let tip = extend(&mut chain, std::slice::from_ref(&named));
    assert_eq!(chain.store.unnamed_batches().expect("counted").count, 1);
    assert_eq!(chain.store.expire_batches(tip, 100).expect("expired"), 0, "it came at height 1");
    assert!(matches!(
        chain.store.expire_batches(tip + 2, 100),
        Err(StorageError::HeightGap { .. })
    ));
    assert_eq!(chain.store.expire_batches(tip + 1, 100).expect("expired"), 1);
    assert!(chain.store.has_batch(named.digest()).expect("read"));
    assert!(!chain.store.has_batch(unnamed.digest()).expect("read"));
    assert_eq!(chain.store.unnamed_batches().expect("counted").bytes, 0);
}

#[test]
fn a_stored_block_holds_its_batches_until_its_height_is_decided_also_over_a_restart() {
    let (dir, mut chain) = chain(config());
    let (ours, forked) = (batch(1), batch(2));
    put(&chain.store, &ours, Demand::Offered).expect("stored");
    put(&chain.store, &forked, Demand::Offered).expect("stored");
    let (tip, parent) = chain.tip();
    let fork = block_of(tip + 3, parent, &[ours.clone(), forked.clone()]);
    chain.store.put_block(&fork, fork.id(), true).expect("stored");
    for _ in 0..2 {
        extend(&mut chain, &[]);
    }
    let copy = dir.path().join("copy");
    copy_directory(&dir.path().join("data"), &copy);
    let restarted =
        Chain { store: Store::open(&copy, config()).expect("opened"), ids: chain.ids.clone() };
    for mut chain in [chain, restarted] {
        let (tip, _) = chain.tip();
        assert_eq!(
            chain.store.expire_batches(tip + 1, 9).expect("expired"),
            0,
            "a block may need them"
        );
        assert_eq!(chain.store.delete_batches(&[ours.digest()]).expect("asked"), 0);
        let tip = extend(&mut chain, std::slice::from_ref(&ours));
        assert_eq!(chain.store.expire_batches(tip + 1, 9).expect("expired"), 1);
        let held = chain.store.has_batches(&[ours.digest(), forked.digest()]).expect("read");
        assert_eq!(held, [true, false], "the fork lost");
    }
}

#[test]
fn offered_batches_are_bounded_and_needed_ones_are_not() {
    let one = codec::encode(&batch(0)).len() as u64 + 256;
    let (dir, mut chain) = chain(StoreConfig { unnamed_batch_bytes: 3 * one, ..config() });
    for sequence in 0..3 {
        put(&chain.store, &batch(sequence), Demand::Offered).expect("there is room");
    }
    let full = put(&chain.store, &batch(3), Demand::Offered).expect_err("there is no room");
    assert!(
        matches!(full, StorageError::BatchSpace { held, limit } if held == 3 * one && limit == 3 * one)
    );
    assert!(!full.is_fatal());
    put(&chain.store, &batch(0), Demand::Offered).expect("what is held is no news");
    put(&chain.store, &batch(4), Demand::Needed).expect("a block needs it");
    assert_eq!(chain.store.unnamed_batches().expect("counted").bytes, 4 * one);
    extend(&mut chain, &[batch(0), batch(4)]);
    put(&chain.store, &batch(3), Demand::Offered).expect("two were named");

    assert_eq!(chain.store.delete_batches(&[batch(3).digest(); 2]).expect("deleted"), 1);
    assert_eq!(chain.store.delete_batches(&[batch(0).digest()]).expect("asked"), 0, "it is named");
    let counted = chain.store.unnamed_batches().expect("counted");
    drop(chain);
    let store = Store::open(&dir.path().join("data"), config()).expect("opened again");
    assert_eq!(store.unnamed_batches().expect("counted"), counted, "a restart counts the same");
}

#[test]
fn a_batch_that_comes_after_its_block_is_final_is_kept_with_it() {
    let (_dir, mut chain) = chain(config());
    let late = batch(7);
    let tip = extend(&mut chain, std::slice::from_ref(&late));
    assert!(!chain.store.has_batch(late.digest()).expect("read"));
    put(&chain.store, &late, Demand::Needed).expect("stored");
    assert!(chain.store.has_batch(late.digest()).expect("read"));
    assert_eq!(chain.store.unnamed_batches().expect("counted").count, 0);
    assert_eq!(chain.store.expire_batches(tip + 1, 9).expect("expired"), 0);
}

#[test]
fn a_batch_that_comes_after_a_stored_block_is_held_for_it() {
    let (dir, mut chain) = chain(config());
    let late = batch(7);
    let far = block_of(90, B256::repeat_byte(1), std::slice::from_ref(&late));
    chain.store.put_block(&far, far.id(), true).expect("stored");
    put(&chain.store, &late, Demand::Needed).expect("stored");
    for _ in 0..80 {
        extend(&mut chain, &[]);
    }
    let (tip, _) = chain.tip();
    assert_eq!(chain.store.expire_batches(tip + 1, 9).expect("expired"), 0);
    assert_eq!(chain.store.delete_batches(&[late.digest()]).expect("asked"), 0);
    drop(chain);
    let store = Store::open(&dir.path().join("data"), config()).expect("opened again");
    assert_eq!(store.expire_batches(tip + 1, 9).expect("expired"), 0);
    assert!(store.has_batch(late.digest()).expect("read"));
}

#[test]
fn batches_are_pruned_with_the_last_block_that_names_them() {
    let (_dir, mut chain) = chain(pruning(MIN_RETAINED_BLOCKS));
    let (once, twice) = (batch(1), batch(2));
    put(&chain.store, &once, Demand::Offered).expect("stored");
    put(&chain.store, &twice, Demand::Offered).expect("stored");
    extend(&mut chain, &[once.clone(), twice.clone()]);
    extend(&mut chain, &[twice.clone(), twice.clone()]);
    for _ in 0..MIN_RETAINED_BLOCKS {
        extend(&mut chain, &[]);
    }
    let held =
        |chain: &Chain| chain.store.has_batches(&[once.digest(), twice.digest()]).expect("read");
    assert_eq!(chain.store.prune(1).expect("pruned"), 1);
    assert_eq!(held(&chain), [true, true]);
    assert_eq!(chain.store.prune(1).expect("pruned"), 1);
    assert_eq!(held(&chain), [false, true]);
    extend(&mut chain, &[]);
    assert_eq!(chain.store.prune(9).expect("pruned"), 1);
    assert_eq!(held(&chain), [false, false]);
}

#[test]
fn a_durable_block_has_its_batches_durable_before_it() {
    let (dir, chain) = chain(config());
    let (tip, parent) = chain.tip();
    let batches = [batch(1), batch(2)];
    for batch in &batches {
        put(&chain.store, batch, Demand::Offered).expect("stored");
    }
    let block = block_of(tip + 1, parent, &batches);
    chain.store.put_block(&block, block.id(), true).expect("stored");
    // A killed process leaves all of it; a power failure may tear what came after.
    let last = batch(3);
    put(&chain.store, &last, Demand::Offered).expect("stored");
    let data = dir.path().join("data");
    let segment = std::fs::read_dir(data.join("batches")).expect("listed").next();
    let segment = segment.expect("a segment").expect("an entry").path();
    let durable: usize = batches.iter().map(|batch| codec::encode(batch).len()).sum();
    let length = std::fs::metadata(&segment).expect("there").len();
    let mut seen = [0; 2];
    for cut in (durable as u64..=length).step_by(499).chain([length]) {
        let copy = dir.path().join("cut");
        copy_directory(&data, &copy);
        let target = copy.join("batches").join(segment.file_name().expect("a name"));
        let file = std::fs::File::options().write(true).open(target).expect("opened");
        file.set_len(cut).expect("cut");
        let store = Store::open(&copy, config()).expect("a torn segment is a crash");
        assert!(store.has_block(block.id()).expect("read"));
        for batch in &batches {
            assert_eq!(store.batch(batch.digest()).expect("read").as_ref(), Some(batch));
        }
        let held = store.has_batch(last.digest()).expect("read");
        assert_eq!(store.batch(last.digest()).expect("read").is_some(), held);
        assert_eq!(held, cut == length, "the segment is cut at {cut}");
        put(&store, &last, Demand::Offered).expect("stored again");
        assert_eq!(store.batch(last.digest()).expect("read").as_ref(), Some(&last));
        seen[usize::from(held)] += 1;
        drop(store);
        std::fs::remove_dir_all(&copy).expect("removed");
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn rows_that_a_torn_log_lost_leave_no_body_behind() {
    let (dir, chain) = chain(config());
    let (tip, parent) = chain.tip();
    let batches = [batch(1), batch(2)];
    for batch in &batches {
        put(&chain.store, batch, Demand::Offered).expect("stored");
    }
    let block = block_of(tip + 1, parent, &batches);
    chain.store.put_block(&block, block.id(), true).expect("stored");
    let data = dir.path().join("data");
    let length = std::fs::metadata(fixture::log_of(&data)).expect("there").len();
    let mut seen = [0; 3];
    for cut in (0..=length).step_by(31) {
        let copy = dir.path().join("cut");
        copy_directory(&data, &copy);
        let file = std::fs::File::options().write(true).open(fixture::log_of(&copy));
        file.expect("opened").set_len(cut).expect("cut");
        let store = Store::open(&copy, config()).expect("a torn log is a crash");
        let held = store.has_batches(&[batches[0].digest(), batches[1].digest()]).expect("read");
        assert!(held == [true, true] || !store.has_block(block.id()).expect("read"), "at {cut}");
        for (batch, held) in batches.iter().zip(&held) {
            let found = store.batch(batch.digest()).expect("read");
            assert_eq!(found.as_ref(), held.then_some(batch));
        }
        let held = held.iter().filter(|held| **held).count();
        assert_eq!(store.unnamed_batches().expect("counted").count, held);
        seen[held] += 1;
        drop(store);
        std::fs::remove_dir_all(&copy).expect("removed");
    }
    assert!(seen.iter().all(|count| *count > 0), "cuts fell before, between and after: {seen:?}");
}

#[test]
fn readers_find_a_batch_or_nothing_while_it_is_pruned() {
    let (_dir, mut chain) = chain(pruning(MIN_RETAINED_BLOCKS));
    let large = |sequence| Batch {
        author: 3,
        sequence,
        items: vec![Bytes::from(vec![sequence as u8; 150_000])],
    };
    let digests = std::sync::Mutex::new(Vec::<B256>::new());
    let done = std::sync::atomic::AtomicBool::new(false);
    let store = chain.store.clone();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut found = 0u64;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                let oldest: Vec<B256> = digests.lock().expect("no panic").clone();
                for digest in oldest {
                    found += u64::from(store.batch_bytes(digest).expect("whole or gone").is_some());
                }
            }
            found
        });
        for sequence in 0..MIN_RETAINED_BLOCKS + 250 {
            let batch = large(sequence);
            put(&chain.store, &batch, Demand::Offered).expect("stored");
            // The reader asks for those that go next.
            let next = large(sequence.saturating_sub(MIN_RETAINED_BLOCKS - 2)).digest();
            let mut digests = digests.lock().expect("no panic");
            digests.push(next);
            let keep = digests.len().saturating_sub(5);
            digests.drain(..keep);
            drop(digests);
            extend(&mut chain, &[batch]);
            chain.store.prune(2).expect("pruned");
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(reader.join().expect("no panic") > 0, "it read some while they were there");
    });
}

/// What a batch is to the model.
#[derive(Debug, Clone, Copy)]
struct Held {
    height: Height,
    last_name: Option<Height>,
}

#[derive(Debug, Clone)]
enum Step {
    Put(u64),
    Block(Vec<u64>),
    Expire(u64),
    Delete(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..8).prop_map(Step::Put),
        3 => proptest::collection::vec(0u64..8, 0..3).prop_map(Step::Block),
        1 => (0u64..4).prop_map(Step::Expire),
        1 => (0u64..8).prop_map(Step::Delete),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_store_holds_what_the_model_holds(steps in proptest::collection::vec(step(), 1..30)) {
        let (dir, mut chain) = chain(config());
        let mut model: BTreeMap<u64, Held> = BTreeMap::new();
        // Numbers that final blocks named, whether or not the batch was there.
        let mut names: BTreeMap<u64, Height> = BTreeMap::new();
        for step in steps {
            let tip = chain.tip().0;
            match step {
                Step::Put(number) => {
                    put(&chain.store, &batch(number), Demand::Offered).expect("there is room");
                    let last_name = names.get(&number).copied();
                    let held = model.entry(number).or_insert(Held { height: 0, last_name });
                    held.height = held.height.max(tip + 1);
                }
                Step::Block(numbers) => {
                    let batches: Vec<Batch> = numbers.iter().map(|n| batch(*n)).collect();
                    let height = extend(&mut chain, &batches);
                    for number in numbers {
                        names.insert(number, height);
                        if let Some(held) = model.get_mut(&number) {
                            held.last_name = Some(height);
                        }
                    }
                }
                Step::Expire(age) => {
                    let below = (tip + 1).saturating_sub(age);
                    chain.store.expire_batches(below, usize::MAX).expect("expired");
                    model.retain(|_, held| held.last_name.is_some() || held.height >= below);
                }
                Step::Delete(number) => {
                    chain.store.delete_batches(&[batch(number).digest()]).expect("deleted");
                    if model.get(&number).is_some_and(|held| held.last_name.is_none()) {
                        model.remove(&number);
                    }
                }
                Step::Reopen => {
                    let Chain { store, ids } = chain;
                    drop(store);
                    // A restart forgets that an offered batch came again: it may expire from when it came first.
                    let store = Store::open(&dir.path().join("data"), config()).expect("opened");
                    chain = Chain { store, ids };
                    let digests: Vec<B256> = model.keys().map(|n| batch(*n).digest()).collect();
                    prop_assert!(chain.store.has_batches(&digests).expect("read").iter().all(|h| *h));
                    chain.store.put_batches(
                        &model.keys().map(|n| (batch(*n).digest(), &[][..])).collect::<Vec<_>>(),
                        Demand::Offered,
                        false,
                    ).expect("they are held");
                    model.values_mut().for_each(|held| held.height = tip + 1);
                }
            }
            let unnamed = model.values().filter(|held| held.last_name.is_none()).count();
            prop_assert_eq!(chain.store.unnamed_batches().expect("counted").count, unnamed);
            for number in 0..8 {
                let found = chain.store.batch(batch(number).digest()).expect("read");
                prop_assert_eq!(found, model.contains_key(&number).then(|| batch(number)));
            }
        }
    }
}
