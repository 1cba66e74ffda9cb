//! The tree against the reference implementation of the Jellyfish Merkle tree, and its rows.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::B256;
use jmt::{
    JellyfishMerkleTree, KeyHash, OwnedValue, SimpleHasher,
    storage::{LeafNode, Node as JmtNode, NodeBatch, NodeKey, TreeReader},
};
use neura_types::state::proof::{Leaf, inner_hash, value_hash};
use proptest::prelude::*;

use super::*;

/// Nodes written so far.
#[derive(Default)]
struct Written(HashMap<Vec<u8>, Vec<u8>>);

impl Nodes for Written {
    fn node(&self, row: &[u8]) -> Result<Node, StorageError> {
        read_node(row, self.0.get(row).map(Vec::as_slice))
    }
}

impl Written {
    /// Saves a tree, which keeps so many nodes in memory then, and returns its version.
    fn save(&mut self, tree: &mut Tree, capacity: usize) -> Version {
        let Saving { version, nodes, stale } = tree.saving();
        tree.saved(capacity);
        assert!(stale.iter().all(|row| self.0.contains_key(row)), "only saved nodes become stale");
        assert!(nodes.is_sorted() && nodes.iter().all(|(row, _)| !self.0.contains_key(row)));
        self.0.extend(nodes);
        version
    }
}

fn path_changes(changes: &BTreeMap<Path, Option<u8>>) -> Vec<PathChange> {
    let change = |(path, value): (&Path, &Option<u8>)| PathChange {
        path: *path,
        value: value.map(|value| value_hash(&[value])),
    };
    changes.iter().map(change).collect()
}

fn tree_of(changes: &BTreeMap<Path, Option<u8>>) -> Tree {
    let mut tree = Tree::empty();
    tree.change(&NoNodes, path_changes(changes)).expect("a tree");
    tree
}

/// Checks what a tree says about each path.
fn check_proofs<'a>(
    (nodes, tree): (&Written, &Tree),
    model: &BTreeMap<Path, u8>,
    paths: impl Iterator<Item = &'a Path>,
) {
    for path in paths {
        let proof = prove(nodes, tree, path).expect("proved");
        let value = model.get(path).map(|value| [*value]);
        proof.verify(tree.root_hash(), path, value.as_ref().map(|v| &v[..])).expect("it verifies");
        assert!(proof.verify(tree.root_hash(), path, Some(&[9])).is_err());
    }
}

/// The reference's hasher with the hash functions of our tree: it puts a prefix before what it hashes, ours have a key for
/// each kind.
struct Reference(Vec<u8>);

impl SimpleHasher for Reference {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    fn finalize(self) -> [u8; 32] {
        let halves = |hashes: &[u8]| {
            let [left, right] = hashes.as_chunks::<32>().0 else { panic!("two hashes") };
            (*left, *right)
        };
        if let Some(leaf) = self.0.strip_prefix(b"JMT::LeafNode") {
            let (path, value) = halves(leaf);
            Leaf { path, value }.hash()
        } else if let Some(inner) = self.0.strip_prefix(b"JMT::IntrnalNode") {
            let (left, right) = halves(inner);
            inner_hash(&left, &right)
        } else {
            value_hash(&self.0)
        }
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
        blocks in proptest::collection::vec(
            (changes(), proptest::option::of(0usize..8)), 1..8,
        ),
        others in proptest::collection::vec(path(), 4),
    ) {
        let (mut rows, mut reference) = (Written::default(), ReferenceNodes::default());
        let mut tree = Tree::empty();
        let mut model = BTreeMap::new();
        let mut kept = Vec::new();
        for (version, (changes, saves)) in (0u64..).zip(&blocks) {
            let root = tree.change(&rows, path_changes(changes)).expect("a tree");
            prop_assert_eq!(root, reference.apply(version, changes));
            for (path, value) in changes {
                match value {
                    Some(value) => model.insert(*path, *value),
                    None => model.remove(path),
                };
            }
            check_proofs((&rows, &tree), &model, model.keys().chain(&others));
            if let Some(capacity) = saves {
                kept.push((rows.save(&mut tree, *capacity), root, model.clone()));
            }
        }
        // Saved versions stay readable: nothing that they need was overwritten.
        for (version, root, model) in kept {
            let tree = Tree::open(&rows, version).expect("saved");
            prop_assert_eq!(tree.root_hash(), root);
            check_proofs((&rows, &tree), &model, model.keys().chain(&others));
        }
    }

    #[test]
    fn without_its_stale_nodes_the_newest_version_is_still_whole(
        blocks in proptest::collection::vec(changes(), 1..8),
        capacity in 0usize..8,
    ) {
        let (mut rows, mut tree) = (Written::default(), Tree::empty());
        let mut model = BTreeMap::new();
        let mut last = 0;
        for changes in &blocks {
            tree.change(&rows, path_changes(changes)).expect("a tree");
            let saving = tree.saving();
            tree.saved(capacity);
            saving.stale.iter().for_each(|row| assert!(rows.0.remove(row).is_some()));
            rows.0.extend(saving.nodes);
            last = saving.version;
            model.extend(changes.iter().map(|(path, value)| (*path, *value)));
        }
        let opened = Tree::open(&rows, last).expect("saved");
        let held = model.iter().filter_map(|(path, value)| Some((*path, (*value)?))).collect();
        check_proofs((&rows, &opened), &held, model.keys());
        let mut built = tree_of(&model);
        prop_assert_eq!(built.root_hash(), tree.root_hash());
        prop_assert_eq!(built.saving().nodes.len(), rows.0.len(), "nothing else is left");
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

/// Many leaves under different paths.
fn many(count: u32) -> BTreeMap<Path, Option<u8>> {
    let path = |n: u32| neura_types::state::proof::path_of(&n.to_be_bytes());
    (0..count).map(|n| (path(n), Some(1))).collect()
}

#[test]
fn many_changes_at_once_make_the_same_tree_as_few_at_a_time() {
    let all = many(2_000);
    let mut at_once = tree_of(&all);
    let mut in_turns = Tree::empty();
    for n in 0..20 {
        let part = all.iter().skip(n * 100).take(100).map(|(path, value)| (*path, *value));
        in_turns.change(&NoNodes, path_changes(&part.collect())).expect("a tree");
    }
    assert_eq!(at_once.root_hash(), in_turns.root_hash());
    // What goes leaves nothing behind, on whichever thread.
    let gone = all.keys().take(1_900).map(|path| (*path, None)).collect();
    let rest = at_once.change(&NoNodes, path_changes(&gone)).expect("a tree");
    let kept = all.iter().skip(1_900).map(|(path, value)| (*path, *value)).collect();
    assert_eq!(rest, tree_of(&kept).root_hash());
}

#[test]
fn a_tree_keeps_what_fits_in_memory_and_finds_the_rest() {
    const CAPACITY: usize = 100;
    let all = many(5_000);
    let (mut rows, mut tree) = (Written::default(), tree_of(&all));
    rows.save(&mut tree, CAPACITY);
    let held = |tree: &Tree| tree.nodes_in_memory();
    assert!((1..=CAPACITY).contains(&held(&tree)), "{} nodes", held(&tree));
    let few = all.iter().take(20).map(|(path, _)| (*path, Some(2))).collect();
    tree.change(&rows, path_changes(&few)).expect("a tree");
    let before = held(&tree);
    rows.save(&mut tree, CAPACITY);
    assert!((1..=before.min(CAPACITY)).contains(&held(&tree)));
    let mut model: BTreeMap<Path, u8> = all.keys().map(|path| (*path, 1)).collect();
    model.extend(few.keys().map(|path| (*path, 2)));
    check_proofs((&rows, &tree), &model, all.keys().step_by(50).chain(few.keys()));
}

#[test]
fn a_tree_is_saved_after_many_changes_or_many_blocks_but_not_for_nothing() {
    let (mut rows, mut tree) = (Written::default(), Tree::empty());
    assert!(!tree.is_due(9, 9), "nothing changed");
    tree.change(&rows, path_changes(&many(9))).expect("a tree");
    assert!(!tree.is_due(1, 9) && tree.is_due(9, 9));
    tree.change(&rows, path_changes(&many(40_000))).expect("a tree");
    assert!(tree.is_due(1, 9));
    rows.save(&mut tree, 1_000_000);
    assert!(!tree.is_due(9, 9));
}
