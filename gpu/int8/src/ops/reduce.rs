//! Bring many rows to one, or a row to one value.

use super::{Cells, Operator, Ranging, Reach, Site, Typing, read_row};
use crate::{
    DType, ModelError, NodeProblem,
    codec::{Reader, Writer},
    error::{fits, within},
    graph::{Rows, ValueType},
    num,
    range::{ACCUMULATOR, Interval},
};

/// The mean over all rows, i32: `y[i] = round(sum over t of x[t][i] * 2^fraction / T)`.
///
/// Sums are of 64 bits. One operand of any type with rows; the output has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeanRows {
    /// Extra bits of the mean, at most 16.
    pub fraction: u8,
}

impl MeanRows {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(MeanRows { fraction: reader.u8()? })
    }
}

/// The only operand, which has rows of fixed size, as one row.
fn one_row(typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
    let [x] = typing.operands()?;
    x.plain()?;
    match x.rows {
        Rows::Many => Ok(ValueType { rows: Rows::One, ..x.clone() }),
        Rows::One => Err(NodeProblem::Rows { what: "the operand has no rows to reduce" }),
    }
}

impl Operator for MeanRows {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        within("the fraction", self.fraction.into(), 0, 16)?;
        Ok(ValueType { dtype: DType::I32, ..one_row(typing)? })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        // 2^20 rows of 2^31, 16 bits finer, are above 64 bits: the mean is what must fit 32.
        let finer = Interval::new(1 << self.fraction.min(16), 1 << self.fraction.min(16));
        let x = ranging.operand(0).times(finer);
        fits("a mean", x.magnitude(), ACCUMULATOR)?;
        Ok(Interval::new(x.low, x.high))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let width = site.width(0);
        let mut sum = 0_i64;
        for row in 0..site.rows {
            // The range proves each term below 2^31, and there are at most 2^20.
            let x = i64::from(cells.input(0, num::join(row, width, index))?);
            sum = sum.wrapping_add(x.wrapping_shl(self.fraction.into()));
        }
        Ok(num::clamp(num::div_round(sum, num::wide(site.rows)), i32::MIN, i32::MAX))
    }

    fn work(&self, site: &Site<'_>) -> u64 {
        num::wide(site.width(0)).saturating_mul(num::wide(site.rows))
    }

    fn reach(&self) -> Reach {
        Reach::All
    }

    fn encode(&self, out: &mut Writer) {
        out.u8(self.fraction);
    }
}

/// One row of all: the first or the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeRow {
    /// Whether the last row is taken; the first otherwise.
    pub last: bool,
}

impl TakeRow {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(TakeRow { last: reader.flag()? })
    }
}

impl Operator for TakeRow {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        one_row(typing)
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        Ok(ranging.operand(0))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let row = if self.last { site.rows.saturating_sub(1) } else { 0 };
        cells.input(0, num::join(row, site.width(0), index))
    }

    fn reach(&self) -> Reach {
        Reach::All
    }

    fn encode(&self, out: &mut Writer) {
        out.flag(self.last);
    }
}

/// The lowest index of the greatest value along the last axis, i32. One operand of any type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argmax;

impl Argmax {
    pub(crate) fn decode(_: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Argmax)
    }
}

/// The lowest index of the greatest of some values; 0 if there are none.
pub(super) fn argmax<T: Ord>(
    values: impl DoubleEndedIterator<Item = T> + ExactSizeIterator,
) -> i32 {
    // `max_by` keeps the last of equals, so the row is read backwards.
    let greatest = values.enumerate().rev().max_by(|(_, a), (_, b)| a.cmp(b));
    greatest.and_then(|(index, _)| i32::try_from(index).ok()).unwrap_or(0)
}

/// The type of one index for each row of the last axis.
pub(super) fn index_type(x: &ValueType) -> Result<ValueType, NodeProblem> {
    let dims = x.plain()?;
    let (_, outer) = dims.split_last().ok_or(NodeProblem::Dims {
        what: "an operand with an axis",
        found: dims.to_vec(),
        expected: vec![1],
    })?;
    Ok(ValueType { dtype: DType::I32, dims: outer.to_vec(), ..x.clone() })
}

impl Operator for Argmax {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        index_type(x)
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        Ok(Interval::new(0, num::signed(ranging.site.last(0)).wrapping_sub(1)))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let length = site.last(0);
        let row = read_row(cells, 0, index.saturating_mul(length), length)?;
        Ok(argmax(row.into_iter()))
    }

    fn work(&self, site: &Site<'_>) -> u64 {
        num::wide(site.width(0)).saturating_mul(num::wide(site.rows))
    }

    fn encode(&self, _: &mut Writer) {}
}
