//! Turn scores into probabilities: the same plain code, compiled once per level.

use crate::Level;
use neura_int8::{Scale, tables::exp2_negative};
use std::sync::LazyLock;

/// `2^(15 - i / 256)`, read off the definition.
static POWERS: LazyLock<[u32; 257]> =
    LazyLock::new(|| std::array::from_fn(|i| exp2_negative((i as u64) << 8)));

/// Softmax of scores by one scale, as `neura_int8`'s `Softmax::row` defines it.
#[derive(Debug)]
pub(crate) struct Softmax {
    multiplier: u64,
    half: u64,
    shift: u32,
    powers: &'static [u32; 257],
}

impl Softmax {
    pub(crate) fn new(scale: Scale) -> Self {
        let shift = u32::from(scale.shift());
        let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
        Softmax { multiplier: scale.multiplier().into(), half, shift, powers: &POWERS }
    }

    /// The probabilities of scores that are all seen; `powers` is room for as many.
    pub(crate) fn row(&self, level: Level, scores: &[i32], powers: &mut [u32], terms: &mut [u16]) {
        level.run(
            #[inline(always)]
            || self.row_portable(scores, powers, terms),
        );
    }

    #[inline(always)]
    fn row_portable(&self, scores: &[i32], powers: &mut [u32], terms: &mut [u16]) {
        let greatest = scores.iter().fold(i32::MIN, |most, score| most.max(*score));
        let mut sum = 0_u32;
        for (score, power) in scores.iter().zip(powers.iter_mut()) {
            *power = self.power(greatest.abs_diff(*score));
            sum = sum.wrapping_add(*power);
        }
        // Floats of 53 bits divide exactly enough: the quotient of two 32-bit integers is either
        // an integer or at least 2^-32 away from the next, and its error is below 2^-37.
        let (half, sum) = (sum / 2, f64::from(sum));
        for (power, term) in powers.iter().zip(terms) {
            let share = power.wrapping_mul(65_535).wrapping_add(half);
            *term = (f64::from(share) / sum) as i32 as u16;
        }
    }

    /// `2^-t` in units of 2^-15, for the distance from the greatest score.
    #[inline(always)]
    fn power(&self, below: u32) -> u32 {
        let product = u64::from(below).wrapping_mul(self.multiplier);
        let t = product.wrapping_add(self.half).wrapping_shr(self.shift);
        let whole = (t >> 16).min(31) as u32;
        let (index, rest) = ((t >> 8) as usize & 0xff, t as u32 & 0xff);
        let (at, next) = (self.powers[index], self.powers[index + 1]);
        let fall = at.wrapping_sub(next).wrapping_mul(rest).wrapping_add(128) >> 8;
        let half = 1_u32.wrapping_shl(whole) >> 1;
        at.wrapping_sub(fall).wrapping_add(half).wrapping_shr(whole)
    }
}
