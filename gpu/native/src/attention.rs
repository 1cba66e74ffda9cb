//! Mix values by probabilities: products of 16-bit by 8-bit values.

use crate::{
    Level,
    gemm::{Packed, each},
};
use neura_int8::ops::attention::Heads;

/// The operands of a mix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mix<'a> {
    pub(crate) heads: Heads,
    /// Rows of `heads` × `context`.
    pub(crate) probabilities: &'a [u16],
    /// `context` rows of `kv_heads` × the width of a head.
    pub(crate) values: &'a [i8],
    pub(crate) context: usize,
    /// The place of the first row of probabilities.
    pub(crate) first: usize,
}

impl Mix<'_> {
    /// The sums, rows of `heads` × the width of a head.
    pub(crate) fn sums(&self, level: Level) -> Vec<i32> {
        let heads = self.heads.heads;
        let stride = self.values.len() / self.context;
        let width = stride / self.heads.kv_heads;
        let rows = self.probabilities.len() / (heads * self.context);
        let mut by_head = vec![0; rows * heads * width];
        let work = self.probabilities.len() * width;
        each(work, by_head.chunks_mut(rows * width).enumerate(), |(head, sums)| {
            let key_head = head / (heads / self.heads.kv_heads);
            self.head(level, head, (key_head * width, width), sums);
        });
        // From head after head to row after row.
        let mut sums = vec![0; by_head.len()];
        for (head, of_head) in by_head.chunks_exact(rows * width).enumerate() {
            let rows = sums.chunks_exact_mut(heads * width);
            for (row, from) in rows.zip(of_head.chunks_exact(width)) {
                row[head * width..][..width].copy_from_slice(from);
            }
        }
        sums
    }

    fn head(&self, level: Level, head: usize, (start, width): (usize, usize), sums: &mut [i32]) {
        let stride = self.values.len() / self.context;
        let mut columns = vec![0; width * self.context];
        for (at, row) in self.values.chunks_exact(stride).enumerate() {
            for (column, value) in row[start..][..width].iter().enumerate() {
                columns[column * self.context + at] = *value;
            }
        }
        // Probabilities less 2^15 are 16-bit values; what that takes away is added in advance.
        let offsets = columns.chunks_exact(self.context).map(|column| {
            let sum = column.iter().fold(0_i32, |sum, value| sum.wrapping_add((*value).into()));
            sum.wrapping_shl(15)
        });
        let offsets: Vec<i32> = offsets.collect();
        let mut weights = Vec::with_capacity(sums.len() / width * self.context);
        let rows = self.probabilities.chunks_exact(self.context).skip(head);
        for (row, (weighed, sums)) in
            rows.step_by(self.heads.heads).zip(sums.chunks_exact_mut(width)).enumerate()
        {
            let seen = match self.heads.causal {
                true => (self.first + row + 1).min(self.context),
                false => self.context,
            };
            let shifted = weighed[..seen].iter().map(|weight| (weight ^ 0x8000).cast_signed());
            weights.extend(shifted.chain(std::iter::repeat_n(i16::MIN, self.context - seen)));
            sums.copy_from_slice(&offsets);
        }
        Packed::for_wide(level, &columns, self.context).add_wide_rows(&weights, self.context, sums);
    }
}
