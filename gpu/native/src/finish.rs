//! Requantise sums: the same plain code, compiled once per level.

use crate::{Level, values::Value};
use neura_int8::{Requant, Scale};

/// A requantisation with all that it needs for each channel, each thing in a list of its own: one
/// load then fetches it for a vector of channels.
#[derive(Debug)]
pub(crate) struct Finish {
    multipliers: Vec<u32>,
    halves: Vec<u64>,
    shifts: Vec<u64>,
    biases: Vec<i32>,
    low: i64,
    high: i64,
}

impl Finish {
    /// `scales` is one factor, or one for each of `channels`; no `bias` is zeros.
    pub(crate) fn new(
        finish: &Requant,
        scales: &[Scale],
        bias: Option<&[i32]>,
        channels: usize,
    ) -> Self {
        let scales = || scales.iter().cycle().take(channels);
        Finish {
            multipliers: scales().map(|scale| scale.multiplier()).collect(),
            halves: scales().map(|scale| half(*scale)).collect(),
            shifts: scales().map(|scale| scale.shift().into()).collect(),
            biases: bias.map_or_else(|| vec![0; channels], <[i32]>::to_vec),
            low: finish.low.into(),
            high: finish.high.into(),
        }
    }

    /// Finishes whole rows of sums.
    pub(crate) fn rows<S: Value, T: Value>(&self, level: Level, sums: &[S], values: &mut [T]) {
        let width = self.biases.len().max(1);
        level.run(
            #[inline(always)]
            || {
                let rows = sums.chunks_exact(width).zip(values.chunks_exact_mut(width));
                for (sums, values) in rows {
                    self.row(sums, values);
                }
            },
        );
    }

    #[inline(always)]
    fn row<S: Value, T: Value>(&self, sums: &[S], values: &mut [T]) {
        let channels = self.multipliers.iter().zip(&self.halves).zip(&self.shifts);
        let sums = sums.iter().zip(&self.biases).zip(channels);
        for (((sum, bias), ((multiplier, half), shift)), value) in sums.zip(values) {
            let z = (*sum).into().wrapping_add(*bias);
            let scaled = scaled(z, *multiplier, *half, *shift);
            *value = T::of(scaled.min(self.high).max(self.low));
        }
    }
}

/// What is added before a factor's shift.
pub(crate) fn half(scale: Scale) -> u64 {
    (1 << scale.shift()) >> 1
}

/// `Scale::apply` of a factor's parts.
#[inline(always)]
pub(crate) fn scaled(z: i32, multiplier: u32, half: u64, shift: u64) -> i64 {
    // |z| is at most 2^31 and the multiplier below 2^31: all of this is below 2^63.
    let product = u64::from(z.unsigned_abs()).wrapping_mul(multiplier.into());
    let scaled = product.wrapping_add(half).wrapping_shr(shift as u32);
    signed(scaled, z < 0)
}

/// A magnitude below 2^63 with a sign.
#[inline(always)]
pub(crate) fn signed(magnitude: u64, negative: bool) -> i64 {
    let value = magnitude.cast_signed();
    if negative { value.wrapping_neg() } else { value }
}
