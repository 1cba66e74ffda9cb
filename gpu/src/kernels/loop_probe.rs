//! Find out how many loop iterations a driver really executes.

/// The kernel's source.
pub(crate) const SOURCE: &str = include_str!("loop_probe.wgsl");

/// Iterations that the probe asks for: above the 65,535 that some drivers stop at.
pub(crate) const ITERATIONS: u32 = 100_000;

/// Invocations of the probe: one workgroup.
pub(crate) const INVOCATIONS: u32 = 64;

/// The kernel's uniforms.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Params {
    /// Iterations that each invocation is to make.
    pub(crate) iterations: u32,
    pub(crate) padding: [u32; 3],
}

/// The twin: the state of `invocation` after `iterations` steps of a generator, which a compiler
/// cannot foresee without making the steps.
pub(crate) fn reference(invocation: u32, iterations: u32) -> u32 {
    (0..iterations).fold(invocation, |x, _| x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
}
