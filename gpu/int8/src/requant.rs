//! Scale an accumulator back to int8 by a fixed-point multiplier, rounding half away from zero.

use crate::{Activation, ModelError};

/// Greatest shift: with it the 31 + shift bits that are dropped still leave the product in 64.
const MAX_SHIFT: u8 = 31;

/// A multiplier below one, as `multiplier / 2^(31 + shift)`.
///
/// `multiplier` is from 2^30 to 2^31 - 1, so that a real factor has one representation, and
/// `shift` is at most 31: factors from 2^-32 to just below 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requant {
    multiplier: u32,
    shift: u8,
}

impl Requant {
    /// Makes the factor `multiplier / 2^(31 + shift)`.
    ///
    /// # Errors
    /// [`ModelError::Requant`] outside the ranges of [`Requant`].
    pub fn new(multiplier: u32, shift: u8) -> Result<Self, ModelError> {
        if (1 << 30..1 << 31).contains(&multiplier) && shift <= MAX_SHIFT {
            Ok(Requant { multiplier, shift })
        } else {
            Err(ModelError::Requant { multiplier, shift })
        }
    }

    /// The multiplier, from 2^30 to 2^31 - 1.
    #[must_use]
    pub fn multiplier(self) -> u32 {
        self.multiplier
    }

    /// The shift, from 0 to 31.
    #[must_use]
    pub fn shift(self) -> u8 {
        self.shift
    }

    /// `clamp(sgn(z) * ((|z| * M + 2^(30 + s)) >> (31 + s)), low, 127)`, for any `z`.
    ///
    /// `low` is 0 for [`Activation::Relu`] and -127 for [`Activation::Linear`].
    #[must_use]
    pub fn apply(self, z: i32, activation: Activation) -> i8 {
        // |z| <= 2^31 and M < 2^31, so the product is below 2^62 and the rounding term at most
        // 2^61: nothing wraps. The shifts are at most 62.
        let product = u64::from(z.unsigned_abs()).wrapping_mul(u64::from(self.multiplier));
        let half = 1_u64.wrapping_shl(u32::from(self.shift).wrapping_add(30));
        let rounded =
            product.wrapping_add(half).wrapping_shr(u32::from(self.shift).wrapping_add(31));
        let magnitude = i8::try_from(rounded).unwrap_or(i8::MAX);
        match (z < 0, activation) {
            (false, _) => magnitude,
            (true, Activation::Linear) => magnitude.wrapping_neg(), // from 0 to 127: has a negative
            (true, Activation::Relu) => 0,
        }
    }
}

#[cfg(test)]
mod tests;
