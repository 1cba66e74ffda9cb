//! Look values up: any function of one value, such as GELU, SiLU, tanh or a logistic.

use super::{Call, Cells, Operator, Ranging, Site, Typing};
use crate::{
    DType, Data, Kernels, ModelError, NodeProblem, ParamId,
    codec::{Reader, Writer},
    graph::ValueType,
    num,
    range::Interval,
};

/// `y = table[x + offset]`, the offset being 128 for an i8 operand and 32,768 for an i16 one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Of any type, which is the output's; 256 entries for an i8 operand, 65,536 for an i16 one.
    pub table: ParamId,
}

/// Entries that a type of operand asks for; half of them is the offset.
fn entries(dtype: DType) -> Option<usize> {
    match dtype {
        DType::I8 => Some(256),
        DType::I16 => Some(65_536),
        DType::U16 | DType::I32 => None,
    }
}

/// The entry of a value.
fn entry(dtype: DType, x: i32) -> usize {
    let offset = entries(dtype).unwrap_or(0) / 2;
    usize::try_from(num::signed(offset).saturating_add(x.into())).unwrap_or(0)
}

impl Lookup {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Lookup { table: ParamId(reader.u32()?) })
    }
}

impl Operator for Lookup {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        let refused = NodeProblem::Type { operand: 0, found: x.dtype };
        let entries = entries(x.dtype).ok_or(refused)?;
        let spec = typing.params.find(self.table, "table")?;
        typing.params.expect(self.table, "table", spec.dtype, &[entries])?;
        Ok(ValueType { dtype: spec.dtype, ..x.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let (x, dtype) = (ranging.operand(0), ranging.site.inputs.first().map(|x| x.dtype));
        let entry = |x: i64| entry(dtype.unwrap_or(DType::I8), num::clamp(x, i32::MIN, i32::MAX));
        let table = ranging.params.get(self.table).map(Data::widened).unwrap_or_default();
        let reached = table.get(entry(x.low)..=entry(x.high)).unwrap_or(&table);
        Ok(Interval::of(reached.iter().copied()))
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let dtype = site.inputs.first().map_or(DType::I8, |x| x.dtype);
        let x = cells.input(0, index)?;
        cells.param(self.table, entry(dtype, x))
    }

    fn run(&self, call: &Call<'_>, _: &dyn Kernels) -> Result<Data, ModelError> {
        let input = call.data(0)?;
        let table = call.params.get(self.table).map(Data::widened).unwrap_or_default();
        let dtype = input.dtype();
        let of = |x: &i32| table.get(entry(dtype, *x)).copied().unwrap_or(0);
        Ok(Data::collect(call.site.output.dtype, input.widened().iter().map(of)))
    }

    fn encode(&self, out: &mut Writer) {
        out.u32(self.table.0);
    }
}
