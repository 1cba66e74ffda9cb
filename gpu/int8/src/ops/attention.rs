//! Let rows attend to rows: the two products between activations of different rows.

use super::{
    Call, Cells, Operator, Ranging, Reach, Site, Typing,
    linear::{
        check_finish, decode_finish, encode_finish, factors, finish_cell, finish_rows, finished,
    },
    matmul::finished_range,
};
use crate::{
    DType, Data, Kernels, MAX_CONTEXT, MAX_DIM, ModelError, NodeProblem, Product, Requant,
    codec::{Reader, Writer},
    error::within,
    graph::{Rows, ValueType},
    num,
    range::Interval,
};

/// Heads of attention, and which rows see which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Heads of queries; divides the width of the queries.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`. Head `h` uses `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Whether a row sees only itself and the rows before.
    pub causal: bool,
}

impl Heads {
    fn check(&self, typing: &Typing<'_>) -> Result<(), NodeProblem> {
        let heads = num::signed(self.heads);
        within("the number of heads", heads, 1, num::signed(MAX_DIM))?;
        within("the number of heads of keys", num::signed(self.kv_heads), 1, heads)?;
        let (_, odd) = num::split(self.heads, self.kv_heads);
        within("heads modulo heads of keys", num::signed(odd), 0, 0)?;
        let (rows, most) = (num::signed(typing.max_rows), num::signed(MAX_CONTEXT));
        within("the rows that attend to each other", rows, 1, most)
    }

    /// The head of keys that a head of queries uses.
    fn key_head(&self, head: usize) -> usize {
        let (group, _) = num::split(self.heads, self.kv_heads);
        num::split(head, group).0
    }

    /// The width of a head, if `keys` and `queries` agree on it.
    fn width(&self, queries: usize, keys: usize) -> Result<usize, NodeProblem> {
        let (width, odd) = num::split(queries, self.heads);
        if odd == 0 && width > 0 && keys == width.saturating_mul(self.kv_heads) {
            return Ok(width);
        }
        let what = "the width of keys or values, for the width of queries,";
        let expected = vec![width.saturating_mul(self.kv_heads)];
        Err(NodeProblem::Dims { what, found: vec![keys], expected })
    }

    fn reach(&self) -> Reach {
        if self.causal { Reach::Causal } else { Reach::All }
    }

    fn encode(&self, out: &mut Writer) {
        out.count(self.heads);
        out.count(self.kv_heads);
        out.flag(self.causal);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Heads { heads: reader.count()?, kv_heads: reader.count()?, causal: reader.flag()? })
    }
}

/// The only axis of an operand's rows.
fn flat(value: &ValueType) -> Result<usize, NodeProblem> {
    match (value.plain()?, value.rows) {
        ([width], Rows::Many) => Ok(*width),
        (dims, _) => Err(NodeProblem::Dims {
            what: "an operand with rows of one axis",
            found: dims.to_vec(),
            expected: vec![num::volume(dims)],
        }),
    }
}

/// The columns `[start, start + width)` of rows of `of` values.
fn columns(data: &[i8], of: usize, start: usize, width: usize) -> Vec<i8> {
    let rows = data.chunks_exact(of.max(1));
    rows.flat_map(|row| row.iter().skip(start).take(width).copied()).collect()
}

/// How much each row's queries agree with each row's keys.
///
/// Operands: queries, i8, rows of `heads * D`; keys, i8, rows of `kv_heads * D`. The output has
/// rows of `heads` × T, T being the rows of the run:
/// `y[t][h][s] = sum over d of q[t][h * D + d] * k[s][key(h) * D + d]`, i32; 0 for `s > t` if
/// causal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scores {
    /// Heads, and which rows see which.
    pub heads: Heads,
}

impl Scores {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Scores { heads: Heads::decode(reader)? })
    }

    fn head_width(&self, site: &Site<'_>) -> usize {
        num::split(site.width(0), self.heads.heads).0
    }
}

impl Operator for Scores {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [q, k] = typing.operands()?;
        q.expect(0, &[DType::I8])?;
        k.expect(1, &[DType::I8])?;
        self.heads.check(typing)?;
        self.heads.width(flat(q)?, flat(k)?)?;
        let dims = vec![self.heads.heads];
        Ok(ValueType { dtype: DType::I32, rows: Rows::Many, dims, context: true })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let product = ranging.operand(0).times(ranging.operand(1)).with_zero();
        product.repeated(self.head_width(&ranging.site)).fits("an accumulator")
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let (outer, key_row) = num::split(index, site.rows);
        let (row, head) = num::split(outer, self.heads.heads);
        if self.heads.causal && key_row > row {
            return Ok(0);
        }
        let width = self.head_width(site);
        let query = num::join(row, site.width(0), head.saturating_mul(width));
        let key_head = self.heads.key_head(head).saturating_mul(width);
        let key = num::join(key_row, site.width(1), key_head);
        let mut z = 0_i32;
        for d in 0..width {
            let q = cells.input(0, query.saturating_add(d))?;
            let k = cells.input(1, key.saturating_add(d))?;
            z = z.wrapping_add(q.wrapping_mul(k));
        }
        Ok(z)
    }

    fn run(&self, call: &Call<'_>, kernels: &dyn Kernels) -> Result<Data, ModelError> {
        let site = &call.site;
        let (depth, context) = (self.head_width(site), site.rows);
        let (queries, keys) = (call.data(0)?.i8s(), call.data(1)?.i8s());
        let mut scores = vec![0; call.cells()];
        for head in 0..self.heads.heads {
            let a = columns(queries, site.width(0), head.saturating_mul(depth), depth);
            let key_head = self.heads.key_head(head).saturating_mul(depth);
            let b = columns(keys, site.width(1), key_head, depth);
            let found = kernels.product(Product { a: &a, b: &b, depth })?;
            let rows = scores.chunks_exact_mut(context.max(1)).skip(head);
            let rows = rows.step_by(self.heads.heads.max(1)).zip(found.chunks(context.max(1)));
            for (row, (scores, found)) in rows.enumerate() {
                let seen = match self.heads.causal {
                    true => call.frame.first.saturating_add(row).saturating_add(1),
                    false => context,
                };
                scores.iter_mut().zip(found).take(seen).for_each(|(y, z)| *y = *z);
            }
        }
        Ok(Data::I32(scores))
    }

    fn work(&self, site: &Site<'_>) -> u64 {
        let cells = num::wide(site.output.cells(site.rows, site.rows));
        cells.saturating_mul(num::wide(self.head_width(site)))
    }

    fn reach(&self) -> Reach {
        self.heads.reach()
    }

    fn context_operand(&self) -> Option<usize> {
        Some(1)
    }

    fn encode(&self, out: &mut Writer) {
        self.heads.encode(out);
    }
}

/// Values of rows, mixed by how much each is attended to.
///
/// Operands: probabilities, u16, rows of `heads` × T; values, i8, rows of `kv_heads * D`. The
/// output has rows of `heads * D`:
/// `z[t][h * D + d] = sum over s of p[t][h][s] * v[s][key(h) * D + d]`, in 32 bits, `s` up to `t`
/// only if causal; `y = z`, or `finish(z)` with the factor of channel `h * D + d`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// Heads, and which rows see which.
    pub heads: Heads,
    /// How accumulators become values; i32 accumulators themselves if not given.
    pub finish: Option<Requant>,
}

impl Mix {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Mix { heads: Heads::decode(reader)?, finish: decode_finish(reader)? })
    }

    fn head_width(&self, site: &Site<'_>) -> usize {
        num::split(site.width(1), self.heads.kv_heads).0
    }

    /// Rows that row `row` sees.
    fn seen(&self, row: usize, context: usize) -> usize {
        if self.heads.causal { row.saturating_add(1).min(context) } else { context }
    }
}

impl Operator for Mix {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [p, v] = typing.operands()?;
        p.expect(0, &[DType::U16])?;
        v.expect(1, &[DType::I8])?;
        self.heads.check(typing)?;
        if !p.context || p.dims != [self.heads.heads] {
            let what = "the probabilities' heads";
            let (found, expected) = (p.dims.clone(), vec![self.heads.heads]);
            return Err(NodeProblem::Dims { what, found, expected });
        }
        let keys = flat(v)?;
        let (width, _) = num::split(keys, self.heads.kv_heads);
        let dims = width.saturating_mul(self.heads.heads);
        self.heads.width(dims, keys)?;
        within("the width of the output", num::signed(dims), 1, num::signed(MAX_DIM))?;
        check_finish(typing.params, None, self.finish.as_ref(), dims)?;
        let dtype = finished(self.finish.as_ref());
        Ok(ValueType { dtype, rows: Rows::Many, dims: vec![dims], context: false })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let (p, v) = (ranging.operand(0), ranging.operand(1));
        let many = p.magnitude().saturating_mul(num::wide(ranging.site.rows));
        let total = i64::try_from(p.sum.unwrap_or(many).min(many)).unwrap_or(i64::MAX);
        let sums = v.times(Interval::new(0, total)).fits("an accumulator")?;
        finished_range(self.finish.as_ref(), ranging, sums)
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let width = self.head_width(site);
        let (row, channel) = num::split(index, width.saturating_mul(self.heads.heads));
        let (head, d) = num::split(channel, width);
        let probabilities = num::join(row, self.heads.heads, head);
        let value = num::join(self.heads.key_head(head), width, d);
        let mut z = 0_i32;
        for s in 0..self.seen(row, site.rows) {
            let p = cells.input(0, num::join(probabilities, site.rows, s))?;
            let v = cells.input(1, num::join(s, site.width(1), value))?;
            z = z.wrapping_add(p.wrapping_mul(v));
        }
        finish_cell(self.finish.as_ref(), z, channel, cells)
    }

    fn run(&self, call: &Call<'_>, _: &dyn Kernels) -> Result<Data, ModelError> {
        let (site, width) = (&call.site, self.head_width(&call.site));
        let Data::U16(probabilities) = call.data(0)? else {
            return Err(ModelError::Cell { what: "an operand", index: 0 });
        };
        let values = call.data(1)?.i8s();
        let mut sums = vec![0_i32; call.cells()];
        let outputs = sums.chunks_exact_mut(width.max(1));
        let rows = probabilities.chunks_exact(site.rows.max(1)).zip(outputs).enumerate();
        for (index, (weights, sums)) in rows {
            let (row, head) = num::split(index, self.heads.heads);
            let seen = self.seen(call.frame.first.saturating_add(row), site.rows);
            let start = self.heads.key_head(head).saturating_mul(width);
            let values = values.chunks_exact(site.width(1).max(1));
            for (weight, value) in weights.iter().take(seen).zip(values) {
                let weight = i32::from(*weight);
                let value = value.iter().skip(start).take(width);
                let products = value.map(|value| weight.wrapping_mul(i32::from(*value)));
                sums.iter_mut().zip(products).for_each(|(sum, z)| *sum = sum.wrapping_add(z));
            }
        }
        let factors = factors(self.finish.as_ref(), call)?;
        let channels = width.saturating_mul(self.heads.heads);
        Ok(finish_rows(sums, channels, None, self.finish.as_ref(), &factors))
    }

    fn work(&self, site: &Site<'_>) -> u64 {
        let cells = num::wide(site.output.cells(site.rows, site.rows));
        cells.saturating_mul(num::wide(site.rows))
    }

    fn reach(&self) -> Reach {
        self.heads.reach()
    }

    fn context_operand(&self) -> Option<usize> {
        Some(1)
    }

    fn encode(&self, out: &mut Writer) {
        self.heads.encode(out);
        encode_finish(self.finish.as_ref(), out);
    }
}
