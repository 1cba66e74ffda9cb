//! Put a tree together from subtrees that were made apart.

use super::{Node, NodeRow, Path, nibble, node::Child, node_row};

/// What stands under the first nibbles of a path.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) path: Path,
    /// How many nibbles; not none.
    pub(crate) depth: u8,
    pub(crate) child: Child,
}

/// The hash of the root, and the nodes of version 0 above the parts, which are in order of their paths and do not
/// overlap. Every node above a part has at least two leaves below it.
pub(crate) fn join(parts: &[Part]) -> ([u8; 32], Vec<NodeRow>) {
    let mut rows = Vec::new();
    let root = node_above(parts, 0, &mut rows);
    let hash = root.hash();
    rows.push((node_row(0, 0, &[0; 32]), root.encode()));
    (hash, rows)
}

fn node_above(parts: &[Part], depth: u8, rows: &mut Vec<NodeRow>) -> Node {
    let mut node = Node::default();
    for group in parts.chunk_by(|a, b| nibble(&a.path, depth) == nibble(&b.path, depth)) {
        let path = &group[0].path;
        let child = match group {
            [part] if part.depth == depth + 1 => part.child.clone(),
            _ => {
                let below = node_above(group, depth + 1, rows);
                let hash = below.hash();
                rows.push((node_row(0, depth + 1, path), below.encode()));
                Child::saved(hash, 0)
            }
        };
        node.set(nibble(path, depth), Some(child));
    }
    node
}
