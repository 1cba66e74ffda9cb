//! Hash nodes together, so that a processor makes many hashes at once.
//!
//! A node is four levels of the binary tree. Those of several nodes are made level by level: what stands on one level of
//! all of them is hashed in one go.

use neura_types::state::proof::{EMPTY_HASH, inner_hashes, joined};

use super::{Node, node::Child};

/// Levels of the binary tree in a node.
const LEVELS: u32 = 4;

/// What stands at a place of a level, if not nothing.
struct Cell {
    /// Number of the node, then the place in the level from the left: what lies side by side differs in the last bit.
    at: usize,
    /// Whether it is the only leaf of its subtree, and so stands for the subtree as it is.
    is_leaf: bool,
    hash: [u8; 32],
}

/// Makes the hashes of the nodes in memory among some children.
pub(super) fn hash_nodes<'a>(children: impl Iterator<Item = &'a mut Child>) {
    let in_memory = |child: &'a mut Child| match child {
        Child::Inner { hash, node: Some(node), .. } => Some((hash, &**node)),
        _ => None,
    };
    let (hashes, nodes): (Vec<_>, Vec<_>) = children.filter_map(in_memory).unzip();
    for (hash, made) in hashes.into_iter().zip(node_hashes(&nodes)) {
        *hash = made;
    }
}

/// Hashes of nodes, in order.
pub(super) fn node_hashes(nodes: &[&Node]) -> Vec<[u8; 32]> {
    let mut cells = Vec::with_capacity(nodes.iter().map(|node| node.children().len()).sum());
    for (number, node) in nodes.iter().enumerate() {
        cells.extend(node.children().iter().map(|(nibble, child)| Cell {
            at: number << LEVELS | usize::from(*nibble),
            is_leaf: matches!(child, Child::Leaf { .. }),
            hash: child.hash(),
        }));
    }
    for _ in 0..LEVELS {
        cells = level_above(cells);
    }
    let mut hashes = vec![EMPTY_HASH; nodes.len()];
    cells.into_iter().for_each(|cell| hashes[cell.at] = cell.hash);
    hashes
}

/// The level above one, in order as that is.
fn level_above(cells: Vec<Cell>) -> Vec<Cell> {
    let (mut above, mut places, mut inputs) = (Vec::with_capacity(cells.len()), vec![], vec![]);
    let mut cells = cells.into_iter().peekable();
    while let Some(cell) = cells.next() {
        let at = cell.at >> 1;
        let right = cells.next_if(|next| next.at >> 1 == at);
        if right.is_none() && cell.is_leaf {
            above.push(Cell { at, ..cell });
            continue;
        }
        inputs.push(match right {
            Some(right) => joined(&cell.hash, &right.hash),
            None if cell.at & 1 == 0 => joined(&cell.hash, &EMPTY_HASH),
            None => joined(&EMPTY_HASH, &cell.hash),
        });
        places.push(above.len());
        above.push(Cell { at, is_leaf: false, hash: EMPTY_HASH });
    }
    for (place, hash) in places.into_iter().zip(inner_hashes(&inputs)) {
        above[place].hash = hash;
    }
    above
}
