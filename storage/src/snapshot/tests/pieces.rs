//! Chunks of different cuts, what is asked for next, and what a crash leaves at each step.

use std::collections::BTreeSet;

use super::{
    super::{chunk::Chunk, coverage::Coverage},
    *,
};

/// A chain of one block, certified.
fn small_chain() -> Chain {
    let mut chain = Chain::new(config(), &state(0..120, 3, 1));
    chain.extend(&StateChanges::default());
    chain.certify(1);
    chain
}

/// Paths in the order in which a chunk each is asked for, if every answer is that of a folder.
fn fetched(import: &SnapshotImport, folder: &SnapshotFolder, at_once: usize) -> usize {
    let mut asked = BTreeSet::new();
    let mut requests = 0;
    while !import.is_whole() {
        while asked.len() < at_once
            && let Some(path) = import.wanted(&asked)
        {
            assert!(!import.holds(&path) && asked.insert(path));
        }
        let path = asked.pop_last().expect("something is wanted while the state is not whole");
        let taken = import.put_chunk(&folder.chunk_at(&path).expect("read")).expect("right");
        assert!(taken.span.contains(&path));
        requests += 1;
    }
    assert_eq!(import.wanted(&BTreeSet::new()), None);
    requests
}

#[test]
fn whoever_asks_for_what_is_missing_gets_every_chunk_and_few_of_them_twice() {
    let chain = small_chain();
    for target in [300, 1_500, 8_000, 1 << 20] {
        let folder = chain.export(1, &format!("cut-{target}"), target);
        for at_once in [1, 3, 8] {
            let store = chain.empty_store(&format!("imported-{target}-{at_once}"));
            let import = SnapshotImport::begin(&store, folder.manifest().clone()).expect("begun");
            let (requests, chunks) = (fetched(&import, &folder, at_once), folder.chunks().len());
            assert!(requests <= chunks + 2 * at_once, "{requests} requests for {chunks} chunks");
            finish(&import, &chain.genesis, &base_block(&folder)).expect("finished");
            assert_same_state(&chain.store, &store, 1);
        }
    }
}

/// A peer that cuts the state otherwise, or says that it does, makes nobody else's chunks wrong.
#[test]
fn a_chunk_takes_the_place_of_those_that_lie_in_it_and_none_lies_in_it_later() {
    let chain = small_chain();
    let (fine, coarse) = (chain.export(1, "fine", 1), chain.export(1, "coarse", 4_000));
    assert_eq!(fine.manifest(), coarse.manifest(), "it does not speak of the cut");
    let store = chain.empty_store("imported");
    let import = SnapshotImport::begin(&store, fine.manifest().clone()).expect("begun");
    for bytes in chunks(&fine).iter().step_by(3) {
        assert!(import.put_chunk(bytes).is_ok());
    }
    let large = &chunks(&coarse)[1];
    let before = import.chunks();
    let taken = import.put_chunk(large).expect("right");
    assert!(taken.new_bytes > 0 && import.chunks() < before);
    let inside = |bytes: &&Vec<u8>| Chunk::check(bytes, root(&fine)).expect("right").span;
    let fine_chunks = chunks(&fine);
    let inner = fine_chunks.iter().find(|b| taken.span.contains(&inside(b).start)).expect("one");
    assert_eq!(import.put_chunk(inner).expect("right").new_bytes, 0);
    drop(import);
    let import = import_all(&store, &fine);
    assert!(import.is_whole() && import.chunks() < fine.chunks().len());
    finish(&import, &chain.genesis, &base_block(&fine)).expect("finished");
    assert_same_state(&chain.store, &store, 1);
}

fn root(folder: &SnapshotFolder) -> B256 {
    folder.manifest().root.state_root
}

#[test]
fn another_proof_of_the_same_state_keeps_what_was_imported() {
    let mut chain = small_chain();
    let first = chain.export(1, "first", 900);
    let store = chain.empty_store("imported");
    let import = SnapshotImport::begin(&store, first.manifest().clone()).expect("begun");
    import.put_chunk(&chunks(&first)[3]).expect("right");
    drop(import);
    let mut other = first.manifest().clone();
    other.proof.push(1);
    let import = SnapshotImport::begin(&store, other.clone()).expect("begun");
    assert_eq!((import.chunks(), import.manifest()), (1, &other));

    chain.extend(&state(20..40, 1, 7));
    let height = chain.tip.0;
    chain.certify(height);
    let second = chain.export(height, "second", 900);
    let import = SnapshotImport::begin(&store, second.manifest().clone()).expect("begun");
    assert_eq!(import.chunks(), 0, "what belongs to another state is gone");
    for column in [crate::columns::Column::State, crate::columns::Column::TreeNodes] {
        let rows = store.inner.range(column, b"", &[0xff; 64]).expect("read");
        assert_eq!(rows.count(), 0, "{}", column.name());
    }
}

/// An answer can come after others have made it needless, when the chain has gone on already.
#[test]
fn a_wide_chunk_that_comes_late_changes_nothing() {
    let chain = small_chain();
    let (fine, coarse) = (chain.export(1, "fine", 700), chain.export(1, "coarse", 1 << 20));
    let store = chain.empty_store("imported");
    let import = import_all(&store, &fine);
    finish(&import, &chain.genesis, &base_block(&fine)).expect("finished");
    let block = chain.store.block_id_at(2).expect("read").expect("kept");
    let block = chain.store.block(block).expect("read").expect("kept");
    execute(&store, &block, &state(5..6, 0, 77));
    let late = import.put_chunk(&chunks(&coarse)[0]).expect("right");
    assert_eq!((late.span, late.new_bytes), (Span::WHOLE, 0));
    let balance = store.state().expect("a view").account(address(5)).expect("read");
    assert_eq!(balance.expect("there").balance, U256::from(77));
    assert!(SnapshotImport::resume(&store).expect("read").is_none());
}

/// The process is killed after each step of an import: the store holds no chain then, or one with all that it needs to go on.
#[test]
fn a_crash_at_any_step_of_an_import_leaves_no_chain_or_all_of_it() {
    let chain = small_chain();
    let folder = chain.export(1, "snapshot", 2_500);
    let (data, all) = (chain.path("data-of-import"), chunks(&folder));
    let store = Store::open(&data, config()).expect("opened");
    let mut copies = 0;
    let mut crash = |whole: bool| {
        copies += 1;
        let to = chain.path(&format!("copy-{copies}"));
        copy(&data, &to);
        let store = Store::open(&to, config()).expect("opened after the crash");
        assert_eq!(store.is_initialised().expect("read"), whole);
        let epochs = store.epochs(0, 9).expect("read");
        assert_eq!(epochs, if whole { vec![record(0), record(1)] } else { Vec::new() });
        if !whole {
            let import = import_all(&store, &folder);
            let epochs = [record(0), record(1)];
            import.finish(&chain.genesis, &base_block(&folder), &epochs).expect("finished");
        }
        assert_same_state(&chain.store, &store, 1);
        let block = chain.store.block_id_at(2).expect("read").expect("kept");
        let block = chain.store.block(block).expect("read").expect("kept");
        execute(&store, &block, &StateChanges::default());
    };
    crash(false);
    let import = SnapshotImport::begin(&store, folder.manifest().clone()).expect("begun");
    crash(false);
    for bytes in &all {
        import.put_chunk(bytes).expect("right");
        crash(false);
    }
    let state = import.state().expect("whole");
    let balance = state.account(address(7)).expect("read").expect("there").balance;
    assert_eq!(
        (state.height(), balance),
        (1, U256::ONE),
        "it can be read before it is the chain's"
    );
    drop(state);
    let base = base_block(&folder);
    import.finish(&chain.genesis, &base, &[record(0), record(1)]).expect("finished");
    crash(true);
}

/// A copy of the files as they are, without the lock's.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != "LOCK" {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// A span by the bits that lead to it.
fn span(bits: &[bool]) -> Span {
    bits.iter().fold(Span::WHOLE, |span, bit| span.halves()[usize::from(*bit)])
}

proptest! {
    #[test]
    fn coverage_knows_what_is_held_as_a_list_of_spans_does(
        spans in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 0..7), 1..40),
        asked in proptest::collection::btree_set(any::<u8>(), 0..9),
    ) {
        let mut coverage = Coverage::default();
        let mut list: Vec<Span> = Vec::new();
        let paths = (0..=255u8).map(|byte| { let mut path = B256::ZERO; path.0[0] = byte; path });
        for bits in spans.into_iter().filter(|bits| !bits.is_empty()) {
            let span = span(&bits);
            let held = list.iter().any(|h| h.bits <= span.bits && h.contains(&span.start));
            prop_assert_eq!(coverage.holds(&span), held);
            if !held {
                coverage.add(span);
                list.retain(|inner| !span.contains(&inner.start));
                list.push(span);
            }
            prop_assert_eq!(coverage.len(), list.len());
            let mut whole = true;
            for path in paths.clone() {
                let at = list.iter().find(|span| span.contains(&path));
                prop_assert_eq!(coverage.at(&path), at);
                whole &= at.is_some();
            }
            prop_assert_eq!(coverage.is_whole(), whole);
            let asked: BTreeSet<B256> = asked.iter().map(|byte| B256::repeat_byte(*byte)).collect();
            if let Some(path) = coverage.wanted(&asked) {
                prop_assert!(coverage.at(&path).is_none() && !asked.contains(&path));
            }
            prop_assert_eq!(coverage.wanted(&BTreeSet::new()).is_none(), whole);
        }
    }
}
