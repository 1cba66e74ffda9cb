//! Ask the system for what graphics interfaces do not tell: how much memory there is.

use crate::DeviceKind;
use std::{
    fs,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long NVIDIA's tool may take: it starts the driver when nothing else has.
const NVIDIA_SMI_TIMEOUT: Duration = Duration::from_secs(5);

/// Memory of the whole machine, in bytes.
pub(crate) fn system_memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The processor's name for itself.
pub(crate) fn processor_name() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

/// Memory that a device computes in, in bytes, where the system tells.
///
/// Devices without memory of their own use the machine's.
pub(crate) fn device_memory_bytes(kind: DeviceKind, pci_bus: Option<&str>) -> Option<u64> {
    match kind {
        DeviceKind::Cpu | DeviceKind::Integrated => system_memory_bytes(),
        DeviceKind::Discrete | DeviceKind::Virtual | DeviceKind::Other => {
            let bus = PciBus::parse(pci_bus?)?;
            amdgpu_memory_bytes(bus).or_else(|| nvidia_memory_bytes(bus))
        }
    }
}

/// A place on the PCI bus: domain, bus, device, function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PciBus(u32, u32, u32, u32);

impl PciBus {
    /// Reads `0000:01:00.0`, with any number of digits in the domain.
    fn parse(text: &str) -> Option<PciBus> {
        let (rest, function) = text.trim().rsplit_once('.')?;
        let mut fields = rest.splitn(3, ':').map(|field| u32::from_str_radix(field, 16).ok());
        let (domain, bus, device) = (fields.next()??, fields.next()??, fields.next()??);
        Some(PciBus(domain, bus, device, u32::from_str_radix(function, 16).ok()?))
    }
}

fn amdgpu_memory_bytes(PciBus(domain, bus, device, function): PciBus) -> Option<u64> {
    let place = format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}");
    let path = format!("/sys/bus/pci/devices/{place}/mem_info_vram_total");
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn nvidia_memory_bytes(bus: PciBus) -> Option<u64> {
    let mut child = Command::new("nvidia-smi")
        .args(["--query-gpu=pci.bus_id,memory.total", "--format=csv,noheader,nounits"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(std::io::read_to_string(stdout)));
    let text = receiver.recv_timeout(NVIDIA_SMI_TIMEOUT);
    // It has ended by itself, or has had its time.
    let _ = child.kill();
    let _ = child.wait();
    nvidia_memory_of(&text.ok()?.ok()?, bus)
}

/// Finds the device in lines such as `00000000:01:00.0, 24564`, in MiB.
fn nvidia_memory_of(text: &str, bus: PciBus) -> Option<u64> {
    let mut rows = text.lines().filter_map(|line| line.split_once(','));
    let (_, mebibytes) = rows.find(|(place, _)| PciBus::parse(place) == Some(bus))?;
    mebibytes.trim().parse::<u64>().ok()?.checked_mul(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_found_whatever_the_number_of_digits_of_its_domain() {
        let text = "00000000:01:00.0, 24564\n00000000:C1:00.0, 143771\n";
        let memory = |bus| nvidia_memory_of(text, PciBus::parse(bus).unwrap());
        assert_eq!(memory("0000:01:00.0"), Some(24_564 << 20));
        assert_eq!(memory("0000:c1:00.0"), Some(143_771 << 20));
        assert_eq!(memory("0000:02:00.0"), None);
    }

    #[test]
    fn a_place_that_is_not_one_is_none() {
        for text in ["", "01:00.0", "0000:01:00", "0000:zz:00.0", "a:b:c:d.0"] {
            assert_eq!(PciBus::parse(text), None, "{text}");
        }
    }
}
