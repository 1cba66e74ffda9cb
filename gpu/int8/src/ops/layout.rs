//! Move cells: slice, concatenate, reshape, transpose.

use super::{Cells, Operator, Ranging, Site, Typing};
use crate::{
    MAX_DIM, MAX_RANK, ModelError, NodeProblem,
    codec::{Reader, Writer},
    error::within,
    graph::ValueType,
    num,
    range::Interval,
};

/// Part of an axis of the rows: `length` values from `start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The axis, from 0, of the rows.
    pub axis: usize,
    /// First value taken.
    pub start: usize,
    /// Values taken, at least 1.
    pub length: usize,
}

/// The volumes before, of, and after an axis.
fn around(dims: &[usize], axis: usize) -> (usize, usize, usize) {
    let (before, rest) = dims.split_at_checked(axis).unwrap_or((dims, &[]));
    let (length, after) = rest.split_first().map_or((1, rest), |(length, rest)| (*length, rest));
    (num::volume(before), length, num::volume(after))
}

fn check_axis(axis: usize, dims: &[usize]) -> Result<(), NodeProblem> {
    within("the axis", num::signed(axis), 0, num::signed(dims.len()).wrapping_sub(1))
}

impl Slice {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let axis = usize::from(reader.u8()?);
        Ok(Slice { axis, start: reader.count()?, length: reader.count()? })
    }
}

impl Operator for Slice {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        let mut dims = x.plain()?.to_vec();
        check_axis(self.axis, &dims)?;
        let (_, axis, _) = around(&dims, self.axis);
        within("the length", num::signed(self.length), 1, num::signed(axis))?;
        let most = num::signed(axis.saturating_sub(self.length));
        within("the start", num::signed(self.start), 0, most)?;
        dims.iter_mut().skip(self.axis).take(1).for_each(|dim| *dim = self.length);
        Ok(ValueType { dims, ..x.clone() })
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
        let (_, axis, after) = around(site.dims(0), self.axis);
        let (outer, inner) = num::split(index, after);
        let (outer, at) = num::split(outer, self.length);
        let from = num::join(outer, axis, at.saturating_add(self.start));
        cells.input(0, num::join(from, after, inner))
    }

    fn encode(&self, out: &mut Writer) {
        out.u8(u8::try_from(self.axis).unwrap_or(u8::MAX));
        out.count(self.start);
        out.count(self.length);
    }
}

/// The operands, one or more of the same type, joined along an axis of their rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concat {
    /// The axis, from 0, of the rows.
    pub axis: usize,
}

impl Concat {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Concat { axis: usize::from(reader.u8()?) })
    }
}

impl Operator for Concat {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let &[first, ..] = typing.inputs else {
            return Err(NodeProblem::Operands { found: 0, expected: 1 });
        };
        let mut dims = first.plain()?.to_vec();
        check_axis(self.axis, &dims)?;
        let mut length = 0_usize;
        for (operand, x) in typing.inputs.iter().enumerate() {
            x.expect(operand, &[first.dtype])?;
            if x.rows != first.rows {
                return Err(NodeProblem::Rows { what: "the operands do not have the same rows" });
            }
            let (_, axis, _) = around(x.plain()?, self.axis);
            length = length.saturating_add(axis);
            dims.iter_mut().skip(self.axis).take(1).for_each(|dim| *dim = axis);
            if dims != x.dims {
                let what = "an operand, for the first and this axis,";
                return Err(NodeProblem::Dims { what, found: x.dims.clone(), expected: dims });
            }
        }
        dims.iter_mut().skip(self.axis).take(1).for_each(|dim| *dim = length);
        Ok(ValueType { dims, ..first.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let hull = ranging.ranges.iter().copied().reduce(Interval::hull);
        let hull = hull.unwrap_or(Interval::new(0, 0));
        Ok(Interval::new(hull.low, hull.high))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let (_, whole, after) = around(&site.output.dims, self.axis);
        let (outer, inner) = num::split(index, after);
        let (outer, mut at) = num::split(outer, whole);
        for operand in 0..site.inputs.len() {
            let (_, axis, _) = around(site.dims(operand), self.axis);
            if at < axis {
                return cells.input(operand, num::join(num::join(outer, axis, at), after, inner));
            }
            at = at.saturating_sub(axis);
        }
        Err(ModelError::Cell { what: "an operand", index })
    }

    fn encode(&self, out: &mut Writer) {
        out.u8(u8::try_from(self.axis).unwrap_or(u8::MAX));
    }
}

/// The same cells in the same order, with other axes of the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reshape {
    /// The axes of the rows, of the same volume as the operand's.
    pub dims: Vec<usize>,
}

impl Reshape {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Reshape { dims: decode_list(reader)? })
    }
}

impl Operator for Reshape {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        let dims = x.plain()?;
        if num::volume(dims) == num::volume(&self.dims) {
            return Ok(ValueType { dims: self.dims.clone(), ..x.clone() });
        }
        let (what, found) = ("the volume of the rows", self.dims.clone());
        Err(NodeProblem::Dims { what, found, expected: dims.to_vec() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let x = ranging.operand(0);
        Ok(Interval::new(x.low, x.high))
    }

    fn cell(&self, _: &Site<'_>, index: usize, cells: &mut dyn Cells) -> Result<i32, ModelError> {
        cells.input(0, index)
    }

    fn encode(&self, out: &mut Writer) {
        encode_list(&self.dims, out);
    }
}

/// The axes of the rows in another order: axis `i` of the output is axis `order[i]` of the operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transpose {
    /// A permutation of the axes.
    pub order: Vec<usize>,
}

impl Transpose {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Transpose { order: decode_list(reader)? })
    }
}

impl Operator for Transpose {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        let dims = x.plain()?;
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        let expected: Vec<usize> = (0..dims.len()).collect();
        if sorted != expected {
            let (what, found) = ("the order of axes", self.order.clone());
            return Err(NodeProblem::Dims { what, found, expected });
        }
        let dims = self.order.iter().filter_map(|axis| dims.get(*axis).copied()).collect();
        Ok(ValueType { dims, ..x.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let x = ranging.operand(0);
        Ok(Interval::new(x.low, x.high))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let dims = site.dims(0);
        let (row, mut rest) = num::split(index, num::volume(dims));
        let mut from = row.saturating_mul(num::volume(dims));
        for (axis, dim) in self.order.iter().zip(&site.output.dims).rev() {
            let (outer, at) = num::split(rest, *dim);
            let (_, _, stride) = around(dims, *axis);
            from = from.saturating_add(at.saturating_mul(stride));
            rest = outer;
        }
        cells.input(0, from)
    }

    fn encode(&self, out: &mut Writer) {
        encode_list(&self.order, out);
    }
}

fn encode_list(list: &[usize], out: &mut Writer) {
    out.u8(u8::try_from(list.len()).unwrap_or(u8::MAX));
    list.iter().for_each(|item| out.count(*item));
}

fn decode_list(reader: &mut Reader<'_>) -> Result<Vec<usize>, ModelError> {
    let length = usize::from(reader.u8()?);
    crate::error::bounded("the number of axes", length, 0, MAX_RANK)?;
    (0..length).map(|_| reader.bounded("the length of an axis", 0, MAX_DIM)).collect()
}
