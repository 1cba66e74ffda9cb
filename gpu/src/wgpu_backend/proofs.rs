//! Commit to bytes, check products and fill memory on an adapter.

use super::{
    WgpuBackend,
    context::Run,
    resident::{grid, word},
};
use crate::{
    GemmShape, GpuError, MAX_KERNEL_ITERATIONS,
    kernels::{
        pack, padded,
        proofs::{Chunks, Columns, Kernel, Parents, Rows, Stream, key_words},
    },
};
use blake3::hazmat::{Mode, hash_derive_key_context, merge_subtrees_non_root, merge_subtrees_root};

/// Bytes of a chunk of BLAKE3.
const CHUNK: usize = 1_024;
/// Bytes hashed at once, a whole subtree: half of what may be bound on every device.
const PART: usize = 64 << 20;
/// BLAKE3's flag of the material that a key is derived from.
const DERIVE_KEY_MATERIAL: u32 = 64;
/// BLAKE3's key where none is given.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];
/// Bytes of a block of ChaCha8's key stream.
const BLOCK: usize = 64;
/// Invocations of a workgroup.
const GROUP: usize = 64;

impl WgpuBackend {
    /// BLAKE3 of `bytes`, in key-derivation mode if there is a `context`: the same as the `blake3`
    /// crate gives, and the root of its tree of 1 KiB leaves.
    ///
    /// # Errors
    /// The device's own.
    pub fn blake3(&self, context: Option<&str>, bytes: &[u8]) -> Result<[u8; 32], GpuError> {
        let part = PART.min(self.part_bytes());
        let derived = context.map(hash_derive_key_context);
        let mode = derived.as_ref().map_or(Mode::Hash, Mode::DeriveKeyMaterial);
        let key = derived.as_ref().map_or(INITIAL, key_words);
        let flags = derived.as_ref().map_or(0, |_| DERIVE_KEY_MATERIAL);
        let whole = bytes.len() <= part;
        let mut level = Vec::new();
        for (index, bytes) in bytes.chunks(part.max(CHUNK)).enumerate() {
            let first = word(index * (part / CHUNK));
            level.push(self.subtree(
                bytes,
                Chunks { first, flags, key, ..Chunks::default() },
                whole,
            )?);
        }
        if level.is_empty() {
            return self.subtree(&[], Chunks { flags, key, ..Chunks::default() }, true);
        }
        // Subtrees of whole parts are joined pair by pair, as the tree is.
        while let [_, _, ..] = &level[..] {
            if let [left, right] = &level[..] {
                return Ok(*merge_subtrees_root(left, right, mode).as_bytes());
            }
            let joined = level.chunks(2).map(|pair| match pair {
                [left, right] => merge_subtrees_non_root(left, right, mode),
                rest => rest[0],
            });
            level = joined.collect();
        }
        Ok(level[0])
    }

    /// The greatest part that may be bound, a power of two.
    fn part_bytes(&self) -> usize {
        let bytes = self.bounds.binding_bytes.max(2 * CHUNK as u64);
        1 << (bytes.ilog2() - 1)
    }

    /// The chaining value of a subtree, or the hash if it is the whole tree.
    fn subtree(&self, bytes: &[u8], params: Chunks, whole: bool) -> Result<[u8; 32], GpuError> {
        let count = bytes.len().div_ceil(CHUNK).max(1);
        let mut contents = bytes.to_vec();
        contents.resize(count * CHUNK, 0);
        let words = self.context.start(self.budget.timeout)?.guarded(|run| {
            let input = run.upload("bytes", &contents);
            let mut level = run.storage("chaining values", count as u64 * 32);
            let mut next = run.storage("next chaining values", count.div_ceil(2) as u64 * 32);
            let chunks = Chunks {
                chunks: word(count),
                bytes: word(bytes.len()),
                root: (whole && count == 1).into(),
                ..params
            };
            self.prove(run, Kernel::Blake3Chunks, (&chunks, count), &[&input, &level]);
            let mut left = count;
            while left > 1 {
                let parents = Parents {
                    count: word(left),
                    flags: params.flags,
                    root: (whole && left == 2).into(),
                    unused: 0,
                    key: params.key,
                };
                let pairs = left.div_ceil(2);
                self.prove(run, Kernel::Blake3Parents, (&parents, pairs), &[&level, &next]);
                std::mem::swap(&mut level, &mut next);
                left = pairs;
            }
            run.read(&level, 32)
        })?;
        let mut hash = [0; 32];
        hash.copy_from_slice(bytemuck::cast_slice(&words));
        Ok(hash)
    }

    /// The first row of which `c` is not `a · bᵀ`, as far as `r`, one word for each row of `b`, can
    /// tell: rows are compared as `c · r` and `a · (bᵀ · r)`, modulo 2^64. If `r` is drawn after `c`
    /// was fixed, a wrong row passes with a probability of at most 2^-32.
    ///
    /// # Errors
    /// [`GpuError::Shape`] or [`GpuError::TooLarge`] for what does not fit the shape or a binding;
    /// the device's own errors.
    pub fn wrong_row(
        &self,
        (a, b, c): (&[i8], &[i8], &[i32]),
        shape: GemmShape,
        r: &[u32],
    ) -> Result<Option<usize>, GpuError> {
        shape.check(a.len(), b.len())?;
        let GemmShape { m, n, k } = shape;
        for (matrix, found, expected) in [("C", c.len(), m * n), ("r", r.len(), n)] {
            if found != expected {
                return Err(GpuError::Shape { matrix, found, expected });
            }
        }
        if m == 0 || n == 0 {
            return Ok(None);
        }
        if k == 0 {
            return Ok(c.chunks_exact(n).position(|row| row.iter().any(|z| *z != 0)));
        }
        let widest = [m * padded(k), n * padded(k), m * n * 4, k.max(m).max(n) * 8];
        let (value, max) =
            (widest.iter().max().map_or(0, |x| *x as u64), self.bounds.binding_bytes);
        if value > max {
            return Err(GpuError::TooLarge { what: "a matrix, in bytes,", value, max });
        }
        let (found, expected) = self.context.start(self.budget.timeout)?.guarded(|run| {
            let (a, b) = (run.upload("a", &pack(a, k)), run.upload("b", &pack(b, k)));
            let c = run.upload("c", bytemuck::cast_slice(c));
            let words = run.upload("r", bytemuck::cast_slice(r));
            let wide: Vec<u64> = r.iter().map(|word| u64::from(*word)).collect();
            let wide = run.upload("wide r", bytemuck::cast_slice(&wide));
            let columns = run.storage("weighed columns", k as u64 * 8);
            for first in (0..n).step_by(MAX_KERNEL_ITERATIONS as usize) {
                let params = Columns {
                    columns: word(k),
                    first: word(first),
                    rows: word(n - first).min(MAX_KERNEL_ITERATIONS),
                    words: word(padded(k) / 4),
                };
                self.prove(run, Kernel::WeighColumns, (&params, k), &[&b, &words, &columns]);
            }
            let (left, right) =
                (run.storage("left", m as u64 * 8), run.storage("right", m as u64 * 8));
            // A workgroup makes each row.
            let rows = Rows { rows: word(m), columns: word(n), packed: 0, unused: 0 };
            self.prove(run, Kernel::WeighRows, (&rows, m * GROUP), &[&c, &wide, &left]);
            let rows = Rows { columns: word(k), packed: word(padded(k) / 4), ..rows };
            self.prove(run, Kernel::WeighRows, (&rows, m * GROUP), &[&a, &columns, &right]);
            Ok((run.read(&left, left.size())?, run.read(&right, right.size())?))
        })?;
        let rows = found.as_chunks::<2>().0.iter().zip(expected.as_chunks::<2>().0);
        Ok(rows.enumerate().find(|(_, (found, expected))| found != expected).map(|(row, _)| row))
    }

    /// Blocks of ChaCha8's key stream from number `first` on, of 64 bytes each: any of them can be
    /// made again without the others.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] for more than can be bound; the device's own errors.
    pub fn chacha8(
        &self,
        key: &[u8; 32],
        nonce: [u32; 2],
        (first, blocks): (u32, usize),
    ) -> Result<Vec<u8>, GpuError> {
        let (value, max) = ((blocks * BLOCK) as u64, self.bounds.binding_bytes);
        if value > max {
            return Err(GpuError::TooLarge { what: "a key stream, in bytes,", value, max });
        }
        if blocks == 0 {
            return Ok(Vec::new());
        }
        let words = self.context.start(self.budget.timeout)?.guarded(|run| {
            let stream = run.storage("key stream", value);
            let params = Stream { blocks: word(blocks), first, nonce, key: key_words(key) };
            self.prove(run, Kernel::Chacha8, (&params, blocks), &[&stream]);
            run.read(&stream, value)
        })?;
        Ok(bytemuck::cast_slice(&words).to_vec())
    }

    /// Queues a kernel of so many invocations.
    fn prove<P: bytemuck::Pod>(
        &self,
        run: &Run<'_>,
        kernel: Kernel,
        (params, invocations): (&P, usize),
        buffers: &[&wgpu::Buffer],
    ) {
        let code = (kernel.name(), kernel.source());
        let pipeline = self.kernels.proofs.get(run, kernel as usize, code);
        run.dispatch(
            pipeline,
            bytemuck::bytes_of(params),
            buffers,
            grid(invocations.div_ceil(GROUP)),
        );
    }
}

#[cfg(test)]
mod tests;
