use jmt::ValueHash;

use super::*;

fn leaf(byte: u8) -> Node {
    Node::Leaf(LeafNode::new(KeyHash([byte; 32]), ValueHash([byte; 32])))
}

fn update_of(base: Option<&BTreeMap<NodeKey, Node>>, keys: &[u8]) -> TreeUpdate {
    let set = keys.iter().map(|key| (KeyHash([*key; 32]), vec![*key])).collect();
    match base {
        None => next_tree(&NoNodes, None, set, vec![]).expect("a tree"),
        Some(new) => {
            let reader = Overlay { new, base: &NoNodes };
            next_tree(&reader, Some(0), set, vec![]).expect("a tree")
        }
    }
}

#[test]
fn rows_of_nodes_sort_by_version_and_pack_nibbles() {
    let update = update_of(None, &[0x12, 0x13]);
    let rows: Vec<_> = update.nodes.keys().map(node_row).collect();
    let version = [0; 8];
    // The root, the inner node below nibble 1, and its two leaves.
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0], [&version[..], &[0]].concat());
    assert_eq!(rows[1], [&version[..], &[1, 0x10]].concat());
    assert_eq!(rows[2], [&version[..], &[2, 0x12]].concat());
    assert_eq!(rows[3], [&version[..], &[2, 0x13]].concat());
}

#[test]
fn the_cache_stays_within_its_capacity_and_keeps_what_is_used() {
    let keys: Vec<NodeKey> = update_of(None, &(0..200).collect::<Vec<u8>>()).nodes.into_keys().collect();
    let mut cache = NodeCache::new(64);
    let used = keys[0].clone();
    cache.insert(used.clone(), leaf(1));
    for key in &keys[1..] {
        cache.insert(key.clone(), leaf(2));
        assert!(cache.len() <= 64);
        assert_eq!(cache.get(&used), Some(leaf(1)), "what is read stays");
    }
    assert_eq!(cache.get(&keys[1]), None, "what is not read goes");
    cache.remove(&used);
    assert_eq!(cache.get(&used), None);
    let mut none = NodeCache::new(0);
    none.insert(used.clone(), leaf(1));
    assert_eq!(none.get(&used), None);
}

#[test]
fn nodes_made_and_replaced_within_one_block_are_not_stored() {
    let base = update_of(None, &[0x12, 0x13, 0x55]);
    let reader = Overlay { new: &base.nodes, base: &NoNodes };
    let set = vec![(KeyHash([0x14; 32]), vec![1])];
    let both = next_tree(&reader, Some(0), set, vec![KeyHash([0x55; 32])]).expect("a tree");
    assert_eq!(both.version, 2);
    assert!(both.nodes.keys().all(|key| key.version() > 0));
    assert!(both.stale.iter().all(|key| key.version() == 0), "only stored nodes become stale");
    let roots = both.nodes.keys().filter(|key| key.nibble_path().is_empty()).count();
    assert_eq!(roots, 1, "the root between insertion and deletion is gone");
    let expected = update_of(None, &[0x12, 0x13]);
    let reader = Overlay { new: &expected.nodes, base: &NoNodes };
    let set = vec![(KeyHash([0x14; 32]), vec![1])];
    assert_eq!(next_tree(&reader, Some(0), set, vec![]).expect("a tree").root, both.root);
}
