//! Be the processor: the native kernels as a backend.

use crate::{
    Backend, DeviceInfo, DeviceKind, GemmShape, GpuError,
    memory::{processor_name, system_memory_bytes},
};
use neura_int8::Product;
use neura_native::Native;

/// The processor, with the best kernels for it.
#[derive(Debug)]
pub struct CpuBackend {
    info: DeviceInfo,
    native: Native,
}

impl CpuBackend {
    /// The CPU of this machine. It is always there and always right.
    #[must_use]
    pub fn new() -> Self {
        let native = Native::best();
        let info = DeviceInfo {
            name: processor_name().unwrap_or_else(|| "CPU".to_owned()),
            vendor: String::new(),
            vendor_id: 0,
            device_id: 0,
            pci_bus: None,
            backend: "reference".to_owned(),
            driver: format!("neura-native {}", native.level().name()),
            kind: DeviceKind::Cpu,
            memory_bytes: system_memory_bytes(),
            max_binding_bytes: u64::MAX,
            max_buffer_bytes: u64::MAX,
            features: Vec::new(),
            loop_limit: None,
        };
        CpuBackend { info, native }
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
        if shape.k == 0 {
            return Ok(vec![0; shape.m * shape.n]);
        }
        Ok(self.native.multiply(Product { a, b, depth: shape.k }))
    }
}
