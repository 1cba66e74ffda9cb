//! Let rows attend to rows: scores of queries and keys, values mixed by probabilities.
//!
//! Rows of queries are shared out to threads; each takes all heads of its rows, whose results lie
//! next to each other, and reads them where they lie among those of other heads.

use crate::{
    Level,
    finish::Finish,
    gemm::{Packed, Wide, each, share},
    values::Value,
    view::View,
};
use neura_int8::ops::attention::Heads;

/// The rows that attend, and those that are attended to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention {
    pub(crate) heads: Heads,
    /// Rows attended to, at least 1.
    pub(crate) context: usize,
    /// The place of the first row that attends.
    pub(crate) first: usize,
}

impl Attention {
    /// Rows that the row at a place sees.
    fn seen(&self, place: usize) -> usize {
        let seen = if self.heads.causal { self.first + place + 1 } else { self.context };
        seen.min(self.context)
    }

    /// The part of each row of `rows` that is of a head of keys or values.
    fn of_head<'a>(&self, rows: &'a [i8], head: usize) -> View<'a, i8> {
        let stride = rows.len() / self.context;
        let width = stride / self.heads.kv_heads;
        View::part(rows, stride, head * width, width)
    }

    /// The heads, each with its head of keys and values.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let group = self.heads.heads / self.heads.kv_heads;
        (0..self.heads.heads).map(move |head| (head, head / group))
    }

    /// Scores: rows of `heads` × `context`.
    pub(crate) fn scores(&self, level: Level, queries: &[i8], keys: &[i8]) -> Vec<i32> {
        let heads = self.heads.heads;
        let packed: Vec<_> = (0..self.heads.kv_heads)
            .map(|head| Packed::new(level, self.of_head(keys, head)))
            .collect();
        let depth = keys.len() / self.context / self.heads.kv_heads;
        let (stride, width) = (heads * depth, heads * self.context);
        let rows = queries.len() / stride;
        let mut scores = vec![0; rows * width];
        let taken = share(level, rows);
        let parts = queries.chunks(taken * stride).zip(scores.chunks_mut(taken * width));
        each(queries.len() * self.context, parts.enumerate(), |(part, (queries, scores))| {
            for (head, key_head) in self.pairs() {
                let a = View::part(queries, stride, head * depth, depth);
                let sums = &mut scores[head * self.context..];
                packed[key_head].rows(a, sums, width);
                for (row, sums) in sums.chunks_mut(width).enumerate() {
                    sums[self.seen(part * taken + row)..self.context].fill(0);
                }
            }
        });
        scores
    }

    /// Rows of `heads` × the width of a head, of probabilities in rows of `heads` × `context`;
    /// finished, or the sums themselves.
    pub(crate) fn mix<T: Value>(
        &self,
        level: Level,
        (probabilities, values): (&[u16], &[i8]),
        finish: Option<&Finish>,
    ) -> Vec<T> {
        let heads = self.heads.heads;
        let packed: Vec<_> = (0..self.heads.kv_heads)
            .map(|head| Shifted::new(level, self.of_head(values, head)))
            .collect();
        let width = heads * (values.len() / self.context / self.heads.kv_heads);
        let stride = heads * self.context;
        let rows = probabilities.len() / stride;
        let mut made = vec![T::default(); rows * width];
        let taken = share(level, rows);
        let parts = probabilities.chunks(taken * stride).zip(made.chunks_mut(taken * width));
        let work = probabilities.len() * (width / heads);
        each(work, parts.enumerate(), |(part, (probabilities, made))| {
            let mut sums = vec![0; made.len()];
            let mut weights = Vec::new();
            for (head, value_head) in self.pairs() {
                let of_head = View::part(probabilities, stride, head * self.context, self.context);
                weights.clear();
                for (row, shares) in of_head.rows().enumerate() {
                    let (seen, unseen) = shares.split_at(self.seen(part * taken + row));
                    weights.extend(seen.iter().map(|share| (share ^ 0x8000).cast_signed()));
                    weights.extend(unseen.iter().map(|_| i16::MIN));
                }
                let weights = View::whole(&weights, self.context);
                packed[value_head].rows(weights, &mut sums[head * (width / heads)..], width);
            }
            match finish {
                Some(finish) => finish.rows(level, &sums, made),
                None => made.iter_mut().zip(sums).for_each(|(y, z)| *y = T::of(z.into())),
            }
        });
        made
    }
}

/// Values of a head, to be mixed by probabilities less 2^15, which are 16-bit values.
#[derive(Debug)]
struct Shifted {
    values: Wide,
    /// What that takes away from each column, added in advance.
    offsets: Vec<i32>,
}

impl Shifted {
    fn new(level: Level, values: View<'_, i8>) -> Self {
        let mut offsets = vec![0_i32; values.width()];
        for row in values.rows() {
            for (offset, value) in offsets.iter_mut().zip(row) {
                *offset = offset.wrapping_add(i32::from(*value).wrapping_shl(15));
            }
        }
        Shifted { values: Wide::new(level, values), offsets }
    }

    /// The products with `weights`, in rows of `sums`, `stride` apart.
    fn rows(&self, weights: View<'_, i16>, sums: &mut [i32], stride: usize) {
        for sums in sums.chunks_mut(stride) {
            sums[..self.offsets.len()].copy_from_slice(&self.offsets);
        }
        self.values.add_rows(weights, sums, stride);
    }
}
