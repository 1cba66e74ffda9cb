//! Make the payload of a job file's executor, from the files that it names.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use neura_int8::{Int8Job, MAX_MODEL_BYTES, MAX_REQUESTS_BYTES};
use neura_types::job::{
    JobFormat, MAX_JOB_BYTES, NamedBytes, OciJob, OnnxJob, WasmJob, WgslBuffer, WgslJob, WgslPass,
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::file::{JobError, read};

/// Largest file that a job may name: the executor's own limits are tighter.
const MAX_FILE: u64 = 256 << 20;
/// Fuel of a kernel unless told otherwise: a second on a slow driver.
const KERNEL_FUEL: u32 = 1 << 20;
/// Fuel of a program unless told otherwise: some minutes of an interpreter.
const PROGRAM_FUEL: u64 = 100_000_000_000;
/// Memory of a program unless told otherwise, in MiB.
const PROGRAM_MEMORY_MIB: u32 = 256;

/// The `[job]` table: what is to be done, by its executor.
#[derive(Debug)]
pub(super) enum RawJob {
    Int8(Int8),
    Wgsl(Wgsl),
    Wasm(Wasm),
    Onnx(Onnx),
    Oci(Oci),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Int8 {
    name: String,
    #[serde(rename = "executor")]
    _executor: IgnoredAny,
    model: PathBuf,
    inputs: Option<PathBuf>,
    pub(super) labels: Option<PathBuf>,
    pub(super) reference: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wgsl {
    name: String,
    #[serde(rename = "executor")]
    _executor: IgnoredAny,
    shader: PathBuf,
    #[serde(default)]
    fuel: Option<u32>,
    buffers: Vec<Buffer>,
    passes: Vec<Pass>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Buffer {
    /// Its size; that of the file if left out.
    bytes: Option<u64>,
    file: Option<PathBuf>,
    #[serde(default)]
    output: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pass {
    entry: String,
    workgroups: [u32; 3],
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wasm {
    name: String,
    #[serde(rename = "executor")]
    _executor: IgnoredAny,
    module: PathBuf,
    #[serde(default)]
    args: Vec<String>,
    input: Option<PathBuf>,
    fuel: Option<u64>,
    memory_mib: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Onnx {
    name: String,
    #[serde(rename = "executor")]
    _executor: IgnoredAny,
    model: PathBuf,
    #[serde(default, deserialize_with = "files_of_inputs")]
    inputs: Option<BTreeMap<String, PathBuf>>,
}

impl Wgsl {
    fn check(&self) -> Result<(), String> {
        if self.fuel == Some(0) {
            return Err(format!(
                "fuel is 0, with which every loop ends before it begins: leave it out for {KERNEL_FUEL} iterations"
            ));
        }
        if !self.buffers.iter().any(|buffer| buffer.output) {
            return Err("nothing would come back: give a buffer output = true".into());
        }
        let idle = self.passes.iter().find(|pass| pass.workgroups.contains(&0));
        idle.map_or(Ok(()), |Pass { entry, workgroups }| {
            Err(format!(
                "the pass '{entry}' has workgroups = {workgroups:?} and would start nothing: each number must be at least 1"
            ))
        })
    }
}

/// Each input's name and its file; whoever names one file alone is told how a table of them is written.
fn files_of_inputs<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<BTreeMap<String, PathBuf>>, D::Error> {
    struct Table;
    impl<'de> Visitor<'de> for Table {
        type Value = BTreeMap<String, PathBuf>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(
                "a table of the model's inputs, each with its .npy file, such as { x = \"x.npy\" } for an input x",
            )
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Deserialize::deserialize(MapAccessDeserializer::new(map))
        }
    }
    source.deserialize_any(Table).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Oci {
    name: String,
    #[serde(rename = "executor")]
    _executor: IgnoredAny,
    image: String,
    command: Vec<String>,
    input: Option<PathBuf>,
}

/// The executor that a job names.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExecutorName {
    Int8,
    Wgsl,
    Wasm,
    Onnx,
    Oci,
}

impl RawJob {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Int8(job) => &job.name,
            Self::Wgsl(job) => &job.name,
            Self::Wasm(job) => &job.name,
            Self::Onnx(job) => &job.name,
            Self::Oci(job) => &job.name,
        }
    }

    pub(super) fn executor(&self) -> &'static str {
        match self {
            Self::Int8(_) => "int8",
            Self::Wgsl(_) => "wgsl",
            Self::Wasm(_) => "wasm",
            Self::Onnx(_) => "onnx",
            Self::Oci(_) => "oci",
        }
    }

    /// Finds what is wrong with the table itself, whatever the files that it names hold.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Int8(job) if job.inputs.is_none() => Err(
                "there are no inputs: name the file of the requests, such as inputs = \"requests.bin\", as `neura model \
                 convert` writes it"
                    .into(),
            ),
            Self::Onnx(job) if job.inputs.is_none() => Err(
                "there are no inputs: name the .npy file of each input of the model, such as inputs = { x = \"x.npy\" } for \
                 an input x"
                    .into(),
            ),
            Self::Wasm(Wasm { fuel: Some(0), .. }) => Err(format!(
                "fuel is 0, with which no instruction runs: leave it out for {PROGRAM_FUEL}"
            )),
            Self::Wgsl(job) => job.check(),
            _ => Ok(()),
        }
    }

    /// The payload, from files beside the job file.
    pub(super) fn payload(self, folder: &Path) -> Result<Vec<u8>, JobError> {
        let near = |name: &Path| folder.join(name);
        match self {
            Self::Int8(job) => {
                int8(&near(&job.model), &near(job.inputs.as_deref().unwrap_or(Path::new(""))))
            }
            Self::Wgsl(job) => {
                let shader = near(&job.shader);
                encode(&shader, wgsl(&shader, job, folder)?)
            }
            Self::Wasm(job) => {
                let module = near(&job.module);
                let input = job.input.map(|input| read(&near(&input), MAX_FILE)).transpose()?;
                let mut args = job.args;
                args.insert(0, job.name);
                let memory = u64::from(job.memory_mib.unwrap_or(PROGRAM_MEMORY_MIB)) << 20;
                let job = WasmJob {
                    module: wasm(&module)?,
                    args,
                    input: input.unwrap_or_default(),
                    fuel: job.fuel.unwrap_or(PROGRAM_FUEL),
                    memory_bytes: memory,
                };
                neura_provider::check_program(&job).map_err(|error| content(&module, error))?;
                encode(&module, job)
            }
            Self::Onnx(job) => {
                let model = near(&job.model);
                let named = |(name, file): (String, PathBuf)| {
                    Ok(NamedBytes { name, bytes: read(&near(&file), MAX_FILE)? })
                };
                let inputs = job.inputs.unwrap_or_default().into_iter().map(named);
                let inputs = inputs.collect::<Result<_, _>>()?;
                let job = OnnxJob { model: read(&model, MAX_FILE)?, inputs };
                neura_provider::check_model(&job).map_err(|error| content(&model, error))?;
                encode(&model, job)
            }
            Self::Oci(Oci { image, command, input, .. }) => {
                let path = input.map_or_else(|| folder.to_owned(), |input| near(&input));
                let input = if path == folder { Vec::new() } else { read(&path, MAX_FILE)? };
                if command.first().is_none_or(String::is_empty) {
                    return Err(content(&path, "command names no program to start"));
                }
                encode(&path, OciJob { image, command, input })
            }
        }
    }
}

fn content(path: &Path, reason: impl ToString) -> JobError {
    JobError::Content { path: path.to_owned(), reason: reason.to_string() }
}

fn encode(path: &Path, job: impl JobFormat) -> Result<Vec<u8>, JobError> {
    let bytes = job.encode().map_err(|error| content(path, error))?;
    within("the job with all its files has", &bytes, MAX_JOB_BYTES)
        .map_err(|reason| content(path, reason))?;
    Ok(bytes)
}

/// Holds what an executor takes of a job against its bound.
fn within(what: &str, bytes: &[u8], max: usize) -> Result<(), String> {
    let size = bytes.len();
    let mib = max >> 20;
    match size <= max {
        true => Ok(()),
        false => Err(format!(
            "{what} {size} bytes, the limit is {max} ({mib} MiB): make several jobs of it"
        )),
    }
}

fn int8(model: &Path, inputs: &Path) -> Result<Vec<u8>, JobError> {
    let job = Int8Job { model: read(model, MAX_FILE)?, requests: read(inputs, MAX_FILE)? };
    within("the model has", &job.model, MAX_MODEL_BYTES).map_err(|why| content(model, why))?;
    within("the inputs have", &job.requests, MAX_REQUESTS_BYTES)
        .map_err(|why| content(inputs, why))?;
    let bytes = job.encode().map_err(|error| content(model, error))?;
    Int8Job::decode(&bytes).and_then(|job| job.open()).map_err(|error| content(model, error))?;
    Ok(bytes)
}

/// A module from its binary or its text.
fn wasm(path: &Path) -> Result<Vec<u8>, JobError> {
    let bytes = read(path, MAX_FILE)?;
    match wat::parse_bytes(&bytes) {
        Ok(binary) => Ok(binary.into_owned()),
        Err(error) => Err(content(path, error)),
    }
}

fn wgsl(shader: &Path, job: Wgsl, folder: &Path) -> Result<WgslJob, JobError> {
    let source = String::from_utf8(read(shader, MAX_FILE)?)
        .map_err(|_| content(shader, "it is not a text file"))?;
    let buffer = |buffer: Buffer| {
        let file = buffer.file.map(|name| folder.join(name));
        let contents = file.map(|file| read(&file, MAX_FILE)).transpose()?.unwrap_or_default();
        let size = (contents.len() as u64).next_multiple_of(4);
        let bytes = buffer.bytes.unwrap_or(size);
        Ok(WgslBuffer { bytes, contents, output: buffer.output })
    };
    let pass = |pass: Pass| WgslPass { entry: pass.entry, workgroups: pass.workgroups };
    let job = WgslJob {
        source,
        fuel: job.fuel.unwrap_or(KERNEL_FUEL),
        buffers: job.buffers.into_iter().map(buffer).collect::<Result<_, JobError>>()?,
        passes: job.passes.into_iter().map(pass).collect(),
    };
    neura_provider::check_kernel(&job).map_err(|error| content(shader, error))?;
    Ok(job)
}
