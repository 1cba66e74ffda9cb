//! Run ONNX models on the CPU, with tract. Floats: results may differ in the last bits between machines.

mod shapes;
#[cfg(test)]
mod tests;

use std::panic::{self, AssertUnwindSafe};

use neura_types::job::{FaultCode, JobFault, JobFormat, JobResult, NamedBytes, OnnxJob};
use tract_onnx::{
    prelude::{
        DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable,
        IntoTValue, TValue, Tensor, TractError, TractResult, TypedFact, TypedOp,
    },
    tract_core::{model::Node, plan::eval},
    tract_hir::infer::Factoid,
};

use super::{Bounds, npy::Array, of_job, output};
use crate::worker::JobFailure;

/// Types of values, as NumPy and as tract name them.
const TYPES: [(&str, DatumType); 11] = [
    ("<f4", DatumType::F32),
    ("<f8", DatumType::F64),
    ("<f2", DatumType::F16),
    ("|i1", DatumType::I8),
    ("<i2", DatumType::I16),
    ("<i4", DatumType::I32),
    ("<i8", DatumType::I64),
    ("|u1", DatumType::U8),
    ("<u2", DatumType::U16),
    ("<u4", DatumType::U32),
    ("|b1", DatumType::Bool),
];

/// Checks a job's model and its inputs as a provider does, without running anything.
///
/// # Errors
/// What is wrong with them.
pub fn check_model(job: &OnnxJob) -> Result<(), JobFailure> {
    contained(|| ready(job), of_job).map(drop)
}

/// Reads the model and the inputs without running anything.
pub(super) fn check(payload: &[u8]) -> Result<(), JobFailure> {
    contained(|| read(payload), of_job).map(|_| ())
}

pub(super) fn run(payload: &[u8], bounds: &Bounds) -> Result<JobResult, JobFailure> {
    let (model, inputs) = contained(|| read(payload), of_job)?;
    let names: Vec<String> = model
        .outputs
        .iter()
        .map(|outlet| {
            let label = model.outlet_label(*outlet).map(str::to_owned);
            label.unwrap_or_else(|| model.node(outlet.node).name.clone())
        })
        .collect();
    // The model was read: what it does wrong when it runs is its own fault.
    let ran = contained(|| compute(model, inputs, &names, bounds), fault);
    Ok(match ran {
        Ok(outputs) => JobResult { fault: None, outputs },
        Err(fault) => JobResult { fault: Some(fault), outputs: Vec::new() },
    })
}

fn compute(
    mut model: InferenceModel,
    inputs: Vec<TValue>,
    names: &[String],
    bounds: &Bounds,
) -> Result<Vec<NamedBytes>, JobFault> {
    let failed = |error: TractError| match error.downcast::<JobFault>() {
        Ok(fault) => fault,
        Err(error) => fault(format!("{error:#}")),
    };
    shapes::countable(&model)?;
    model.analyse(false).map_err(failed)?;
    shapes::countable(&model)?;
    let typed = model.into_typed().map_err(failed)?;
    shapes::fits(&typed, bounds.memory_bytes)?;
    let ready = typed.into_optimized().map_err(failed)?;
    shapes::fits(&ready, bounds.memory_bytes)?;
    let mut state = ready.into_runnable().and_then(|plan| plan.spawn()).map_err(failed)?;
    let ran =
        state.run_plan_with_eval(inputs.into_iter().collect(), |ctx, state, node, operands| {
            shapes::counted_here(node, &operands)?;
            eval(ctx, state, node, operands)
        });
    let outputs = ran.map_err(failed)?;
    names.iter().zip(&outputs).map(|(name, value)| write(name, value).map_err(fault)).collect()
}

/// What the engine says of a tensor that memory cannot hold, or whose size cannot be counted.
const TOO_LARGE: [&str; 4] = [
    "failed to allocate",
    "is too large",
    "capacity overflow",
    "attempt to multiply with overflow",
];

/// What an error of a model that runs means.
fn fault(detail: String) -> JobFault {
    let memory = TOO_LARGE.iter().any(|text| detail.contains(text));
    JobFault { code: if memory { FaultCode::OutOfMemory } else { FaultCode::Trapped }, detail }
}

/// Turns a panic of the engine, whose parser and shapes trust the model in places, into a failure of the job.
fn contained<T, E>(
    work: impl FnOnce() -> Result<T, E>,
    failed: impl FnOnce(String) -> E,
) -> Result<T, E> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("panic");
        Err(failed(format!("the engine cannot run the model: {text}")))
    })
}

/// A node of a model that is about to run.
type TypedNode = Node<TypedFact, Box<dyn TypedOp>>;
type Ready = (InferenceModel, Vec<TValue>);

fn read(payload: &[u8]) -> Result<Ready, JobFailure> {
    ready(&OnnxJob::decode(payload).map_err(of_job)?)
}

fn ready(job: &OnnxJob) -> Result<Ready, JobFailure> {
    let parse = || -> TractResult<InferenceModel> {
        tract_onnx::onnx().model_for_read(&mut &job.model[..])
    };
    let mut model =
        parse().map_err(|error| of_job(format!("the model is not valid: {error:#}")))?;
    let mut inputs = Vec::new();
    for place in 0..model.inputs.len() {
        let name = model.node(model.inputs[place].node).name.clone();
        let given = job.inputs.iter().find(|input| input.name == name);
        let given = given.ok_or_else(|| {
            let names: Vec<&str> = job.inputs.iter().map(|input| input.name.as_str()).collect();
            of_job(format!("the model wants an input '{name}', the job has: {}", names.join(", ")))
        })?;
        let tensor = tensor(given)?;
        let declared = model.input_fact(place).map_err(|error| of_job(format!("{error:#}")))?;
        check_input(&name, declared, &tensor)?;
        let fact = InferenceFact::dt_shape(tensor.datum_type(), tensor.shape());
        model
            .set_input_fact(place, fact)
            .map_err(|error| of_job(format!("input '{name}': {error:#}")))?;
        inputs.push(tensor.into_tvalue());
    }
    if inputs.len() != job.inputs.len() {
        let (wanted, given) = (inputs.len(), job.inputs.len());
        return Err(of_job(format!("the model wants {wanted} inputs, the job has {given}")));
    }
    Ok((model, inputs))
}

/// Holds an input against what the model declares of it; dimensions with a name, or none, may be any.
fn check_input(name: &str, declared: &InferenceFact, given: &Tensor) -> Result<(), JobFailure> {
    let wrong = |what: String| Err(of_job(format!("input '{name}': the model wants {what}")));
    let (ty, shape) = (given.datum_type(), given.shape());
    if let Some(wanted) = declared.datum_type.concretize().filter(|wanted| *wanted != ty) {
        return wrong(format!("values of type {wanted:?}, the job gives {ty:?}"));
    }
    let dims: Vec<Option<i64>> = declared
        .shape
        .dims()
        .map(|dim| dim.concretize().and_then(|length| length.to_i64().ok()))
        .collect();
    let fits = |(wanted, have): (&Option<i64>, &usize)| {
        wanted.is_none_or(|wanted| usize::try_from(wanted) == Ok(*have))
    };
    let open = declared.shape.is_open();
    let rank = if open { dims.len() <= shape.len() } else { dims.len() == shape.len() };
    if rank && dims.iter().zip(shape).all(fits) {
        return Ok(());
    }
    let text = |length: &Option<i64>| length.map_or_else(|| "any".into(), |n| n.to_string());
    let dims: Vec<String> = dims.iter().map(text).collect();
    wrong(format!("the shape [{}], the job gives {shape:?}", dims.join(", ")))
}

fn tensor(input: &NamedBytes) -> Result<Tensor, JobFailure> {
    let wrong = |reason: String| of_job(format!("input '{}': {reason}", input.name));
    let array = Array::read(&input.bytes).map_err(wrong)?;
    let known = TYPES.iter().find(|(kind, _)| *kind == array.kind);
    let (_, ty) = known.ok_or_else(|| wrong(format!("no model takes '{}'", array.kind)))?;
    if *ty == DatumType::Bool && array.values.iter().any(|value| *value > 1) {
        return Err(wrong("a bool is neither 0 nor 1".into()));
    }
    let mut tensor =
        Tensor::zero_dt(*ty, &array.shape).map_err(|error| wrong(format!("{error:#}")))?;
    match tensor.as_plain_ram_mut() {
        Some(mut view) => view.as_bytes_mut().copy_from_slice(array.values),
        None => return Err(wrong("it cannot be held in memory".into())),
    }
    Ok(tensor)
}

/// An output as a file. Its shape is held against its data: what an engine gets wrong is not to be paid.
fn write(name: &str, value: &TValue) -> Result<NamedBytes, String> {
    let wrong = |reason: &str| format!("output '{name}': {reason}");
    let known = TYPES.iter().find(|(_, ty)| *ty == value.datum_type());
    let (kind, ty) = known.ok_or_else(|| wrong("its type has no place in a .npy file"))?;
    let view = value.as_plain_ram().ok_or_else(|| wrong("it is not in memory"))?;
    let (shape, values) = (value.shape().to_vec(), view.as_bytes());
    if shapes::bytes(&shape, ty.size_of()) != Some(values.len()) {
        return Err(wrong(
            "its data are not those of its shape: a tensor of the model is too large",
        ));
    }
    Ok(output(name, Array { kind, shape, values }.write()))
}
