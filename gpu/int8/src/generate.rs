//! Generate tokens: feed a decoder with what it gives.

use crate::{
    DType, Data, Kernels, MAX_ROWS, Model, ModelError, Rows,
    codec::{Reader, Writer},
    error::bounded,
    num,
    ops::Reach,
    run::{Cache, Keep},
    sampling::Sampling,
};

/// Greatest number of stop tokens.
pub const MAX_STOPS: usize = 64;

/// What to generate from, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The tokens to begin with, at least one.
    pub tokens: Vec<i32>,
    /// Tokens to generate at most, at least one.
    pub max_tokens: usize,
    /// Tokens after which nothing more is generated; they are part of what is given.
    pub stop: Vec<i32>,
    /// How tokens are drawn.
    pub sampling: Sampling,
}

impl Prompt {
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        bounded("the number of tokens of a prompt", self.tokens.len(), 1, MAX_ROWS)?;
        bounded("the number of tokens to generate", self.max_tokens, 1, MAX_ROWS)?;
        bounded("the number of stop tokens", self.stop.len(), 0, MAX_STOPS)?;
        self.sampling.check()
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        for list in [&self.tokens, &self.stop] {
            out.count(list.len());
            list.iter().for_each(|token| out.i32(*token));
        }
        out.count(self.max_tokens);
        self.sampling.encode(out);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let mut list = |max| {
            let count = reader.bounded("the number of tokens", 0, max)?;
            let bytes = reader.take(count.saturating_mul(4))?;
            Ok::<_, ModelError>(Data::from_bytes(DType::I32, bytes).i32s().to_vec())
        };
        let (tokens, stop) = (list(MAX_ROWS)?, list(MAX_STOPS)?);
        let max_tokens = reader.count()?;
        let prompt = Prompt { tokens, max_tokens, stop, sampling: Sampling::decode(reader)? };
        prompt.check().map(|()| prompt)
    }
}

/// A generation under way: an iterator over tokens, as it were, that needs kernels for each.
///
/// Each token's row is computed once; what attention needs of the rows before is kept. The cells
/// are those of a run over all tokens at once, bit for bit.
#[derive(Debug)]
pub struct Generation<'a> {
    model: &'a Model,
    prompt: Prompt,
    cache: Cache,
    /// The tokens whose rows are not computed yet.
    next: Vec<i32>,
    made: Vec<i32>,
    ended: bool,
}

impl<'a> Generation<'a> {
    /// Begins with a prompt.
    ///
    /// # Errors
    /// [`ModelError::Generate`] if the model is no decoder, [`ModelError::Bound`] if the prompt
    /// does not fit it.
    pub fn new(model: &'a Model, prompt: Prompt) -> Result<Self, ModelError> {
        prompt.check()?;
        model.check_generates()?;
        let tokens = crate::Tensor::list(prompt.tokens.clone())?;
        model.check_inputs(&[tokens])?;
        let (cache, next) = (Cache::default(), prompt.tokens.clone());
        Ok(Generation { model, prompt, cache, next, made: Vec::new(), ended: false })
    }

    /// Goes on with a prompt after which these tokens were made. Their rows are computed again with
    /// the next step, all at once, and are the same.
    ///
    /// # Errors
    /// As [`Generation::new`], for prompt and tokens together.
    pub fn resume(model: &'a Model, prompt: Prompt, made: Vec<i32>) -> Result<Self, ModelError> {
        let mut generation = Generation::new(model, prompt)?;
        generation.next.extend_from_slice(&made);
        model.check_inputs(&[crate::Tensor::list(generation.next.clone())?])?;
        generation.made = made;
        Ok(generation)
    }

    /// Computes the next token; `None` once a stop token, the greatest number of tokens or the
    /// model's greatest number of rows is reached.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] if a kernel fails; the generation is then at its end.
    pub fn step(&mut self, kernels: &dyn Kernels) -> Result<Option<i32>, ModelError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        let rows = self.cache.rows().saturating_add(self.next.len());
        self.model.check_rows(rows)?;
        let inputs = vec![Data::I32(std::mem::take(&mut self.next))];
        let state = (&mut self.cache, Keep::Outputs);
        let values = self.model.execute(kernels, inputs, self.prompt.sampling, state)?;
        let output = self.model.manifest().outputs().first().map(|output| output.value.index());
        let made = output.and_then(|output| values.get(output)?.as_ref()?.i32s().last().copied());
        let token = made.ok_or(ModelError::Cell { what: "an output", index: 0 })?;
        self.append(token, rows);
        Ok(Some(token))
    }

    /// Takes the next token, made by other means than [`Generation::step`], which may follow all the
    /// same. After the end nothing is taken.
    pub fn take(&mut self, token: i32) {
        if !self.ended {
            self.append(token, self.cache.rows().saturating_add(self.next.len()));
        }
    }

    /// Adds the token that came of so many rows.
    fn append(&mut self, token: i32, rows: usize) {
        self.made.push(token);
        self.next.push(token);
        self.ended = self.made.len() >= self.prompt.max_tokens
            || self.prompt.stop.contains(&token)
            || rows >= self.model.manifest().max_rows();
    }

    /// Whether no token follows.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The tokens generated so far.
    #[must_use]
    pub fn tokens(&self) -> &[i32] {
        &self.made
    }
}

impl Model {
    /// Generates to the end.
    ///
    /// # Errors
    /// As [`Generation::new`] and [`Generation::step`].
    pub fn generate(&self, kernels: &dyn Kernels, prompt: Prompt) -> Result<Vec<i32>, ModelError> {
        let mut generation = Generation::new(self, prompt)?;
        while generation.step(kernels)?.is_some() {}
        Ok(generation.made)
    }

    /// Checks that the model is a decoder: one input of tokens, a token for each row as its first
    /// output, and no row that depends on a later one.
    ///
    /// # Errors
    /// [`ModelError::Generate`] with what it is not.
    pub fn check_generates(&self) -> Result<(), ModelError> {
        let manifest = self.manifest();
        let refused = |reason| Err(ModelError::Generate { reason });
        let [input] = manifest.inputs() else {
            return refused("it has more inputs than a list of tokens");
        };
        if input.dtype != DType::I32 || !input.dims.is_empty() {
            return refused("its input is not a list of tokens");
        }
        let output = manifest.outputs().first().map(|output| output.value);
        let kind = output.and_then(|output| manifest.value_type(output));
        let token = kind.is_some_and(|kind| {
            (kind.dtype, kind.rows) == (DType::I32, Rows::Many)
                && kind.dims.is_empty()
                && !kind.context
        });
        if !token {
            return refused("its first output is not a token for each row");
        }
        let range = output.and_then(|output| self.range(output));
        let taken = i64::from(input.low)..=i64::from(input.high);
        if !range.is_some_and(|range| taken.contains(&range.low) && taken.contains(&range.high)) {
            return refused("it can give tokens that it does not take");
        }
        if manifest.nodes().iter().any(|node| node.op.reach() == Reach::All) {
            return refused("rows depend on later rows");
        }
        Ok(())
    }
}

/// The greatest number of rows that a prompt can lead to.
pub(crate) fn most_rows(model: &Model, prompt: &Prompt) -> usize {
    let rows = prompt.tokens.len().saturating_add(prompt.max_tokens);
    rows.saturating_sub(1).min(model.manifest().max_rows())
}

/// Bytes that the answer to a prompt takes at most.
pub(crate) fn answer_bytes(prompt: &Prompt) -> u64 {
    num::wide(prompt.max_tokens).saturating_mul(4)
}
