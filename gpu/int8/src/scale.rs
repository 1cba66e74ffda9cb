//! Scale integers by fixed-point multipliers, rounding half away from zero.

use crate::{
    DType, ModelError, NodeProblem, ParamId, Params,
    codec::{Reader, Writer},
    num,
    ops::Cells,
    range::Interval,
};

/// Greatest shift: with it the rounding term still leaves the product in 64 bits.
pub const MAX_SHIFT: u8 = 62;

/// A positive factor, as `multiplier / 2^shift`.
///
/// `multiplier` is from 2^30 to 2^31 - 1, so that a real factor has one representation, and
/// `shift` is at most 62: factors from 2^-32 to just below 2^31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    multiplier: u32,
    shift: u8,
}

impl Scale {
    /// The factor one: leaves every value as it is.
    pub const ONE: Scale = Scale { multiplier: 1 << 30, shift: 30 };

    /// Makes the factor `multiplier / 2^shift`.
    ///
    /// # Errors
    /// [`ModelError::Scale`] outside the ranges of [`Scale`].
    pub fn new(multiplier: u32, shift: u8) -> Result<Self, ModelError> {
        if (1 << 30..1 << 31).contains(&multiplier) && shift <= MAX_SHIFT {
            Ok(Scale { multiplier, shift })
        } else {
            Err(ModelError::Scale { multiplier, shift })
        }
    }

    /// The multiplier, from 2^30 to 2^31 - 1.
    #[must_use]
    pub fn multiplier(self) -> u32 {
        self.multiplier
    }

    /// The shift, from 0 to 62.
    #[must_use]
    pub fn shift(self) -> u8 {
        self.shift
    }

    /// `sgn(z) * ((|z| * M + 2^(s - 1)) >> s)`, without the middle term if `s` is 0, for any `z`.
    #[must_use]
    pub fn apply(self, z: i32) -> i64 {
        num::with_sign(self.apply_unsigned(z.unsigned_abs()), z < 0)
    }

    /// `(z * M + 2^(s - 1)) >> s`, without the middle term if `s` is 0, for any `z`.
    #[must_use]
    pub fn apply_unsigned(self, z: u32) -> u64 {
        // z < 2^32 and M < 2^31, so the product is below 2^63; the rounding term is at most 2^61.
        let product = u64::from(z).wrapping_mul(u64::from(self.multiplier));
        num::shift_round_unsigned(product, u32::from(self.shift))
    }

    pub(crate) fn encode(self, out: &mut Writer) {
        out.u32(self.multiplier);
        out.u8(self.shift);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let multiplier = reader.u32()?;
        Scale::new(multiplier, reader.u8()?)
    }
}

/// One factor for all channels, or one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scales {
    /// The same for all.
    One(Scale),
    /// One for each channel: an i32 parameter and an i8 parameter, each with a value per channel.
    Channels {
        /// The multipliers.
        multipliers: ParamId,
        /// The shifts.
        shifts: ParamId,
    },
}

/// How accumulators become values of another type: `clamp(scale(z), low, high)`.
///
/// ReLU is a `low` of 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requant {
    /// The factor or factors.
    pub scales: Scales,
    /// The type made.
    pub dtype: DType,
    /// Least value made.
    pub low: i32,
    /// Greatest value made.
    pub high: i32,
}

impl Requant {
    /// To the symmetric range of `dtype` (from 0 for `u16`), by one factor.
    #[must_use]
    pub fn new(scale: Scale, dtype: DType) -> Self {
        let (low, high) = dtype.symmetric();
        Requant { scales: Scales::One(scale), dtype, low, high }
    }

    /// The same with one factor per channel.
    #[must_use]
    pub fn per_channel(multipliers: ParamId, shifts: ParamId, dtype: DType) -> Self {
        let (low, high) = dtype.symmetric();
        Requant { scales: Scales::Channels { multipliers, shifts }, dtype, low, high }
    }

    /// The same with negative values made 0.
    #[must_use]
    pub fn relu(self) -> Self {
        Requant { low: 0, ..self }
    }

    /// The same with other limits.
    #[must_use]
    pub fn limits(self, low: i32, high: i32) -> Self {
        Requant { low, high, ..self }
    }

    /// `clamp(scale(z), low, high)` with a factor of [`Requant::scales`].
    #[must_use]
    pub fn apply(&self, scale: Scale, z: i32) -> i32 {
        num::clamp(scale.apply(z), self.low, self.high)
    }

    /// The factors, one or as many as there are channels.
    ///
    /// # Errors
    /// [`ModelError::Scale`] if a parameter does not hold factors.
    pub fn factors(&self, params: &Params) -> Result<Vec<Scale>, ModelError> {
        match self.scales {
            Scales::One(scale) => Ok(vec![scale]),
            Scales::Channels { multipliers, shifts } => {
                let (multipliers, shifts) = (params.i32s(multipliers), params.i8s(shifts));
                multipliers.iter().zip(shifts).map(|(m, s)| from_params(*m, (*s).into())).collect()
            }
        }
    }

    /// The value of one cell of channel `channel`.
    pub(crate) fn cell(
        &self,
        z: i32,
        channel: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let scale = match self.scales {
            Scales::One(scale) => scale,
            Scales::Channels { multipliers, shifts } => {
                from_params(cells.param(multipliers, channel)?, cells.param(shifts, channel)?)?
            }
        };
        Ok(self.apply(scale, z))
    }

    /// Where values end up that come from `from` by `scale`.
    pub(crate) fn interval(&self, scale: Scale, from: Interval) -> Interval {
        let end = |z: i64| i64::from(self.apply(scale, num::clamp(z, i32::MIN, i32::MAX)));
        Interval::new(end(from.low), end(from.high))
    }

    /// Checks limits and parameters for `channels` channels.
    pub(crate) fn check(
        &self,
        params: &crate::ops::Table<'_>,
        channels: usize,
    ) -> Result<(), NodeProblem> {
        let (least, greatest) = self.dtype.limits();
        crate::error::within("the upper limit", self.high.into(), least.into(), greatest.into())?;
        crate::error::within("the lower limit", self.low.into(), least.into(), self.high.into())?;
        if let Scales::Channels { multipliers, shifts } = self.scales {
            params.expect(multipliers, "multipliers", DType::I32, &[channels])?;
            params.expect(shifts, "shifts", DType::I8, &[channels])?;
        }
        Ok(())
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        match self.scales {
            Scales::One(scale) => {
                out.u8(0);
                scale.encode(out);
            }
            Scales::Channels { multipliers, shifts } => {
                out.u8(1);
                out.u32(multipliers.0);
                out.u32(shifts.0);
            }
        }
        out.u8(self.dtype.code());
        out.i32(self.low);
        out.i32(self.high);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let scales = match reader.u8()? {
            0 => Scales::One(Scale::decode(reader)?),
            1 => Scales::Channels {
                multipliers: ParamId(reader.u32()?),
                shifts: ParamId(reader.u32()?),
            },
            found => return Err(ModelError::Kind { what: "the scales of a node", found }),
        };
        let dtype = DType::decode(reader)?;
        Ok(Requant { scales, dtype, low: reader.i32()?, high: reader.i32()? })
    }
}

/// The factor that two parameters hold for a channel.
fn from_params(multiplier: i32, shift: i32) -> Result<Scale, ModelError> {
    // What does not fit becomes a value that is out of range.
    Scale::new(u32::try_from(multiplier).unwrap_or(0), u8::try_from(shift).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests;
