//! Keep a whole model on a device: parameters are uploaded once, values stay there.

mod device;
mod lower;
mod moves;
mod operators;
mod params;
mod program;
#[cfg(test)]
mod tests;

pub(super) use lower::{grid, word};

use super::{WgpuBackend, context::Run};
use crate::{GpuError, selftest::test_models};
use device::{Carrier, Held, Memory, uniform_bytes};
use lower::{Scope, lower};
use neura_int8::{
    Call, Data, Frame, Generation, Kernels, Model, ModelError, Prompt, Request, Sampling, Tensor,
    Trace,
};
use program::Program;
use std::{
    cell::RefCell,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A model in a device's memory.
///
/// A run is planned into dispatches over slots of memory that values take turns in; only inputs and
/// outputs, and with noise the logits that tokens are drawn from, cross to and from the device. What
/// a run needs is known before it begins, and refused if it is more than the budget.
#[derive(Debug)]
pub struct LoadedModel<'a> {
    backend: &'a WgpuBackend,
    model: &'a Model,
    param_bytes: u64,
    memory: Mutex<Memory>,
}

impl WgpuBackend {
    /// Uploads a model. Before the first one is used, the device must compute a small model of every
    /// operator as the reference does.
    ///
    /// # Errors
    /// [`GpuError::Refused`] if it does not;
    /// [`GpuError::OverBudget`] with the numbers if its parameters do not fit the memory that a
    /// request may use; [`GpuError::NoKernel`] or [`GpuError::TooLarge`] if it has what the device
    /// cannot compute; the device's own errors.
    pub fn load_model<'a>(&'a self, model: &'a Model) -> Result<LoadedModel<'a>, GpuError> {
        let loaded = self.upload(model)?;
        let tested = self.models_tested.get_or_init(|| {
            test_models(&self.info.name, |model, inputs| {
                self.upload(model)?.trace(inputs, Sampling::default())
            })
        });
        tested.clone().map(|()| loaded)
    }

    fn upload<'a>(&'a self, model: &'a Model) -> Result<LoadedModel<'a>, GpuError> {
        let frame = Frame { first: 0, end: 1 };
        let program = lower(self.scope(model, frame))?;
        let specs = model.manifest().params();
        let mut param_bytes: u64 = 0;
        for (id, form) in program.params() {
            let bytes = specs.get(id.0 as usize).map_or(0, |spec| params::bytes(spec, form));
            if bytes > self.bounds.binding_bytes {
                let (what, max) = ("a parameter, in bytes,", self.bounds.binding_bytes);
                return Err(GpuError::TooLarge { what, value: bytes, max });
            }
            param_bytes = param_bytes.saturating_add(bytes);
        }
        self.check_budget(param_bytes)?;
        let memory = self.context.start(self.budget.timeout)?.guarded(|run| {
            let memory = Memory::load(run, model, &program);
            run.wait()?;
            Ok(memory)
        })?;
        let memory = Mutex::new(memory);
        Ok(LoadedModel { backend: self, model, param_bytes, memory })
    }

    fn scope<'a>(&self, model: &'a Model, frame: Frame) -> Scope<'a> {
        Scope {
            model,
            frame,
            context: None,
            keep: false,
            sampling: Sampling::default(),
            bounds: self.bounds,
            tile: self.kernels.tile,
        }
    }

    fn check_budget(&self, needed: u64) -> Result<(), GpuError> {
        let budget = self.budget.max_bytes;
        if needed > budget { Err(GpuError::OverBudget { needed, budget }) } else { Ok(()) }
    }
}

impl LoadedModel<'_> {
    /// Bytes of the parameters in the device's memory.
    #[must_use]
    pub fn param_bytes(&self) -> u64 {
        self.param_bytes
    }

    /// What [`Model::run_with`] gives, computed on the device.
    ///
    /// # Errors
    /// [`GpuError::Model`] if the inputs do not fit the model, [`GpuError::OverBudget`] or
    /// [`GpuError::TooLarge`] if the run does not fit the device; the device's own errors.
    pub fn run(&self, inputs: &[Tensor], sampling: Sampling) -> Result<Vec<Tensor>, GpuError> {
        sampling.check()?;
        let rows = self.model.check_inputs(inputs)?;
        let frame = Frame { first: 0, end: rows };
        let scope = Scope { sampling, ..self.backend.scope(self.model, frame) };
        let data: Vec<&Data> = inputs.iter().map(Tensor::data).collect();
        let outputs = self.model.manifest().outputs();
        let wanted: Vec<usize> = outputs.iter().map(|output| output.value.index()).collect();
        let found = self.compute(&mut self.memory(), &scope, &data, &wanted)?;
        let axes = |value: usize| self.model.manifest().types()[value].axes(rows);
        let tensors = wanted.iter().zip(found).map(|(value, data)| Tensor::new(axes(*value), data));
        Ok(tensors.collect::<Result<_, _>>()?)
    }

    /// What [`Model::trace`] gives, computed on the device: every cell crosses.
    ///
    /// # Errors
    /// As [`LoadedModel::run`].
    pub fn trace(&self, inputs: &[Tensor], sampling: Sampling) -> Result<Trace, GpuError> {
        sampling.check()?;
        let rows = self.model.check_inputs(inputs)?;
        let frame = Frame { first: 0, end: rows };
        let scope = Scope { sampling, keep: true, ..self.backend.scope(self.model, frame) };
        let data: Vec<&Data> = inputs.iter().map(Tensor::data).collect();
        let manifest = self.model.manifest();
        let wanted: Vec<usize> = (manifest.inputs().len()..manifest.types().len()).collect();
        let found = self.compute(&mut self.memory(), &scope, &data, &wanted)?;
        let found = Found(RefCell::new(found.into_iter()));
        Ok(self.model.trace(&found, inputs, sampling)?)
    }

    /// What [`Model::generate`] gives, computed on the device: rows that later ones attend to stay
    /// there.
    ///
    /// # Errors
    /// As [`LoadedModel::run`].
    pub fn generate(&self, prompt: &Prompt) -> Result<Vec<i32>, GpuError> {
        let mut generation = Generation::new(self.model, prompt.clone())?;
        while !generation.has_ended() {
            let token = self.next_token(prompt, generation.tokens())?;
            generation.take(token);
        }
        Ok(generation.tokens().to_vec())
    }

    /// The token after those that were made of a prompt, which must be one of [`Generation::new`].
    /// If the one before them was computed last, its rows are in memory, and one is added; otherwise
    /// all are computed, and are the same.
    ///
    /// # Errors
    /// As [`LoadedModel::run`].
    pub(crate) fn next_token(&self, prompt: &Prompt, made: &[i32]) -> Result<i32, GpuError> {
        let manifest = self.model.manifest();
        let most = prompt.tokens.len().saturating_add(prompt.max_tokens).saturating_sub(1);
        let most = most.min(manifest.max_rows());
        let tokens = [&prompt.tokens, made].concat();
        let mut memory = self.memory();
        let first = match &memory.held {
            Some(held) if held.goes_on_with(&tokens, most) => held.tokens.len(),
            _ => 0,
        };
        let scope = Scope {
            sampling: prompt.sampling,
            context: Some(most),
            ..self.backend.scope(self.model, Frame { first, end: tokens.len() })
        };
        let input = Data::I32(tokens[first..].to_vec());
        let wanted = [manifest.outputs()[0].value.index()];
        let found = self.compute(&mut memory, &scope, &[&input], &wanted)?;
        memory.held = Some(Held { tokens, most });
        let token = found.first().and_then(|data| data.i32s().last().copied());
        Ok(token.ok_or(ModelError::Cell { what: "an output", index: 0 })?)
    }

    /// What [`Request::answer`] gives, computed on the device.
    ///
    /// # Errors
    /// As [`LoadedModel::run`].
    pub fn answer(&self, request: &Request) -> Result<Vec<Tensor>, GpuError> {
        match request {
            Request::Run { inputs, sampling } => self.run(inputs, *sampling),
            Request::Generate(prompt) => Ok(vec![Tensor::list(self.generate(prompt)?)?]),
        }
    }

    /// One request at a time uses the memory. A panic leaves nothing in it that is relied upon.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Computes the rows of a frame; the values wanted.
    fn compute(
        &self,
        memory: &mut Memory,
        scope: &Scope<'_>,
        inputs: &[&Data],
        wanted: &[usize],
    ) -> Result<Vec<Data>, GpuError> {
        let program = lower(*scope)?;
        memory.held = None;
        self.make_room(memory, scope, &program)?;
        self.backend.context.start(self.backend.budget.timeout)?.guarded(|run| {
            memory.fit(run, &program);
            for (data, slot) in inputs.iter().zip(&program.values) {
                run.write(memory.slot(*slot)?, bytemuck::cast_slice(&data.widened()));
            }
            let kernels = &self.backend.kernels;
            let most_work = scope.bounds.macs_per_dispatch;
            Carrier { run, kernels, memory, most_work }.execute(&program, &scope.sampling)?;
            wanted.iter().map(|value| read(run, memory, scope, (&program, *value))).collect()
        })
    }

    /// Checks the memory of a program, and gives back what is not its own if that does not fit.
    fn make_room(
        &self,
        memory: &mut Memory,
        scope: &Scope<'_>,
        program: &Program,
    ) -> Result<(), GpuError> {
        // The greatest value is read back through a copy.
        let beside = self.param_bytes
            + program.zeros
            + uniform_bytes(program)
            + program.slots.iter().max().copied().unwrap_or(0);
        let within = |memory: &Memory| {
            self.backend.check_budget(beside.saturating_add(memory.slot_bytes(program)))
        };
        if within(memory).is_err() && scope.frame.first == 0 {
            memory.clear();
        }
        within(memory)
    }
}

/// A value as it is at the end of a program.
fn read(
    run: &Run<'_>,
    memory: &Memory,
    scope: &Scope<'_>,
    (program, value): (&Program, usize),
) -> Result<Data, GpuError> {
    let kind = &scope.model.manifest().types()[value];
    let cells = kind.cells(scope.frame.len(), scope.frame.end);
    let words = run.read(memory.slot(program.values[value])?, cells as u64 * 4)?;
    Ok(Data::collect(kind.dtype, words))
}

/// Values that were found, for what commits to them: node after node.
#[derive(Debug)]
struct Found(RefCell<std::vec::IntoIter<Data>>);

impl Kernels for Found {
    fn node(&self, _: &Call<'_>) -> Result<Option<Data>, ModelError> {
        Ok(self.0.borrow_mut().next())
    }
}
