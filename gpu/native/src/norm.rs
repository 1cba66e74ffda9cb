//! Normalise rows: the same plain code, compiled once per level.

use crate::{
    Level,
    cells::div_round,
    finish::signed,
    gemm::{each, parts},
    values::Value,
};
use neura_int8::{
    Params,
    ops::norm::{Gain, LayerNorm, RmsNorm},
};

/// Bits behind the point of normalised values.
const UNIT_BITS: u32 = 16;
/// Cells take about as long as so many products each.
const WORK: usize = 24;

/// Layer norm or RMS norm, as `neura_int8` defines them.
#[derive(Debug)]
pub(crate) struct Norm<'a> {
    /// Whether the mean is taken away.
    centred: bool,
    fraction: u32,
    epsilon: u64,
    gains: &'a [i32],
    biases: Vec<i32>,
    down: u32,
    low: i64,
    high: i64,
}

impl<'a> Norm<'a> {
    pub(crate) fn layer(op: &LayerNorm, params: &'a Params) -> Self {
        Norm::new(true, (op.fraction, op.epsilon), &op.gain, params)
    }

    pub(crate) fn rms(op: &RmsNorm, params: &'a Params) -> Self {
        Norm::new(false, (op.fraction, op.epsilon), &op.gain, params)
    }

    fn new(centred: bool, (fraction, epsilon): (u8, u64), gain: &Gain, params: &'a Params) -> Self {
        let gains = params.i32s(gain.gain);
        let biases = gain.bias.map(|bias| params.i32s(bias).to_vec());
        Norm {
            centred,
            fraction: fraction.into(),
            epsilon,
            gains,
            biases: biases.unwrap_or_else(|| vec![0; gains.len()]),
            down: UNIT_BITS + u32::from(gain.gain_bits),
            low: gain.low.into(),
            high: gain.high.into(),
        }
    }

    /// Normalises whole rows, on all cores.
    pub(crate) fn rows<S: Value, T: Value>(&self, level: Level, values: &[S]) -> Vec<T> {
        let width = self.gains.len().max(1);
        let mut made = vec![T::default(); values.len()];
        let taken = parts(values.len() / width) * width;
        let both = values.chunks(taken).zip(made.chunks_mut(taken));
        each(values.len() * WORK, both, |(values, made)| {
            let mut sizes = vec![0; width];
            level.run(
                #[inline(always)]
                || {
                    let rows = values.chunks_exact(width).zip(made.chunks_exact_mut(width));
                    for (row, made) in rows {
                        self.row(row, &mut sizes, made);
                    }
                },
            );
        });
        made
    }

    /// `sizes` is room for a row. The range that the model was loaded with proves that differences
    /// from the mean fit it, and that nothing below overflows.
    #[inline(always)]
    fn row<S: Value, T: Value>(&self, row: &[S], sizes: &mut [i32], made: &mut [T]) {
        let count = row.len() as u64;
        let finer = |x: &S| i64::from((*x).into()).wrapping_shl(self.fraction);
        let mean = match self.centred {
            true => div_round(row.iter().map(finer).fold(0, i64::wrapping_add), count),
            false => 0,
        };
        let mut sum = 0_u64;
        for (x, size) in row.iter().zip(sizes.iter_mut()) {
            *size = i32::of(finer(x).wrapping_sub(mean));
            let size = u64::from(size.unsigned_abs());
            sum = sum.wrapping_add(size.wrapping_mul(size));
        }
        let v = (sum / count).saturating_add(self.epsilon);
        let (reciprocal, down) = reciprocal_root(v);
        let (half, out_half) = (1_u64 << (down - 1), 1_u64 << (self.down - 1));
        let channels = self.gains.iter().zip(&self.biases);
        for ((size, (gain, bias)), made) in sizes.iter().zip(channels).zip(made) {
            let product = u64::from(size.unsigned_abs()).wrapping_mul(reciprocal.into());
            let unit = signed(product.wrapping_add(half).wrapping_shr(down), *size < 0);
            let bias = i64::from(*bias).wrapping_shl(UNIT_BITS);
            let z = unit.wrapping_mul((*gain).into()).wrapping_add(bias);
            let y = z.unsigned_abs().wrapping_add(out_half).wrapping_shr(self.down);
            *made = T::of(signed(y, z < 0).min(self.high).max(self.low));
        }
    }
}

/// `r` and `s` for which `d * r / 2^s` is `d` over the root of `v`, in units of 2^-16; an `r` of
/// 0 if `v` is.
fn reciprocal_root(v: u64) -> (u32, u32) {
    if v == 0 {
        return (0, 63 - UNIT_BITS);
    }
    let e = v.leading_zeros() / 2;
    let root = v.wrapping_shl(2 * e).isqrt();
    let reciprocal = u32::try_from((1_u64 << 63) / root).unwrap_or(u32::MAX);
    (reciprocal, 63 - UNIT_BITS - e)
}
