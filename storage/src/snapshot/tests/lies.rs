//! Chunks and manifests that are not what they should be.

use super::{super::chunk::Chunk, *};

#[test]
fn a_wrong_chunk_is_refused_and_changes_nothing() {
    let mut chain = Chain::new(config(), &state(0..60, 2, 1));
    chain.extend(&StateChanges::default());
    chain.certify(1);
    let folder = chain.export(1, "snapshot", 1_500);
    let store = chain.empty_store("imported");
    let import = SnapshotImport::begin(&store, folder.manifest().clone()).expect("begun");
    let refused = |bytes: &[u8]| {
        let error = import.put_chunk(bytes).expect_err("a wrong chunk");
        assert!(matches!(error, SnapshotError::Chunk(_)), "{error}");
    };
    for good in chunks(&folder) {
        for position in (0..good.len()).step_by(13) {
            let mut bytes = good.clone();
            bytes[position] ^= 1 << (position % 8);
            refused(&bytes);
        }
        refused(&good[..good.len() - 1]);
        refused(&[&good[..], &[0]].concat());
        for forged in forgeries(&good) {
            refused(&codec::encode(&forged));
        }
    }
    refused(&vec![0; MAX_CHUNK_BYTES + 1]);
    assert_eq!(import.chunks(), 0, "none was taken");
    drop(import);
    let import = import_all(&store, &folder);
    finish(&import, &chain.genesis, &base_block(&folder)).expect("finished");
    assert_same_state(&chain.store, &store, 1);
}

/// Chunks that are near the one given, and none of the state.
fn forgeries(good: &[u8]) -> Vec<Chunk> {
    let chunk: Chunk = codec::decode(good).expect("a chunk");
    let mut forged = Vec::new();
    if chunk.entries.len() > 1 {
        let mut swapped = chunk.clone();
        swapped.entries.swap(0, 1);
        let mut omitted = chunk.clone();
        omitted.entries.pop();
        let mut twice = chunk.clone();
        twice.entries.insert(0, chunk.entries[0].clone());
        let mut exchanged = chunk.clone();
        exchanged.entries[0].1 = chunk.entries[1].1.clone();
        exchanged.entries[1].1 = chunk.entries[0].1.clone();
        forged.extend([swapped, omitted, twice]);
        if exchanged != chunk {
            forged.push(exchanged);
        }
    }
    let mut parent = chunk.clone();
    parent.span.bits -= 1;
    parent.siblings.pop();
    let mut other_code = chunk.clone();
    other_code.code.push(Bytes::from_static(b"code that no account has"));
    let mut no_code = chunk.clone();
    if no_code.code.pop().is_some() {
        forged.push(no_code);
    }
    let mut nothing = chunk;
    nothing.entries.clear();
    nothing.code.clear();
    forged.extend([parent, other_code, nothing]);
    forged
}

#[test]
fn a_chunk_leads_to_its_own_root_only() {
    let mut chain = Chain::new(config(), &state(0..60, 2, 1));
    chain.extend(&StateChanges::default());
    chain.certify(1);
    let folder = chain.export(1, "snapshot", 1_500);
    for (info, good) in folder.chunks().iter().zip(chunks(&folder)) {
        let root = folder.manifest().root.state_root;
        assert_eq!(Chunk::check(&good, root).expect("it is right").span, info.span);
        assert!(Chunk::check(&good, B256::repeat_byte(1)).is_err());
    }
}

#[test]
fn a_manifest_whose_parts_do_not_fit_is_refused() {
    let mut chain = Chain::new(config(), &state(0..60, 2, 1));
    for _ in 0..5 {
        chain.extend(&StateChanges::default());
    }
    let good = chain.export(3, "snapshot", 1_500).manifest().clone();
    assert_eq!(Manifest::decode(&good.encode()).expect("it fits"), good);
    assert_eq!(good.headers.len(), 5);
    let edits: [fn(&mut Manifest); 10] = [
        |m| m.format += 1,
        |m| m.root.state_root.0[3] ^= 1,
        |m| m.root.next_base_fee += 1,
        |m| m.root.height = 2,
        |m| m.root.height = 0,
        |m| m.root.height = Height::MAX,
        |m| drop(m.headers.remove(0)),
        |m| drop(m.headers.remove(1)),
        |m| drop(m.headers.pop()),
        |m| m.headers[1].justify.0[0] ^= 1,
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut manifest = good.clone();
        edit(&mut manifest);
        let refused = Manifest::decode(&manifest.encode());
        assert!(matches!(refused, Err(SnapshotError::Manifest(_))), "edit {number}");
        let store = chain.empty_store("imported");
        assert!(SnapshotImport::begin(&store, manifest).is_err());
    }
    let bytes = good.encode();
    for cut in 0..bytes.len() {
        assert!(Manifest::decode(&bytes[..cut]).is_err());
    }
    let mut other = good;
    other.chain_id += 1;
    let store = chain.empty_store("imported");
    assert!(matches!(SnapshotImport::begin(&store, other), Err(SnapshotError::Manifest(_))));
}

#[test]
fn a_list_of_chunks_with_gaps_is_refused() {
    let mut chain = Chain::new(config(), &state(0..60, 2, 1));
    chain.extend(&StateChanges::default());
    chain.certify(1);
    let good = chain.export(1, "snapshot", 1_500).chunks().to_vec();
    let edits: [fn(&mut Vec<ChunkInfo>); 4] = [
        |chunks| chunks.truncate(chunks.len() - 1),
        |chunks| *chunks = chunks.split_off(1),
        |chunks| chunks[1].bytes = u32::MAX,
        |chunks| chunks[1].span.bits += 1,
    ];
    let file = chain.path("snapshot").join("chunks");
    for (number, edit) in edits.into_iter().enumerate() {
        let mut chunks = good.clone();
        edit(&mut chunks);
        std::fs::write(&file, codec::encode(&chunks)).expect("written");
        let refused = SnapshotFolder::open(&chain.path("snapshot"));
        assert!(matches!(refused, Err(SnapshotError::Chunks(_))), "edit {number}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_manifest_and_no_chunk(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        format in any::<bool>(),
    ) {
        let bytes = if format { [&[2, 7], &bytes[..]].concat() } else { bytes };
        prop_assert!(Manifest::decode(&bytes).is_err());
        prop_assert!(Chunk::check(&bytes, B256::repeat_byte(3)).is_err());
    }
}
