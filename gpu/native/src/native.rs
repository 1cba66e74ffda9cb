//! Be the kernels of a model: what is worth it natively, the rest left to the interpreter.

use crate::{
    Level,
    attention::Mix,
    finish::{Finish, Value},
    gemm::{self, Packed, each, share},
    softmax::Softmax,
};
use neura_int8::{
    Call, DType, Data, Kernels, ModelError, Op, Product, Requant, Scale,
    ops::{attention, linear::Linear, softmax},
};

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

    fn finish(self, sums: &[i32], finish: &Finish, dtype: DType) -> Data {
        match dtype {
            DType::I8 => Data::I8(self.finished(sums, finish)),
            DType::I16 => Data::I16(self.finished(sums, finish)),
            DType::U16 => Data::U16(self.finished(sums, finish)),
            DType::I32 => Data::I32(self.finished(sums, finish)),
        }
    }

    fn finished<T: Value>(self, sums: &[i32], finish: &Finish) -> Vec<T> {
        let mut values = vec![T::default(); sums.len()];
        finish.rows(self.level, sums, &mut values);
        values
    }

    /// A product that is finished while its sums are at hand.
    fn layer<T: Value>(self, product: Product<'_>, finish: &Finish) -> Vec<T> {
        let Product { a, b, depth } = product;
        let (rows, columns) = (a.len() / depth, b.len() / depth);
        if rows < share(rows) {
            return self.finished(&gemm::product(self.level, product), finish);
        }
        let packed = Packed::new(self.level, b, depth);
        let taken = share(rows);
        let mut values = vec![T::default(); rows * columns];
        let parts = a.chunks(taken * depth).zip(values.chunks_mut(taken * columns));
        each(rows * b.len(), parts, |(a, values)| {
            let mut sums = vec![0; values.len()];
            packed.rows(a, depth, &mut sums);
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
        Ok(match finish.dtype {
            DType::I8 => Data::I8(self.layer(product, &prepared)),
            DType::I16 => Data::I16(self.layer(product, &prepared)),
            DType::U16 => Data::U16(self.layer(product, &prepared)),
            DType::I32 => Data::I32(self.layer(product, &prepared)),
        })
    }

    fn mix(self, op: &attention::Mix, call: &Call<'_>) -> Result<Option<Data>, ModelError> {
        let (Data::U16(probabilities), Data::I8(values)) = (call.data(0)?, call.data(1)?) else {
            return Ok(None);
        };
        if probabilities.is_empty() || values.is_empty() {
            return Ok(None);
        }
        let (context, first) = (call.site.rows, call.frame.first);
        let mix = Mix { heads: op.heads, probabilities, values, context, first };
        let sums = mix.sums(self.level);
        let Some(finish) = &op.finish else { return Ok(Some(Data::I32(sums))) };
        let scales: Vec<Scale> = finish.factors(call.params)?;
        let channels = call.site.output.width(call.site.rows);
        let prepared = Finish::new(finish, &scales, None, channels);
        Ok(Some(self.finish(&sums, &prepared, finish.dtype)))
    }

    fn softmax(self, op: &softmax::Softmax, call: &Call<'_>) -> Result<Data, ModelError> {
        let operand = call.site.inputs[0];
        let last = operand.last(call.site.rows).max(1);
        let per_row = (operand.width(call.site.rows) / last).max(1);
        let scores = call.data(0)?.widened();
        let mut terms = vec![0; scores.len()];
        let softmax = Softmax::new(op.scale);
        let taken = share(scores.len() / last) * last;
        let parts = scores.chunks(taken).zip(terms.chunks_mut(taken)).enumerate();
        // Each score takes about as long as sixteen products.
        each(scores.len() * 16, parts, |(part, (scores, terms))| {
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
            Op::Mix(op) => self.mix(op, call),
            Op::Softmax(op) => self.softmax(op, call).map(Some),
            _ => Ok(None),
        }
    }
}
