//! Bound what every value can be, so that no accumulator can overflow.

use crate::{NodeProblem, Scale, error::fits, num};

/// Greatest magnitude of a 32-bit accumulator: 2^31 - 1, so that every value has a negative.
pub(crate) const ACCUMULATOR: u64 = 0x7fff_ffff;

/// Greatest magnitude of a 64-bit accumulator.
pub(crate) const WIDE_ACCUMULATOR: u64 = 0x7fff_ffff_ffff_ffff;

/// What a value can be: every one of its cells is within `low..=high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Least value.
    pub low: i64,
    /// Greatest value.
    pub high: i64,
    /// Greatest sum of the magnitudes along the last axis, where more is known than `low` and
    /// `high` say: softmax terms sum to about 65,535 however many there are.
    pub sum: Option<u64>,
}

impl Interval {
    /// From `low` to `high`.
    #[must_use]
    pub fn new(low: i64, high: i64) -> Self {
        Interval { low, high, sum: None }
    }

    /// The hull of some values; zero alone if there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = i32>) -> Self {
        let hull = values.into_iter().fold(None, |hull: Option<(i32, i32)>, x| {
            Some(hull.map_or((x, x), |(low, high)| (low.min(x), high.max(x))))
        });
        let (low, high) = hull.unwrap_or_default();
        Interval::new(low.into(), high.into())
    }

    /// The smallest interval that holds both.
    #[must_use]
    pub fn hull(self, other: Interval) -> Self {
        Interval::new(self.low.min(other.low), self.high.max(other.high))
    }

    /// Greatest magnitude.
    #[must_use]
    pub fn magnitude(self) -> u64 {
        self.low.unsigned_abs().max(self.high.unsigned_abs())
    }

    /// The same with zero in it.
    #[must_use]
    pub fn with_zero(self) -> Self {
        self.hull(Interval::new(0, 0))
    }

    /// The products with every value of another interval.
    #[must_use]
    pub fn times(self, other: Interval) -> Self {
        let ends = [
            self.low.saturating_mul(other.low),
            self.low.saturating_mul(other.high),
            self.high.saturating_mul(other.low),
            self.high.saturating_mul(other.high),
        ];
        let low = ends.iter().min().copied().unwrap_or(0);
        Interval::new(low, ends.iter().max().copied().unwrap_or(0))
    }

    /// The sums with every value of another interval.
    #[must_use]
    pub fn plus(self, other: Interval) -> Self {
        Interval::new(self.low.saturating_add(other.low), self.high.saturating_add(other.high))
    }

    /// Sums of `count` of these values.
    #[must_use]
    pub fn repeated(self, count: usize) -> Self {
        self.times(Interval::new(num::signed(count), num::signed(count)))
    }

    /// Where a factor takes these values.
    #[must_use]
    pub fn scaled(self, scale: Scale) -> Self {
        let end = |z: i64| scale.apply(num::clamp(z, i32::MIN, i32::MAX));
        Interval::new(end(self.low), end(self.high))
    }

    /// Checks that a 32-bit accumulator of these values cannot overflow.
    pub(crate) fn fits(self, what: &'static str) -> Result<Self, NodeProblem> {
        fits(what, self.magnitude(), ACCUMULATOR).map(|()| self)
    }
}

/// The accumulators of a row of weights over inputs of one interval, whatever the order of the
/// sum: their interval, and the greatest magnitude of any partial sum.
pub(crate) fn weighted(weights: &[i8], bias: i32, input: Interval) -> (Interval, u64) {
    let (mut above, mut below) = (0_i64, 0_i64);
    for weight in weights.iter().map(|weight| i64::from(*weight)) {
        // At most 2^28 weights below 2^8 each.
        let side = if weight > 0 { &mut above } else { &mut below };
        *side = side.wrapping_add(weight);
    }
    let bias = i64::from(bias);
    let product = |weight: i64, x: i64| weight.saturating_mul(x);
    let low = product(above, input.low).saturating_add(product(below, input.high));
    let high = product(above, input.high).saturating_add(product(below, input.low));
    let total = above.saturating_sub(below).unsigned_abs();
    let reach = total.saturating_mul(input.magnitude()).saturating_add(bias.unsigned_abs());
    (Interval::new(bias.saturating_add(low), bias.saturating_add(high)), reach)
}
