//! Be the reference: the same work on the CPU, in plain Rust.

use crate::{
    Backend, DeviceInfo, DeviceKind, GemmShape, GpuError,
    kernels::gemm_i8,
    memory::{processor_name, system_memory_bytes},
};
use std::thread;

/// The CPU, running the normative implementation.
#[derive(Debug)]
pub struct CpuBackend {
    info: DeviceInfo,
}

impl CpuBackend {
    /// The CPU of this machine. It is always there and always right.
    #[must_use]
    pub fn new() -> Self {
        let info = DeviceInfo {
            name: processor_name().unwrap_or_else(|| "CPU".to_owned()),
            vendor: String::new(),
            vendor_id: 0,
            device_id: 0,
            pci_bus: None,
            backend: "reference".to_owned(),
            driver: "neura-int8".to_owned(),
            kind: DeviceKind::Cpu,
            memory_bytes: system_memory_bytes(),
            max_binding_bytes: u64::MAX,
            max_buffer_bytes: u64::MAX,
            features: Vec::new(),
            loop_limit: None,
        };
        CpuBackend { info }
    }
}

impl Default for CpuBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for CpuBackend {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn gemm_i8(&self, a: &[i8], b: &[i8], shape: GemmShape) -> Result<Vec<i32>, GpuError> {
        shape.check(a.len(), b.len())?;
        let mut c = vec![0; shape.m * shape.n];
        if c.is_empty() || shape.k == 0 {
            return Ok(c);
        }
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let rows = shape.m.div_ceil(workers);
        thread::scope(|scope| {
            for (a, c) in a.chunks(rows * shape.k).zip(c.chunks_mut(rows * shape.n)) {
                scope.spawn(move || gemm_i8::reference(a, b, shape.k, c));
            }
        });
        Ok(c)
    }
}
