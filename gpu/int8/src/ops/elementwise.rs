//! Rescale, add and multiply, cell by cell.

use super::{
    Call, Cells, Operator, Ranging, Site, Typing,
    linear::{check_finish, checked_factors, factors, finish_cell, finish_rows},
    matmul::finished_range,
};
use crate::{
    DType, Data, Kernels, ModelError, NodeProblem, Requant, Scale,
    codec::{Reader, Writer},
    error::within,
    graph::ValueType,
    num,
    range::Interval,
};

/// `y = finish(x)`, with the factor of a channel of the last axis. One operand of any type.
///
/// With [`Scale::ONE`] and a `low` of 0 this is ReLU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requantise {
    /// How values become those of the output.
    pub finish: Requant,
}

impl Requantise {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Requantise { finish: Requant::decode(reader)? })
    }
}

impl Operator for Requantise {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        check_finish(typing.params, None, Some(&self.finish), channels(x, &self.finish))?;
        Ok(ValueType { dtype: self.finish.dtype, ..x.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        finished_range(Some(&self.finish), ranging, ranging.operand(0))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let (_, channel) = num::split(index, site.last(0));
        finish_cell(Some(&self.finish), cells.input(0, index)?, channel, cells)
    }

    fn run(&self, call: &Call<'_>, _: &dyn Kernels) -> Result<Data, ModelError> {
        let factors = factors(Some(&self.finish), call)?;
        let values = call.data(0)?.widened().into_owned();
        Ok(finish_rows(values, call.site.last(0), None, Some(&self.finish), &factors))
    }

    fn encode(&self, out: &mut Writer) {
        self.finish.encode(out);
    }
}

/// Channels of a value; scores between rows have no fixed number, so they take one factor only.
fn channels(value: &ValueType, finish: &Requant) -> usize {
    match (value.context, finish.scales) {
        (true, crate::Scales::Channels { .. }) => 0,
        _ => value.dims.last().copied().unwrap_or(1),
    }
}

/// `y = clamp(left(a) + right(b), low, high)`: both operands scaled and rounded, then added in 64
/// bits.
///
/// Operands of any types and the same shape. The residual stream is i32 with [`Scale::ONE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// The factor of the first operand.
    pub left: Scale,
    /// The factor of the second operand.
    pub right: Scale,
    /// The type made.
    pub dtype: DType,
    /// Least value made.
    pub low: i32,
    /// Greatest value made.
    pub high: i32,
}

impl Add {
    /// To the symmetric range of `dtype`.
    #[must_use]
    pub fn new(left: Scale, right: Scale, dtype: DType) -> Self {
        let (low, high) = dtype.symmetric();
        Add { left, right, dtype, low, high }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let (left, right) = (Scale::decode(reader)?, Scale::decode(reader)?);
        let dtype = DType::decode(reader)?;
        Ok(Add { left, right, dtype, low: reader.i32()?, high: reader.i32()? })
    }

    fn of(&self, a: i32, b: i32) -> i32 {
        // Each is below 2^62 in magnitude.
        num::clamp(self.left.apply(a).saturating_add(self.right.apply(b)), self.low, self.high)
    }
}

impl Operator for Add {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let (least, greatest) = self.dtype.limits();
        within("the upper limit", self.high.into(), least.into(), greatest.into())?;
        within("the lower limit", self.low.into(), least.into(), self.high.into())?;
        let value = alike(typing)?;
        Ok(ValueType { dtype: self.dtype, ..value.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let left = ranging.operand(0).scaled(self.left);
        let sums = left.plus(ranging.operand(1).scaled(self.right));
        let end = |z| i64::from(num::clamp(z, self.low, self.high));
        Ok(Interval::new(end(sums.low), end(sums.high)))
    }

    fn cell(&self, _: &Site<'_>, index: usize, cells: &mut dyn Cells) -> Result<i32, ModelError> {
        Ok(self.of(cells.input(0, index)?, cells.input(1, index)?))
    }

    fn run(&self, call: &Call<'_>, _: &dyn Kernels) -> Result<Data, ModelError> {
        let (a, b) = (call.data(0)?.widened(), call.data(1)?.widened());
        Ok(Data::collect(self.dtype, a.iter().zip(b.iter()).map(|(a, b)| self.of(*a, *b))))
    }

    fn encode(&self, out: &mut Writer) {
        self.left.encode(out);
        self.right.encode(out);
        out.u8(self.dtype.code());
        out.i32(self.low);
        out.i32(self.high);
    }
}

/// `y = finish(a * b)`, the product in 32 bits, with the factor of a channel of the last axis.
///
/// Operands of any types and the same shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mul {
    /// How products become values of the output.
    pub finish: Requant,
}

impl Mul {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Mul { finish: Requant::decode(reader)? })
    }
}

impl Operator for Mul {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let value = alike(typing)?;
        check_finish(typing.params, None, Some(&self.finish), channels(value, &self.finish))?;
        Ok(ValueType { dtype: self.finish.dtype, ..value.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let products = ranging.operand(0).times(ranging.operand(1)).fits("a product")?;
        checked_factors(&self.finish, ranging)?;
        finished_range(Some(&self.finish), ranging, products)
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let product = cells.input(0, index)?.wrapping_mul(cells.input(1, index)?);
        let (_, channel) = num::split(index, site.last(0));
        finish_cell(Some(&self.finish), product, channel, cells)
    }

    fn run(&self, call: &Call<'_>, _: &dyn Kernels) -> Result<Data, ModelError> {
        let (a, b) = (call.data(0)?.widened(), call.data(1)?.widened());
        let products = a.iter().zip(b.iter()).map(|(a, b)| a.wrapping_mul(*b)).collect();
        let factors = factors(Some(&self.finish), call)?;
        Ok(finish_rows(products, call.site.last(0), None, Some(&self.finish), &factors))
    }

    fn encode(&self, out: &mut Writer) {
        self.finish.encode(out);
    }
}

/// Two operands of the same shape; the first.
fn alike<'a>(typing: &Typing<'a>) -> Result<&'a ValueType, NodeProblem> {
    let [a, b] = typing.operands()?;
    if a.rows != b.rows || a.context != b.context {
        return Err(NodeProblem::Rows { what: "the operands do not have the same rows" });
    }
    if a.dims == b.dims {
        return Ok(a);
    }
    let what = "the second operand, for the first,";
    Err(NodeProblem::Dims { what, found: b.dims.clone(), expected: a.dims.clone() })
}
