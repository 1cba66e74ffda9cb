//! Commit to rows of sums by a binary tree of BLAKE3 hashes.

use blake3::Hasher;
use std::thread;

/// What separates hashes of rows from hashes of pairs.
const ROW_DOMAIN: &str = "neura 2026 benchmark row of sums";
const PAIR_DOMAIN: &str = "neura 2026 benchmark pair of hashes";

/// A row, and what leads from it to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRow {
    /// The sums.
    pub sums: Vec<i32>,
    /// The hashes beside the way to the root, the lowest first.
    pub path: Vec<[u8; 32]>,
}

impl ProvenRow {
    /// The root that it leads to as leaf `at` of so many; none if the path has another length.
    pub(super) fn root(&self, mut at: usize, leaves: usize) -> Option<[u8; 32]> {
        if self.path.len() != leaves.next_power_of_two().ilog2() as usize {
            return None;
        }
        let pairs = Hasher::new_derive_key(PAIR_DOMAIN);
        let leaf = hash_row(&Hasher::new_derive_key(ROW_DOMAIN), &self.sums);
        Some(self.path.iter().fold(leaf, |hash, beside| {
            let (left, right) =
                if at.is_multiple_of(2) { (&hash, beside) } else { (beside, &hash) };
            at /= 2;
            hash_pair(&pairs, left, right)
        }))
    }
}

fn hash_row(domain: &Hasher, sums: &[i32]) -> [u8; 32] {
    *domain.clone().update(bytemuck::cast_slice(sums)).finalize().as_bytes()
}

fn hash_pair(domain: &Hasher, left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    *domain.clone().update(left).update(right).finalize().as_bytes()
}

/// The hash of each row of `width` sums, on all cores.
pub(super) fn hash_rows(sums: &[i32], width: usize) -> Vec<[u8; 32]> {
    let domain = Hasher::new_derive_key(ROW_DOMAIN);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let rows = sums.len() / width;
    let mut hashes = vec![[0; 32]; rows];
    let taken = rows.div_ceil(cores).max(1);
    thread::scope(|scope| {
        for (sums, hashes) in sums.chunks(taken * width).zip(hashes.chunks_mut(taken)) {
            let domain = &domain;
            scope.spawn(move || {
                for (row, hash) in sums.chunks_exact(width).zip(hashes) {
                    *hash = hash_row(domain, row);
                }
            });
        }
    });
    hashes
}

/// All hashes over some leaves. Leaves that are missing to a power of two are zeros.
#[derive(Debug)]
pub(super) struct Tree {
    /// From the leaves up to the root, which is alone.
    levels: Vec<Vec<[u8; 32]>>,
}

impl Tree {
    pub(super) fn new(mut leaves: Vec<[u8; 32]>) -> Self {
        leaves.resize(leaves.len().next_power_of_two(), [0; 32]);
        let domain = Hasher::new_derive_key(PAIR_DOMAIN);
        let mut levels = vec![leaves];
        while let Some([_, _, ..]) = levels.last().map(Vec::as_slice) {
            let (pairs, _) = levels[levels.len() - 1].as_chunks::<2>();
            levels
                .push(pairs.iter().map(|[left, right]| hash_pair(&domain, left, right)).collect());
        }
        Tree { levels }
    }

    pub(super) fn root(&self) -> [u8; 32] {
        self.levels[self.levels.len() - 1][0]
    }

    /// The hashes beside the way from a leaf to the root.
    pub(super) fn path(&self, leaf: usize) -> Vec<[u8; 32]> {
        let below_root = &self.levels[..self.levels.len() - 1];
        let beside = |(level, hashes): (usize, &Vec<[u8; 32]>)| hashes[(leaf >> level) ^ 1];
        below_root.iter().enumerate().map(beside).collect()
    }
}
