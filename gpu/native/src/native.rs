//! Be the kernels of a model: what is worth it natively, the rest left to the interpreter.

use crate::{
    Level,
    attention::Attention,
    cells,
    finish::Finish,
    gemm::{self, Packed, each, is_few, parts, share},
    norm::Norm,
    softmax::Softmax,
    values::{Value, by_data, by_type},
    view::View,
};
use neura_int8::{
    Call, Data, Kernels, ModelError, Op, ParamId, Product, Requant,
    ops::{attention, elementwise::Add, linear::Linear, lookup::Lookup, reduce, softmax},
};

/// Rows up to which attention is left to the interpreter, which reads keys where they lie.
const FEW_QUERIES: usize = 4;

/// The processor, at a level that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Native {
    /// Available: everything unsafe in this crate rests on it.
    level: Level,
}

impl Native {
    /// With the best instructions that there are.
    #[must_use]
    pub fn best() -> Self {
        let available = Level::ALL.into_iter().rfind(|level| level.is_available());
        Native { level: available.unwrap_or(Level::Portable) }
    }

    /// With the instructions of a level, if there are those.
    #[must_use]
    pub fn with(level: Level) -> Option<Self> {
        level.is_available().then_some(Native { level })
    }

    /// The level in use.
    #[must_use]
    pub fn level(self) -> Level {
        self.level
    }

    /// `C = A · Bᵀ`, row after row; the depth is at least 1.
    #[must_use]
    pub fn multiply(self, product: Product<'_>) -> Vec<i32> {
        gemm::product(self.level, product)
    }

    /// Values requantised, in rows of `channels`.
    fn finished<S: Value, T: Value>(self, sums: &[S], finish: &Finish, channels: usize) -> Vec<T> {
        let mut values = vec![T::default(); sums.len()];
        let taken = parts(sums.len() / channels) * channels;
        // Each value takes about as long as eight products.
        each(sums.len() * 8, sums.chunks(taken).zip(values.chunks_mut(taken)), |(sums, values)| {
            finish.rows(self.level, sums, values);
        });
        values
    }

    /// A product that is finished while its sums are at hand.
    fn layer<T: Value>(self, product: Product<'_>, finish: &Finish) -> Vec<T> {
        let Product { a, b, depth } = product;
        let (rows, columns) = (a.len() / depth, b.len() / depth);
        if is_few(self.level, rows) {
            return self.finished(&gemm::product(self.level, product), finish, columns);
        }
        let packed = Packed::new(self.level, View::whole(b, depth));
        let taken = share(self.level, rows);
        let mut values = vec![T::default(); rows * columns];
        let parts = View::whole(a, depth).blocks(taken).zip(values.chunks_mut(taken * columns));
        each(rows * b.len(), parts, |(a, values)| {
            let mut sums = vec![0; values.len()];
            packed.rows(a, &mut sums, columns);
            finish.rows(self.level, &sums, values);
        });
        values
    }

    fn linear(self, op: &Linear, finish: &Requant, call: &Call<'_>) -> Result<Data, ModelError> {
        let (a, b) = (call.data(0)?.i8s(), call.params.i8s(op.weights));
        let depth = call.site.inputs[0].last(call.site.rows).max(1);
        let scales = finish.factors(call.params)?;
        let bias = op.bias.map(|bias| call.params.i32s(bias));
        let product = Product { a, b, depth };
        let prepared = Finish::new(finish, &scales, bias, b.len() / depth);
        Ok(by_type!(finish.dtype, T => T::data(self.layer::<T>(product, &prepared))))
    }

    fn requantise(self, finish: &Requant, call: &Call<'_>) -> Result<Data, ModelError> {
        let channels = call.site.inputs[0].last(call.site.rows).max(1);
        let prepared = Finish::new(finish, &finish.factors(call.params)?, None, channels);
        Ok(by_data!(call.data(0)?, values => by_type!(finish.dtype, T => {
            T::data(self.finished::<_, T>(values, &prepared, channels))
        })))
    }

    fn add(self, op: &Add, call: &Call<'_>) -> Result<Data, ModelError> {
        let (a, b) = (call.data(0)?, call.data(1)?);
        Ok(by_type!(op.dtype, T => T::data(cells::add::<T>(self.level, op, a, b))))
    }

    fn norm(self, norm: &Norm<'_>, call: &Call<'_>) -> Result<Data, ModelError> {
        Ok(by_data!(call.data(0)?, values => by_type!(call.site.output.dtype, T => {
            T::data(norm.rows::<_, T>(self.level, values))
        })))
    }

    fn lookup(self, op: &Lookup, call: &Call<'_>) -> Result<Option<Data>, ModelError> {
        let x = call.data(0)?;
        Ok(call.params.get(op.table).and_then(|table| cells::lookup(x, table)))
    }

    /// Rows of a table; what is not there is left to the interpreter to refuse.
    fn table_rows(
        self,
        table: ParamId,
        call: &Call<'_>,
        entries: impl ExactSizeIterator<Item = usize>,
    ) -> Option<Data> {
        let width = call.site.output.dims.last()?;
        cells::rows(call.params.get(table)?, *width, entries)
    }

    fn embed(self, table: ParamId, call: &Call<'_>) -> Result<Option<Data>, ModelError> {
        let tokens = call.data(0)?.widened();
        let entry = |token: &i32| usize::try_from(*token).unwrap_or(usize::MAX);
        Ok(self.table_rows(table, call, tokens.iter().map(entry)))
    }

    fn mean_rows(self, op: &reduce::MeanRows, call: &Call<'_>) -> Result<Data, ModelError> {
        let width = call.site.output.width(call.site.rows).max(1);
        Ok(Data::I32(cells::mean_rows(self.level, call.data(0)?, width, op.fraction)))
    }

    fn scores(self, op: &attention::Scores, call: &Call<'_>) -> Result<Option<Data>, ModelError> {
        let (queries, keys) = (call.data(0)?.i8s(), call.data(1)?.i8s());
        if call.frame.len() <= FEW_QUERIES || queries.is_empty() || keys.is_empty() {
            return Ok(None);
        }
        let (context, first) = (call.site.rows, call.frame.first);
        let attention = Attention { heads: op.heads, context, first };
        Ok(Some(Data::I32(attention.scores(self.level, queries, keys))))
    }

    fn mix(self, op: &attention::Mix, call: &Call<'_>) -> Result<Option<Data>, ModelError> {
        let (Data::U16(probabilities), Data::I8(values)) = (call.data(0)?, call.data(1)?) else {
            return Ok(None);
        };
        if probabilities.is_empty() || values.is_empty() {
            return Ok(None);
        }
        let (context, first) = (call.site.rows, call.frame.first);
        let attention = Attention { heads: op.heads, context, first };
        let channels = call.site.output.width(call.site.rows);
        let prepared = op
            .finish
            .as_ref()
            .map(|finish| Ok(Finish::new(finish, &finish.factors(call.params)?, None, channels)));
        let prepared = prepared.transpose()?;
        Ok(Some(by_type!(call.site.output.dtype, T => {
            let operands = (&probabilities[..], &values[..]);
            T::data(attention.mix::<T>(self.level, operands, prepared.as_ref()))
        })))
    }

    fn softmax(self, op: &softmax::Softmax, call: &Call<'_>) -> Result<Data, ModelError> {
        let operand = call.site.inputs[0];
        let last = operand.last(call.site.rows).max(1);
        let per_row = (operand.width(call.site.rows) / last).max(1);
        let scores = call.data(0)?.widened();
        let mut terms = vec![0; scores.len()];
        let softmax = Softmax::new(op.scale);
        let taken = parts(scores.len() / last) * last;
        let lines = scores.chunks(taken).zip(terms.chunks_mut(taken)).enumerate();
        // Each score takes about as long as sixteen products.
        each(scores.len() * 16, lines, |(part, (scores, terms))| {
            let mut powers = vec![0; last];
            let lines = scores.chunks_exact(last).zip(terms.chunks_exact_mut(last));
            for (line, (scores, terms)) in lines.enumerate() {
                let row = call.frame.first + (part * taken / last + line) / per_row;
                let seen = if op.causal { (row + 1).min(last) } else { last };
                let powers = &mut powers[..seen];
                softmax.row(self.level, &scores[..seen], powers, &mut terms[..seen]);
            }
        });
        Ok(Data::U16(terms))
    }
}

impl Default for Native {
    fn default() -> Self {
        Self::best()
    }
}

impl Kernels for Native {
    fn product(&self, product: Product<'_>) -> Result<Vec<i32>, ModelError> {
        Ok(self.multiply(product))
    }

    fn node(&self, call: &Call<'_>) -> Result<Option<Data>, ModelError> {
        match call.op {
            Op::Linear(op) => match &op.finish {
                Some(finish) => self.linear(op, finish, call).map(Some),
                None => Ok(None),
            },
            Op::Requantise(op) => self.requantise(&op.finish, call).map(Some),
            Op::Add(op) => self.add(op, call).map(Some),
            Op::LayerNorm(op) => self.norm(&Norm::layer(op, call.params), call).map(Some),
            Op::RmsNorm(op) => self.norm(&Norm::rms(op, call.params), call).map(Some),
            Op::Lookup(op) => self.lookup(op, call),
            Op::Embed(op) => self.embed(op.table, call),
            Op::Position(op) => {
                Ok(self.table_rows(op.table, call, call.frame.first..call.frame.end))
            }
            Op::MeanRows(op) => self.mean_rows(op, call).map(Some),
            Op::Scores(op) => self.scores(op, call),
            Op::Mix(op) => self.mix(op, call),
            Op::Softmax(op) => self.softmax(op, call).map(Some),
            _ => Ok(None),
        }
    }
}
