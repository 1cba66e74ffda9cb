//! Turn scores into probabilities, by powers of two.

use super::{Call, Cells, Operator, Ranging, Reach, Site, Typing, read_row};
use crate::{
    DType, Data, Kernels, MAX_CONTEXT, ModelError, NodeProblem, Scale,
    codec::{Reader, Writer},
    error::within,
    graph::ValueType,
    num,
    range::Interval,
    tables::exp2_negative,
};

/// Softmax along the last axis.
///
/// With `m` the greatest score seen: `t[i] = scale(m - x[i])`, in units of 2^-16 of a power of
/// two; `e[i] = 2^-t[i]` in units of 2^-15 by [`exp2_negative`]; `S = sum of e`;
/// `y[i] = (e[i] * 65535 + S / 2) / S`, u16. Of a causal softmax row `t` sees only the first
/// `t + 1` scores; the others' `y` is 0. One operand of any type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Softmax {
    /// From units of scores to 2^-16 of a power of two: `log2(e) * 2^16 * unit / sqrt(D)`.
    pub scale: Scale,
    /// Whether row `t` sees only the first `t + 1` scores.
    pub causal: bool,
}

impl Softmax {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Softmax { scale: Scale::decode(reader)?, causal: reader.flag()? })
    }

    /// The probabilities of scores that are all seen, at most [`MAX_CONTEXT`].
    #[must_use]
    pub fn row(&self, scores: &[i32]) -> Vec<u16> {
        let greatest = scores.iter().max().copied().unwrap_or(0);
        let powers: Vec<u32> = scores
            .iter()
            .map(|x| exp2_negative(self.scale.apply_unsigned(greatest.abs_diff(*x))))
            .collect();
        // At most 2^16 terms of at most 2^15; the greatest score's is 2^15.
        let sum = powers.iter().fold(0_u32, |sum, power| sum.saturating_add(*power));
        let terms = powers.iter().map(|power| {
            let share = power.saturating_mul(65_535).saturating_add(sum / 2);
            share.checked_div(sum).unwrap_or(0)
        });
        terms.map(|term| u16::try_from(term).unwrap_or(u16::MAX)).collect()
    }

    /// Scores that row `row` sees, of `all`.
    fn seen(&self, row: usize, all: usize) -> usize {
        if self.causal { row.saturating_add(1).min(all) } else { all }
    }
}

impl Operator for Softmax {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        if self.causal && !x.context {
            return Err(NodeProblem::Rows { what: "only scores between rows can be causal" });
        }
        let last = num::signed(x.last(typing.max_rows));
        within("the number of scores", last, 1, num::signed(MAX_CONTEXT))?;
        Ok(ValueType { dtype: DType::U16, ..x.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        // Each term is rounded up by at most one half.
        let sum = num::wide(ranging.site.last(0)).div_ceil(2).saturating_add(65_535);
        Ok(Interval { sum: Some(sum), ..Interval::new(0, 65_535) })
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let last = site.last(0);
        let (outer, at) = num::split(index, last);
        let (row, _) = num::split(index, site.width(0));
        let seen = self.seen(row, last);
        if at >= seen {
            return Ok(0);
        }
        let scores = read_row(cells, 0, outer.saturating_mul(last), seen)?;
        Ok(self.row(&scores).get(at).map_or(0, |y| i32::from(*y)))
    }

    fn run(&self, call: &Call<'_>, _: &dyn Kernels) -> Result<Data, ModelError> {
        let (last, width) = (call.site.last(0), call.site.width(0));
        let scores = call.data(0)?.widened();
        let mut terms = Vec::with_capacity(scores.len());
        for scores in scores.chunks_exact(last.max(1)) {
            let (row, _) = num::split(terms.len(), width);
            let seen = self.seen(call.frame.first.saturating_add(row), last);
            terms.extend(self.row(scores.get(..seen).unwrap_or(scores)));
            terms.resize(terms.len().saturating_add(last.saturating_sub(seen)), 0);
        }
        Ok(Data::U16(terms))
    }

    fn reach(&self) -> Reach {
        // Scores of all rows are within the row itself.
        Reach::Row
    }

    fn encode(&self, out: &mut Writer) {
        self.scale.encode(out);
        out.flag(self.causal);
    }
}

#[cfg(test)]
mod tests;
