//! Normalise rows: by mean and deviation, by root mean square, by length.

use super::{Call, Cells, Operator, Ranging, Site, Typing, read_row};
use crate::{
    DType, Data, Kernels, ModelError, NodeProblem, ParamId,
    codec::{Reader, Writer},
    error::{fits, within},
    graph::ValueType,
    num,
    range::{Interval, WIDE_ACCUMULATOR},
};

/// Greatest number of extra bits in which a mean is taken.
const MAX_FRACTION: u8 = 16;
/// Greatest number of bits of a norm's gain behind the point.
const MAX_GAIN_BITS: u8 = 30;
/// Bits behind the point of normalised values.
const UNIT_BITS: u32 = 16;

/// What layer norm and RMS norm share: how normalised values become those of the output.
///
/// `q[i]` being the normalised value in units of 2^-16:
/// `y[i] = clamp(round((q[i] * gain[i] + bias[i] * 2^16) / 2^(16 + gain_bits)), low, high)`, in 64
/// bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gain {
    /// i32, as long as the last axis: in units of 2^-`gain_bits`.
    pub gain: ParamId,
    /// i32, as long as the last axis, in the same units; zeros if there is none.
    pub bias: Option<ParamId>,
    /// Bits of gain and bias behind the point, at most 30.
    pub gain_bits: u8,
    /// The type made.
    pub dtype: DType,
    /// Least value made.
    pub low: i32,
    /// Greatest value made.
    pub high: i32,
}

/// How a row is brought to unit size. Arithmetic is of 64 bits.
///
/// `d[i]` is the row's value in units of 2^-`fraction` (of the operand's), less the mean if
/// `centred`; `v = sum of d[i]^2 / n + epsilon`, rounded down. With `e` the greatest for which
/// `v * 4^e` is below 2^64: `s = floor(sqrt(v * 4^e))`, at least 2^31;
/// `r = min(floor(2^63 / s), 2^32 - 1)`; `q[i] = round(d[i] * r / 2^(47 - e))`, which is `d[i]`
/// over its root mean square, in units of 2^-16. If `v` is 0, `q[i]` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Normaliser {
    /// `d[i] = x[i] * 2^fraction - round(sum of x * 2^fraction / n)`, without the mean if false.
    centred: bool,
    fraction: u8,
    epsilon: u64,
    /// Whether squares are averaged; their sum is taken otherwise.
    averaged: bool,
}

impl Normaliser {
    /// The row's values at unit size, in units of 2^-16.
    fn row(self, row: &[i32]) -> Vec<i64> {
        let shift = u32::from(self.fraction);
        let count = num::wide(row.len());
        let finer = row.iter().map(|x| i64::from(*x).wrapping_shl(shift));
        let mean = match self.centred {
            true => num::div_round(finer.clone().fold(0, i64::wrapping_add), count),
            false => 0,
        };
        let sizes: Vec<i64> = finer.map(|x| x.wrapping_sub(mean)).collect();
        let squares = sizes.iter().map(|d| d.unsigned_abs().wrapping_mul(d.unsigned_abs()));
        let sum = squares.fold(0, u64::wrapping_add);
        let divisor = if self.averaged { count } else { 1 };
        let v = sum.checked_div(divisor).unwrap_or(0).saturating_add(self.epsilon);
        if v == 0 {
            return vec![0; row.len()];
        }
        let e = v.leading_zeros() / 2;
        let root = num::isqrt(v.wrapping_shl(e.wrapping_mul(2)));
        let reciprocal = (1_u64 << 63).checked_div(root).unwrap_or(0).min(u64::from(u32::MAX));
        // The range of d proves that this is below 2^63.
        let down = 63_u32.wrapping_sub(UNIT_BITS).wrapping_sub(e);
        let unit = |d: i64| {
            let product = d.unsigned_abs().wrapping_mul(reciprocal);
            num::with_sign(num::shift_round_unsigned(product, down), d < 0)
        };
        sizes.into_iter().map(unit).collect()
    }

    /// Checks that no intermediate overflows; the greatest `|q|`.
    fn check(self, x: Interval, length: usize) -> Result<u64, NodeProblem> {
        within("the fraction", self.fraction.into(), 0, MAX_FRACTION.into())?;
        let length = num::wide(length);
        let finer = x.magnitude().saturating_mul(1 << self.fraction.min(MAX_FRACTION));
        fits("a sum of the row", finer.saturating_mul(length), WIDE_ACCUMULATOR)?;
        // A value differs from the mean by no more than the row's range, rounded up.
        let apart = x.high.abs_diff(x.low).saturating_mul(1 << self.fraction.min(MAX_FRACTION));
        let size = if self.centred { apart.saturating_add(1) } else { finer };
        fits("a value of the row", size, (1 << 31) - 1)?;
        let squares = size.saturating_mul(size).saturating_mul(length);
        fits("the sum of squares", squares.saturating_add(self.epsilon), WIDE_ACCUMULATOR)?;
        // |d| <= sqrt(n * v'), v' being v before it is rounded down to at least 1: the quotient is
        // below sqrt(2 n), and the root's and the reciprocal's roundings stay within another half.
        let spread = if self.averaged { length } else { 1 };
        let root = num::isqrt(spread.saturating_mul(4)).saturating_add(2);
        Ok(root.saturating_mul(1 << UNIT_BITS))
    }

    fn encode(self, out: &mut Writer) {
        out.u8(self.fraction);
        out.u64(self.epsilon);
    }
}

impl Gain {
    fn check(&self, typing: &Typing<'_>, length: usize) -> Result<(), NodeProblem> {
        within("the bits of the gain", self.gain_bits.into(), 0, MAX_GAIN_BITS.into())?;
        let (least, greatest) = self.dtype.limits();
        within("the upper limit", self.high.into(), least.into(), greatest.into())?;
        within("the lower limit", self.low.into(), least.into(), self.high.into())?;
        typing.params.expect(self.gain, "gain", DType::I32, &[length])?;
        let bias = self.bias.map(|bias| typing.params.expect(bias, "bias", DType::I32, &[length]));
        bias.unwrap_or(Ok(()))
    }

    fn range(&self, ranging: &Ranging<'_>, unit: u64) -> Result<Interval, NodeProblem> {
        let gain = ranging.param(self.gain).magnitude();
        let bias = self.bias.map_or(0, |bias| ranging.param(bias).magnitude());
        let sum = unit.saturating_mul(gain).saturating_add(bias.saturating_mul(1 << UNIT_BITS));
        // One bit is left for the rounding term.
        fits("a product with the gain", sum, WIDE_ACCUMULATOR / 2)?;
        let end = |z: i64| i64::from(num::clamp(z, self.low, self.high));
        let reach = num::shift_round(i64::try_from(sum).unwrap_or(i64::MAX), self.down());
        Ok(Interval::new(end(reach.wrapping_neg()), end(reach)))
    }

    fn down(&self) -> u32 {
        UNIT_BITS.wrapping_add(u32::from(self.gain_bits))
    }

    fn of(&self, unit: i64, gain: i32, bias: i32) -> i32 {
        let bias = i64::from(bias).wrapping_shl(UNIT_BITS);
        let z = unit.wrapping_mul(i64::from(gain)).wrapping_add(bias);
        num::clamp(num::shift_round(z, self.down()), self.low, self.high)
    }

    fn cell(&self, unit: i64, index: usize, cells: &mut dyn Cells) -> Result<i32, ModelError> {
        let gain = cells.param(self.gain, index)?;
        let bias = self.bias.map_or(Ok(0), |bias| cells.param(bias, index))?;
        Ok(self.of(unit, gain, bias))
    }

    fn rows(&self, call: &Call<'_>, normaliser: Normaliser) -> Result<Data, ModelError> {
        let gain = call.params.i32s(self.gain);
        let bias = self.bias.map_or(&[][..], |bias| call.params.i32s(bias));
        let input = call.data(0)?.widened();
        let mut values = Vec::with_capacity(input.len());
        for row in input.chunks_exact(call.site.last(0).max(1)) {
            let biases = bias.iter().copied().chain(std::iter::repeat(0));
            let units = normaliser.row(row).into_iter().zip(gain).zip(biases);
            values.extend(units.map(|((unit, gain), bias)| self.of(unit, *gain, bias)));
        }
        Ok(Data::collect(self.dtype, values))
    }

    fn encode(&self, out: &mut Writer) {
        out.u32(self.gain.0);
        super::linear::encode_bias(self.bias, out);
        out.u8(self.gain_bits);
        out.u8(self.dtype.code());
        out.i32(self.low);
        out.i32(self.high);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Gain {
            gain: ParamId(reader.u32()?),
            bias: super::linear::decode_bias(reader)?,
            gain_bits: reader.u8()?,
            dtype: DType::decode(reader)?,
            low: reader.i32()?,
            high: reader.i32()?,
        })
    }
}

/// The unit value of cell `index`, and its place in the row.
fn unit_cell(
    normaliser: Normaliser,
    site: &Site<'_>,
    index: usize,
    cells: &mut dyn Cells,
) -> Result<(i64, usize), ModelError> {
    let length = site.last(0);
    let (outer, at) = num::split(index, length);
    let row = read_row(cells, 0, outer.saturating_mul(length), length)?;
    Ok((normaliser.row(&row).get(at).copied().unwrap_or(0), at))
}

/// The only operand, with a last axis of fixed length.
fn normed<'a>(typing: &Typing<'a>) -> Result<(&'a ValueType, usize), NodeProblem> {
    let [x] = typing.operands()?;
    Ok((x, x.plain()?.last().copied().unwrap_or(1)))
}

macro_rules! norm {
    ($(#[$doc:meta])* $name:ident, centred: $centred:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            /// Extra bits in which values and their mean are taken, at most 16.
            pub fraction: u8,
            /// Added to the mean of squares, in units of 4^-`fraction`.
            pub epsilon: u64,
            /// How normalised values become those of the output.
            pub gain: Gain,
        }

        impl $name {
            fn normaliser(&self) -> Normaliser {
                let (fraction, epsilon) = (self.fraction, self.epsilon);
                Normaliser { centred: $centred, fraction, epsilon, averaged: true }
            }

            pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
                let (fraction, epsilon) = (reader.u8()?, reader.u64()?);
                Ok($name { fraction, epsilon, gain: Gain::decode(reader)? })
            }
        }

        impl Operator for $name {
            fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
                let (x, length) = normed(typing)?;
                self.gain.check(typing, length)?;
                Ok(ValueType { dtype: self.gain.dtype, ..x.clone() })
            }

            fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
                let length = ranging.site.last(0);
                let unit = self.normaliser().check(ranging.operand(0), length)?;
                self.gain.range(ranging, unit)
            }

            fn cell(
                &self,
                site: &Site<'_>,
                index: usize,
                cells: &mut dyn Cells,
            ) -> Result<i32, ModelError> {
                let (unit, at) = unit_cell(self.normaliser(), site, index, cells)?;
                self.gain.cell(unit, at, cells)
            }

            fn run(&self, call: &Call<'_>, _: &dyn Kernels) -> Result<Data, ModelError> {
                self.gain.rows(call, self.normaliser())
            }

            fn encode(&self, out: &mut Writer) {
                self.normaliser().encode(out);
                self.gain.encode(out);
            }
        }
    };
}

norm! {
    /// Layer norm along the last axis. One operand of any type.
    ///
    /// With `X[i] = x[i] * 2^fraction` and `n` the length of the row:
    /// `d[i] = X[i] - round(sum of X / n)`; `v = floor(sum of d[i]^2 / n) + epsilon`; `q[i]` is
    /// `d[i] / sqrt(v)` in units of 2^-16, made as follows. `e = leading zeros of v / 2`, rounded
    /// down; `s = floor(sqrt(v * 4^e))`; `r = min(floor(2^63 / s), 2^32 - 1)`;
    /// `q[i] = round(d[i] * r / 2^(47 - e))`; all 0 if `v` is 0. The rest is [`Gain`]'s.
    LayerNorm, centred: true
}

norm! {
    /// RMS norm along the last axis: [`LayerNorm`] with `d[i] = x[i] * 2^fraction`.
    RmsNorm, centred: false
}

/// Rows brought to unit length, along the last axis, in units of 2^-15, i16.
///
/// `q[i]` is as in [`LayerNorm`], with `d[i] = x[i]` and `v = sum of d[i]^2`;
/// `y[i] = clamp(round(q[i] / 2), -32767, 32767)`. One operand of any type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L2Norm;

const UNIT_LENGTH: Normaliser =
    Normaliser { centred: false, fraction: 0, epsilon: 0, averaged: false };

impl L2Norm {
    pub(crate) fn decode(_: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(L2Norm)
    }

    fn of(unit: i64) -> i32 {
        num::clamp(num::shift_round(unit, 1), -32_767, 32_767)
    }
}

impl Operator for L2Norm {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        Ok(ValueType { dtype: DType::I16, ..normed(typing)?.0.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        UNIT_LENGTH.check(ranging.operand(0), ranging.site.last(0))?;
        Ok(Interval::new(-32_767, 32_767))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        Ok(Self::of(unit_cell(UNIT_LENGTH, site, index, cells)?.0))
    }

    fn run(&self, call: &Call<'_>, _: &dyn Kernels) -> Result<Data, ModelError> {
        let input = call.data(0)?.widened();
        let rows = input.chunks_exact(call.site.last(0).max(1));
        Ok(Data::collect(DType::I16, rows.flat_map(|row| UNIT_LENGTH.row(row)).map(Self::of)))
    }

    fn encode(&self, _: &mut Writer) {}
}

#[cfg(test)]
mod tests;
