//! Find the adapters of this machine, say what they are, and choose one.

use crate::{
    GpuError,
    kernels::gemm_i8::{MatrixUnits, SUBGROUP_ROWS, Units},
    memory::device_memory_bytes,
};
use serde::{Deserialize, Serialize};
use std::{convert::Infallible, fmt, str::FromStr};

/// What kind of device an adapter is. The order is the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the machine's memory.
    Integrated,
    /// A GPU passed through by a hypervisor.
    Virtual,
    /// The driver does not say.
    Other,
    /// The CPU: a software driver, or the reference.
    Cpu,
}

/// What is known of a device. Names are the driver's word, not evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// The device's name.
    pub name: String,
    /// The vendor's name; empty for the reference.
    pub vendor: String,
    /// PCI vendor number, 0 if there is none.
    pub vendor_id: u32,
    /// PCI device number, 0 if there is none.
    pub device_id: u32,
    /// Place on the PCI bus, such as `0000:01:00.0`.
    pub pci_bus: Option<String>,
    /// `vulkan`, `metal`, `dx12`, or `reference` for the CPU backend.
    pub backend: String,
    /// The driver's name and version.
    pub driver: String,
    /// The kind of device.
    pub kind: DeviceKind,
    /// Memory that it computes in, in bytes, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Greatest buffer that a kernel can bind, in bytes.
    pub max_binding_bytes: u64,
    /// Greatest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// Optional features that it has.
    pub features: Vec<String>,
    /// Iterations at which its driver silently ends a long loop, if the self-test found so.
    pub loop_limit: Option<u32>,
}

impl DeviceInfo {
    /// Whether it has matrix units that [`GemmKernel::Matrix`](crate::GemmKernel::Matrix) can use.
    #[must_use]
    pub fn has_matrix_units(&self) -> bool {
        self.has(MATRIX_UNITS)
    }

    /// Whether it has subgroups that [`GemmKernel::Subgroup`](crate::GemmKernel::Subgroup) can use.
    #[must_use]
    pub fn has_subgroups(&self) -> bool {
        self.has(SUBGROUP)
    }

    fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|offered| offered == feature)
    }
}

/// Which adapter to open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selector {
    /// The first of [`discover`]'s list that passes the self-test.
    #[default]
    Best,
    /// The one at this index of [`discover`]'s list.
    Index(usize),
    /// The first whose name contains this, in any case.
    Name(String),
}

impl FromStr for Selector {
    type Err = Infallible;

    /// Reads `best` (or nothing), an index, or a part of a name.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.trim() {
            "" | "best" => Selector::Best,
            text => text.parse().map_or_else(|_| Selector::Name(text.to_owned()), Selector::Index),
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Best => f.write_str("best"),
            Selector::Index(index) => write!(f, "{index}"),
            Selector::Name(name) => f.write_str(name),
        }
    }
}

impl Selector {
    fn accepts(&self, index: usize, info: &DeviceInfo) -> bool {
        match self {
            Selector::Best => true,
            Selector::Index(wanted) => index == *wanted,
            Selector::Name(part) => info.name.to_lowercase().contains(&part.to_lowercase()),
        }
    }
}

/// The adapters of this machine, best first; empty if there are none.
///
/// Discrete GPUs come before integrated ones, those before virtual ones, and software last. None
/// has been tested yet.
#[must_use]
pub fn discover() -> Vec<DeviceInfo> {
    adapters().into_iter().map(|(_, info)| info).collect()
}

/// The adapters that a selector means, best first; never empty.
pub(crate) fn select(selector: &Selector) -> Result<Vec<(wgpu::Adapter, DeviceInfo)>, GpuError> {
    let all = adapters();
    if all.is_empty() {
        return Err(GpuError::NoAdapter);
    }
    let names: Vec<String> = all.iter().map(|(_, info)| format!("'{}'", info.name)).collect();
    let chosen: Vec<_> = all
        .into_iter()
        .enumerate()
        .filter(|(index, (_, info))| selector.accepts(*index, info))
        .map(|(_, adapter)| adapter)
        .collect();
    if chosen.is_empty() {
        let (selector, available) = (selector.to_string(), names.join(", "));
        return Err(GpuError::NoMatch { selector, available });
    }
    Ok(chosen)
}

fn adapters() -> Vec<(wgpu::Adapter, DeviceInfo)> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    descriptor.backends = backends;
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(descriptor);
    let mut adapters: Vec<_> = pollster::block_on(instance.enumerate_adapters(backends))
        .into_iter()
        .filter(|adapter| {
            let flags = adapter.get_downlevel_capabilities().flags;
            flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
        })
        .map(|adapter| {
            let info = describe(&adapter);
            (adapter, info)
        })
        .collect();
    adapters.sort_by_key(|(_, info)| info.kind); // stable: the system's order among equals
    adapters
}

fn describe(adapter: &wgpu::Adapter) -> DeviceInfo {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => DeviceKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => DeviceKind::Integrated,
        wgpu::DeviceType::VirtualGpu => DeviceKind::Virtual,
        wgpu::DeviceType::Cpu => DeviceKind::Cpu,
        wgpu::DeviceType::Other => DeviceKind::Other,
    };
    let pci_bus = Some(info.device_pci_bus_id).filter(|bus| !bus.is_empty());
    DeviceInfo {
        name: info.name,
        vendor: vendor_name(info.vendor),
        vendor_id: info.vendor,
        device_id: info.device,
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        kind,
        memory_bytes: device_memory_bytes(kind, pci_bus.as_deref()),
        pci_bus,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        features: feature_names(adapter),
        loop_limit: None,
    }
}

/// What an adapter has that variants of the product can use: subgroups, if all have one size, and their matrix units.
pub(crate) fn units(adapter: &wgpu::Adapter) -> Units {
    let info = adapter.get_info();
    let one_size = info.subgroup_min_size == info.subgroup_max_size;
    let lanes = Some(info.subgroup_max_size).filter(|_| one_size);
    let has_subgroups = adapter.features().contains(wgpu::Features::SUBGROUP);
    Units {
        lanes: lanes.filter(|lanes| has_subgroups && *lanes >= SUBGROUP_ROWS),
        matrices: lanes.and_then(|lanes| matrix_units(adapter, lanes)),
    }
}

/// The matrix units of an adapter that the product can use: square ones.
fn matrix_units(adapter: &wgpu::Adapter, lanes: u32) -> Option<MatrixUnits> {
    use wgpu::CooperativeScalarType::{F16, F32};
    let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16;
    if !adapter.features().contains(needed) {
        return None;
    }
    let offered = adapter.cooperative_matrix_properties().into_iter().filter(|matrix| {
        let square = matrix.m_size == matrix.n_size && matrix.n_size == matrix.k_size;
        square && matrix.ab_type == F16 && matrix.cr_type == F32
    });
    // The kernel has types for these sizes; the larger does more at once.
    let side = offered.map(|matrix| matrix.k_size).filter(|side| [8, 16].contains(side)).max()?;
    MatrixUnits::new(side, lanes)
}

fn vendor_name(id: u32) -> String {
    let name = match id {
        0x1002 => "AMD",
        0x1010 => "Imagination",
        0x106b => "Apple",
        0x10de => "NVIDIA",
        0x13b5 => "Arm",
        0x1414 => "Microsoft",
        0x14e4 => "Broadcom",
        0x1ae0 => "Google",
        0x5143 => "Qualcomm",
        0x8086 => "Intel",
        0x10005 => "Mesa",
        _ => return format!("{id:#06x}"),
    };
    name.to_owned()
}

/// The name of having matrix units that the product can use.
const MATRIX_UNITS: &str = "matrix-units";
/// The name of having subgroups that the product can use.
const SUBGROUP: &str = "subgroup";

fn feature_names(adapter: &wgpu::Adapter) -> Vec<String> {
    let (features, units) = (adapter.features(), units(adapter));
    let known = [
        (features.contains(wgpu::Features::SHADER_INT64), "shader-int64"),
        (features.contains(wgpu::Features::SHADER_F16), "shader-f16"),
        (units.lanes.is_some(), SUBGROUP),
        (features.contains(wgpu::Features::TIMESTAMP_QUERY), "timestamp-query"),
        (units.matrices.is_some(), MATRIX_UNITS),
    ];
    known.into_iter().filter(|(present, _)| *present).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_read_as_best_an_index_or_a_name() {
        let read = |text: &str| text.parse::<Selector>().unwrap();
        assert_eq!(read(" best "), Selector::Best);
        assert_eq!(read(""), Selector::Best);
        assert_eq!(read("2"), Selector::Index(2));
        assert_eq!(read("RTX 4090"), Selector::Name("RTX 4090".to_owned()));
    }

    #[test]
    fn kinds_are_preferred_from_discrete_to_software() {
        let mut kinds =
            [DeviceKind::Cpu, DeviceKind::Virtual, DeviceKind::Integrated, DeviceKind::Discrete];
        kinds.sort();
        assert_eq!(kinds[0], DeviceKind::Discrete);
        assert_eq!(kinds[3], DeviceKind::Cpu);
    }
}
