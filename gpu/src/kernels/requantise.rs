//! Scale accumulators back to packed int8 activations: the WGSL kernel's other half.
//!
//! The CPU twin is [`neura_int8::Requant::apply`], the definition itself.

/// The kernel's source.
pub(crate) const SOURCE: &str =
    concat!(include_str!("cells/wide.wgsl"), include_str!("requantise.wgsl"));

/// Words of activations that one workgroup writes, all of one row.
pub(crate) const WORDS_PER_GROUP: usize = 64;

/// The kernel's uniforms.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Params {
    /// Accumulators per row.
    pub(crate) cols: u32,
    /// Words per row of activations, padding included.
    pub(crate) words: u32,
    /// Least activation.
    pub(crate) low: i32,
    pub(crate) padding: u32,
}
