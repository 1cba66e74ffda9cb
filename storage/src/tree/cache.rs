//! Decoded nodes in memory.

use std::{collections::HashMap, sync::Arc};

use super::Node;

/// Nodes by row, in two generations: what is used moves to the young one, and when that holds half of the capacity the old
/// one is dropped.
pub(crate) struct NodeCache {
    young: HashMap<Vec<u8>, Arc<Node>>,
    old: HashMap<Vec<u8>, Arc<Node>>,
    half: usize,
}

impl NodeCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: capacity / 2 }
    }

    pub(crate) fn get(&mut self, row: &[u8]) -> Option<Arc<Node>> {
        if let Some(node) = self.young.get(row) {
            return Some(Arc::clone(node));
        }
        let (row, node) = self.old.remove_entry(row)?;
        self.insert(row, Arc::clone(&node));
        Some(node)
    }

    pub(crate) fn insert(&mut self, row: Vec<u8>, node: Arc<Node>) {
        if self.half == 0 {
            return;
        }
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(row, node);
    }

    pub(crate) fn remove(&mut self, row: &[u8]) {
        if self.young.remove(row).is_none() {
            self.old.remove(row);
        }
    }

    /// Nodes held, at most the capacity.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
