//! A chain of products that cannot be shortened, committed to before anyone knows what will be checked.
//!
//! Weights and first activations are made of a seed, row by row, so that a checker makes only the rows it needs. Each
//! stage multiplies all activations by the weights, and its sums, shifted and clamped, are the next activations: a
//! stage cannot begin before the one before it is done. A Merkle tree over the rows of sums commits to all of them.
//! Only then does a challenge say which sums are checked. Each costs the checker a row of weights and a product of
//! two rows, and a share `f` of wrong sums passes `n` of them with probability `(1 - f)^n`.

use super::rows::{ProvenRow, Tree, hash_rows};
use crate::{Backend, GemmShape, GpuError, Throughput};
use std::{
    panic, thread,
    time::{Duration, Instant},
};

/// Greatest side of the matrices: sums stay below 2^27, and a row below 32 KiB.
pub const MAX_CHAIN_SIDE: usize = 8_192;
/// Greatest number of stages: minutes of a slow device.
pub const MAX_CHAIN_STAGES: usize = 4_096;
/// Most bytes of sums of a chain: whoever runs it keeps them all until it has been checked.
pub const MAX_CHAIN_BYTES: u64 = 2 << 30;
/// Most sums that one proof opens.
pub const MAX_CHAIN_CELLS: usize = 4_096;
/// What separates the rows that are made of a seed from all other uses of it.
const ROW_DOMAIN: &str = "neura 2026 benchmark chain row";
/// The same for the sums that a challenge means.
const CELL_DOMAIN: &str = "neura 2026 benchmark chain cells";

/// Which chain to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainSpec {
    seed: [u8; 32],
    rows: usize,
    width: usize,
    stages: usize,
}

/// Why a proof is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// It does not open as many sums as were asked for.
    #[error("the proof opens {found} sums, {expected} were asked for")]
    Cells {
        /// Sums opened.
        found: usize,
        /// Sums asked for.
        expected: usize,
    },
    /// A row is not the one that was committed to, or has another length.
    #[error("row {row} of stage {stage} is not what was committed to")]
    Row {
        /// The stage, from 0.
        stage: usize,
        /// The row, from 0.
        row: usize,
    },
    /// A sum that was committed to is wrong.
    #[error("sum ({row}, {column}) of stage {stage} is {found}, not {expected}")]
    Sum {
        /// The stage, from 0.
        stage: usize,
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
        /// What was committed to.
        found: i32,
        /// What it should be.
        expected: i32,
    },
}

/// A place in a chain.
#[derive(Debug, Clone, Copy)]
struct Cell {
    stage: usize,
    row: usize,
    column: usize,
}

impl ChainSpec {
    /// A chain of `stages` products of `rows` × `width` activations by `width` × `width` weights.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] if a size is over its bound or none.
    pub fn new(
        seed: [u8; 32],
        (rows, width): (usize, usize),
        stages: usize,
    ) -> Result<Self, GpuError> {
        let sums = (rows as u64).saturating_mul(width as u64).saturating_mul(stages as u64);
        let bounds = [
            ("the number of rows", rows as u64, 1, MAX_CHAIN_SIDE as u64),
            ("the width of the rows", width as u64, 1, MAX_CHAIN_SIDE as u64),
            ("the number of stages", stages as u64, 1, MAX_CHAIN_STAGES as u64),
            ("the bytes of all sums", sums.saturating_mul(4), 4, MAX_CHAIN_BYTES),
        ];
        for (what, value, min, max) in bounds {
            if !(min..=max).contains(&value) {
                return Err(GpuError::TooLarge { what, value, max });
            }
        }
        Ok(ChainSpec { seed, rows, width, stages })
    }

    /// Multiply-accumulates of the whole chain.
    #[must_use]
    pub fn macs(&self) -> u64 {
        (self.rows * self.width) as u64 * (self.width * self.stages) as u64
    }

    /// Computes the chain and commits to it; rows are hashed while the next stage is computed.
    ///
    /// # Errors
    /// The device's.
    pub fn run(self, backend: &dyn Backend) -> Result<Chain, GpuError> {
        let weights: Vec<i8> = (0..self.width).flat_map(|row| self.weights(row)).collect();
        let mut x: Vec<i8> = (0..self.rows).flat_map(|row| self.first(row)).collect();
        let shape = GemmShape { m: self.rows, n: self.width, k: self.width };
        let started = Instant::now();
        let mut stages: Vec<Vec<i32>> = Vec::with_capacity(self.stages);
        let mut leaves = Vec::with_capacity(self.rows * self.stages);
        for _ in 0..self.stages {
            let (sums, hashed) = thread::scope(|scope| {
                let last = stages.last();
                let hashing = scope.spawn(move || last.map(|sums| hash_rows(sums, self.width)));
                let sums = backend.gemm_i8(&x, &weights, shape);
                let hashed = hashing.join().unwrap_or_else(|cause| panic::resume_unwind(cause));
                (sums, hashed)
            });
            leaves.extend(hashed.unwrap_or_default());
            let sums = sums?;
            x = self.activations(&sums);
            stages.push(sums);
        }
        leaves.extend(stages.last().map(|sums| hash_rows(sums, self.width)).unwrap_or_default());
        let tree = Tree::new(leaves);
        Ok(Chain { spec: self, stages, tree, elapsed: started.elapsed() })
    }

    /// The next activations. The shift is such that they neither die out nor are all clamped.
    fn activations(&self, sums: &[i32]) -> Vec<i8> {
        // By a stage without a shift values grow 74 * sqrt(width) times, 74 being the deviation of a random byte; with
        // the greatest shift below that, from once to twice.
        let shift = (74 * 74 * self.width).ilog2() / 2;
        let half = 1 << (shift - 1);
        let shifted = sums.iter().map(|sum| (sum.wrapping_add(half) >> shift).clamp(-128, 127));
        shifted.map(|value| value as i8).collect()
    }

    fn weights(&self, row: usize) -> Vec<i8> {
        self.random_row(0, row)
    }

    fn first(&self, row: usize) -> Vec<i8> {
        self.random_row(1, row)
    }

    fn random_row(&self, matrix: u8, row: usize) -> Vec<i8> {
        let mut bytes = vec![0; self.width];
        let mut hasher = blake3::Hasher::new_derive_key(ROW_DOMAIN);
        hasher.update(&self.seed).update(&[matrix]).update(&(row as u64).to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        bytes.into_iter().map(u8::cast_signed).collect()
    }

    /// The sums that a challenge means, in a chain that this root commits to.
    fn challenged(
        &self,
        root: &[u8; 32],
        challenge: &[u8; 32],
        cells: usize,
    ) -> impl Iterator<Item = Cell> + use<> {
        let mut hasher = blake3::Hasher::new_derive_key(CELL_DOMAIN);
        let mut reader = hasher.update(root).update(challenge).finalize_xof();
        let ChainSpec { rows, width, stages, .. } = *self;
        (0..cells).map(move |_| {
            let mut below = |bound: usize| {
                let mut bytes = [0; 8];
                reader.fill(&mut bytes);
                (u64::from_le_bytes(bytes) % bound as u64) as usize
            };
            Cell { stage: below(stages), row: below(rows), column: below(width) }
        })
    }

    fn leaf(&self, cell: Cell) -> usize {
        cell.stage * self.rows + cell.row
    }
}

/// A chain that was computed.
#[derive(Debug)]
pub struct Chain {
    spec: ChainSpec,
    stages: Vec<Vec<i32>>,
    tree: Tree,
    elapsed: Duration,
}

impl Chain {
    /// What commits to all sums.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        self.tree.root()
    }

    /// The work of the stages, and the time that it took: transfers and hashes included, the making of the weights not.
    #[must_use]
    pub fn throughput(&self) -> Throughput {
        Throughput { macs: self.spec.macs(), elapsed: self.elapsed }
    }

    /// Opens the sums that a challenge means, at most [`MAX_CHAIN_CELLS`].
    #[must_use]
    pub fn open(&self, challenge: &[u8; 32], cells: usize) -> ChainProof {
        let cells = self.spec.challenged(&self.root(), challenge, cells.min(MAX_CHAIN_CELLS));
        let cells = cells.map(|cell| ProvenCell {
            before: cell.stage.checked_sub(1).map(|stage| self.row(Cell { stage, ..cell })),
            row: self.row(cell),
        });
        ChainProof { cells: cells.collect() }
    }

    fn row(&self, cell: Cell) -> ProvenRow {
        let width = self.spec.width;
        let sums = self.stages[cell.stage][cell.row * width..][..width].to_vec();
        ProvenRow { sums, path: self.tree.path(self.spec.leaf(cell)) }
    }
}

/// Sums of a chain with all that they are made of, but for what the seed tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainProof {
    /// In the challenge's order.
    pub cells: Vec<ProvenCell>,
}

/// A sum, with its row and the row that it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenCell {
    /// The same row of the stage before; none in the first stage, whose activations the seed tells.
    pub before: Option<ProvenRow>,
    /// The row that the sum is in.
    pub row: ProvenRow,
}

impl ChainProof {
    /// Bytes of all that it holds.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let rows = self.cells.iter().flat_map(|cell| cell.before.iter().chain([&cell.row]));
        rows.map(|row| row.sums.len() * 4 + row.path.len() * 32).sum()
    }

    /// Checks the proof against what was committed to before the challenge was known: `cells` products of two rows.
    ///
    /// # Errors
    /// [`ChainError`]: what is wrong with it.
    pub fn check(
        &self,
        spec: &ChainSpec,
        root: &[u8; 32],
        challenge: &[u8; 32],
        cells: usize,
    ) -> Result<(), ChainError> {
        let expected = cells.min(MAX_CHAIN_CELLS);
        if self.cells.len() != expected {
            return Err(ChainError::Cells { found: self.cells.len(), expected });
        }
        let challenged = spec.challenged(root, challenge, expected);
        challenged.zip(&self.cells).try_for_each(|(cell, proven)| proven.check(spec, root, cell))
    }
}

impl ProvenCell {
    fn check(&self, spec: &ChainSpec, root: &[u8; 32], cell: Cell) -> Result<(), ChainError> {
        let Cell { stage, row, column } = cell;
        let committed = |proven: &ProvenRow, cell: Cell| {
            let leaves = spec.rows * spec.stages;
            let whole = proven.sums.len() == spec.width;
            match whole && proven.root(spec.leaf(cell), leaves) == Some(*root) {
                true => Ok(()),
                false => Err(ChainError::Row { stage: cell.stage, row }),
            }
        };
        committed(&self.row, cell)?;
        let x = match (&self.before, stage.checked_sub(1)) {
            (None, None) => spec.first(row),
            (Some(before), Some(stage)) => {
                committed(before, Cell { stage, ..cell })?;
                spec.activations(&before.sums)
            }
            _ => return Err(ChainError::Row { stage, row }),
        };
        let weights = spec.weights(column);
        let products = x.iter().zip(&weights).map(|(x, w)| i32::from(*x) * i32::from(*w));
        let (expected, found) = (products.sum(), self.row.sums[column]);
        match found == expected {
            true => Ok(()),
            false => Err(ChainError::Sum { stage, row, column, found, expected }),
        }
    }
}

#[cfg(test)]
mod tests;
