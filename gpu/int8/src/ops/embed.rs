//! Take rows of a table: by token, by position.

use super::{Call, Cells, Operator, Ranging, Site, Typing};
use crate::{
    DType, Data, Kernels, ModelError, NodeProblem, ParamId,
    codec::{Reader, Writer},
    error::within,
    graph::{Rows, ValueType},
    num,
    range::Interval,
};

/// `y[t] = table[x[t]]`: a row of the table for each value of the operand.
///
/// The operand is of any type; the output has its axes and then the table's second one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embed {
    /// Of any type, which is the output's: entries × width.
    pub table: ParamId,
}

/// `y[t] = table[t]`: a row of the table for each row of the run. No operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Of any type, which is the output's: positions × width; at least as many positions as the
    /// model has rows.
    pub table: ParamId,
}

/// The type and the axes of a table.
fn table(typing: &Typing<'_>, id: ParamId) -> Result<(DType, usize, usize), NodeProblem> {
    let spec = typing.params.find(id, "table")?;
    match spec.dims[..] {
        [entries, width] => Ok((spec.dtype, entries, width)),
        _ => Err(NodeProblem::Param { param: id.0, what: "table" }),
    }
}

impl Embed {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Embed { table: ParamId(reader.u32()?) })
    }
}

impl Operator for Embed {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        let (dtype, _, width) = table(typing, self.table)?;
        let dims = x.plain()?.iter().copied().chain([width]).collect();
        Ok(ValueType { dtype, dims, ..x.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let x = ranging.operand(0);
        let last = num::signed(ranging.site.param_dim(self.table, 0)).wrapping_sub(1);
        within("the least index", x.low, 0, last)?;
        within("the greatest index", x.high, 0, last)?;
        Ok(ranging.param(self.table))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let width = site.param_dim(self.table, 1);
        let (outer, at) = num::split(index, width);
        let entry = cells.input(0, outer)?;
        let entry = usize::try_from(entry)
            .map_err(|_| ModelError::Cell { what: "a table", index: outer })?;
        cells.param(self.table, num::join(entry, width, at))
    }

    fn run(&self, call: &Call<'_>, _: &dyn Kernels) -> Result<Data, ModelError> {
        let entries = call.data(0)?.widened();
        let entries = entries.iter().map(|x| usize::try_from(*x).unwrap_or(usize::MAX));
        rows(call, self.table, entries)
    }

    fn encode(&self, out: &mut Writer) {
        out.u32(self.table.0);
    }
}

impl Position {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Position { table: ParamId(reader.u32()?) })
    }
}

impl Operator for Position {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [] = typing.operands()?;
        let (dtype, positions, width) = table(typing, self.table)?;
        let (rows, positions) = (num::signed(typing.max_rows), num::signed(positions));
        within("the greatest number of rows", rows, 1, positions)?;
        Ok(ValueType { dtype, rows: Rows::Many, dims: vec![width], context: false })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        Ok(ranging.param(self.table))
    }

    fn cell(&self, _: &Site<'_>, index: usize, cells: &mut dyn Cells) -> Result<i32, ModelError> {
        cells.param(self.table, index)
    }

    fn run(&self, call: &Call<'_>, _: &dyn Kernels) -> Result<Data, ModelError> {
        rows(call, self.table, call.frame.first..call.frame.end)
    }

    fn encode(&self, out: &mut Writer) {
        out.u32(self.table.0);
    }
}

/// The rows of a table, one after another.
fn rows(
    call: &Call<'_>,
    table: ParamId,
    entries: impl Iterator<Item = usize>,
) -> Result<Data, ModelError> {
    let width = call.site.param_dim(table, 1);
    let values = call.params.get(table).map(Data::widened).unwrap_or_default();
    let mut made = Vec::with_capacity(call.cells());
    for entry in entries {
        let start = entry.saturating_mul(width);
        let row = values.get(start..start.saturating_add(width));
        made.extend_from_slice(row.ok_or(ModelError::Cell { what: "a table", index: start })?);
    }
    Ok(Data::collect(call.site.output.dtype, made))
}
