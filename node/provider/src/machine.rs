//! Look at the machine: its GPUs, processor, memory and disk, as a provider offers them.

#[cfg(test)]
mod tests;

use std::{convert::Infallible, fmt, path::Path, str::FromStr};

use neura_gpu::{Backend, CpuBackend, DeviceInfo, DeviceKind, Selector, discover};
use neura_types::provider::{Capability, MAX_TEXT};
use serde::{Deserialize, Serialize};
use sysinfo::{Disks, System};

use crate::ProviderError;

const MIB: u64 = 1 << 20;
/// Free disk is offered in whole steps of this, so that its small changes are no reason to update the registry.
const DISK_STEP_MIB: u32 = 1_024;

/// What jobs run on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// The best adapter that passes its test.
    #[default]
    Best,
    /// The first adapter whose name contains this, in any case, or the one at this index.
    Named(String),
    /// The reference implementation on the CPU: always right, and slow.
    Cpu,
}

impl Device {
    /// The adapter that is meant; none for the CPU reference.
    pub(crate) fn selector(&self) -> Option<Selector> {
        match self {
            Self::Best => Some(Selector::Best),
            Self::Named(name) => {
                Some(name.parse().unwrap_or_else(|never: Infallible| match never {}))
            }
            Self::Cpu => None,
        }
    }
}

impl FromStr for Device {
    type Err = Infallible;

    /// Reads `best` (or nothing), `cpu`, an index or a part of a name.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.trim() {
            "" | "best" => Self::Best,
            "cpu" => Self::Cpu,
            name => Self::Named(name.to_owned()),
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => f.write_str("best"),
            Self::Named(name) => f.write_str(name),
            Self::Cpu => f.write_str("cpu"),
        }
    }
}

/// What a machine has. Names and sizes are the drivers' word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineReport {
    /// The device that jobs run on.
    pub device: DeviceInfo,
    /// Adapters that are there and not used.
    pub others: Vec<DeviceInfo>,
    /// The processor's name.
    pub cpu_name: String,
    /// CPU cores that this process may use.
    pub cpu_cores: u32,
    /// Memory that this process may use, in MiB.
    pub ram_mib: u32,
    /// Free disk where the data folder lies, in MiB.
    pub disk_mib: u32,
}

/// Looks at this machine without opening a device. Blocks for up to some seconds while drivers are asked.
///
/// # Errors
/// [`ProviderError::NoDevice`] if no adapter is what `device` means.
pub fn inspect(device: &Device, data: &Path) -> Result<MachineReport, ProviderError> {
    let adapters = discover();
    let Some(selector) = device.selector() else {
        return Ok(MachineReport::new(CpuBackend::new().info().clone(), adapters, data));
    };
    let chosen = adapters.iter().enumerate().find(|(index, info)| match &selector {
        Selector::Best => true,
        Selector::Index(wanted) => index == wanted,
        Selector::Name(part) => info.name.to_lowercase().contains(&part.to_lowercase()),
    });
    let Some((_, chosen)) = chosen else {
        let names: Vec<&str> = adapters.iter().map(|info| info.name.as_str()).collect();
        let reason = match names.is_empty() {
            true => "no adapter was found".to_owned(),
            false => format!("no adapter matches '{device}'; there are: {}", names.join(", ")),
        };
        return Err(ProviderError::NoDevice { reason });
    };
    Ok(MachineReport::new(chosen.clone(), adapters, data))
}

impl MachineReport {
    /// A report of this machine with the device that jobs run on.
    pub(crate) fn new(device: DeviceInfo, adapters: Vec<DeviceInfo>, data: &Path) -> Self {
        let same = |info: &DeviceInfo| {
            (&info.name, &info.backend, &info.pci_bus)
                == (&device.name, &device.backend, &device.pci_bus)
        };
        let others = adapters.into_iter().filter(|info| !same(info)).collect();
        let cpu_cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            device,
            others,
            cpu_name: CpuBackend::new().info().name.clone(),
            cpu_cores: u32::try_from(cpu_cores).unwrap_or(u32::MAX),
            ram_mib: mib(memory_bytes()),
            disk_mib: mib(free_disk_bytes(data)),
        }
    }

    /// What the registry is told.
    pub fn capability(&self) -> Capability {
        let reference = self.device.backend == "reference";
        let backend = if reference { "cpu" } else { &self.device.backend };
        Capability {
            gpu_model: cut(&self.device.name),
            gpu_backend: cut(backend),
            gpu_memory_mib: mib(self.device.memory_bytes.unwrap_or(self.device.max_buffer_bytes)),
            cpu_cores: self.cpu_cores,
            ram_mib: self.ram_mib,
            disk_mib: self.disk_mib - self.disk_mib % DISK_STEP_MIB,
        }
    }
}

/// Cuts a text to what the registry takes.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

fn mib(bytes: u64) -> u32 {
    u32::try_from(bytes / MIB).unwrap_or(u32::MAX)
}

/// Memory of the machine, or of the container if that has less. 0 where the system does not tell.
fn memory_bytes() -> u64 {
    let Ok(mut system) = System::new() else { return 0 };
    system.refresh_memory();
    let total = system.total_memory();
    system.cgroup_limits().map_or(total, |limits| limits.total_memory.min(total))
}

/// Free space of the disk that holds `data`. 0 where the system does not tell.
fn free_disk_bytes(data: &Path) -> u64 {
    let Ok(disks) = Disks::new_with_refreshed_list() else { return 0 };
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    let holding = disks.iter().filter(|disk| data.starts_with(disk.mount_point()));
    holding
        .max_by_key(|disk| disk.mount_point().as_os_str().len())
        .map_or(0, sysinfo::Disk::available_space)
}

impl fmt::Display for MachineReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = |mib: u32| f64::from(mib) / 1_024.0;
        let memory = |info: &DeviceInfo| match info.memory_bytes {
            Some(bytes) => format!(", {:.1} GiB", gib(mib(bytes))),
            None => String::new(),
        };
        let device = &self.device;
        let kind = match device.kind {
            DeviceKind::Discrete => "discrete GPU",
            DeviceKind::Integrated => "integrated GPU",
            DeviceKind::Virtual => "virtual GPU",
            DeviceKind::Other => "device",
            DeviceKind::Cpu => "software on the CPU",
        };
        writeln!(f, "GPU   {} ({kind}, {}{})", device.name, device.backend, memory(device))?;
        for other in &self.others {
            writeln!(f, "      not used: {} ({}{})", other.name, other.backend, memory(other))?;
        }
        writeln!(f, "CPU   {} ({} cores)", self.cpu_name, self.cpu_cores)?;
        writeln!(f, "RAM   {:.1} GiB", gib(self.ram_mib))?;
        write!(f, "disk  {:.1} GiB free", gib(self.disk_mib))
    }
}
