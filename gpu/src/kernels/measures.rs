//! Measure a device: floats, bandwidth, memory. Each kernel's answer has one right value.

/// The product of floats.
pub(crate) const GEMM_F32: &str = include_str!("gemm_f32.wgsl");
/// The copy.
pub(crate) const COPY: &str = include_str!("copy.wgsl");
/// What fills memory, and reads it again.
pub(crate) const FILL: &str = include_str!("fill.wgsl");

/// Outputs that a workgroup of the product of floats computes, each way.
pub(crate) const GEMM_F32_TILE: usize = 32;
/// Invocations of a workgroup of the others.
pub(crate) const GROUP: u32 = 64;
/// Workgroups of the others: enough for the largest device, each with a loop of some length.
pub(crate) const GROUPS: u32 = 4_096;

/// The uniforms of the product of floats.
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

/// The twin of the fill: the word at a place.
#[cfg(test)]
pub(crate) fn filled(at: u32, seed: u32) -> u32 {
    let x = at.wrapping_mul(747_796_405).wrapping_add(seed);
    let x = ((x >> ((x >> 28) + 4)) ^ x).wrapping_mul(277_803_737);
    (x >> 22) ^ x
}
