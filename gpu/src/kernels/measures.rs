//! Measure a device: floats, bandwidth, memory. Each kernel's answer has one right value.

/// The product of floats.
pub(crate) const GEMM_F32: &str =
    concat!("alias Element = f32;\n", include_str!("gemm_float.wgsl"));
/// The product of 16-bit floats, for adapters that have them.
pub(crate) const GEMM_F16: &str =
    concat!("enable f16;\nalias Element = f16;\n", include_str!("gemm_float.wgsl"));
/// The copy.
pub(crate) const COPY: &str = include_str!("copy.wgsl");
/// What fills memory, and reads it again.
pub(crate) const FILL: &str = include_str!("fill.wgsl");
/// Products of bytes on registers alone.
pub(crate) const PEAK_I8: &str = include_str!("peak_i8.wgsl");
/// Multiply-adds of floats on registers alone.
pub(crate) const PEAK_F32: &str = include_str!("peak_f32.wgsl");

/// Outputs that a workgroup of the products of floats computes, each way.
pub(crate) const GEMM_F32_TILE: usize = 32;
/// Invocations of a workgroup of the others.
pub(crate) const GROUP: u32 = 64;
/// Workgroups of the others: enough for the largest device, each with a loop of some length.
pub(crate) const GROUPS: u32 = 4_096;

/// The uniforms of the products of floats.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct GemmF32 {
    /// `vec4<f32>` per row.
    pub(crate) depth: u32,
    /// Columns of C.
    pub(crate) stride: u32,
    pub(crate) padding: [u32; 2],
}

/// The uniforms of the copy, of which the first three are used, and of the fill.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Walk {
    /// Places of the buffer.
    pub(crate) count: u32,
    /// Invocations in all.
    pub(crate) stride: u32,
    /// Places per invocation.
    pub(crate) steps: u32,
    /// What filled words are made of.
    pub(crate) seed: u32,
    /// Whether words are compared instead of filled.
    pub(crate) check: u32,
    pub(crate) padding: [u32; 3],
}

impl Walk {
    /// Over `count` places.
    pub(crate) fn over(count: u32) -> Self {
        let stride = GROUP * GROUPS;
        let steps = count.div_ceil(stride);
        Walk { count, stride, steps, seed: 0, check: 0, padding: [0; 3] }
    }
}

/// The uniforms of the kernels on registers alone.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Peak {
    /// Rounds of each invocation, at most [`MAX_KERNEL_ITERATIONS`](crate::MAX_KERNEL_ITERATIONS).
    pub(crate) rounds: u32,
    /// Four bytes that bytes are multiplied by.
    pub(crate) bytes: u32,
    /// What floats are multiplied by, and what is added to them.
    pub(crate) factor: f32,
    pub(crate) addend: f32,
}

impl Peak {
    /// Steps of a round: multiply-adds of floats, or products of four bytes by four.
    pub(crate) const STEPS: u32 = 32;

    /// The factors are such that floats count, exactly; no compiler knows them.
    pub(crate) fn of(rounds: u32) -> Self {
        Peak { rounds, bytes: 0x03fd_0502, factor: 1.0, addend: 1.0 }
    }
}

/// The bits of a small whole number as a 16-bit float, which holds it exactly.
pub(crate) fn half_bits(x: i8) -> u16 {
    let sign = if x < 0 { 1 << 15 } else { 0 };
    let size = u16::from(x.unsigned_abs());
    let Some(top) = size.checked_ilog2() else { return 0 };
    // The topmost bit is not stored; those below it begin the fraction of 10 bits.
    let fraction = (size << (10 - top)) & 0x3ff;
    sign | ((top as u16 + 15) << 10) | fraction
}

/// The twin of the products of floats: a cell, of rows of small whole numbers.
pub(crate) fn float_cell(a: &[i8], b: &[i8]) -> f32 {
    a.iter().zip(b).map(|(x, y)| f32::from(*x) * f32::from(*y)).sum()
}

/// The twin of the products of bytes: what an invocation ends with.
pub(crate) fn peak_i8(id: u32, params: &Peak) -> [i32; 4] {
    [0, 1, 2, 3].map(|lane: u32| {
        let step = |x: i32| {
            let pairs = x.to_le_bytes().into_iter().zip(params.bytes.to_le_bytes());
            let products =
                pairs.map(|(x, y)| i32::from(x.cast_signed()) * i32::from(y.cast_signed()));
            x.wrapping_add(products.sum())
        };
        let after = |start: u32| (0..4 * params.rounds).fold(start.cast_signed(), |x, _| step(x));
        let start = id * 4 + lane;
        after(start).wrapping_add(after(start + (1 << 24)))
    })
}

/// The twin of the multiply-adds: the bits of what an invocation ends with.
pub(crate) fn peak_f32(id: u32, params: &Peak) -> [i32; 4] {
    [0, 1, 2, 3].map(|lane| {
        let steps = 2 * 4 * params.rounds;
        let sum = (2 * (id % 64) + 2 * lane + 64 + steps) as f32;
        sum.to_bits().cast_signed()
    })
}

/// The twin of the fill: the word at a place.
#[cfg(test)]
pub(crate) fn filled(at: u32, seed: u32) -> u32 {
    let x = at.wrapping_mul(747_796_405).wrapping_add(seed);
    let x = ((x >> ((x >> 28) + 4)) ^ x).wrapping_mul(277_803_737);
    (x >> 22) ^ x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_whole_numbers_are_16_bit_floats() {
        let known = [
            (0, 0x0000),
            (1, 0x3c00),
            (-1, 0xbc00),
            (2, 0x4000),
            (3, 0x4200),
            (7, 0x4700),
            (-8, 0xc800),
            (127, 0x57f0),
            (-128, 0xd800),
        ];
        for (x, bits) in known {
            assert_eq!(half_bits(x), bits, "{x}");
        }
    }
}
