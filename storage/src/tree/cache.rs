//! Decoded nodes in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Node;
use crate::generations::Generations;

/// Parts by the first nibble of the path: threads that grow different subtrees do not wait for each other.
const PARTS: usize = 16;
/// Where the path begins in a row.
const PATH_AT: usize = 9;

type Part = Generations<Vec<u8>, Arc<Node>>;

/// Nodes by row.
pub(crate) struct NodeCache(Vec<Mutex<Part>>);

impl NodeCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self((0..PARTS).map(|_| Mutex::new(Part::new(capacity / PARTS))).collect())
    }

    pub(crate) fn get(&self, row: &[u8]) -> Option<Arc<Node>> {
        self.part(row).get(row).map(Arc::clone)
    }

    pub(crate) fn insert(&self, row: Vec<u8>, node: Arc<Node>) {
        self.part(&row).insert(row, node);
    }

    pub(crate) fn remove(&self, row: &[u8]) -> Option<Arc<Node>> {
        self.part(row).remove(row)
    }

    /// Whoever panicked with the lock left whole entries behind.
    fn part(&self, row: &[u8]) -> MutexGuard<'_, Part> {
        let place = row.get(PATH_AT).map_or(0, |byte| usize::from(byte >> 4));
        self.0[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
