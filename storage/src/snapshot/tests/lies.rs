//! Chunks and manifests that are not what they should be.

use super::{super::chunk::Chunk, *};

#[test]
fn a_wrong_chunk_is_refused_by_name_and_changes_nothing() {
    let mut chain = Chain::new(config(), &state(0..60, 2, 1));
    chain.extend(&StateChanges::default());
    chain.certify(1);
    let folder = chain.export(1, "snapshot", 1_500);
    let store = chain.empty_store("imported");
    let import = SnapshotImport::begin(&store, folder.manifest().clone()).expect("begun");
    let refused = |index: u32, bytes: &[u8]| {
        let error = import.put_chunk(index, bytes).expect_err("a wrong chunk");
        assert!(
            matches!(error, SnapshotError::Chunk { index: named, .. } if named == index),
            "{error}"
        );
    };
    let count = folder.manifest().chunks.len() as u32;
    for index in 0..count {
        let good = folder.chunk_bytes(index).expect("read");
        for position in (0..good.len()).step_by(13) {
            let mut bytes = good.clone();
            bytes[position] ^= 1 << (position % 8);
            refused(index, &bytes);
        }
        refused(index, &good[..good.len() - 1]);
        refused(index, &[&good[..], &[0]].concat());
        refused(index, &folder.chunk_bytes((index + 1) % count).expect("read"));
        for forged in forgeries(&good) {
            refused(index, &codec::encode(&forged));
        }
    }
    refused(count, &folder.chunk_bytes(0).expect("read"));
    assert_eq!(import.missing().len() as u32, count, "none was taken");
    drop(import);
    let import = import_all(&store, &folder);
    import.finish(&chain.genesis, &base_block(&folder)).expect("finished");
    assert_same_state(&chain.store, &store, 1);
}

/// Chunks of the same length, as far as possible, that are not the one given.
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
fn forged_chunks_are_refused_even_if_the_manifest_agrees_with_them() {
    let mut chain = Chain::new(config(), &state(0..60, 2, 1));
    chain.extend(&StateChanges::default());
    chain.certify(1);
    let folder = chain.export(1, "snapshot", 1_500);
    for (info, index) in folder.manifest().chunks.iter().zip(0..) {
        let good = folder.chunk_bytes(index).expect("read");
        let root = folder.manifest().base.root.state_root;
        Chunk::check(&good, info, root).expect("it is right");
        assert!(Chunk::check(&good, info, B256::repeat_byte(1)).is_err());
        for forged in forgeries(&good) {
            let bytes = codec::encode(&forged);
            let info = ChunkInfo { span: forged.span, bytes: bytes.len() as u32 };
            Chunk::check(&bytes, &info, root).expect_err("it is forged");
        }
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
    let edits: [fn(&mut Manifest); 14] = [
        |m| m.format += 1,
        |m| m.base.root.state_root.0[3] ^= 1,
        |m| m.base.root.next_base_fee += 1,
        |m| m.base.root.height = 2,
        |m| m.base.root.height = 0,
        |m| m.base.root.height = Height::MAX,
        |m| drop(m.headers.remove(0)),
        |m| drop(m.headers.remove(1)),
        |m| drop(m.headers.pop()),
        |m| m.headers[1].justify.0[0] ^= 1,
        |m| m.chunks.truncate(m.chunks.len() - 1),
        |m| m.chunks = m.chunks.split_off(1),
        |m| m.chunks[1].bytes = u32::MAX,
        |m| m.chunks[1].span.bits += 1,
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

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_manifest_and_no_chunk(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        format in any::<bool>(),
    ) {
        let bytes = if format { [&[1, 7], &bytes[..]].concat() } else { bytes };
        prop_assert!(Manifest::decode(&bytes).is_err());
        let info = ChunkInfo { span: Span::WHOLE, bytes: bytes.len() as u32 };
        prop_assert!(Chunk::check(&bytes, &info, B256::repeat_byte(3)).is_err());
    }
}
