//! Requantise sums: the same plain code, compiled once per level.

use crate::Level;
use neura_int8::{Requant, Scale};

/// A type that finished values are stored in.
pub(crate) trait Value: Copy + Default + Send {
    /// The value, which is within the limits of the type.
    fn of(value: i64) -> Self;
}

macro_rules! values {
    ($($name:ty)*) => {$(
        impl Value for $name {
            #[inline(always)]
            #[allow(clippy::cast_possible_truncation, reason = "limits are those of the type")]
            fn of(value: i64) -> Self { value as $name }
        }
    )*};
}

values! { i8 i16 u16 i32 }

/// A requantisation with all that it needs for each channel.
#[derive(Debug)]
pub(crate) struct Finish {
    channels: Vec<Channel>,
    low: i64,
    high: i64,
}

#[derive(Debug, Clone, Copy)]
struct Channel {
    multiplier: u64,
    half: u64,
    shift: u64,
    bias: i32,
}

impl Finish {
    /// `scales` is one factor, or one for each of `channels`; no `bias` is zeros.
    pub(crate) fn new(
        finish: &Requant,
        scales: &[Scale],
        bias: Option<&[i32]>,
        channels: usize,
    ) -> Self {
        let channel = |at: usize| {
            let scale = scales[at % scales.len().max(1)];
            let shift = u64::from(scale.shift());
            Channel {
                multiplier: scale.multiplier().into(),
                half: if shift == 0 { 0 } else { 1 << (shift - 1) },
                shift,
                bias: bias.map_or(0, |bias| bias[at]),
            }
        };
        let channels = (0..channels).map(channel).collect();
        Finish { channels, low: finish.low.into(), high: finish.high.into() }
    }

    /// Finishes whole rows of sums.
    #[allow(unsafe_code, reason = "instructions that were found to be there")]
    pub(crate) fn rows<T: Value>(&self, level: Level, sums: &[i32], values: &mut [T]) {
        let width = self.channels.len().max(1);
        for (sums, values) in sums.chunks_exact(width).zip(values.chunks_exact_mut(width)) {
            match level {
                // SAFETY: a level is used only where its instructions are available.
                #[cfg(target_arch = "x86_64")]
                Level::Avx512Vnni => unsafe { self.row_avx512(sums, values) },
                // SAFETY: a level is used only where its instructions are available.
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => unsafe { self.row_avx2(sums, values) },
                _ => self.row(sums, values),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn row_avx512<T: Value>(&self, sums: &[i32], values: &mut [T]) {
        self.row(sums, values);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn row_avx2<T: Value>(&self, sums: &[i32], values: &mut [T]) {
        self.row(sums, values);
    }

    #[inline(always)]
    fn row<T: Value>(&self, sums: &[i32], values: &mut [T]) {
        for ((sum, channel), value) in sums.iter().zip(&self.channels).zip(values) {
            let z = sum.wrapping_add(channel.bias);
            // |z| is at most 2^31 and the multiplier below 2^31: all of this is below 2^63.
            let product = u64::from(z.unsigned_abs()).wrapping_mul(channel.multiplier);
            let scaled = product.wrapping_add(channel.half).wrapping_shr(channel.shift as u32);
            let scaled = scaled.cast_signed();
            let signed = if z < 0 { scaled.wrapping_neg() } else { scaled };
            *value = T::of(signed.min(self.high).max(self.low));
        }
    }
}
