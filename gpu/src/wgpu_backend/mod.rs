//! Run the kernels on an adapter through wgpu.

mod context;
mod launch;
mod lazy;
mod measures;
mod network;
mod plan;
mod proofs;
mod resident;
mod throughput;
mod tuning;
mod user;

pub use launch::LaunchRate;
pub use resident::LoadedModel;
pub use throughput::Throughput;
pub use tuning::Tuning;
pub use user::KernelRunner;

use crate::{
    Backend, Budget, DeviceInfo, DeviceKind, GemmKernel, GemmShape, GpuError, Layer,
    MAX_KERNEL_ITERATIONS, Selector,
    device::select,
    kernels::{cells, gemm_i8, loop_probe, padded, proofs::Kernel as Proof, requantise},
    selftest::self_test,
};
use context::{Context, Run};
use lazy::Lazy;
use network::Stage;
use neura_int8::Model;
use plan::Bounds;
use std::{fmt, sync::OnceLock};

/// Greatest buffer bound to a kernel, in bytes: the limit of software adapters, and WebGPU's own.
pub const MAX_BINDING_BYTES: u64 = 128 << 20;

/// Greatest work of one dispatch: a third of a second on a slow integrated GPU, well within the
/// two seconds after which Windows resets one.
pub const MAX_MACS_PER_DISPATCH: u64 = 1 << 35;

/// How to use an adapter. Smaller blocks change the speed, never a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What one request may use.
    pub budget: Budget,
    /// Which variant of the product to use; by the kind of device if not given. See also
    /// [`WgpuBackend::tuned`].
    pub kernel: Option<GemmKernel>,
    /// Greatest buffer to bind, in bytes; at most [`MAX_BINDING_BYTES`] and the device's own.
    pub binding_bytes: u64,
    /// Greatest work of one dispatch; at most [`MAX_MACS_PER_DISPATCH`].
    pub macs_per_dispatch: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            budget: Budget::default(),
            kernel: None,
            binding_bytes: MAX_BINDING_BYTES,
            macs_per_dispatch: MAX_MACS_PER_DISPATCH,
        }
    }
}

/// An adapter that passed the self-test.
///
/// Requests are carried out one at a time. After a [`GpuError::Timeout`] or [`GpuError::Lost`]
/// every further request is refused: work in flight cannot be stopped, so end the process.
pub struct WgpuBackend {
    info: DeviceInfo,
    context: Context,
    kernels: Kernels,
    kernel: GemmKernel,
    bounds: Bounds,
    budget: Budget,
    /// What came of the test of the operators of models, once it was made.
    models_tested: OnceLock<Result<(), GpuError>>,
}

/// The compiled kernels.
#[derive(Debug)]
struct Kernels {
    gemm: wgpu::ComputePipeline,
    /// Rows and columns of outputs that a workgroup of `gemm` computes.
    tile: [usize; 2],
    requantise: wgpu::ComputePipeline,
    cells: Lazy<{ cells::Kernel::COUNT }>,
    proofs: Lazy<{ Proof::COUNT }>,
}

impl WgpuBackend {
    /// Opens the adapter that `selector` means, with default [`Options`].
    ///
    /// # Errors
    /// As [`WgpuBackend::with_options`].
    pub fn new(selector: &Selector) -> Result<Self, GpuError> {
        Self::with_options(selector, Options::default())
    }

    /// Opens the first of the adapters that `selector` means which can be opened and passes the
    /// self-test.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`] or [`GpuError::NoMatch`] if there is none; otherwise why the most
    /// preferred one was not accepted: [`GpuError::Open`], [`GpuError::Refused`], or what happened
    /// during its test.
    pub fn with_options(selector: &Selector, options: Options) -> Result<Self, GpuError> {
        Self::open_first(selector, |_| options)
    }

    /// The same, with options that depend on the adapter.
    fn open_first(
        selector: &Selector,
        options: impl Fn(&DeviceInfo) -> Options,
    ) -> Result<Self, GpuError> {
        let mut first_error = None;
        for (adapter, info) in select(selector)? {
            let (name, options) = (info.name.clone(), options(&info));
            match Self::open(&adapter, info, options) {
                Ok(backend) => return Ok(backend),
                Err(error) => {
                    tracing::warn!(adapter = name, %error, "adapter not used");
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(GpuError::NoAdapter))
    }

    fn open(
        adapter: &wgpu::Adapter,
        mut info: DeviceInfo,
        options: Options,
    ) -> Result<Self, GpuError> {
        let context = Context::open(adapter, &info.name)?;
        let kernel = options.kernel.unwrap_or(match info.kind {
            DeviceKind::Cpu if GemmKernel::Subgroup.code(context.units()).is_some() => {
                GemmKernel::Subgroup
            }
            DeviceKind::Cpu => GemmKernel::Registers,
            _ => GemmKernel::Tiled,
        });
        let mut budget = options.budget;
        if let Some(memory) = info.memory_bytes {
            // A tenth stays for the driver and the screen.
            budget.max_bytes = budget.max_bytes.min(memory / 10 * 9);
        }
        let code = code_of(kernel, &context, &info)?;
        let kernels = context.start(budget.timeout)?.guarded(|run| {
            info.loop_limit = probe_loops(run, &info.name)?;
            Ok(Kernels {
                gemm: run.pipeline("gemm_i8", &code.source),
                tile: code.tile,
                requantise: run.pipeline("requantise", requantise::SOURCE),
                cells: Lazy::new(),
                proofs: Lazy::new(),
            })
        })?;
        let binding = MAX_BINDING_BYTES.min(info.max_binding_bytes).min(info.max_buffer_bytes);
        let bounds = Bounds {
            binding_bytes: options.binding_bytes.min(binding),
            macs_per_dispatch: options.macs_per_dispatch.min(MAX_MACS_PER_DISPATCH),
            max_bytes: budget.max_bytes,
        };
        let models_tested = OnceLock::new();
        let backend = WgpuBackend { info, context, kernels, kernel, bounds, budget, models_tested };
        self_test(&backend)?;
        tracing::info!(adapter = backend.info.name, ?kernel, "adapter passed the self-test");
        Ok(backend)
    }

    /// Uses another variant of the product, and tests it.
    fn use_kernel(&mut self, kernel: GemmKernel) -> Result<(), GpuError> {
        let code = code_of(kernel, &self.context, &self.info)?;
        self.kernels.gemm = self.request(|run| Ok(run.pipeline("gemm_i8", &code.source)))?;
        self.kernels.tile = code.tile;
        self.kernel = kernel;
        self_test(self)
    }

    /// The variants of the product that the adapter can run: all but those for subgroups or matrix units that it has not.
    pub fn kernels(&self) -> impl Iterator<Item = GemmKernel> {
        let units = self.context.units();
        GemmKernel::ALL.into_iter().filter(move |kernel| kernel.code(units).is_some())
    }

    /// The variant of the product in use.
    #[must_use]
    pub fn kernel(&self) -> GemmKernel {
        self.kernel
    }

    fn run_stage(&self, stage: Stage<'_>, rows: usize, input: &[i8]) -> Result<Vec<i32>, GpuError> {
        self.context.start(self.budget.timeout)?.guarded(|run| {
            let job = network::Job { stage, rows, input };
            network::run(run, &self.kernels, self.bounds, &job)
        })
    }
}

impl Backend for WgpuBackend {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn gemm_i8(&self, a: &[i8], b: &[i8], shape: GemmShape) -> Result<Vec<i32>, GpuError> {
        shape.check(a.len(), b.len())?;
        if shape.macs() == 0 {
            return Ok(vec![0; shape.m * shape.n]);
        }
        self.run_stage(Stage::product(b, shape.k), shape.m, a)
    }

    fn linear(&self, layer: &Layer<'_>, x: &[i8]) -> Result<Option<Vec<i8>>, GpuError> {
        let (rows, outputs) = (x.len() / layer.depth, layer.outputs());
        let shape = GemmShape { m: rows, n: outputs, k: layer.depth };
        shape.check(x.len(), layer.weights.len())?;
        if shape.macs() == 0 {
            return Ok(None);
        }
        let words = self.run_stage(Stage::layer(layer), rows, x)?;
        let bytes: &[i8] = bytemuck::cast_slice(&words);
        let packed = bytes.chunks_exact(padded(outputs));
        Ok(Some(packed.flat_map(|row| &row[..outputs]).copied().collect()))
    }

    fn load<'a>(&'a self, model: &'a Model) -> Result<Option<LoadedModel<'a>>, GpuError> {
        self.load_model(model).map(Some)
    }
}

impl fmt::Debug for WgpuBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WgpuBackend")
            .field("info", &self.info)
            .field("kernel", &self.kernel)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

/// What to compile for a variant of the product.
fn code_of(
    kernel: GemmKernel,
    context: &Context,
    info: &DeviceInfo,
) -> Result<gemm_i8::Code, GpuError> {
    let none = || GpuError::NotOffered { adapter: info.name.clone(), kernel: kernel.name() };
    kernel.code(context.units()).ok_or_else(none)
}

/// Runs a long loop: `Some(n)` if the driver ends it after `n` iterations.
///
/// Our kernels stay below [`MAX_KERNEL_ITERATIONS`], so a limit above that is only recorded.
fn probe_loops(run: &Run<'_>, adapter: &str) -> Result<Option<u32>, GpuError> {
    let params = loop_probe::Params { iterations: loop_probe::ITERATIONS, padding: [0; 3] };
    let pipeline = run.pipeline("loop_probe", loop_probe::SOURCE);
    let states = run.storage("loop states", u64::from(loop_probe::INVOCATIONS) * 8);
    run.dispatch(&pipeline, bytemuck::bytes_of(&params), &[&states], (1, 1));
    let words = run.read(&states, states.size())?;
    let mut least = loop_probe::ITERATIONS;
    for (invocation, state) in (0..).zip(words.as_chunks().0) {
        let [state, count] = state.map(i32::cast_unsigned);
        least = least.min(count);
        if count > loop_probe::ITERATIONS || state != loop_probe::reference(invocation, count) {
            let reason = format!("invocation {invocation} is wrong after {count} iterations");
            return Err(GpuError::Refused {
                adapter: adapter.to_owned(),
                check: "a long loop",
                reason,
            });
        }
    }
    match least {
        loop_probe::ITERATIONS => Ok(None),
        limit if limit < 2 * MAX_KERNEL_ITERATIONS - 1 => {
            let reason = format!("loops end after {limit} iterations");
            Err(GpuError::Refused { adapter: adapter.to_owned(), check: "a long loop", reason })
        }
        limit => Ok(Some(limit)),
    }
}

#[cfg(test)]
mod tests;
