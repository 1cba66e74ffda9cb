//! What an owner sends to the executors that run foreign programs, and what comes back.
//!
//! The payload of a task for `wgsl` is a [`WgslJob`], for `wasm` a [`WasmJob`], for `onnx` an [`OnnxJob`], for `oci` an
//! [`OciJob`]; the result of each is a [`JobResult`]. All are encoded by [`crate::codec`]. Sizes of whole payloads are
//! bounded by stores and executors; the bounds here are of lists and names. (`int8` has formats of its own, in
//! `neura-int8`; one that was not done in time gives a [`JobResult`] that says so.)

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::codec::{self, CodecError};

/// Longest payload or result of these executors, in bytes.
pub const MAX_JOB_BYTES: usize = codec::MAX_DECODED_BYTES;
/// Most entries of any list in a job or a result.
pub const MAX_LIST: usize = 1_024;
/// Longest name, in bytes.
pub const MAX_NAME: usize = 256;

/// Bytes with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedBytes {
    /// The name: of a tensor, a stream, a file.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Kernels in WGSL over buffers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WgslJob {
    /// The shader: compute entry points over the buffers of group 0.
    pub source: String,
    /// Loop iterations that one invocation may make.
    pub fuel: u32,
    /// The buffers, bound at their places in this list.
    pub buffers: Vec<WgslBuffer>,
    /// The dispatches, in order.
    pub passes: Vec<WgslPass>,
}

/// A buffer of a [`WgslJob`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WgslBuffer {
    /// Size in bytes, a multiple of 4.
    pub bytes: u64,
    /// What its first bytes hold at the beginning; the others are zero.
    pub contents: Vec<u8>,
    /// Whether its contents at the end are an output, named after its place in the list.
    pub output: bool,
}

/// A dispatch of a [`WgslJob`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WgslPass {
    /// The entry point.
    pub entry: String,
    /// Workgroups in each dimension.
    pub workgroups: [u32; 3],
}

/// A WebAssembly program of the system interface `wasi_snapshot_preview1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasmJob {
    /// The module, which exports `_start` and `memory`.
    pub module: Vec<u8>,
    /// Its arguments, the first being the program's name by custom.
    pub args: Vec<String>,
    /// What it reads from standard input.
    pub input: Vec<u8>,
    /// Instructions that it may execute, about.
    pub fuel: u64,
    /// Memory that it may have, in bytes.
    pub memory_bytes: u64,
}

/// An ONNX model with its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnnxJob {
    /// The model: a `ModelProto` with its weights inside.
    pub model: Vec<u8>,
    /// Inputs by name, each in NumPy's `.npy` format.
    pub inputs: Vec<NamedBytes>,
}

/// A program in a container whose image the provider holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OciJob {
    /// Name of the image, as the provider offers it.
    pub image: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What it reads from standard input.
    pub input: Vec<u8>,
}

/// What comes of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// Why it did not end well, if so; what there is of outputs is still given.
    pub fault: Option<JobFault>,
    /// The outputs: of `wgsl` the buffers by their place, of `wasm` and `oci` the streams `stdout` and `stderr`, of
    /// `onnx` the tensors by name, in NumPy's `.npy` format.
    pub outputs: Vec<NamedBytes>,
}

/// Why a job failed by its own fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail} [{code}]")]
pub struct JobFault {
    /// What happened, for machines.
    pub code: FaultCode,
    /// What happened, for people.
    pub detail: String,
}

/// Ways for a job to fail by its own fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultCode {
    /// The program ended with a code other than 0.
    ExitCode,
    /// The program did something that ends it: a trap, a signal, an error of the engine.
    Trapped,
    /// It spent the fuel that the job gave it.
    OutOfFuel,
    /// It wanted more memory than it may have.
    OutOfMemory,
    /// It was not done in the time that the provider gives a job.
    TimedOut,
    /// It wrote more than a result may hold.
    OutputTooLarge,
}

impl FaultCode {
    /// The stable snake_case code.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExitCode => "exit_code",
            Self::Trapped => "trapped",
            Self::OutOfFuel => "out_of_fuel",
            Self::OutOfMemory => "out_of_memory",
            Self::TimedOut => "timed_out",
            Self::OutputTooLarge => "output_too_large",
        }
    }
}

impl std::fmt::Display for FaultCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes are no job or result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// They do not follow the encoding.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A list or a name is too long.
    #[error("{what} has {size} entries or bytes, at most {max} are possible")]
    TooLong {
        /// Which.
        what: &'static str,
        /// Its length.
        size: usize,
        /// Its bound.
        max: usize,
    },
}

/// A job or result of this module.
pub trait JobFormat: Serialize + DeserializeOwned {
    /// Checks the lengths of lists and names.
    ///
    /// # Errors
    /// [`JobError::TooLong`].
    fn check(&self) -> Result<(), JobError>;

    /// The bytes that are sealed and stored.
    ///
    /// # Errors
    /// If a list or name, or the whole, is too long.
    fn encode(&self) -> Result<Vec<u8>, JobError> {
        self.check()?;
        Ok(codec::try_encode(self)?)
    }

    /// Reads bytes that are exactly one value, [`MAX_JOB_BYTES`] at most.
    ///
    /// # Errors
    /// If they are not.
    fn decode(bytes: &[u8]) -> Result<Self, JobError> {
        let value: Self = codec::decode_limited(bytes, MAX_JOB_BYTES)?;
        value.check()?;
        Ok(value)
    }
}

fn at_most(what: &'static str, size: usize, max: usize) -> Result<(), JobError> {
    if size <= max { Ok(()) } else { Err(JobError::TooLong { what, size, max }) }
}

fn named(what: &'static str, list: &[NamedBytes]) -> Result<(), JobError> {
    at_most(what, list.len(), MAX_LIST)?;
    list.iter().try_for_each(|entry| at_most("a name", entry.name.len(), MAX_NAME))
}

fn texts(what: &'static str, list: &[String]) -> Result<(), JobError> {
    at_most(what, list.len(), MAX_LIST)
}

impl JobFormat for WgslJob {
    fn check(&self) -> Result<(), JobError> {
        at_most("the list of buffers", self.buffers.len(), MAX_LIST)?;
        at_most("the list of passes", self.passes.len(), MAX_LIST)?;
        self.passes.iter().try_for_each(|pass| at_most("a name", pass.entry.len(), MAX_NAME))
    }
}

impl JobFormat for WasmJob {
    fn check(&self) -> Result<(), JobError> {
        texts("the list of arguments", &self.args)
    }
}

impl JobFormat for OnnxJob {
    fn check(&self) -> Result<(), JobError> {
        named("the list of inputs", &self.inputs)
    }
}

impl JobFormat for OciJob {
    fn check(&self) -> Result<(), JobError> {
        at_most("the image's name", self.image.len(), MAX_NAME)?;
        texts("the command", &self.command)
    }
}

impl JobFormat for JobResult {
    fn check(&self) -> Result<(), JobError> {
        named("the list of outputs", &self.outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_one_encoding_and_is_read_as_it_is_written() {
        let result = JobResult {
            fault: Some(JobFault { code: FaultCode::OutOfFuel, detail: "spent".into() }),
            outputs: vec![NamedBytes { name: "stdout".into(), bytes: vec![1, 2, 3] }],
        };
        let bytes = result.encode().unwrap();
        assert_eq!(
            hex::encode(&bytes),
            "010205737065 6e7401067374646f757403010203".replace(' ', "")
        );
        assert_eq!(JobResult::decode(&bytes).unwrap(), result);
        assert!(JobResult::decode(&bytes[1..]).is_err());
    }

    #[test]
    fn lists_and_names_are_bounded() {
        let output = NamedBytes { name: "n".repeat(MAX_NAME + 1), bytes: Vec::new() };
        let result = JobResult { fault: None, outputs: vec![output] };
        assert!(matches!(result.encode(), Err(JobError::TooLong { .. })));
        assert!(JobResult::decode(&codec::encode(&result)).is_err());
        let job = OciJob {
            image: "i".into(),
            command: vec![String::new(); MAX_LIST + 1],
            input: Vec::new(),
        };
        assert!(matches!(job.encode(), Err(JobError::TooLong { what: "the command", .. })));
    }
}
