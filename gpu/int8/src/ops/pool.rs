//! Pool images: the greatest or the mean under a window.

use super::{Cells, Operator, Ranging, Site, Typing, conv::Window};
use crate::{
    ModelError, NodeProblem,
    codec::{Reader, Writer},
    graph::ValueType,
    num,
    range::Interval,
};

/// The greatest value under a window; cells outside the image do not count.
///
/// The operand, of any type, has rows `[C, H, W]`; the output `[C, H', W']` as for
/// [`Conv2d`](super::conv::Conv2d).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxPool {
    /// The window.
    pub window: Window,
}

/// The mean under a window: `round(sum / count)`, where cells outside the image do not count.
///
/// Shapes as for [`MaxPool`]. The sum is of 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvgPool {
    /// The window.
    pub window: Window,
}

fn pooled(window: &Window, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
    let [x] = typing.operands()?;
    let &[channels, height, width] = x.plain()? else {
        let (what, found) = ("an image [C, H, W]", x.dims.clone());
        return Err(NodeProblem::Dims { what, found, expected: vec![1, 1, 1] });
    };
    let [rows, cols] = window.over(height, width)?;
    Ok(ValueType { dims: vec![channels, rows, cols], ..x.clone() })
}

/// The cells of the operand that cell `index` of the output sees: at least one.
fn seen(
    window: &Window,
    site: &Site<'_>,
    index: usize,
    cells: &mut dyn Cells,
) -> Result<Vec<i32>, ModelError> {
    let (&[_, height, width], &[_, rows, cols]) = (site.dims(0), &site.output.dims[..]) else {
        return Err(ModelError::Cell { what: "an image", index });
    };
    let (plane, position) = num::split(index, rows.saturating_mul(cols));
    let first = plane.saturating_mul(height.saturating_mul(width));
    let [down, right] = window.size;
    let at = num::split(position, cols);
    let under = (0..down.saturating_mul(right))
        .filter_map(|cell| window.under(at, num::split(cell, right), (height, width)));
    under.map(|under| cells.input(0, first.saturating_add(under))).collect()
}

impl MaxPool {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(MaxPool { window: Window::decode(reader)? })
    }
}

impl Operator for MaxPool {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        pooled(&self.window, typing)
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
        Ok(seen(&self.window, site, index, cells)?.into_iter().max().unwrap_or(0))
    }

    fn work(&self, site: &Site<'_>) -> u64 {
        window_work(&self.window, site)
    }

    fn encode(&self, out: &mut Writer) {
        self.window.encode(out);
    }
}

impl AvgPool {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(AvgPool { window: Window::decode(reader)? })
    }
}

impl Operator for AvgPool {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        pooled(&self.window, typing)
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        // At most 2^16 values of 32 bits: the sum cannot overflow 64.
        let x = ranging.operand(0);
        Ok(Interval::new(x.low, x.high))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let seen = seen(&self.window, site, index, cells)?;
        let sum = seen.iter().fold(0_i64, |sum, x| sum.wrapping_add(i64::from(*x)));
        Ok(num::clamp(num::div_round(sum, num::wide(seen.len())), i32::MIN, i32::MAX))
    }

    fn work(&self, site: &Site<'_>) -> u64 {
        window_work(&self.window, site)
    }

    fn encode(&self, out: &mut Writer) {
        self.window.encode(out);
    }
}

fn window_work(window: &Window, site: &Site<'_>) -> u64 {
    let cells = site.output.cells(site.rows, site.rows);
    num::wide(cells).saturating_mul(num::wide(num::volume(&window.size)))
}
