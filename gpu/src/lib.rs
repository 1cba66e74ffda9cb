//! Run int8 inference on whatever GPU the machine has, exactly.
//!
//! # Design
//! A [`Backend`] multiplies int8 matrices and computes the layers of `neura-int8` models. There are
//! two: [`WgpuBackend`] (Vulkan, Metal, Direct3D 12) and [`CpuBackend`], the native kernels. A
//! [`LoadedModel`] is a whole model in an adapter's memory, where values stay between operators;
//! through [`OnDevice`] single operators are sent. A [`JobRunner`] answers a job by the first, and
//! by the second or the processor what the first cannot. [`discover`]
//! lists the adapters, best first; [`WgpuBackend::new`] opens one by a [`Selector`] and tests it
//! against the CPU before anything is trusted to it. Each kernel is one WGSL file under `kernels/`
//! with its CPU twin beside it. A [`Budget`] bounds memory, checked before the first dispatch, and
//! time.
//!
//! # Invariants
//! - Every backend gives the same bits for the same input; one test suite is run by all of them.
//! - No binding is over 128 MiB, no dispatch over [`MAX_MACS_PER_DISPATCH`], no invocation over
//!   [`MAX_KERNEL_ITERATIONS`] loop iterations: some drivers silently stop long loops.
//! - A driver that gives a wrong result at start-up is refused, with the reason.
//! - A lost device, exhausted memory and a missed deadline are errors of their own, never a panic;
//!   a job goes on without the device, and says so.
//!
//! # Example
//! ```
//! use neura_gpu::{Backend, CpuBackend, GemmShape};
//!
//! let backend = CpuBackend::new();
//! let c = backend.gemm_i8(&[1, 2], &[3, 4, 5, 6], GemmShape { m: 1, n: 2, k: 2 })?;
//! assert_eq!(c, [11, 17]);
//! # Ok::<(), neura_gpu::GpuError>(())
//! ```

mod backend;
mod benchmark;
mod budget;
mod cpu;
mod device;
mod error;
mod job;
mod kernels;
mod memory;
mod on_device;
mod selftest;
mod user_kernel;
mod wgpu_backend;

pub use backend::{Backend, GemmShape, Layer, MAX_GEMM_K, MAX_GEMM_OUTPUTS};
pub use benchmark::{
    Benchmark, Chain, ChainError, ChainProof, ChainSpec, MAX_CHAIN_BYTES, MAX_CHAIN_CELLS,
    MAX_CHAIN_SIDE, MAX_CHAIN_STAGES, ProvenCell, ProvenRow,
};
pub use budget::{Budget, DEFAULT_MAX_BYTES, DEFAULT_TIMEOUT};
pub use cpu::CpuBackend;
pub use device::{DeviceInfo, DeviceKind, Selector, discover};
pub use error::GpuError;
pub use job::{JobRunner, Ran, RunningJob};
pub use kernels::{GemmKernel, MAX_KERNEL_ITERATIONS};
pub use on_device::OnDevice;
pub use selftest::self_test;
pub use user_kernel::{
    KernelBuffer, KernelError, KernelPass, KernelState, Launches, MAX_KERNEL_BUFFERS,
    MAX_KERNEL_PASSES, MAX_KERNEL_SOURCE, MAX_WORKGROUP_SIZE, MAX_WORKGROUPS, UserKernel,
};
pub use wgpu_backend::{
    KernelRunner, LaunchRate, LoadedModel, MAX_BINDING_BYTES, MAX_MACS_PER_DISPATCH, Options,
    Throughput, Tuning, WgpuBackend,
};
