//! Multiply two activations within each row.

use super::{
    Call, Cells, Operator, Ranging, Site, Typing,
    linear::{
        check_finish, checked_factors, decode_finish, encode_finish, factors, finish_cell,
        finish_rows, finished,
    },
};
use crate::{
    DType, Data, Kernels, ModelError, NodeProblem, Product, Requant,
    codec::{Reader, Writer},
    graph::ValueType,
    num,
    range::Interval,
};

/// A batched product of two activations, row by row of the run.
///
/// The operands' rows are `[B, M, K]` and `[B, N, K]`, or without the `B`, both i8. The output is
/// `[B, M, N]`: `z[b][m][n] = sum over k of a[b][m][k] * b[b][n][k]`, in 32 bits; `y = z`, or
/// `finish(z)` with the factor of channel `n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatMul {
    /// How accumulators become values; i32 accumulators themselves if not given.
    pub finish: Option<Requant>,
}

/// The lengths `(M, N, K)` of one product.
fn sides(site: &Site<'_>) -> (usize, usize, usize) {
    let side = |operand: usize, back: usize| {
        let dims = site.dims(operand);
        dims.len().checked_sub(back).and_then(|axis| dims.get(axis)).copied().unwrap_or(0)
    };
    (side(0, 2), side(1, 2), side(0, 1))
}

impl MatMul {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(MatMul { finish: decode_finish(reader)? })
    }
}

impl Operator for MatMul {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [a, b] = typing.operands()?;
        a.expect(0, &[DType::I8])?;
        b.expect(1, &[DType::I8])?;
        let (left, right) = (a.plain()?, b.plain()?);
        let misfit = NodeProblem::Dims {
            what: "operands [B, M, K] and [B, N, K]",
            found: right.to_vec(),
            expected: left.to_vec(),
        };
        let (mut dims, columns) = match (left, right) {
            ([m, k], [n, k2]) if k == k2 => (vec![*m], *n),
            ([batch, m, k], [batch2, n, k2]) if k == k2 && batch == batch2 => {
                (vec![*batch, *m], *n)
            }
            _ => return Err(misfit),
        };
        if a.rows != b.rows {
            return Err(NodeProblem::Rows { what: "one operand has rows and the other has none" });
        }
        dims.push(columns);
        check_finish(typing.params, None, self.finish.as_ref(), columns)?;
        Ok(ValueType { dtype: finished(self.finish.as_ref()), dims, ..a.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let (_, _, depth) = sides(&ranging.site);
        let product = ranging.operand(0).times(ranging.operand(1)).with_zero();
        let sums = product.repeated(depth).fits("an accumulator")?;
        finished_range(self.finish.as_ref(), ranging, sums)
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let (m, n, k) = sides(site);
        let (outer, column) = num::split(index, n);
        let (batch, row) = num::split(outer, m);
        let (left, right) = (num::join(batch, m, row), num::join(batch, n, column));
        let mut z = 0_i32;
        for inner in 0..k {
            let a = cells.input(0, num::join(left, k, inner))?;
            let b = cells.input(1, num::join(right, k, inner))?;
            z = z.wrapping_add(a.wrapping_mul(b));
        }
        finish_cell(self.finish.as_ref(), z, column, cells)
    }

    fn run(&self, call: &Call<'_>, kernels: &dyn Kernels) -> Result<Data, ModelError> {
        let (m, n, depth) = sides(&call.site);
        let left = call.data(0)?.i8s().chunks(m.saturating_mul(depth).max(1));
        let right = call.data(1)?.i8s().chunks(n.saturating_mul(depth).max(1));
        let mut sums = Vec::with_capacity(call.cells());
        for (a, b) in left.zip(right) {
            sums.extend(kernels.product(Product { a, b, depth })?);
        }
        let factors = factors(self.finish.as_ref(), call)?;
        Ok(finish_rows(sums, n, None, self.finish.as_ref(), &factors))
    }

    fn work(&self, site: &Site<'_>) -> u64 {
        let (_, _, depth) = sides(site);
        num::wide(site.output.cells(site.rows, site.rows)).saturating_mul(num::wide(depth))
    }

    fn encode(&self, out: &mut Writer) {
        encode_finish(self.finish.as_ref(), out);
    }
}

/// Where accumulators of one interval end up.
pub(super) fn finished_range(
    finish: Option<&Requant>,
    ranging: &Ranging<'_>,
    sums: Interval,
) -> Result<Interval, NodeProblem> {
    let Some(finish) = finish else { return Ok(sums) };
    let factors = checked_factors(finish, ranging)?;
    let hulls = factors.iter().map(|scale| finish.interval(*scale, sums));
    Ok(hulls.reduce(Interval::hull).unwrap_or(Interval::new(0, 0)))
}
