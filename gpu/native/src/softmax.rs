//! Turn scores into probabilities: the same plain code, compiled once per level.

use crate::Level;
use neura_int8::{Scale, tables::exp2_negative};
use std::sync::LazyLock;

/// `2^(15 - i / 256)`, read off the definition: the upper half of an entry, with the next one in
/// the lower half.
static POWERS: LazyLock<[u32; 256]> = LazyLock::new(|| {
    let power = |i: usize| exp2_negative((i as u64) << 8);
    std::array::from_fn(|i| (power(i) << 16) | power(i + 1))
});

/// Scores that are computed together: in steps, all but one of which are of vectors.
const BLOCK: usize = 64;

/// Softmax of scores by one scale, as `neura_int8`'s `Softmax::row` defines it.
#[derive(Debug)]
pub(crate) struct Softmax {
    multiplier: u64,
    half: u64,
    shift: u32,
    powers: &'static [u32; 256],
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
        let mut greatest = i32::MIN;
        for score in scores {
            greatest = greatest.max(*score);
        }
        let mut sum = 0_u32;
        for (scores, powers) in scores.chunks(BLOCK).zip(powers.chunks_mut(BLOCK)) {
            sum = sum.wrapping_add(self.block(greatest, scores, powers));
        }
        // The quotient of two 32-bit integers is an integer or at least 2^-32 away from one. Below
        // 2^16, floats of 53 bits give it within 2^-35 by the reciprocal: a little more is enough
        // for integers to be reached, and too little for others to become one.
        const MORE: f64 = 1.0 / (1_u64 << 34) as f64;
        let (half, reciprocal) = (sum / 2, 1.0 / f64::from(sum));
        for (power, term) in powers.iter().zip(terms) {
            let share = power.wrapping_mul(65_535).wrapping_add(half);
            *term = (f64::from(share) * reciprocal + MORE) as i32 as u16;
        }
    }

    /// `2^-t` in units of 2^-15, `t` being the scaled distance from the greatest score; their sum.
    #[inline(always)]
    fn block(&self, greatest: i32, scores: &[i32], powers: &mut [u32]) -> u32 {
        let (mut falls, mut steps) = ([0_u32; BLOCK], [0_u32; BLOCK]);
        for (fall, score) in falls.iter_mut().zip(scores) {
            let below = u64::from(greatest.abs_diff(*score)).wrapping_mul(self.multiplier);
            let t = below.wrapping_add(self.half).wrapping_shr(self.shift);
            // From 2^-31 on, the power is 0.
            *fall = t.min(31 << 16) as u32;
        }
        for (step, fall) in steps.iter_mut().zip(falls) {
            *step = self.powers[(fall >> 8) as usize & 0xff];
        }
        let mut sum = 0_u32;
        for ((power, step), fall) in powers.iter_mut().zip(steps).zip(falls) {
            let (at, next, rest, whole) = (step >> 16, step & 0xffff, fall & 0xff, fall >> 16);
            let less = at.wrapping_sub(next).wrapping_mul(rest).wrapping_add(128) >> 8;
            let half = 1_u32.wrapping_shl(whole) >> 1;
            *power = at.wrapping_sub(less).wrapping_add(half).wrapping_shr(whole);
            sum = sum.wrapping_add(*power);
        }
        sum
    }
}
