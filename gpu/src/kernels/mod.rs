//! Hold the kernels: one WGSL file each, the CPU twin that defines it beside it.
//!
//! Matrices are packed four int8 to a word and padded with zeros to whole `vec4<u32>` per row, so
//! that a load brings 16 values. Kernels use 32-bit integers only: every adapter has them.

pub(crate) mod cells;
pub(crate) mod gemm_i8;
pub(crate) mod loop_probe;
pub(crate) mod measures;
pub(crate) mod proofs;
pub(crate) mod requantise;

pub use gemm_i8::GemmKernel;

/// Greatest number of loop iterations that an invocation of a kernel makes in one dispatch.
///
/// Mesa's lavapipe 22.3 ends every invocation after 65,535 iterations and reports nothing.
pub const MAX_KERNEL_ITERATIONS: u32 = 32_768;

/// Values per `vec4<u32>`: rows are padded to a multiple of it.
pub(crate) const LANE: usize = 16;

/// The width of a row of `k` values once packed.
pub(crate) fn padded(k: usize) -> usize {
    k.next_multiple_of(LANE)
}

/// Packs rows of `k` values, each padded with zeros to [`padded`] bytes.
pub(crate) fn pack(values: &[i8], k: usize) -> Vec<u8> {
    let width = padded(k);
    if width == k {
        return bytemuck::cast_slice(values).to_vec();
    }
    let mut packed = vec![0; values.len() / k * width];
    for (row, out) in values.chunks_exact(k).zip(packed.chunks_exact_mut(width)) {
        out[..k].copy_from_slice(bytemuck::cast_slice(row));
    }
    packed
}
