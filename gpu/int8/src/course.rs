//! Answer a job step by step, so that the work can be put down and taken up again elsewhere.

use crate::{
    Data, Generation, Int8Result, Kernels, MAX_ROWS, Model, ModelError, OpenJob, Prompt, Request,
    Rows, Tensor, ValueId,
    codec::{HEADER_BYTES, MAGIC_BYTES, Reader, Writer},
    error::bounded,
    num,
    ops::Reach,
    range::Interval,
    request::decode_tensors,
    run::{Cache, Keep},
    sampling::Sampling,
};

const WHAT: &str = "a checkpoint of an int8 job";
const MAGIC: &[u8; MAGIC_BYTES] = b"NEURAI8K";

/// A job that is being answered.
///
/// A step makes one token of a generation, or some rows of a run whose rows do not depend on each
/// other, or answers another request. Between steps [`Course::checkpoint`] holds all that was done;
/// [`Course::resume`] goes on from it, on this device or another, and the result is the same bits.
#[derive(Debug)]
pub struct Course<'a> {
    job: &'a OpenJob,
    answers: Vec<Vec<Tensor>>,
    current: Current<'a>,
}

/// What there is of the answer to the request after those answered.
#[derive(Debug)]
enum Current<'a> {
    Nothing,
    /// The first rows of each output of a run.
    Rows(usize, Vec<Data>),
    Generation(Box<Generation<'a>>),
}

impl<'a> Course<'a> {
    /// Begins a job.
    #[must_use]
    pub fn new(job: &'a OpenJob) -> Self {
        Course { job, answers: Vec::new(), current: Current::Nothing }
    }

    /// Goes on where [`Course::checkpoint`] was made.
    ///
    /// What a checkpoint holds must have the types, shapes and ranges that the model gives. That
    /// the values are those that the model gives is known only to who made it.
    ///
    /// # Errors
    /// [`ModelError`] for anything that is not the one encoding of a checkpoint of this job.
    pub fn resume(job: &'a OpenJob, checkpoint: &[u8]) -> Result<Self, ModelError> {
        let mut reader = Reader::open(WHAT, MAGIC, checkpoint)?;
        let count = reader.bounded("the number of answers", 0, job.requests.len())?;
        let mut answers = Vec::new();
        for request in job.requests.iter().take(count) {
            let answer = decode_tensors(&mut reader)?;
            check_answer(&job.model, request, &answer)?;
            answers.push(answer);
        }
        let current = match (reader.u8()?, job.requests.get(count)) {
            (0, _) => Current::Nothing,
            (1, Some(Request::Run { inputs, .. })) if job.model.has_rows_apart() => {
                decode_rows(&mut reader, &job.model, rows_of(inputs))?
            }
            (2, Some(Request::Generate(prompt))) => {
                let most = prompt.max_tokens.saturating_sub(1);
                let made = reader.bounded("the number of tokens", 1, most)?;
                let made = reader.take(made.saturating_mul(4))?;
                let made = Data::from_bytes(crate::DType::I32, made).i32s().to_vec();
                check_tokens(&job.model, prompt, &made)?;
                let generation = Generation::resume(&job.model, prompt.clone(), made)?;
                Current::Generation(Box::new(generation))
            }
            (found, _) => return Err(ModelError::Kind { what: "work under way", found }),
        };
        reader.finish()?;
        Ok(Course { job, answers, current })
    }

    /// Rows and tokens made, of [`Course::total`]; grows with every step. A generation that ended
    /// early counts as a whole one.
    #[must_use]
    pub fn done(&self) -> u64 {
        let answered = self.job.requests.iter().take(self.answers.len()).map(units);
        let current = match &self.current {
            Current::Nothing => 0,
            Current::Rows(done, _) => num::wide(*done),
            Current::Generation(generation) => num::wide(generation.tokens().len()),
        };
        answered.fold(current, u64::saturating_add)
    }

    /// Requests answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.answers.len()
    }

    /// Rows and tokens of the whole job, at most.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.job.requests.iter().map(units).fold(0, u64::saturating_add)
    }

    /// The next request, if nothing of its answer is made yet.
    #[must_use]
    pub fn untouched(&self) -> Option<&'a Request> {
        match self.current {
            Current::Nothing => self.job.requests.get(self.answers.len()),
            _ => None,
        }
    }

    /// Takes the whole answer to the request at hand, made by other means than [`Course::step`].
    pub fn take(&mut self, answer: Vec<Tensor>) {
        self.answers.push(answer);
        self.current = Current::Nothing;
    }

    /// The prompt of the request at hand and the tokens made so far, if it is a generation.
    #[must_use]
    pub fn generating(&self) -> Option<(&'a Prompt, &[i32])> {
        let Some(Request::Generate(prompt)) = self.job.requests.get(self.answers.len()) else {
            return None;
        };
        let made = match &self.current {
            Current::Generation(generation) => generation.tokens(),
            _ => &[],
        };
        Some((prompt, made))
    }

    /// Takes the next token of the generation at hand, made by other means than [`Course::step`].
    ///
    /// # Errors
    /// [`ModelError`] if no generation is at hand, or the model does not give such a token.
    pub fn take_token(&mut self, token: i32) -> Result<(), ModelError> {
        let Some((prompt, _)) = self.generating() else {
            return Err(foreign("no generation is at hand"));
        };
        check_range(&self.job.model, first_output(&self.job.model), &Data::I32(vec![token]))?;
        let mut generation = self.generation(prompt)?;
        generation.take(token);
        self.put(generation)
    }

    /// Does the next step; false if there is none. Of a run whose rows stand alone, as many rows as
    /// take at most `macs` multiply-accumulates are computed, and one at least.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] if a kernel fails; what was under way is begun anew then.
    pub fn step(&mut self, kernels: &dyn Kernels, macs: u64) -> Result<bool, ModelError> {
        let job = self.job;
        let Some(request) = job.requests.get(self.answers.len()) else { return Ok(false) };
        match request {
            Request::Run { inputs, sampling } if job.model.has_rows_apart() => {
                self.more_rows(kernels, inputs, *sampling, macs)?;
            }
            Request::Run { .. } => self.answers.push(request.answer(&job.model, kernels)?),
            Request::Generate(prompt) => self.more_tokens(kernels, prompt)?,
        }
        Ok(true)
    }

    fn more_rows(
        &mut self,
        kernels: &dyn Kernels,
        inputs: &[Tensor],
        sampling: Sampling,
        macs: u64,
    ) -> Result<(), ModelError> {
        let model = &self.job.model;
        let rows = rows_of(inputs);
        let first = if let Current::Rows(done, _) = &self.current { *done } else { 0 };
        let at_once = macs.checked_div(model.cost(1).macs).unwrap_or(u64::MAX).max(1);
        let left = rows.saturating_sub(first);
        let count = usize::try_from(at_once).unwrap_or(usize::MAX).min(left);
        let parts = inputs.iter().zip(model.manifest().inputs()).map(|(tensor, input)| {
            let width = input.value_type().width(1);
            let start = first.saturating_mul(width);
            tensor.data().part(start, count.saturating_mul(width))
        });
        let cache = &mut Cache::after(first);
        let state = (cache, Keep::Outputs);
        let values = model.execute(kernels, parts.collect(), sampling, state)?;
        let made = model.outputs(values, count)?.into_iter().map(Tensor::into_data);
        let end = first.saturating_add(count);
        let outputs = match std::mem::replace(&mut self.current, Current::Nothing) {
            Current::Rows(_, mut outputs) => {
                outputs.iter_mut().zip(made).for_each(|(output, made)| output.append(&made));
                outputs
            }
            _ => made.collect(),
        };
        if end < rows {
            self.current = Current::Rows(end, outputs);
        } else {
            self.answers.push(as_tensors(model, rows, outputs)?);
        }
        Ok(())
    }

    fn more_tokens(&mut self, kernels: &dyn Kernels, prompt: &Prompt) -> Result<(), ModelError> {
        let mut generation = self.generation(prompt)?;
        generation.step(kernels)?;
        self.put(generation)
    }

    /// The generation under way, or one that begins with a prompt.
    fn generation(&mut self, prompt: &Prompt) -> Result<Box<Generation<'a>>, ModelError> {
        match std::mem::replace(&mut self.current, Current::Nothing) {
            Current::Generation(generation) => Ok(generation),
            _ => Ok(Box::new(Generation::new(&self.job.model, prompt.clone())?)),
        }
    }

    /// Keeps a generation, or its answer if it has ended.
    fn put(&mut self, generation: Box<Generation<'a>>) -> Result<(), ModelError> {
        if generation.has_ended() {
            self.answers.push(vec![Tensor::list(generation.tokens().to_vec())?]);
        } else {
            self.current = Current::Generation(generation);
        }
        Ok(())
    }

    /// All that was done so far, in its one encoding.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<u8> {
        let mut out = Writer::open(MAGIC, HEADER_BYTES);
        out.count(self.answers.len());
        for answer in &self.answers {
            out.u8(u8::try_from(answer.len()).unwrap_or(u8::MAX));
            answer.iter().for_each(|tensor| tensor.encode(&mut out));
        }
        match &self.current {
            Current::Nothing => out.u8(0),
            Current::Rows(done, outputs) => {
                out.u8(1);
                out.count(*done);
                outputs.iter().for_each(|data| out.bytes(&data.to_bytes()));
            }
            Current::Generation(generation) => {
                out.u8(2);
                out.count(generation.tokens().len());
                generation.tokens().iter().for_each(|token| out.i32(*token));
            }
        }
        out.finish()
    }

    /// The result, once every request is answered.
    ///
    /// # Errors
    /// [`ModelError::Bound`] before.
    pub fn finish(self) -> Result<Int8Result, ModelError> {
        let requests = self.job.requests.len();
        bounded("the number of answers", self.answers.len(), requests, requests)?;
        Int8Result::new(self.answers)
    }
}

impl Model {
    /// Whether each row of the outputs depends on the same row of the inputs alone, so that rows
    /// can be computed apart.
    #[must_use]
    pub fn has_rows_apart(&self) -> bool {
        let manifest = self.manifest();
        let apart = manifest.nodes().iter().all(|node| node.op.reach() == Reach::Row);
        let many = manifest.types().iter().all(|kind| kind.rows == Rows::Many && !kind.context);
        apart && many
    }
}

/// What a request counts for.
fn units(request: &Request) -> u64 {
    match request {
        Request::Run { inputs, .. } => num::wide(rows_of(inputs)),
        Request::Generate(prompt) => num::wide(prompt.max_tokens),
    }
}

fn rows_of(inputs: &[Tensor]) -> usize {
    inputs.first().and_then(|tensor| tensor.dims().first()).copied().unwrap_or(0)
}

/// The rows of each output, without their axes: the model knows them.
fn decode_rows<'a>(
    reader: &mut Reader<'_>,
    model: &Model,
    rows: usize,
) -> Result<Current<'a>, ModelError> {
    let done = reader.bounded("the number of rows", 1, rows.saturating_sub(1).min(MAX_ROWS))?;
    let mut outputs = Vec::new();
    for output in model.manifest().outputs() {
        let Some(kind) = model.manifest().value_type(output.value) else { continue };
        let bytes = kind.cells(done, done).saturating_mul(kind.dtype.bytes());
        let data = Data::from_bytes(kind.dtype, reader.take(bytes)?);
        check_range(model, output.value, &data)?;
        outputs.push(data);
    }
    Ok(Current::Rows(done, outputs))
}

fn as_tensors(model: &Model, rows: usize, outputs: Vec<Data>) -> Result<Vec<Tensor>, ModelError> {
    let manifest = model.manifest();
    let axes = |value| manifest.value_type(value).map(|kind| kind.axes(rows)).unwrap_or_default();
    let outputs = manifest.outputs().iter().zip(outputs);
    outputs.map(|(output, data)| Tensor::new(axes(output.value), data)).collect()
}

/// Checks that an answer has the types, shapes and ranges that the model gives.
fn check_answer(model: &Model, request: &Request, answer: &[Tensor]) -> Result<(), ModelError> {
    match (request, answer) {
        (Request::Run { inputs, .. }, answer) => check_outputs(model, rows_of(inputs), answer),
        (Request::Generate(prompt), [tokens]) if tokens.dims().len() == 1 => {
            let made = tokens.data().i32s();
            let Some((last, before)) = made.split_last() else {
                return Err(foreign("an answer holds no tokens"));
            };
            check_tokens(model, prompt, before)?;
            check_range(model, first_output(model), tokens.data())?;
            bounded("the number of tokens", made.len(), 1, prompt.max_tokens)?;
            let rows = prompt.tokens.len().saturating_add(before.len());
            let ended = made.len() == prompt.max_tokens
                || prompt.stop.contains(last)
                || rows == model.manifest().max_rows();
            if ended { Ok(()) } else { Err(foreign("a generation ended too early")) }
        }
        _ => Err(foreign("an answer is not one list of tokens")),
    }
}

fn check_outputs(model: &Model, rows: usize, answer: &[Tensor]) -> Result<(), ModelError> {
    let outputs = model.manifest().outputs();
    bounded("the number of outputs", answer.len(), outputs.len(), outputs.len())?;
    for (output, tensor) in outputs.iter().zip(answer) {
        let Some(kind) = model.manifest().value_type(output.value) else { continue };
        if kind.dtype != tensor.data().dtype() || tensor.dims() != kind.axes(rows) {
            return Err(foreign("an answer has another type or shape than the model gives"));
        }
        check_range(model, output.value, tensor.data())?;
    }
    Ok(())
}

/// Checks tokens after which a generation goes on.
fn check_tokens(model: &Model, prompt: &Prompt, made: &[i32]) -> Result<(), ModelError> {
    let rows = prompt.tokens.len().saturating_add(made.len());
    bounded("the number of rows", rows, 1, model.manifest().max_rows())?;
    check_range(model, first_output(model), &Data::I32(made.to_vec()))?;
    match made.iter().any(|token| prompt.stop.contains(token)) {
        true => Err(foreign("a stop token is followed by others")),
        false => Ok(()),
    }
}

fn first_output(model: &Model) -> ValueId {
    model.manifest().outputs().first().map_or(ValueId(0), |output| output.value)
}

fn check_range(model: &Model, value: ValueId, data: &Data) -> Result<(), ModelError> {
    let range = model.range(value).unwrap_or(Interval::new(0, 0));
    let hull = Interval::of(data.widened().iter().copied());
    let outside = !data.is_empty() && (hull.low < range.low || hull.high > range.high);
    if outside { Err(foreign("a value is one that the model cannot give")) } else { Ok(()) }
}

fn foreign(reason: &'static str) -> ModelError {
    ModelError::Checkpoint { reason }
}
