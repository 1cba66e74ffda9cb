//! Commit to memory, check products without making them again, fill memory anew from a seed: one
//! WGSL file each, and their CPU twins.

/// A kernel of proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Twin: BLAKE3 of a chunk, as the `blake3` crate makes it.
    Blake3Chunks,
    /// Twin: BLAKE3 of two subtrees, likewise.
    Blake3Parents,
    /// Twin: [`chacha8`].
    Chacha8,
    /// Twin: [`weighed_columns`].
    WeighColumns,
    /// Twin: [`weighed_rows`].
    WeighRows,
}

impl Kernel {
    /// How many there are.
    pub(crate) const COUNT: usize = Kernel::WeighRows as usize + 1;

    /// The name in errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kernel::Blake3Chunks => "blake3_chunks",
            Kernel::Blake3Parents => "blake3_parents",
            Kernel::Chacha8 => "chacha8",
            Kernel::WeighColumns => "weigh_columns",
            Kernel::WeighRows => "weigh_rows",
        }
    }

    /// The source, with what it uses before it.
    pub(crate) fn source(self) -> &'static str {
        match self {
            Kernel::Blake3Chunks => {
                concat!(include_str!("blake3.wgsl"), include_str!("blake3_chunks.wgsl"))
            }
            Kernel::Blake3Parents => {
                concat!(include_str!("blake3.wgsl"), include_str!("blake3_parents.wgsl"))
            }
            Kernel::Chacha8 => include_str!("chacha8.wgsl"),
            Kernel::WeighColumns => {
                concat!(include_str!("../cells/wide.wgsl"), include_str!("weigh_columns.wgsl"))
            }
            Kernel::WeighRows => {
                concat!(include_str!("../cells/wide.wgsl"), include_str!("weigh_rows.wgsl"))
            }
        }
    }
}

/// The uniforms of [`Kernel::Blake3Chunks`], as its WGSL describes them.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Chunks {
    pub(crate) chunks: u32,
    pub(crate) bytes: u32,
    pub(crate) first: u32,
    pub(crate) flags: u32,
    pub(crate) root: u32,
    pub(crate) unused: [u32; 3],
    pub(crate) key: [u32; 8],
}

/// The uniforms of [`Kernel::Blake3Parents`], as its WGSL describes them.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Parents {
    pub(crate) count: u32,
    pub(crate) flags: u32,
    pub(crate) root: u32,
    pub(crate) unused: u32,
    pub(crate) key: [u32; 8],
}

/// The uniforms of [`Kernel::Chacha8`], as its WGSL describes them.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Stream {
    pub(crate) blocks: u32,
    pub(crate) first: u32,
    pub(crate) nonce: [u32; 2],
    pub(crate) key: [u32; 8],
}

/// The uniforms of [`Kernel::WeighColumns`], as its WGSL describes them.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Columns {
    pub(crate) columns: u32,
    pub(crate) first: u32,
    pub(crate) rows: u32,
    pub(crate) words: u32,
}

/// The uniforms of [`Kernel::WeighRows`], as its WGSL describes them.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Rows {
    pub(crate) rows: u32,
    pub(crate) columns: u32,
    pub(crate) packed: u32,
    pub(crate) unused: u32,
}

/// The eight words of a key.
pub(crate) fn key_words(key: &[u8; 32]) -> [u32; 8] {
    let words = key.as_chunks().0;
    std::array::from_fn(|at| u32::from_le_bytes(words[at]))
}

/// Block `number` of ChaCha8's key stream.
#[cfg(test)]
pub(crate) fn chacha8(key: &[u8; 32], nonce: [u32; 2], number: u32) -> [u32; 16] {
    let mut start = [0; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    start[4..12].copy_from_slice(&key_words(key));
    start[12..].copy_from_slice(&[number, 0, nonce[0], nonce[1]]);
    let mut state = start;
    let mut quarter = |[a, b, c, d]: [usize; 4]| {
        for (x, y, z, by) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            state[x] = u32::wrapping_add(state[x], state[y]);
            state[z] = u32::rotate_left(state[z] ^ state[x], by);
        }
    };
    for _ in 0..4 {
        (0..4).for_each(|i| quarter([i, 4 + i, 8 + i, 12 + i]));
        (0..4).for_each(|i| quarter([i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4]));
    }
    std::array::from_fn(|at| state[at].wrapping_add(start[at]))
}

/// `sum over n of r[n] * W[n][k]`, modulo 2^64, for each `k`.
#[cfg(test)]
pub(crate) fn weighed_columns(matrix: &[i8], weights: &[u32]) -> Vec<u64> {
    let columns = matrix.len() / weights.len();
    let mut sums = vec![0_u64; columns];
    for (row, weight) in matrix.chunks_exact(columns).zip(weights) {
        for (sum, value) in sums.iter_mut().zip(row) {
            let term = i64::from(*value).wrapping_mul(i64::from(*weight));
            *sum = sum.wrapping_add(term.cast_unsigned());
        }
    }
    sums
}

/// `sum over j of C[i][j] * v[j]`, modulo 2^64, for each `i`.
#[cfg(test)]
pub(crate) fn weighed_rows(matrix: &[i32], weights: &[u64]) -> Vec<u64> {
    let sum = |row: &[i32]| {
        row.iter().zip(weights).fold(0_u64, |sum, (value, weight)| {
            sum.wrapping_add(i64::from(*value).cast_unsigned().wrapping_mul(*weight))
        })
    };
    matrix.chunks_exact(weights.len()).map(sum).collect()
}
