//! Execute payloads, each kind in a module of its own: checked first, then run, in a worker's process.

mod int8;
mod npy;
mod oci;
mod onnx;
mod relay;
#[cfg(test)]
mod tests;
mod wasi;
mod wasm;
mod wgsl;

pub use onnx::check_model;
pub(crate) use relay::{Keeping, MAX_TEXT, Relay, Said, clipped};
pub use wasm::check_program;
pub use wgsl::check_kernel;

use std::time::Duration;

use neura_gpu::{
    Backend, Budget, CpuBackend, DeviceInfo, GpuError, KernelRunner, LaunchRate, Launches, Options,
    Tuning, WgpuBackend,
};
use neura_types::job::{JobFault, JobFormat, JobResult, NamedBytes};
use serde::{Deserialize, Serialize};

use crate::{
    Device,
    containers::Containers,
    worker::{FailureKind, JobFailure},
};

/// How a payload is to be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Executor {
    /// Integer inference of a network: payload an `Int8Job`, result an `Int8Result`. The same bits on every device.
    Int8,
    /// Users' own kernels on the GPU: payload a `WgslJob`, result a `JobResult`.
    Wgsl,
    /// An ONNX model on the CPU: payload an `OnnxJob`, result a `JobResult`.
    Onnx,
    /// A WebAssembly program: payload a `WasmJob`, result a `JobResult`.
    Wasm,
    /// A program in a container, if the operator offers images: payload an `OciJob`, result a `JobResult`.
    Oci,
}

impl Executor {
    /// All that this build has.
    pub(crate) const ALL: [Self; 5] = [Self::Int8, Self::Wgsl, Self::Onnx, Self::Wasm, Self::Oci];

    /// Its name in offers and terms.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Wgsl => "wgsl",
            Self::Onnx => "onnx",
            Self::Wasm => "wasm",
            Self::Oci => "oci",
        }
    }

    /// The executor of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|executor| executor.name() == name)
    }

    /// Whether it computes on the device; the others take a core of the processor.
    pub(crate) fn needs_device(self) -> bool {
        matches!(self, Self::Int8 | Self::Wgsl)
    }

    /// Whether it runs what strangers wrote, and not only data through code of ours.
    pub(crate) fn runs_foreign_code(self) -> bool {
        !matches!(self, Self::Int8)
    }

    /// Longest payload, in bytes.
    pub(crate) fn max_payload(self) -> u64 {
        let bytes = match self {
            Self::Int8 => neura_int8::MAX_JOB_BYTES,
            Self::Wgsl | Self::Onnx | Self::Wasm | Self::Oci => neura_types::job::MAX_JOB_BYTES,
        };
        bytes as u64
    }
}

/// What a job may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bounds {
    /// Memory, in bytes.
    pub(crate) memory_bytes: u64,
    /// Size of the result, in bytes.
    pub(crate) max_result: u64,
    /// Time of the device, in milliseconds.
    pub(crate) timeout_ms: u64,
}

impl Bounds {
    fn budget(&self) -> Budget {
        Budget { max_bytes: self.memory_bytes, timeout: Duration::from_millis(self.timeout_ms) }
    }
}

/// With what a worker does its job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    /// What our own kernels, and kernels of owners, run on.
    pub(crate) device: &'a Device,
    /// What the job may use.
    pub(crate) bounds: &'a Bounds,
    /// The containers that can be started.
    pub(crate) containers: Option<&'a Containers>,
}

/// Reads the whole of a job without running it; gives what it starts on the device, if that is what takes its time.
pub(crate) fn check(
    executor: Executor,
    payload: &[u8],
    &Given { bounds, containers, .. }: &Given<'_>,
) -> Result<Option<Launches>, JobFailure> {
    match executor {
        Executor::Int8 => int8::check(payload)?,
        Executor::Wgsl => return wgsl::check(payload, bounds).map(Some),
        Executor::Onnx => onnx::check(payload)?,
        Executor::Wasm => wasm::check(payload, bounds)?,
        Executor::Oci => oci::check(payload, containers)?,
    }
    Ok(None)
}

/// How fast the device starts users' kernels; none where there is no device, or it does not run them.
pub(crate) fn launch_rate(device: &Device, bounds: &Bounds) -> Option<LaunchRate> {
    let runner = KernelRunner::new(&device.selector()?, bounds.budget()).ok()?;
    runner.launch_rate().ok()
}

/// Runs a job; gives the bytes of its result.
pub(crate) fn run(
    executor: Executor,
    payload: &[u8],
    &Given { device, bounds, containers }: &Given<'_>,
    tuning: &mut Tuning,
    relay: &mut Relay<'_>,
) -> Result<Vec<u8>, JobFailure> {
    let result = match executor {
        Executor::Int8 => {
            let backend = open(device, bounds, tuning)?;
            relay.opened(backend.info().clone());
            return int8::run(backend.as_ref(), payload, relay);
        }
        Executor::Wgsl => wgsl::run(payload, device, bounds, relay)?,
        Executor::Onnx => {
            relay.opened(processor("tract"));
            onnx::run(payload, bounds)?
        }
        Executor::Wasm => {
            relay.opened(processor("interpreter"));
            wasm::run(payload, bounds, relay)?
        }
        Executor::Oci => {
            relay.opened(processor("container"));
            oci::run(payload, containers, bounds)?
        }
    };
    encode(result, bounds.max_result)
}

/// The processor, for an executor that is not of our kernels.
fn processor(backend: &str) -> DeviceInfo {
    DeviceInfo { backend: backend.to_owned(), ..CpuBackend::new().info().clone() }
}

/// The bytes of a result; one that is too large is a fault of the job.
fn encode(result: JobResult, max_result: u64) -> Result<Vec<u8>, JobFailure> {
    let bytes: u64 = result.outputs.iter().map(|output| output.bytes.len() as u64).sum();
    match result.encode() {
        Ok(encoded) if encoded.len() as u64 <= max_result => Ok(encoded),
        _ => {
            let detail =
                format!("the outputs have {bytes} bytes, a result has {max_result} at most");
            let fault = JobFault { code: neura_types::job::FaultCode::OutputTooLarge, detail };
            failed(fault).map_err(of_job)
        }
    }
}

/// The bytes of a result that is only a fault.
pub(crate) fn failed(fault: JobFault) -> Result<Vec<u8>, neura_types::job::JobError> {
    JobResult { fault: Some(fault), outputs: Vec::new() }.encode()
}

/// Opens the device for our own kernels, with the variants that `tuning` remembers or that are measured now.
pub(crate) fn open(
    device: &Device,
    bounds: &Bounds,
    tuning: &mut Tuning,
) -> Result<Box<dyn Backend>, JobFailure> {
    let Some(selector) = device.selector() else {
        return Ok(Box::new(CpuBackend::new()));
    };
    let options = Options { budget: bounds.budget(), ..Options::default() };
    Ok(Box::new(WgpuBackend::tuned(&selector, options, tuning).map_err(|e| of_device(&e))?))
}

/// A failure that is the job's own.
fn of_job(error: impl ToString) -> JobFailure {
    JobFailure { kind: FailureKind::Job, detail: error.to_string() }
}

/// A failure of the device, unless the job asked for too much.
pub(crate) fn of_device(error: &GpuError) -> JobFailure {
    let kind = match error {
        GpuError::Model(_)
        | GpuError::Kernel(_)
        | GpuError::OutOfFuel { .. }
        | GpuError::OverBudget { .. }
        | GpuError::TooLarge { .. }
        | GpuError::Shape { .. } => FailureKind::Job,
        _ => FailureKind::Device,
    };
    JobFailure { kind, detail: error.to_string() }
}

fn output(name: impl ToString, bytes: Vec<u8>) -> NamedBytes {
    NamedBytes { name: name.to_string(), bytes }
}
