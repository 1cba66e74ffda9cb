//! A node: up to sixteen children, the leaves among them in full.

use neura_types::state::proof::{EMPTY_HASH, Leaf, inner_hash};

use super::{PathChange, Version, hash::node_hashes};

/// Bytes of a child's encoding at most: those of a leaf.
const MAX_CHILD_BYTES: usize = 64;

/// What a node has under one nibble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Child {
    /// The only leaf of that subtree, with its hash as a node.
    Leaf { leaf: Leaf, hash: [u8; 32] },
    /// A node with at least two leaves below it, and itself if it is in memory: one that is not saved always is.
    Inner { hash: [u8; 32], version: Version, node: Option<Box<Node>> },
}

impl Child {
    pub(crate) fn leaf(leaf: Leaf) -> Self {
        Self::Leaf { leaf, hash: leaf.hash() }
    }

    /// A node in the rows of a version.
    pub(crate) const fn saved(hash: [u8; 32], version: Version) -> Self {
        Self::Inner { hash, version, node: None }
    }

    pub(crate) const fn hash(&self) -> [u8; 32] {
        match self {
            Self::Leaf { hash, .. } | Self::Inner { hash, .. } => *hash,
        }
    }
}

/// Four levels of the binary tree. Only the root has fewer than two leaves below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Node {
    /// Which nibbles have a child.
    present: u16,
    /// Children by nibble, in order.
    children: Vec<(u8, Child)>,
}

impl Node {
    pub(crate) fn children(&self) -> &[(u8, Child)] {
        &self.children
    }

    pub(super) fn children_mut(&mut self) -> impl Iterator<Item = &mut (u8, Child)> {
        self.children.iter_mut()
    }

    /// Nodes right below it that are in memory.
    pub(super) fn children_in_memory(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|(_, child)| match child {
            Child::Inner { node, .. } => node.as_deref(),
            Child::Leaf { .. } => None,
        })
    }

    /// Takes a child out.
    pub(super) fn take(&mut self, nibble: u8) -> Option<Child> {
        self.place(nibble).ok().map(|place| self.remove(place).1)
    }

    /// Puts a child, or none, where there is none.
    pub(super) fn set(&mut self, nibble: u8, child: Option<Child>) {
        if let (Err(place), Some(child)) = (self.place(nibble), child) {
            self.insert(place, (nibble, child));
        }
    }

    /// Puts what is made of a child in its place. After an error the node is none.
    pub(super) fn replace<E>(
        &mut self,
        nibble: u8,
        make: impl FnOnce(Option<Child>) -> Result<Option<Child>, E>,
    ) -> Result<(), E> {
        match self.place(nibble) {
            Ok(place) => {
                let child = &mut self.children[place].1;
                let old = std::mem::replace(child, Child::saved(EMPTY_HASH, 0));
                match make(Some(old))? {
                    Some(new) => *child = new,
                    None => drop(self.remove(place)),
                }
            }
            Err(place) => {
                if let Some(new) = make(None)? {
                    self.insert(place, (nibble, new));
                }
            }
        }
        Ok(())
    }

    fn insert(&mut self, place: usize, child: (u8, Child)) {
        self.present |= 1 << child.0;
        self.children.insert(place, child);
    }

    fn remove(&mut self, place: usize) -> (u8, Child) {
        let child = self.children.remove(place);
        self.present &= !(1 << child.0);
        child
    }

    /// Where the child under a nibble is, or would be.
    fn place(&self, nibble: u8) -> Result<usize, usize> {
        let bit = 1u16 << nibble;
        let place = (self.present & (bit - 1)).count_ones() as usize;
        if self.present & bit == 0 { Err(place) } else { Ok(place) }
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        node_hashes(&[self])[0]
    }

    /// The encoding: which nibbles have a child and which of these a leaf, as little-endian bitmaps of two bytes; then
    /// per child in order path and value hash of a leaf, or hash and big-endian version of a node.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut leaves = 0u16;
        let mut bytes = Vec::with_capacity(4 + MAX_CHILD_BYTES * self.children.len());
        bytes.extend_from_slice(&[0; 4]);
        for (nibble, child) in &self.children {
            match child {
                Child::Leaf { leaf, .. } => {
                    leaves |= 1 << nibble;
                    bytes.extend_from_slice(&leaf.path);
                    bytes.extend_from_slice(&leaf.value);
                }
                Child::Inner { hash, version, .. } => {
                    bytes.extend_from_slice(hash);
                    bytes.extend_from_slice(&version.to_be_bytes());
                }
            }
        }
        bytes[..2].copy_from_slice(&self.present.to_le_bytes());
        bytes[2..4].copy_from_slice(&leaves.to_le_bytes());
        bytes
    }

    /// Reads an encoded node; none if the bytes are not one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (present, bytes) = bytes.split_first_chunk::<2>()?;
        let (leaves, mut bytes) = bytes.split_first_chunk::<2>()?;
        let (present, leaves) = (u16::from_le_bytes(*present), u16::from_le_bytes(*leaves));
        let mut children = Vec::with_capacity(present.count_ones() as usize);
        let mut held = Vec::with_capacity(leaves.count_ones() as usize);
        for nibble in (0u8..16).filter(|nibble| present >> nibble & 1 == 1) {
            let (first, rest) = bytes.split_first_chunk::<32>()?;
            let child = if leaves >> nibble & 1 == 1 {
                let (value, rest) = rest.split_first_chunk::<32>()?;
                bytes = rest;
                held.push(Leaf { path: *first, value: *value });
                Child::saved(EMPTY_HASH, 0)
            } else {
                let (version, rest) = rest.split_first_chunk::<8>()?;
                bytes = rest;
                Child::saved(*first, Version::from_be_bytes(*version))
            };
            children.push((nibble, child));
        }
        if !bytes.is_empty() || leaves & !present != 0 {
            return None;
        }
        let hashes = Leaf::hashes(held.iter().copied());
        let places = children.iter_mut().filter(|(nibble, _)| leaves >> nibble & 1 == 1);
        for ((_, child), (leaf, hash)) in places.zip(held.into_iter().zip(hashes)) {
            *child = Child::Leaf { leaf, hash };
        }
        Some(Self { present, children })
    }
}

/// Hash of the binary subtree over the nibbles from `start` on, `width` of them, that has these children.
pub(super) fn subtree_hash(children: &[(u8, Child)], start: u8, width: u8) -> [u8; 32] {
    match children {
        [] => EMPTY_HASH,
        [(_, Child::Leaf { hash, .. })] => *hash,
        [(_, only)] if width == 1 => only.hash(),
        _ => {
            let half = width / 2;
            let (left, right) = split(children, start + half);
            inner_hash(&subtree_hash(left, start, half), &subtree_hash(right, start + half, half))
        }
    }
}

/// Hash of the subtree under the first `bits` bits of some leaves, in order, that share these.
pub(crate) fn leaves_hash(leaves: &[PathChange], bits: usize) -> [u8; 32] {
    match leaves {
        [] => EMPTY_HASH,
        [PathChange { path, value }] => {
            value.map_or(EMPTY_HASH, |value| Leaf { path: *path, value }.hash())
        }
        _ => {
            let zero = |leaf: &PathChange| leaf.path[bits / 8] & (0x80 >> (bits % 8)) == 0;
            let (left, right) = leaves.split_at(leaves.partition_point(zero));
            inner_hash(&leaves_hash(left, bits + 1), &leaves_hash(right, bits + 1))
        }
    }
}

/// Children of a node with their nibbles, in order.
type Children = [(u8, Child)];

/// The children below a nibble, and those from it on.
pub(super) fn split(children: &Children, at: u8) -> (&Children, &Children) {
    children.split_at(children.partition_point(|(nibble, _)| *nibble < at))
}
