//! Multiply int8 matrices: variants in WGSL, and their CPU twin.

use super::{LANE, MAX_KERNEL_ITERATIONS};
use crate::MAX_GEMM_K;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A variant of the int8 product. All give the same bits; which is fastest depends on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GemmKernel {
    /// 4 × 4 outputs per invocation, straight from global memory: best on software adapters without subgroups.
    Registers,
    /// 8 × 4 outputs per invocation, rows loaded once per subgroup, where all subgroups have one size: best on software
    /// adapters.
    Subgroup,
    /// 64 × 64 outputs per workgroup, staged through shared memory, 4 × 4 per invocation.
    Tiled,
    /// 128 × 128 outputs per workgroup, staged through shared memory, 8 × 8 per invocation.
    Wide,
    /// One output per invocation: what the others are measured against.
    Plain,
    /// 2 × 2 matrices of outputs per subgroup on the device's matrix units, where it has them: bytes as 16-bit floats.
    Matrix,
}

/// A variant's source after what it shares with others; its loads bring a word of four values, or four words.
macro_rules! source {
    (word: $($file:literal),+) => { source!(@"u32", $($file),+) };
    (words: $($file:literal),+) => { source!(@"vec4<u32>", $($file),+) };
    (@$element:literal, $($file:literal),+) => {
        concat!(
            "alias Element = ", $element, ";\n",
            include_str!("gemm_i8.wgsl"), $(include_str!($file)),+
        )
    };
}

impl GemmKernel {
    /// All variants.
    pub const ALL: [GemmKernel; 6] = [
        GemmKernel::Registers,
        GemmKernel::Subgroup,
        GemmKernel::Tiled,
        GemmKernel::Wide,
        GemmKernel::Plain,
        GemmKernel::Matrix,
    ];

    /// Those among which [`WgpuBackend::tuned`](crate::WgpuBackend::tuned) chooses, as far as the device has them.
    pub const TUNED: [GemmKernel; 5] = [
        GemmKernel::Registers,
        GemmKernel::Subgroup,
        GemmKernel::Tiled,
        GemmKernel::Wide,
        GemmKernel::Matrix,
    ];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GemmKernel::Registers => "registers",
            GemmKernel::Subgroup => "subgroup",
            GemmKernel::Tiled => "tiled",
            GemmKernel::Wide => "wide",
            GemmKernel::Plain => "plain",
            GemmKernel::Matrix => "matrix",
        }
    }

    /// What to run on a device with these units; none if the variant needs some that there are not.
    pub(crate) fn code(self, units: Units) -> Option<Code> {
        let fixed = |source, side| Code { source: Cow::Borrowed(source), tile: [side; 2] };
        Some(match self {
            GemmKernel::Registers => {
                fixed(source!(words: "gemm_i8_blocks.wgsl", "gemm_i8_registers.wgsl"), 32)
            }
            GemmKernel::Subgroup => {
                let lanes = units.lanes?;
                let source = source!(words: "gemm_i8_blocks.wgsl", "gemm_i8_subgroup.wgsl");
                let source = Cow::Owned(format!("const LANES: u32 = {lanes}u;\n{source}"));
                Code { source, tile: [SUBGROUP_ROWS as usize, 4 * lanes as usize] }
            }
            GemmKernel::Tiled => {
                fixed(source!(words: "gemm_i8_blocks.wgsl", "gemm_i8_tiled.wgsl"), 64)
            }
            GemmKernel::Wide => {
                fixed(source!(words: "gemm_i8_blocks.wgsl", "gemm_i8_wide.wgsl"), 128)
            }
            GemmKernel::Plain => fixed(source!(word: "gemm_i8_plain.wgsl"), 8),
            GemmKernel::Matrix => {
                let units = units.matrices?;
                let source = units.prelude() + source!(words: "gemm_i8_matrix.wgsl");
                Code { source: Cow::Owned(source), tile: [2 * units.side as usize; 2] }
            }
        })
    }
}

/// A variant as a device compiles it.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) source: Cow<'static, str>,
    /// Rows and columns of outputs that one workgroup computes.
    pub(crate) tile: [usize; 2],
}

/// Rows of outputs that a subgroup computes with [`GemmKernel::Subgroup`]: as many lanes load one each.
pub(crate) const SUBGROUP_ROWS: u32 = 8;

/// What a device has that some variants need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Units {
    /// Invocations of a subgroup, where all have one size, at least [`SUBGROUP_ROWS`].
    pub(crate) lanes: Option<u32>,
    pub(crate) matrices: Option<MatrixUnits>,
}

/// What a device multiplies at once: square matrices of 16-bit floats, summed in 32-bit ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MatrixUnits {
    /// Rows and columns of the matrices: 8 or 16.
    side: u32,
    /// Invocations of a subgroup, which multiplies them together.
    lanes: u32,
}

impl MatrixUnits {
    /// Values of the depth that the kernel stages at once.
    const CHUNK: u32 = 64;

    /// Those of matrices of `side` and subgroups of `lanes`, unless the kernel's loops would be too long on them.
    pub(crate) fn new(side: u32, lanes: u32) -> Option<Self> {
        let units = MatrixUnits { side, lanes };
        (lanes > 0 && units.iterations() <= MAX_KERNEL_ITERATIONS).then_some(units)
    }

    /// Loop iterations of an invocation at the greatest depth: chunks, and for each its rows, its matrices, and, every
    /// eighth time, its sums, four at a time.
    fn iterations(self) -> u32 {
        let tile = 2 * self.side;
        let sums = (tile * tile / 4).div_ceil(self.lanes);
        let of_chunk = 1 + (2 * tile).div_ceil(self.lanes) + Self::CHUNK / self.side;
        let chunks = (MAX_GEMM_K.next_multiple_of(LANE) as u32).div_ceil(Self::CHUNK);
        chunks * of_chunk + chunks.div_ceil(8) * sums
    }

    /// What comes before the kernel's source.
    fn prelude(self) -> String {
        let MatrixUnits { side, lanes } = self;
        let alias =
            |name, kind, role| format!("alias {name} = coop_mat{side}x{side}<{kind}, {role}>;\n");
        let types =
            alias("Left", "f16", "A") + &alias("Right", "f16", "B") + &alias("Sums", "f32", "C");
        let sizes = format!("const SIDE: u32 = {side}u;\nconst LANES: u32 = {lanes}u;\n");
        format!("enable f16;\nenable wgpu_cooperative_matrix;\n{types}{sizes}")
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

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::naga::{
        AddressSpace,
        front::wgsl,
        valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator},
    };

    #[test]
    fn the_kernel_of_every_size_of_matrix_units_is_valid_and_fits_the_least_shared_memory() {
        for (side, lanes) in [(8, 8), (8, 32), (16, 32), (16, 64)] {
            let units = Units { lanes: None, matrices: MatrixUnits::new(side, lanes) };
            let code = GemmKernel::Matrix.code(units).unwrap();
            let module = wgsl::parse_str(&code.source).unwrap();
            let needed = Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16;
            Validator::new(ValidationFlags::all(), needed).validate(&module).unwrap();
            let shared = module.global_variables.iter().map(|(_, variable)| variable);
            let shared = shared.filter(|variable| variable.space == AddressSpace::WorkGroup);
            let bytes: u32 =
                shared.map(|variable| module.types[variable.ty].inner.size(module.to_ctx())).sum();
            let least = wgpu::Limits::downlevel_defaults().max_compute_workgroup_storage_size;
            assert!(bytes <= least, "{bytes} bytes of {least}");
        }
    }

    #[test]
    fn the_kernel_of_every_size_of_subgroups_is_valid() {
        let of = |lanes| GemmKernel::Subgroup.code(Units { lanes, matrices: None });
        for (lanes, cols) in [(8, 32), (32, 128), (64, 256)] {
            let code = of(Some(lanes)).unwrap();
            assert_eq!(code.tile, [8, cols]);
            let module = wgsl::parse_str(&code.source).unwrap();
            let needed = Capabilities::SUBGROUP;
            let mut validator = Validator::new(ValidationFlags::all(), needed);
            validator.subgroup_stages(ShaderStages::COMPUTE);
            validator.subgroup_operations(SubgroupOperationSet::all());
            validator.validate(&module).unwrap();
        }
        assert!(of(None).is_none());
    }

    #[test]
    fn matrix_units_are_used_where_the_loops_over_the_greatest_depth_are_short_enough() {
        for (side, lanes) in [(8, 8), (8, 32), (16, 16), (16, 32), (16, 64)] {
            let units = MatrixUnits::new(side, lanes).unwrap();
            assert!(units.iterations() <= MAX_KERNEL_ITERATIONS, "{units:?}");
        }
        for (side, lanes) in [(8, 0), (8, 1), (16, 4), (16, 8)] {
            assert_eq!(MatrixUnits::new(side, lanes), None);
        }
    }
}
