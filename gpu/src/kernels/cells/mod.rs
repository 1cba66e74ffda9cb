//! Compute the operators of models over cells of 32 bits, one WGSL file each.
//!
//! In a device's memory a value is one `i32` for each cell, whatever its type: kernels then write
//! whole words, and no two invocations share one. Only products take a packed copy. The twin of
//! each kernel is the operator of `neura-int8` that it is named after, of which it computes every
//! cell. What has 64 bits there is made of words by `wide.wgsl`.

/// A kernel over cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Twin: [`Add`](neura_int8::ops::elementwise::Add).
    Add,
    /// Twin: [`Argmax`](neura_int8::ops::reduce::Argmax).
    Argmax,
    /// Twin: [`Conv2d`](neura_int8::ops::conv::Conv2d), before its finish.
    Convolve,
    /// Twins: [`Embed`](neura_int8::ops::embed::Embed), [`Position`](neura_int8::ops::embed::Position).
    Embed,
    /// Twin: [`Requant::apply`](neura_int8::Requant::apply).
    Finish,
    /// Twin: [`Lookup`](neura_int8::ops::lookup::Lookup).
    Lookup,
    /// Twin: [`MeanRows`](neura_int8::ops::reduce::MeanRows).
    MeanRows,
    /// Twin: [`Mix`](neura_int8::ops::attention::Mix), before its finish.
    Mix,
    /// Twin: [`Mul`](neura_int8::ops::elementwise::Mul), before its finish.
    Multiply,
    /// Twins: the operators of [`norm`](neura_int8::ops::norm).
    Norm,
    /// Twin: [`pack`](super::pack).
    Pack,
    /// Twins: the operators of [`pool`](neura_int8::ops::pool).
    Pool,
    /// Twins: [`Scores`](neura_int8::ops::attention::Scores), and
    /// [`MatMul`](neura_int8::ops::matmul::MatMul) before its finish.
    Products,
    /// Twin: [`Rope`](neura_int8::ops::rope::Rope).
    Rope,
    /// Twin: [`Softmax`](neura_int8::ops::softmax::Softmax).
    Softmax,
    /// Twins: the operators of [`layout`](neura_int8::ops::layout), and
    /// [`TakeRow`](neura_int8::ops::reduce::TakeRow).
    Strided,
}

impl Kernel {
    /// How many there are.
    pub(crate) const COUNT: usize = Kernel::Strided as usize + 1;

    /// The name in errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kernel::Add => "add",
            Kernel::Argmax => "argmax",
            Kernel::Convolve => "convolve",
            Kernel::Embed => "embed",
            Kernel::Finish => "finish",
            Kernel::Lookup => "lookup",
            Kernel::MeanRows => "mean_rows",
            Kernel::Mix => "mix",
            Kernel::Multiply => "multiply",
            Kernel::Norm => "norm",
            Kernel::Pack => "pack",
            Kernel::Pool => "pool",
            Kernel::Products => "products",
            Kernel::Rope => "rope",
            Kernel::Softmax => "softmax",
            Kernel::Strided => "strided",
        }
    }

    /// The source, with what it uses before it.
    pub(crate) fn source(self) -> &'static str {
        match self {
            Kernel::Add => concat!(include_str!("wide.wgsl"), include_str!("add.wgsl")),
            Kernel::Argmax => include_str!("argmax.wgsl"),
            Kernel::Convolve => include_str!("convolve.wgsl"),
            Kernel::Embed => concat!(include_str!("values.wgsl"), include_str!("embed.wgsl")),
            Kernel::Finish => concat!(include_str!("wide.wgsl"), include_str!("finish.wgsl")),
            Kernel::Lookup => concat!(include_str!("values.wgsl"), include_str!("lookup.wgsl")),
            Kernel::MeanRows => concat!(include_str!("wide.wgsl"), include_str!("mean_rows.wgsl")),
            Kernel::Mix => include_str!("mix.wgsl"),
            Kernel::Multiply => include_str!("multiply.wgsl"),
            Kernel::Norm => concat!(include_str!("wide.wgsl"), include_str!("norm.wgsl")),
            Kernel::Pack => include_str!("pack.wgsl"),
            Kernel::Pool => concat!(include_str!("wide.wgsl"), include_str!("pool.wgsl")),
            Kernel::Products => include_str!("products.wgsl"),
            Kernel::Rope => concat!(include_str!("values.wgsl"), include_str!("rope.wgsl")),
            Kernel::Softmax => concat!(include_str!("wide.wgsl"), include_str!("softmax.wgsl")),
            Kernel::Strided => include_str!("strided.wgsl"),
        }
    }
}

/// Declares the uniforms of kernels: what each means is said in its WGSL, field by field.
macro_rules! uniforms {
    ($($kernel:ident { $($field:ident: $kind:ty),* $(,)? })*) => {$(
        #[doc = concat!("The uniforms of [`Kernel::", stringify!($kernel), "`].")]
        #[repr(C)]
        #[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct $kernel { $(pub(crate) $field: $kind),* }
    )*};
}

uniforms! {
    Add {
        count: u32, left_multiplier: u32, left_shift: u32, right_multiplier: u32, right_shift: u32,
        low: i32, high: i32,
    }
    Argmax { lines: u32, length: u32 }
    Convolve {
        first: u32, end: u32, groups: u32, blocks: u32, group_inputs: u32, group_outputs: u32,
        height: u32, width: u32, made_height: u32, made_width: u32, window_height: u32,
        window_width: u32, down: u32, right: u32, above: u32, left: u32,
    }
    Embed { count: u32, width: u32, kind: u32, placed: u32, place: u32 }
    Finish {
        count: u32, channels: u32, plane: u32, multiplier: u32, shift: u32, low: i32, high: i32,
    }
    Lookup { count: u32, offset: i32, kind: u32 }
    MeanRows { width: u32, rows: u32, fraction: u32 }
    Mix {
        first: u32, end: u32, rows: u32, context: u32, heads: u32, share: u32, width: u32,
        stride: u32, causal: u32, place: u32,
    }
    Multiply { count: u32 }
    Norm {
        lines: u32, length: u32, centred: u32, averaged: u32, fraction: u32, epsilon_low: u32,
        epsilon_high: u32, gained: u32, gain_bits: u32, low: i32, high: i32,
    }
    Pack { count: u32, width: u32, words: u32 }
    Pool {
        count: u32, mean: u32, height: u32, width: u32, made_height: u32, made_width: u32,
        window_height: u32, window_width: u32, down: u32, right: u32, above: u32, left: u32,
    }
    Products {
        first: u32, end: u32, depth: u32, columns: u32, period: u32, share: u32, step: u32,
        jump: u32, causal: u32, place: u32, lines: u32,
    }
    Rope { count: u32, width: u32, head: u32, half: u32, place: u32, high: i32 }
    Softmax {
        lines: u32, length: u32, multiplier: u32, shift: u32, causal: u32, place: u32, per_row: u32,
    }
    Strided {
        count: u32, first_x: u32, first_y: u32, lengths: [u32; 3], steps_x: [u32; 4],
        steps_y: [u32; 4],
    }
}

/// The table of [`Kernel::Softmax`]: `2^(15 - i / 256)` for `i` up to 256, rounded.
pub(crate) fn powers() -> Vec<u32> {
    (0..=256_u64)
        .map(|i| if i < 256 { neura_int8::tables::exp2_negative(i << 8) } else { 1 << 14 })
        .collect()
}
