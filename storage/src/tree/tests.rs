//! The tree against the reference implementation of the Jellyfish Merkle tree, and its rows.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::B256;
use jmt::{
    JellyfishMerkleTree, KeyHash, OwnedValue, SimpleHasher,
    storage::{LeafNode, Node as JmtNode, NodeBatch, NodeKey, TreeReader},
};
use neura_types::state::proof::value_hash;
use proptest::prelude::*;

use super::*;

/// Nodes written so far.
#[derive(Default)]
struct Written(HashMap<Vec<u8>, Arc<Node>>);

impl Nodes for Written {
    fn node(&self, row: &[u8]) -> Result<Arc<Node>, StorageError> {
        let node = self.0.get(row).ok_or_else(|| missing("a node"))?;
        Ok(Arc::new(Node::decode(&node.encode()).expect("what is encoded is decoded")))
    }
}

impl Written {
    fn apply(&mut self, base: Option<Version>, changes: &BTreeMap<Path, Option<u8>>) -> TreeUpdate {
        let changes = changes.iter().map(|(path, value)| PathChange {
            path: *path,
            value: value.map(|value| value_hash(&[value])),
        });
        let update = next_tree(self, base, changes.collect()).expect("a tree");
        for row in &update.stale {
            assert!(self.0.contains_key(row), "only stored nodes become stale");
        }
        self.0.extend(update.nodes.iter().cloned());
        update
    }
}

/// The reference's hasher with the hash function of our tree.
struct Reference(blake3::Hasher);

impl SimpleHasher for Reference {
    fn new() -> Self {
        Self(blake3::Hasher::new_keyed(b"neura v1 state tree value & node"))
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

#[derive(Default)]
struct ReferenceNodes(NodeBatch);

impl TreeReader for ReferenceNodes {
    fn get_node_option(&self, key: &NodeKey) -> Result<Option<JmtNode>, anyhow::Error> {
        Ok(self.0.get_node(key).cloned())
    }

    fn get_value_option(&self, _: u64, _: KeyHash) -> Result<Option<OwnedValue>, anyhow::Error> {
        Ok(None)
    }

    fn get_rightmost_leaf(&self) -> Result<Option<(NodeKey, LeafNode)>, anyhow::Error> {
        Ok(None)
    }
}

impl ReferenceNodes {
    fn apply(&mut self, version: Version, changes: &BTreeMap<Path, Option<u8>>) -> B256 {
        let set = changes.iter().map(|(path, value)| (KeyHash(*path), value.map(|v| vec![v])));
        let (root, batch) = JellyfishMerkleTree::<_, Reference>::new(self)
            .put_value_set(set, version)
            .expect("a tree");
        self.0.merge(batch.node_batch);
        B256::new(root.0)
    }
}

/// Paths that share long beginnings, so that splits and collapses happen at every depth.
fn path() -> impl Strategy<Value = Path> {
    (0usize..4, 0u8..4, prop::sample::select(vec![0x00u8, 0x01, 0x08, 0x10, 0x80, 0xff])).prop_map(
        |(place, first, byte)| {
            let mut path = [0; 32];
            path[0] = first << 5;
            path[[0, 1, 15, 31][place]] ^= byte;
            path
        },
    )
}

fn changes() -> impl Strategy<Value = BTreeMap<Path, Option<u8>>> {
    proptest::collection::btree_map(path(), proptest::option::weighted(0.6, 0u8..3), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn roots_are_those_of_the_reference_and_every_path_is_proved(
        blocks in proptest::collection::vec(changes(), 1..8),
        others in proptest::collection::vec(path(), 4),
    ) {
        let (mut ours, mut reference) = (Written::default(), ReferenceNodes::default());
        let mut model = BTreeMap::new();
        let mut kept = Vec::new();
        for (version, changes) in (0u64..).zip(&blocks) {
            let update = ours.apply(version.checked_sub(1), changes);
            prop_assert_eq!(update.root, reference.apply(version, changes));
            for (path, value) in changes {
                match value {
                    Some(value) => model.insert(*path, *value),
                    None => model.remove(path),
                };
            }
            kept.push((version, update.root, model.clone()));
        }
        // Old versions stay readable: nothing that they need was overwritten.
        for (version, root, model) in kept {
            for path in model.keys().chain(&others) {
                let proof = prove(&ours, version, path).expect("proved");
                let value = model.get(path).map(|value| [*value]);
                proof.verify(root, path, value.as_ref().map(|v| &v[..])).expect("it verifies");
                prop_assert!(proof.verify(root, path, Some(&[9])).is_err());
            }
        }
    }

    #[test]
    fn without_its_stale_nodes_the_newest_version_is_still_whole(
        blocks in proptest::collection::vec(changes(), 1..8),
    ) {
        let mut ours = Written::default();
        let mut model = BTreeMap::new();
        let mut root = B256::ZERO;
        for (version, changes) in (0u64..).zip(&blocks) {
            let update = ours.apply(version.checked_sub(1), changes);
            update.stale.iter().for_each(|row| drop(ours.0.remove(row)));
            model.extend(changes.iter().map(|(path, value)| (*path, *value)));
            root = update.root;
        }
        let last = blocks.len() as u64 - 1;
        for (path, value) in &model {
            let proof = prove(&ours, last, path).expect("proved");
            let value = value.map(|value| [value]);
            proof.verify(root, path, value.as_ref().map(|v| &v[..])).expect("it verifies");
        }
        let built = Written::default().apply(None, &model);
        prop_assert_eq!(built.root, root);
        prop_assert_eq!(built.nodes.len(), ours.0.len(), "nothing else is left");
    }

    #[test]
    fn arbitrary_bytes_decode_to_a_node_only_if_they_encode_it(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        if let Some(node) = Node::decode(&bytes) {
            prop_assert_eq!(node.encode(), bytes);
        }
    }
}

#[test]
fn rows_sort_by_version_and_pack_nibbles() {
    let path = [0xab; 32];
    assert_eq!(node_row(1, 0, &path), [0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(node_row(1, 1, &path), [0, 0, 0, 0, 0, 0, 0, 1, 1, 0xa0]);
    assert_eq!(node_row(1, 2, &path), [0, 0, 0, 0, 0, 0, 0, 1, 2, 0xab]);
    assert_eq!(node_row(0, 64, &path).len(), 41);
    assert!(node_row(1, 64, &path) < node_row(256, 0, &path));
    assert_eq!((nibble(&path, 62), nibble(&path, 63)), (0xa, 0xb));
}

#[test]
fn many_changes_at_once_make_the_same_tree_as_few_at_a_time() {
    let path = |n: u32| neura_types::state::proof::path_of(&n.to_be_bytes());
    let all: BTreeMap<Path, Option<u8>> = (0..2_000).map(|n| (path(n), Some(1))).collect();
    let (mut at_once, mut in_turns) = (Written::default(), Written::default());
    let genesis = at_once.apply(None, &all);
    let mut base = None;
    let mut last = B256::ZERO;
    for n in 0..20 {
        let part = all.iter().skip(n * 100).take(100).map(|(path, value)| (*path, *value));
        let update = in_turns.apply(base, &part.collect());
        (base, last) = (Some(update.version), update.root);
    }
    assert_eq!(genesis.root, last);
    // What goes leaves nothing behind, on whichever thread.
    let gone = all.keys().take(1_900).map(|path| (*path, None)).collect();
    let rest = at_once.apply(Some(genesis.version), &gone);
    let kept = all.iter().skip(1_900).map(|(path, value)| (*path, *value)).collect();
    assert_eq!(rest.root, Written::default().apply(None, &kept).root);
}
