//! Multiply int8 matrices: variants in WGSL, and their CPU twin.

use serde::{Deserialize, Serialize};

/// A variant of the int8 product. All give the same bits; which is fastest depends on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GemmKernel {
    /// 4 × 4 outputs per invocation, straight from global memory: best on software adapters.
    Registers,
    /// 64 × 64 outputs per workgroup, staged through shared memory, 4 × 4 per invocation.
    Tiled,
    /// 128 × 128 outputs per workgroup, staged through shared memory, 8 × 8 per invocation.
    Wide,
    /// One output per invocation: what the others are measured against.
    Plain,
}

impl GemmKernel {
    /// All variants.
    pub const ALL: [GemmKernel; 4] =
        [GemmKernel::Registers, GemmKernel::Tiled, GemmKernel::Wide, GemmKernel::Plain];

    /// Those among which [`WgpuBackend::tuned`](crate::WgpuBackend::tuned) chooses.
    pub const TUNED: [GemmKernel; 3] = [GemmKernel::Registers, GemmKernel::Tiled, GemmKernel::Wide];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GemmKernel::Registers => "registers",
            GemmKernel::Tiled => "tiled",
            GemmKernel::Wide => "wide",
            GemmKernel::Plain => "plain",
        }
    }

    /// The kernel's source.
    pub(crate) fn source(self) -> &'static str {
        match self {
            GemmKernel::Registers => include_str!("gemm_i8_registers.wgsl"),
            GemmKernel::Tiled => include_str!("gemm_i8_tiled.wgsl"),
            GemmKernel::Wide => include_str!("gemm_i8_wide.wgsl"),
            GemmKernel::Plain => include_str!("gemm_i8_plain.wgsl"),
        }
    }

    /// Rows and columns of outputs that one workgroup computes.
    pub(crate) fn tile(self) -> usize {
        match self {
            GemmKernel::Registers => 32,
            GemmKernel::Tiled => 64,
            GemmKernel::Wide => 128,
            GemmKernel::Plain => 8,
        }
    }
}

/// The uniforms of all variants.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Params {
    /// Rows of A.
    pub(crate) rows: u32,
    /// Rows of B that this dispatch reads, columns that it writes.
    pub(crate) cols: u32,
    /// `vec4<u32>` per row of A and B.
    pub(crate) depth: u32,
    /// Columns of C.
    pub(crate) stride: u32,
    /// First column that this dispatch writes.
    pub(crate) first_col: u32,
    /// First row of B, within its binding, that this dispatch reads.
    pub(crate) first_b: u32,
    pub(crate) padding: [u32; 2],
}

/// The twin: `C = A · Bᵀ`, with `a` and `b` rows of `k` values and `c` of `b.len() / k` values.
pub(crate) fn reference(a: &[i8], b: &[i8], k: usize, c: &mut [i32]) {
    let n = b.len() / k;
    for (row, out) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
        for (column, sum) in b.chunks_exact(k).zip(out) {
            let products = row.iter().zip(column).map(|(x, y)| i32::from(*x) * i32::from(*y));
            *sum = products.fold(0, i32::wrapping_add);
        }
    }
}
