//! Turn queries and keys by their position.

use super::{Cells, Operator, Ranging, Site, Typing};
use crate::{
    DType, ModelError, NodeProblem, ParamId,
    codec::{Reader, Writer},
    error::{fits, within},
    graph::{Rows, ValueType},
    num,
    range::{ACCUMULATOR, Interval},
};

/// Rotary positions: within each head, value `i` and value `i + R` are a point that is turned.
///
/// The operand, i8 or i16, has rows of `heads * D`; `R` is half of how many values of a head are
/// turned, at most `D / 2`. With `c = cos[t][i]` and `s = sin[t][i]` in units of 2^-15, and `t` the row:
/// `y[i] = (x[i] * c - x[i + R] * s + 2^14) >> 15`,
/// `y[i + R] = (x[i] * s + x[i + R] * c + 2^14) >> 15`, in 32 bits, brought into the symmetric range of
/// the type. The rest of the head stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rope {
    /// Heads; divides the width.
    pub heads: usize,
    /// i16, positions × R, in units of 2^-15; at least as many positions as the model has rows.
    pub cos: ParamId,
    /// i16, as [`Rope::cos`].
    pub sin: ParamId,
}

impl Rope {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let heads = reader.count()?;
        Ok(Rope { heads, cos: ParamId(reader.u32()?), sin: ParamId(reader.u32()?) })
    }
}

impl Operator for Rope {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        x.expect(0, &[DType::I8, DType::I16])?;
        let width = match (x.plain()?, x.rows) {
            ([width], Rows::Many) => *width,
            _ => return Err(NodeProblem::Rows { what: "only rows of one axis have positions" }),
        };
        let spec = typing.params.find(self.cos, "cosines")?;
        let &[positions, half] = &spec.dims[..] else {
            return Err(NodeProblem::Param { param: self.cos.0, what: "cosines" });
        };
        for (param, what) in [(self.cos, "cosines"), (self.sin, "sines")] {
            typing.params.expect(param, what, DType::I16, &[positions, half])?;
        }
        within("the number of heads", num::signed(self.heads), 1, num::signed(width))?;
        let (head, odd) = num::split(width, self.heads);
        within("the width modulo the heads", num::signed(odd), 0, 0)?;
        within("half of the values turned", num::signed(half), 1, num::signed(head / 2))?;
        let (rows, positions) = (num::signed(typing.max_rows), num::signed(positions));
        within("the greatest number of rows", rows, 1, positions)?;
        Ok(x.clone())
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let x = ranging.operand(0).magnitude();
        let turn = ranging.param(self.cos).magnitude();
        let turn = turn.saturating_add(ranging.param(self.sin).magnitude());
        let reach = x.saturating_mul(turn).saturating_add(1 << 14);
        fits("a turned value", reach, ACCUMULATOR)?;
        let dtype = ranging.site.inputs.first().map_or(DType::I8, |x| x.dtype);
        let (_, high) = dtype.symmetric();
        // Rounding down can add one to the magnitude; values that are not turned stay.
        let reach = i64::try_from((reach >> 15).saturating_add(1)).unwrap_or(i64::MAX);
        let turned = i64::from(high).min(reach);
        Ok(Interval::new(turned.wrapping_neg(), turned).hull(ranging.operand(0)))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let (row, at) = num::split(index, site.width(0));
        let (head, _) = num::split(site.width(0), self.heads);
        let (_, at) = num::split(at, head);
        let half = site.param_dim(self.cos, 1);
        if at >= half.saturating_mul(2) {
            return cells.input(0, index);
        }
        let (second, pair) = num::split(at, half);
        let first = index.saturating_sub(second.saturating_mul(half));
        let x = cells.input(0, first)?;
        let y = cells.input(0, first.saturating_add(half))?;
        let entry = num::join(row, half, pair);
        let (cos, sin) = (cells.param(self.cos, entry)?, cells.param(self.sin, entry)?);
        let turned = match second {
            0 => x.wrapping_mul(cos).wrapping_sub(y.wrapping_mul(sin)),
            _ => x.wrapping_mul(sin).wrapping_add(y.wrapping_mul(cos)),
        };
        let (low, high) = site.output.dtype.symmetric();
        Ok(num::clamp(i64::from(turned.wrapping_add(1 << 14) >> 15), low, high))
    }

    fn encode(&self, out: &mut Writer) {
        out.count(self.heads);
        out.u32(self.cos.0);
        out.u32(self.sin.0);
    }
}
