//! Choose units for forms, and turn ratios of units into integer factors.

use neura_int8::{DType, Data, Requant, Scale, Scales};

use super::{Placed, Quantiser, form::Form};
use crate::{ConvertError, Op, Value};

/// Greatest magnitude of a wide value: squares of rows of 8,192 of them, four bits finer, fit 63 bits.
pub(super) const WIDE_LIMIT: i32 = 1 << 20;
/// Greatest magnitude of a value that is taken apart into two bytes: 127 of the upper one.
pub(super) const PAIR_LIMIT: i32 = 127 * UPPER;
/// How many of the lower byte make one of the upper.
pub(super) const UPPER: i32 = 128;
/// How much greater than in calibration a wide value may get before it is clamped.
const WIDE_ROOM: f64 = 8.0;

/// Type, units and limits of a form of a value.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) dtype: DType,
    pub(super) units: Vec<f64>,
    pub(super) low: i32,
    pub(super) high: i32,
}

impl Target {
    pub(super) fn new(dtype: DType, units: Vec<f64>, limit: i32) -> Self {
        Target { dtype, units, low: -limit, high: limit }
    }

    /// The same for values between two bounds.
    pub(super) fn within(mut self, bounds: Option<(f32, f32)>) -> Self {
        if let Some((low, high)) = bounds {
            let unit = self.units.first().copied().unwrap_or(1.0);
            self.low = self.low.max(steps(f64::from(low), unit));
            self.high = self.high.min(steps(f64::from(high), unit));
        }
        self
    }

    /// The unit of a channel.
    pub(super) fn unit(&self, channel: usize) -> f64 {
        unit_of(&self.units, channel)
    }
}

/// The unit of a channel, where there may be one for all.
pub(super) fn unit_of(units: &[f64], channel: usize) -> f64 {
    if units.len() == 1 { units[0] } else { units[channel] }
}

/// A real number in whole steps; saturates.
pub(super) fn steps(x: f64, unit: f64) -> i32 {
    (x / unit).round() as i32
}

/// The integer factor nearest to a real one; what is too small becomes the smallest.
pub(super) fn factor(x: f64) -> Result<Scale, ConvertError> {
    let x = x.clamp(2_f64.powi(-32), 2_147_483_647.0);
    let mut shift = 30 - x.log2().floor() as i32;
    let mut multiplier = (x * 2_f64.powi(shift)).round();
    if multiplier >= 2_147_483_648.0 {
        shift -= 1;
        multiplier = (x * 2_f64.powi(shift)).round();
    }
    Ok(Scale::new(multiplier as u32, shift.clamp(0, 62) as u8)?)
}

impl Quantiser<'_> {
    /// How a form of a value is held.
    pub(super) fn target(&self, value: Value, form: Form) -> Target {
        let limit = self.calibration.limit(value, self.options.share);
        match form {
            Form::Byte => Target::new(DType::I8, vec![limit / 127.0], 127),
            Form::Channels => Target::new(DType::I8, self.smooth(value), 127),
            Form::Pair => Target::new(DType::I16, vec![limit / f64::from(PAIR_LIMIT)], PAIR_LIMIT),
            Form::Short => {
                Target::new(DType::I16, vec![self.turned(value, limit) / 32_767.0], 32_767)
            }
            Form::Native | Form::Wide => {
                let most = self.calibration.limit(value, 1.0);
                let unit = most * WIDE_ROOM / f64::from(WIDE_LIMIT);
                Target::new(DType::I32, vec![unit], WIDE_LIMIT)
            }
        }
    }

    /// A limit that holds for a value and for what rotations make of it, which keep its unit.
    fn turned(&self, value: Value, limit: f64) -> f64 {
        let nodes = self.graph.nodes.iter().enumerate();
        let turns = nodes
            .filter(|(_, node)| matches!(node.op, Op::Rope(..)) && node.inputs.contains(&value));
        let limits = turns.map(|(at, _)| self.calibration.limit(Value(at), self.options.share));
        limits.fold(limit, f64::max)
    }

    /// Units of channels: those of great channels are greater, and the weights that meet them.
    fn smooth(&self, value: Value) -> Vec<f64> {
        let limit = self.calibration.limit(value, self.options.share);
        let found = self.calibration.channels(value);
        // A channel that never moved in calibration keeps some room.
        let most: Vec<f64> =
            found.iter().map(|most| f64::from(*most).clamp(limit * 1e-3, limit)).collect();
        let mut weights = vec![0.0_f64; most.len()];
        for user in self.graph.users(value) {
            let Op::Linear(matrix, _) = &user.op else { continue };
            for row in matrix.rows() {
                let pairs = weights.iter_mut().zip(row);
                pairs.for_each(|(most, w)| *most = most.max(f64::from(w.abs())));
            }
        }
        let greatest = weights.iter().copied().fold(0.0, f64::max);
        if greatest == 0.0 {
            // Nothing multiplies it but shares of attention: every channel fills its range.
            return most.into_iter().map(|most| most / 127.0).collect();
        }
        let alpha = self.options.smoothing;
        let shift = most
            .iter()
            .zip(&weights)
            .map(|(most, weight)| most.powf(alpha) / weight.max(greatest * 1e-3).powf(1.0 - alpha));
        let shift: Vec<f64> = shift.collect();
        let fill = most.iter().zip(&shift).map(|(most, shift)| most / shift).fold(0.0, f64::max);
        shift.into_iter().map(|shift| shift * fill / 127.0).collect()
    }

    /// How accumulators of some units become a target's values.
    pub(super) fn finish(
        &mut self,
        node: &str,
        from: &[f64],
        target: &Target,
    ) -> Result<Requant, ConvertError> {
        let channels = from.len().max(target.units.len());
        let factors = (0..channels).map(|at| factor(unit_of(from, at) / target.unit(at)));
        let factors = factors.collect::<Result<Vec<Scale>, _>>()?;
        let scales = match factors[..] {
            [scale] => Scales::One(scale),
            _ => {
                let shifts = factors.iter().map(|scale| scale.shift() as i8).collect();
                let factors = factors.iter().map(|scale| scale.multiplier() as i32).collect();
                Scales::Channels {
                    multipliers: self.param(node, "factors", vec![channels], Data::I32(factors))?,
                    shifts: self.param(node, "shifts", vec![channels], Data::I8(shifts))?,
                }
            }
        };
        let Target { dtype, low, high, .. } = *target;
        Ok(Requant { scales, dtype, low, high })
    }

    /// A placed value in another form.
    pub(super) fn requantise(
        &mut self,
        from: &Placed,
        value: Value,
        form: Form,
    ) -> Result<Placed, ConvertError> {
        let target = self.target(value, form);
        self.place_as(from, value, target)
    }

    /// A placed value as a target.
    pub(super) fn place_as(
        &mut self,
        from: &Placed,
        value: Value,
        target: Target,
    ) -> Result<Placed, ConvertError> {
        let graph = self.graph;
        let finish = self.finish(&graph.node(value).name, &from.units, &target)?;
        let op = neura_int8::ops::elementwise::Requantise { finish };
        let id = self.builder.node(op, &[from.id])?;
        Ok(Placed { id, units: target.units })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_within_a_billionth_of_what_they_stand_for() {
        for x in [1.0, 0.5, 3.75, 1e-9, 0.999_999_999_9, 123_456.789, 2e9, 1.0 / 3.0] {
            let scale = factor(x).unwrap();
            let back = f64::from(scale.multiplier()) / 2_f64.powi(scale.shift().into());
            assert!((back / x - 1.0).abs() < 1e-9, "{x} became {back}");
        }
        assert_eq!(factor(0.0).unwrap().shift(), 62);
    }
}
